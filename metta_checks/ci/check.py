"""The `metta_ci` check: GitHub's workflow runs and merged pull requests, held against conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from metta_checks.ci.access import Access, AppAccess, Registry, app_key_places, token_places
from metta_checks.ci.client import GitHub, Session
from metta_checks.ci.config_models import ConfigMixin
from metta_checks.ci.figures import Snapshot, figures_of
from metta_checks.ci.jobs import JobsReader, JobsReading, ended_since
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.metrics import duration_samples, job_samples, judged_samples, plain_samples, queue_samples
from metta_checks.ci.organization import DefaultBranches, RepositoryList
from metta_checks.ci.queue import Queue
from metta_checks.ci.rules import scope_tags
from metta_checks.ci.settings import PUBLIC_API, VARIABLES, Settings
from metta_checks.ci.state_codec import VERSION, from_text, to_text
from metta_checks.ci.target_reading import REPOSITORIES_PER_QUERY, BatchPool, TargetRead, TargetReading, read_together
from metta_checks.ci.verdicts import decided, flip_events, verdicts_of
from metta_checks.ci.watch import WatchShare
from metta_checks.core import Dropped, DropReason, MettaCheck, Result, Target, tag
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.discovery import Discovery, ListName
from metta_checks.core.environment import Variables
from metta_checks.core.errors import CredentialError, Kind, SourceError
from metta_checks.core.state import StateFormat, TargetStates
from metta_checks.core.target import TargetList, first_three
from metta_checks.core.trust import CURE

UNDECIDED: Final = (
    "succeeded when run again, and GitHub did not give the earlier attempts: whether they are flaky is not known, and "
    "they are not in ci.workflow.flaky_tests"
)
"""Why a run is left out of the flaky ones."""


WATCHED: Final = 2_700
"""Ended runs of all repositories together that are asked for in a collection."""

LEAST_WATCHED: Final = 54
"""And of each repository at least: those of a query together leave room in it for the runs that have not ended."""

SPARE: Final = 50
"""Requests of the quota that a further group of repositories is not begun with: they take turns until it is renewed."""


class CiCheck(ConfigMixin, MettaCheck):
    """What CI on a branch comes to, of one repository or of those of an organization, and how many pull requests went
    past it."""

    SOURCE: ClassVar[str] = "GitHub"
    VARIABLES: ClassVar[Variables] = VARIABLES
    SHARED: ClassVar[tuple[str, ...]] = ("api_url",)

    def targets(self) -> Sequence[Target]:
        """The branch of the repository; with `organization` those that the configuration spells out."""
        settings = self.settings
        if settings.repos is None:
            return [self._target(settings.repo, settings.branch)]
        return [self._target_of(name, settings.branch) for name in settings.repos.literals if settings.branch]

    def find_targets(self, now: datetime) -> TargetList:
        """The repositories of the organization that match, each with its branch."""
        if not self.discovers:
            return super().find_targets(now)
        # Without a credential the targets of the last list are still there, and unknown.
        with suppress(SourceError, CredentialError):
            self.session.begin(now)
        found = self._discovery.look(now, self.collection.time_left)
        branches, problems = self._branches.of(found.names, now)
        branch = self.settings.branch
        gone = [(self._target_of(name, branch or found.former[name]), since) for name, since in found.gone.items()]
        forgotten = [self._target_of(name, branch or listed) for name, listed in found.forgotten.items()]
        return TargetList(
            [self._target_of(name, branch) for name, branch in branches.items()],
            gone,
            len(found.over_limit),
            [*found.warnings, *first_three(problems)],
            forgotten,
        )

    def read(self, target: Target, now: datetime) -> Result:
        """All figures of the window that ends `now`; a failed result keeps what was read. Raises SourceError,
        CredentialError or ConfigurationError where nothing was."""
        self.session.begin(now)
        one = self._open(target, now)
        try:
            read = one.fetch(with_queue=self.config.queue)
        except SourceError as error:
            return self._interrupted(one, error, now)
        return self._result(one, read, now)

    def collect(self, targets: Sequence[Target], now: datetime) -> Iterator[Result]:
        """The repositories in groups, whose questions share requests; `max_job_requests` is shared among all."""
        if not self.discovers:
            yield from super().collect(targets, now)
            return
        self.session.require_usable()
        self._turn += 1
        self._jobs_left = self.config.max_job_requests
        watch = WatchShare(max(LEAST_WATCHED, WATCHED // max(len(targets), 1)), self._turn)
        longest, time_left = 0.0, self.collection.time_left()
        for start in range(0, len(targets), REPOSITORIES_PER_QUERY):
            # A group that cannot be finished would fail as a whole.
            remaining = self.session.remaining
            if start and (time_left <= longest or (remaining is not None and remaining <= SPARE)):
                return
            yield from self._group(targets[start : start + REPOSITORIES_PER_QUERY], watch, now)
            before, time_left = time_left, self.collection.time_left()
            longest = max(longest, before - time_left)

    def _group(self, targets: Sequence[Target], watch: WatchShare, now: datetime) -> Iterator[Result]:
        opened = [self._open(target, now, watch) for target in targets]
        deadline = self.collection.deadline
        for one, read in read_together(opened, self._pool, deadline, with_queue=self.config.queue):
            try:
                if isinstance(read, SourceError):
                    yield self._interrupted(one, read, now)
                elif isinstance(read, Exception):
                    raise read
                else:
                    yield self._result(one, read, now)
            except Exception as error:
                yield self.failed(one.target, error, now)

    def _open(self, target: Target, now: datetime, watch: WatchShare | None = None) -> TargetReading:
        github = GitHub(self.session, self._settings_of(target))
        return TargetReading(target, github, self.states.of(target), now, self.config.max_pages, watch)

    def _interrupted(self, one: TargetReading, error: SourceError, now: datetime) -> Result:
        """A reading that failed: what was read until then is not read again."""
        # More than `max_pages` allows is not kept: nothing would fit in until it is out of the look-back. Attempts that
        # ended in what is kept are noted now, since the next collection compares with it.
        kept = None if error.kind is Kind.OVERSIZED else self._with_ended(one, one.ledger, now)
        return replace(self.failed(one.target, error, now), state=kept)

    def _result(self, one: TargetReading, read: TargetRead, now: datetime) -> Result:
        settings, snapshot, ledger = one.github.settings, read.snapshot, self._with_ended(one, read.ledger, now)
        figures = figures_of(snapshot, settings.max_age)
        verdicts = verdicts_of(settings, figures.judged)
        events = list(flip_events(settings, verdicts, ledger.verdicts, snapshot)) if self.config.events else []
        samples = [*judged_samples(settings, verdicts, now), *plain_samples(settings, figures, now)]
        if self.config.distributions:
            samples += duration_samples(settings, snapshot.completed)
        warnings = [*figures.notes, *self._remarks(settings, snapshot)]
        if isinstance(read.queue, Queue):
            samples += queue_samples(settings, read.queue)
        elif read.queue is not None:
            warnings.append(f"the queue is unknown: {read.queue}")
        jobs = self._read_jobs(one, ledger, now)
        samples += job_samples(settings, jobs.jobs)
        warnings += _about_jobs(jobs)
        return Result(
            one.target,
            samples,
            events,
            state=replace(
                ledger,
                verdicts={**ledger.verdicts, **decided(verdicts)},
                jobs=jobs.waiting,
                job_page_size=jobs.page_size,
            ),
            dropped=[_undecided(snapshot), _invalid(snapshot), *_lost_jobs(jobs)],
            unknown=figures.unknown,
            warnings=warnings,
            progress=snapshot.progress,
        )

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:
        """Every verdict is unknown: what was true before the source fell silent may not be any more."""
        settings = self._settings_of(target)
        return Result(target, list(judged_samples(settings, verdicts_of(settings, {}), now)), error=error)

    @property
    def discovers(self) -> bool:
        """Whether the instance has an `organization` rather than one `repo`."""
        return self.instance.get("organization") is not None

    def discovery_tags(self) -> tuple[str, ...]:
        """The organization of all repositories."""
        return (tag("github_organization", self.settings.organization),)

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
        if self.provenance.named("app_private_key") is None:
            for option in ("app_id", "app_installation_id"):
                if self.provenance.instance.get(option) is not None:
                    self.provenance.refuse(option, "is about a GitHub App", "choose one without its own key", CURE)

    @cached_property
    def settings(self) -> Settings:
        """The resolved options. Raises ConfigurationError for one that cannot be meant."""
        return Settings.from_options(self.config)

    @cached_property
    def session(self) -> Session:
        """The API, with this instance's token."""
        return Session(self.transport, self.access)

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

    @cached_property
    def _discovery(self) -> Discovery:
        settings = self.settings
        if settings.repos is None:
            raise RuntimeError("an instance of one repository has no list")
        identity = {"api_url": settings.api_url, "organization": settings.organization}
        check = "this credential can see: check `organization`, and what the token or the App may read"
        what = ListName("repository", "repositories", f"organization {settings.organization}", check)
        read_page = RepositoryList(self.session, settings).read_page
        return self.new_discovery(what, identity, settings.repos, read_page, settings.lookback)

    @cached_property
    def _branches(self) -> DefaultBranches:
        return DefaultBranches(self.session, self.settings)

    @cached_property
    def _pool(self) -> BatchPool:
        return BatchPool(self.session)

    _turn = 0
    _jobs_left = 0

    def _target_of(self, name: str, branch: str) -> Target:
        return self._target(f"{self.settings.organization}/{name}", branch)

    def _target(self, repo: str, branch: str) -> Target:
        """A branch of a repository. The window is part of its identity: another one needs runs that this one never
        read."""
        identity = {
            "api_url": self.settings.api_url,
            "repo": repo,
            "branch": branch,
            "window": str(self.settings.window.total_seconds()),
        }
        return Target(f"{repo}, branch {branch}", identity, scope_tags(repo, branch or None))

    def _settings_of(self, target: Target) -> Settings:
        return self.settings.of_repo(target.identity["repo"], target.identity["branch"])

    def _with_ended(self, one: TargetReading, ledger: Ledger, now: datetime) -> Ledger:
        """With the attempts whose jobs are to be read; none where they are off, or where each request counts."""
        if not self.config.jobs or one.github.anonymous:
            return replace(ledger, jobs=())
        return replace(ledger, jobs=(*ledger.jobs, *ended_since(one.github.settings, one.before, ledger, now)))

    def _read_jobs(self, one: TargetReading, ledger: Ledger, now: datetime) -> JobsReading:
        most = self.config.max_job_requests
        left = self._jobs_left if self.discovers else most
        jobs = JobsReader(one.github, ledger, now, budget=most, left=left).read()
        self._jobs_left = jobs.left
        return jobs

    def _remarks(self, settings: Settings, snapshot: Snapshot) -> Iterator[str]:
        yield from snapshot.problems
        if snapshot.default_branch is not None:
            yield (
                f"{snapshot.repo} has no branch {settings.branch}, so that every verdict is unknown: correct the "
                f"option `branch`; the default branch is {snapshot.default_branch}"
            )
        if snapshot.repo.lower() != settings.repo.lower():
            option = "an entry of `repos`" if self.discovers else "the option `repo`"
            yield f"{settings.repo} is called {snapshot.repo} by now: change {option}"
        if self.session.anonymous:
            yield (
                f"asking GitHub without a token, 60 times an hour at most, and not for the queue: {self.access.missing}"
            )
            if self.config.jobs:
                yield "the jobs are not read: that takes more requests than GitHub allows without a token"


def _undecided(snapshot: Snapshot) -> Dropped:
    """The runs of which GitHub did not give the earlier attempts."""
    runs = [known.run for known in snapshot.runs if known.undecided]
    names = [f"{run.file} #{run.number} (run {run.id})" for run in runs]
    return Dropped.of(DropReason.UNREADABLE, names, note=UNDECIDED)


def _invalid(snapshot: Snapshot) -> Dropped:
    return Dropped.of(DropReason.INVALID, snapshot.invalid, note="GitHub lists them in a form that cannot be read")


def _about_jobs(jobs: JobsReading) -> Iterator[str]:
    if jobs.problem is not None:
        yield f"the jobs of {len(jobs.waiting):,} attempts are not read yet: {jobs.problem}"


def _lost_jobs(jobs: JobsReading) -> Iterator[Dropped]:
    """The attempts whose jobs are not submitted, now or later."""
    if jobs.over_limit:
        yield Dropped.of(DropReason.OVER_LIMIT, jobs.over_limit, note="raise `max_job_requests`")
    if jobs.unreadable:
        yield Dropped.of(DropReason.UNREADABLE, jobs.unreadable, note="GitHub did not give them")
