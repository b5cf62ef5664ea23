"""The `metta_ci` check: GitHub's workflow runs and merged pull requests, held against conditions."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from metta_checks.ci.access import Access, AppAccess, Registry, app_key_places, token_places
from metta_checks.ci.batches import Batches, Opening, finished
from metta_checks.ci.client import GitHub
from metta_checks.ci.config_models import ConfigMixin
from metta_checks.ci.figures import figures_of
from metta_checks.ci.jobs import JobBudget, JobsReading, note_ended
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.metrics import duration_samples, job_samples, judged_samples, plain_samples, queue_samples
from metta_checks.ci.question import Question, Questioner
from metta_checks.ci.queue import QueueReader
from metta_checks.ci.reading import Reading, Snapshot
from metta_checks.ci.reply import Reply
from metta_checks.ci.repositories import Repositories
from metta_checks.ci.settings import PUBLIC_API, VARIABLES, Settings, resolve
from metta_checks.ci.shared_question import SharedQuestions
from metta_checks.ci.state_codec import VERSION, from_text, to_text
from metta_checks.ci.verdicts import decided, flip_events, verdicts_of
from metta_checks.core import Dropped, DropReason, MettaCheck, Result, Target, tag
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.discovery import Discovery
from metta_checks.core.environment import Variables
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.state import StateFormat, TargetStates
from metta_checks.core.target import TargetList

UNDECIDED: Final = (
    "succeeded when run again, and GitHub did not give the earlier attempts: whether they are flaky is not known, and "
    "they are not in ci.workflow.flaky_tests"
)
"""Why a run is left out of the flaky ones."""


class CiCheck(ConfigMixin, MettaCheck):
    """What CI on one branch of one repository comes to, and how many pull requests went past it."""

    SOURCE: ClassVar[str] = "GitHub"
    VARIABLES: ClassVar[Variables] = VARIABLES
    SHARED: ClassVar[tuple[str, ...]] = ("api_url",)

    def targets(self) -> Sequence[Target]:
        """What the configuration spells out: the branch of the repository, or that of each literal name in `repos`;
        none of these where GitHub's list has to say which branch it is."""
        settings = self.settings
        if settings.repos is None:
            return [_target_of(settings)]
        return [self._target(name, settings.branch) for name in settings.repos.literals if settings.branch]

    def find_targets(self, now: datetime) -> TargetList:
        """The repositories of the organisation that match, with `repos`."""
        settings = self.settings
        if settings.repos is None:
            return super().find_targets(now)
        self.github.begin(now)
        found = self._discovery.look(now, self.collection.time_left)
        return TargetList(
            [self._target(name, branch) for name, branch in found.names.items()],
            [(self._target(name, found.former.get(name, "")), since) for name, since in found.gone.items()],
            len(found.over_limit),
            found.warnings,
        )

    def read(self, target: Target, now: datetime) -> Result:
        """All figures of the window that ends `now`; a failed result keeps what was read. Raises SourceError,
        CredentialError or ConfigurationError where nothing was."""
        self.github.begin(now)
        opening = self._opening(target, now, JobBudget(self.config.max_job_requests, 1))
        return finished(opening)

    def collect(self, targets: Sequence[Target], now: datetime) -> Iterator[Result]:
        """The repositories in batches that share their GraphQL question; `max_job_requests` is shared by all."""
        if len(targets) == 1:
            yield from super().collect(targets, now)
            return
        self.github.begin(now)
        budget = JobBudget(self.config.max_job_requests, len(targets))
        self._questions.retain({target.key for target in targets})
        deadline = self.collection.deadline
        batches = Batches(self.github, self._questions, lambda: deadline.expired, now)
        for target, outcome in batches.read(targets, lambda target: self._opening(target, now, budget)):
            yield outcome if isinstance(outcome, Result) else self.failed(target, outcome, now)

    def _opening(self, target: Target, now: datetime, budget: JobBudget) -> Opening:
        github = self.github.of(self._settings_of(target))
        before: Ledger = self.states.of(target)
        ledger = before.copy()
        questioner = Questioner(github, ledger, now)
        steps = self._steps(
            target, before, Reading(github, ledger, now, questioner, max_pages=self.config.max_pages), budget
        )
        return Opening(target, github, questioner, steps)

    def _steps(
        self, target: Target, before: Ledger, reading: Reading, budget: JobBudget
    ) -> Generator[Question, Reply, Result]:
        github, ledger, now = reading.github, reading.ledger, reading.now
        settings = github.settings
        try:
            snapshot = yield from reading.steps()
        except SourceError as error:
            # What was read until then is not read again, so that runs which ended in it would not be noted later.
            self._note_jobs(settings, before, ledger, now)
            # More than `max_pages` allows is not kept: nothing would fit in until it is out of the look-back.
            kept = None if error.kind is Kind.OVERSIZED else ledger
            return replace(self.failed(target, error, now), state=kept)
        figures = figures_of(snapshot, settings.max_age)
        verdicts = verdicts_of(settings, figures.judged)
        events = list(flip_events(settings, verdicts, ledger.verdicts, snapshot)) if self.config.events else []
        ledger.verdicts |= decided(verdicts)
        samples = [*judged_samples(settings, verdicts, now), *plain_samples(settings, figures, now)]
        if self.config.distributions:
            samples += duration_samples(settings, snapshot.completed)
        warnings = [*figures.notes, *self._remarks(settings, snapshot)]
        if self.config.queue and not github.anonymous:
            try:
                samples += queue_samples(settings, QueueReader(github, ledger, now).read())
            except SourceError as error:
                warnings.append(f"the queue is unknown: {error}")
        self._note_jobs(settings, before, ledger, now)
        jobs = budget.read(github, ledger)
        samples += job_samples(settings, jobs.jobs)
        warnings += _about_jobs(jobs, ledger)
        return Result(
            target,
            samples,
            events,
            state=ledger,
            dropped=[_undecided(snapshot), *_lost_jobs(jobs)],
            unknown=figures.unknown,
            warnings=warnings,
            progress=snapshot.progress,
        )

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:
        """Every verdict is unknown: what was true before the source fell silent may not be any more."""
        settings = self._settings_of(target)
        samples = list(judged_samples(settings, verdicts_of(settings, {}), now))
        return Result(target, samples, error=error)

    @cached_property
    def states(self) -> TargetStates[Ledger]:
        """What is remembered of the branch's workflow runs."""
        format = StateFormat("ledger", VERSION, lambda ledger, _: to_text(ledger), from_text)
        return self.new_states(Ledger, format)

    def credential_places(self) -> CredentialPlaces:
        """Where the token is looked for, without which GitHub is asked anonymously, or the App's private key."""
        places = app_key_places if self._uses_app else token_places
        return places(self.config, self.provenance, self.credential_host("api_url", PUBLIC_API))

    def validate_options(self) -> None:
        """Resolve the options. Raises ConfigurationError."""
        _ = self.settings

    @cached_property
    def settings(self) -> Settings:
        """The resolved options. Raises ConfigurationError for one that cannot be meant."""
        return resolve(self.config)

    @cached_property
    def github(self) -> GitHub:
        """The API, with this instance's token."""
        return GitHub(self.transport, self.access, self.settings)

    @cached_property
    def access(self) -> Access | AppAccess:
        """The App's tokens, or the token, which may be missing unless the options name a secret for it."""
        app = self.settings.app
        if app is not None and self._uses_app:
            return AppAccess(
                app.id,
                app.installation_id,
                self.settings.api_url,
                self.credentials,
                self.transport,
                lambda: self.clock(),
                Registry(self.register_secret, self.forget_secret),
            )
        return Access(self.credentials, required="token_secret" in self.instance)

    @property
    def _uses_app(self) -> bool:
        """An App that the instance names, or that of the environment unless the instance names a token."""
        given = self.provenance
        names_token = given.named("token") or given.named("token_secret")
        return bool(self.config.app_id) and (given.instance.get("app_id") is not None or not names_token)

    @property
    def discovers(self) -> bool:
        """Whether the instance has `repos` rather than one `repo`."""
        return self.instance.get("repos") is not None

    def discovery_tags(self) -> tuple[str, ...]:
        """The organisation of all repositories."""
        return (tag("github_organization", self.settings.organization),)

    @cached_property
    def _discovery(self) -> Discovery:
        settings = self.settings
        if settings.repos is None:
            raise RuntimeError("an instance of one repository has no list")
        repositories = Repositories(self.github, settings.organization, settings.repos)
        identity = {"api_url": settings.api_url, "organization": settings.organization}
        what = f"repositories of organisation {settings.organization}"
        look_up = repositories.default_branch if settings.is_default_branch else None
        return self.new_discovery(what, identity, settings.repos, repositories.page, look_up)

    @cached_property
    def _questions(self) -> SharedQuestions:
        return SharedQuestions()

    def _target(self, name: str, branch: str) -> Target:
        settings = self.settings
        return _target_of(settings.of(f"{settings.organization}/{name}", settings.branch or branch))

    def _settings_of(self, target: Target) -> Settings:
        return self.settings.of(target.identity["repo"], target.identity["branch"])

    def _note_jobs(self, settings: Settings, before: Ledger, ledger: Ledger, now: datetime) -> None:
        """Whose jobs are to be read; nobody's where they are off, or where each request counts."""
        if self.config.jobs and not self.github.anonymous:
            note_ended(settings, before, ledger, now)
        else:
            ledger.jobs = ()

    def _remarks(self, settings: Settings, snapshot: Snapshot) -> Iterator[str]:
        yield from snapshot.problems
        if snapshot.default_branch is not None:
            yield (
                f"{snapshot.repo} has no branch {settings.branch}, so that every verdict is unknown: correct the "
                f"option `branch`; the default branch is {snapshot.default_branch}"
            )
        if snapshot.repo.lower() != settings.repo.lower():
            option = "repo" if settings.repos is None else "repos"
            yield f"{settings.repo} is called {snapshot.repo} by now: change the option `{option}`"
        if self.github.anonymous:
            yield (
                f"asking GitHub without a token, 60 times an hour at most, and not for the queue: {self.access.missing}"
            )
            if self.config.jobs:
                yield "the jobs are not read: that takes more requests than GitHub allows without a token"


def _target_of(settings: Settings) -> Target:
    """The branch of a repository. The window is part of its identity: another one needs runs that this one never
    read."""
    identity = {
        "api_url": settings.api_url,
        "repo": settings.repo,
        "branch": settings.branch,
        "window": str(settings.window.total_seconds()),
    }
    tags = tag("repo", settings.repo), *([tag("branch", settings.branch)] if settings.branch else [])
    return Target(f"{settings.repo}, branch {settings.branch}", identity, tags)


def _undecided(snapshot: Snapshot) -> Dropped:
    """The runs of which GitHub did not give the earlier attempts."""
    runs = [known.run for known in snapshot.runs if known.undecided]
    names = [f"{run.file} #{run.number} (run {run.id})" for run in runs]
    return Dropped.of(DropReason.UNREADABLE, names, note=UNDECIDED)


def _about_jobs(jobs: JobsReading, ledger: Ledger) -> Iterator[str]:
    if jobs.problem is not None:
        yield f"the jobs of {len(ledger.jobs):,} attempts are not read yet: {jobs.problem}"


def _lost_jobs(jobs: JobsReading) -> Iterator[Dropped]:
    """The attempts whose jobs are not submitted, now or later."""
    if jobs.over_limit:
        yield Dropped.of(DropReason.OVER_LIMIT, jobs.over_limit, note="raise `max_job_requests`")
    if jobs.unreadable:
        yield Dropped.of(DropReason.UNREADABLE, jobs.unreadable, note="GitHub did not give them")
