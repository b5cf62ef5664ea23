"""The `metta_ci` check: GitHub's workflow runs and merged pull requests, held against conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from metta_checks.ci.access import Access, token_places
from metta_checks.ci.client import GitHub
from metta_checks.ci.config_models import ConfigMixin
from metta_checks.ci.figures import figures_of
from metta_checks.ci.flips import decided, flip_events
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.ledger_text import VERSION, from_text, to_text
from metta_checks.ci.metrics import duration_samples, judged_samples, plain_samples
from metta_checks.ci.reading import Reading, Snapshot
from metta_checks.ci.records import Run
from metta_checks.ci.settings import PUBLIC_API, VARIABLES, Settings, resolve
from metta_checks.ci.verdicts import verdicts_of
from metta_checks.core.check import MettaCheck
from metta_checks.core.collection import Reason
from metta_checks.core.credentials import CredentialPlaces
from metta_checks.core.environment import Variables
from metta_checks.core.sample import Sample
from metta_checks.core.state import Store
from metta_checks.core.tags import tag

NAMED: Final = 3
"""Runs that a warning names."""


class CiCheck(MettaCheck, ConfigMixin):
    """What CI on one branch of one repository comes to, and how many pull requests went past it."""

    SOURCE: ClassVar[str] = "GitHub"
    VARIABLES: ClassVar[Variables] = VARIABLES
    SHARED: ClassVar[tuple[str, ...]] = ("api_url",)

    def collect(self, now: datetime) -> Iterator[Sample]:
        """All figures of the window that ends `now`. Raises SourceError, CredentialError or ConfigurationError."""
        settings = self.settings
        self.github.begin(now)
        ledger = self._pending = self.ledger.copy()
        snapshot = Reading(self.github, ledger, now, max_pages=self.config.max_pages).take()
        figures = figures_of(snapshot)
        verdicts = verdicts_of(settings, figures.judged)
        self._warn(snapshot, figures.problems)
        if self.config.events:
            self.collection.events.extend(flip_events(settings, verdicts, ledger.verdicts, snapshot))
        ledger.verdicts |= decided(verdicts)
        yield from judged_samples(settings, verdicts, now)
        yield from plain_samples(settings, figures)
        if self.config.distributions:
            yield from duration_samples(settings, snapshot.completed)

    def commit(self) -> None:
        """What this collection learnt takes the place of what was known."""
        self._store.save(to_text(self._pending))
        self.ledger = self._pending

    def failure_samples(self, error: Exception) -> Iterator[Sample]:  # noqa: ARG002
        """Every verdict is unknown: what was true before the source fell silent may not be any more."""
        yield from judged_samples(self.settings, verdicts_of(self.settings, {}), self.collection.now)

    def identity(self) -> Mapping[str, str]:
        """The window is part of it: another one needs runs that this one never read."""
        settings = self.settings
        return {
            "api_url": settings.api_url,
            "repo": settings.repo,
            "branch": settings.branch,
            "window": str(settings.window.total_seconds()),
        }

    def identity_tags(self) -> tuple[str, ...]:
        """`repo` and `branch`."""
        return tag("repo", self.settings.repo), tag("branch", self.settings.branch)

    def credential_places(self) -> CredentialPlaces:
        """Where the token is looked for; without one GitHub is asked anonymously."""
        return token_places(self.config, self.provenance, self.target("api_url", PUBLIC_API))

    def stores(self) -> Iterable[Store]:
        """What is remembered of workflow runs."""
        return (self._store,)

    @cached_property
    def settings(self) -> Settings:
        """The resolved options. Raises ConfigurationError for one that cannot be meant."""
        return resolve(self.config)

    @cached_property
    def github(self) -> GitHub:
        """The API, with this instance's token."""
        return GitHub(self.transport, self.access, self.settings)

    @cached_property
    def access(self) -> Access:
        """The token, which may be missing unless the options name a secret for it."""
        return Access(self.credentials, required="token_secret" in self.instance)

    @cached_property
    def ledger(self) -> Ledger:
        """What was remembered when the Agent stopped, or nothing."""
        known = from_text(self._store.load())
        if known is None:
            self._store.refuse()
        return known or Ledger()

    @cached_property
    def _store(self) -> Store:
        return Store(self, "ledger", VERSION)

    def _warn(self, snapshot: Snapshot, problems: tuple[str, ...]) -> None:
        for problem in (*snapshot.problems, *problems):
            self.warning("%s", problem)
        if undecided := [known.run for known in snapshot.runs if known.undecided]:
            self.collection.drop(Reason.UNREADABLE, len(undecided))
            self.warning("%s", _about_undecided(undecided))
        if snapshot.default_branch is not None:
            self.warning(
                "%s has no branch %s, so that every verdict is unknown: correct the option `branch`; the default "
                "branch is %s",
                snapshot.repo,
                self.settings.branch,
                snapshot.default_branch,
            )
        if snapshot.repo.lower() != self.settings.repo.lower():
            self.warning("%s is called %s by now: change the option `repo`", self.settings.repo, snapshot.repo)
        if self.github.anonymous:
            self.warning("asking GitHub without a token, 60 times an hour at most: %s", self.access.missing)


def _about_undecided(runs: Sequence[Run]) -> str:
    named = ", ".join(f"{run.file} #{run.number} (run {run.id})" for run in runs[:NAMED])
    more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return (
        f"{named}{more} succeeded when run again, and GitHub did not give the earlier attempts: whether they are flaky "
        f"is not known, and they are not in ci.workflow.flaky_tests"
    )
