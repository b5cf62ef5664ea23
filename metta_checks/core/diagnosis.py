"""What a check answers to `agent diagnose`, from its last collections: the source gets no request for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from datadog_checks.base import ConfigurationError

from metta_checks.core.clock import Clock
from metta_checks.core.collection import Collection
from metta_checks.core.credentials import CredentialPlaces, Credentials
from metta_checks.core.errors import CredentialError, Kind, SourceError, error_text
from metta_checks.core.state import StateOrigin, TargetStates
from metta_checks.core.submission import SeriesHour
from metta_checks.core.target import DropReason, Result, Status

LATE_AFTER: Final = 3
"""Intervals without a good collection after which the figures are called late; fewer may be a passing fault."""

LOW_QUOTA: Final = 10
"""Collections that the source's rate limit should still have room for."""

REFUSALS: Final = frozenset({Kind.UNAUTHORISED, Kind.FORBIDDEN, Kind.NOT_FOUND})
"""Responses of a source that is there but does not show what was asked for."""

REMEDIES: Final = {
    DropReason.OVER_LIMIT: "More than a limit of the configuration allows: raise the limit, or watch less.",
    DropReason.INVALID: "The source sent what this version cannot use.",
    DropReason.NOT_FINITE: "The source holds NaN or infinite values, which Datadog refuses.",
    DropReason.UNREADABLE: "The source holds items that cannot be read.",
}


class DiagnosedCheck(Protocol):
    """What the diagnoses need of a check."""

    name: Any
    clock: Clock
    hour: SeriesHour

    @property
    def SOURCE(self) -> str: ...  # noqa: N802

    @property
    def diagnosis(self) -> Any: ...

    @property
    def config(self) -> Any: ...

    @property
    def states(self) -> TargetStates[Any]: ...

    @property
    def credentials(self) -> Credentials: ...

    @property
    def interval(self) -> timedelta: ...

    @property
    def series_budget(self) -> int | None: ...

    def load_options(self) -> None: ...

    def credential_places(self) -> CredentialPlaces | None: ...

    def instance_name(self) -> str: ...

    def printable(self, text: str) -> str: ...


class Diagnostics:
    """The explicit diagnoses of one check instance.

    `note` takes over every collection. Each diagnosis is a success, a warning or a failure with what to do about it.
    It is about the instance, or about one target, which its text names. No diagnosis holds a credential.
    """

    def __init__(self, check: DiagnosedCheck) -> None:
        self._check = check
        self._last: Collection | None = None
        self._results: Sequence[Result] = ()
        self._read_at: dict[str, datetime] = {}
        check.diagnosis.register(
            self.configuration,
            self.credential,
            self.source,
            self.permissions,
            self.quota,
            self.last_good,
            self.state,
            self.series,
            self.dropped,
        )

    def note(self, collection: Collection, results: Sequence[Result]) -> None:
        """A collection has ended with these results."""
        self._last = collection
        self._results = results
        self._read_at |= {result.target.name: collection.now for result in results if result.status is Status.READ}

    def configuration(self) -> None:
        """Whether the options hold together."""
        try:
            self._check.load_options()
        except ConfigurationError as error:
            self._fail("configuration", str(error), "Run `metta-checks validate` on the file.")
        else:
            self._succeed("configuration", "the options are valid")

    def credential(self) -> None:
        """Where the credential comes from, as far as that is known without a request to AWS."""
        if not self._loaded():
            return None
        places = self._check.credential_places()
        if places is None:
            return self._succeed("credential", f"{self._check.SOURCE}: no credential of the check's own is needed")
        for error in self._errors().values():
            if isinstance(error, CredentialError):
                return self._fail("credential", str(error), "Set one of the places that the message names.")
        try:
            found = self._check.credentials.peek()
        except (ConfigurationError, CredentialError) as unusable:
            return self._fail("credential", str(unusable), "Correct it where the message says.")
        if found is not None:
            return self._succeed("credential", f"the {places.what} comes from {found.origin}")
        self._warn(
            "credential",
            f"there is no {places.what} in the option `{places.option}` nor in {' or '.join(places.variables)}",
            f"A collection looks for the AWS secret {places.secret}, where it is allowed to read it.",
        )
        return None

    def source(self) -> None:
        """Whether the source answered for each target in the last collection."""
        last, source = self._last, self._check.SOURCE
        if last is None:
            return self._warn("source", f"{source}: not read yet", "Wait for the first collection.")
        at = f"{_clock(last.now)} with {_requests(last)}"
        for name, error in self._errors().items():
            if error is None:
                self._succeed("source", f"{source}: read at {at}", name)
            elif isinstance(error, SourceError):
                if error.kind in REFUSALS or error.kind is Kind.RATE_LIMITED:
                    self._succeed("source", f"{source}: reached at {at}, but it refused: {error.kind}", name)
                else:
                    self._fail("source", _what_came(error), error.remedy, name)
            elif isinstance(error, CredentialError | ConfigurationError):
                text = f"{source}: not read, because the collection ended before"
                self._warn("source", text, "See the other diagnoses.", name)
            else:
                self._fail("source", f"{source}: {error_text(error)}", "The check has a fault: report it.", name)
        return None

    def permissions(self) -> None:
        """Whether the source showed what was asked for."""
        for name, error in self._errors().items():
            if error is None:
                self._succeed("permissions", f"{self._check.SOURCE}: everything that was requested may be read", name)
            elif isinstance(error, SourceError) and error.kind in REFUSALS:
                self._fail("permissions", _what_came(error), error.remedy, name)

    def quota(self) -> None:
        """What is left of the source's rate limit."""
        if self._last is None:
            return None
        for name, error in self._errors().items():
            if isinstance(error, SourceError) and error.kind is Kind.RATE_LIMITED:
                return self._fail("quota", _what_came(error), error.remedy, name)
        left = self._last.quota_remaining
        if left is None:
            return self._succeed("quota", f"{self._check.SOURCE} gives no rate limit")
        text = f"{left:,.0f} requests are left, the last collection took {self._last.requests:,}"
        if left < LOW_QUOTA * self._last.requests:
            return self._warn("quota", text, "Raise `min_collection_interval`, or share the credential with fewer.")
        return self._succeed("quota", text)

    def last_good(self) -> None:
        """How old the figures of each target are that Datadog has."""
        what = "last good collection"
        if self._last is None:
            return self._warn(what, "none yet in this process", "Wait for the first collection.")
        progress = {result.target.name: result.progress for result in self._results if result.progress}
        for name in self._errors():
            if name in progress:
                self._warn(what, f"in progress: {progress[name]}", "Wait for the next collections.", name)
                continue
            read_at = self._read_at.get(name)
            if read_at is None:
                remedy = "See the diagnoses of the source and the credential."
                self._fail(what, "none since the Agent started", remedy, name)
                continue
            age = self._check.clock() - read_at
            text = f"{_clock(read_at)}, {age.total_seconds():.0f} s ago"
            if age > LATE_AFTER * self._check.interval:
                self._fail(what, text, "See `agent status` for the error of the last collection.", name)
            else:
                self._succeed(what, text, name)
        return None

    def state(self) -> None:
        """What became of the state that the process before left."""
        if not self._results:
            return
        for target, origin in self._check.states.origins():
            if origin is StateOrigin.LOST:
                remedy = "It started fresh. If this repeats: can the Agent's user read and write its `run_path`?"
                self._warn("state", "the saved state could not be used", remedy, target.name)
            elif origin is StateOrigin.ABSENT:
                self._succeed("state", "there was none, it started fresh", target.name)
            elif origin is StateOrigin.RESTORED:
                self._succeed("state", "restored from the Agent's persistent cache", target.name)

    def series(self) -> None:
        """What this clock hour costs so far."""
        hour = self._check.hour
        if hour.began is None:
            return
        budget = self._check.series_budget
        text = f"{hour.billed:,} billed series since {_clock(hour.began)}"
        if budget is None:
            self._succeed("series this hour", f"{text}; no `series_budget` is set")
        elif hour.billed > budget:
            remedy = "Run `metta-checks estimate` on the file: it shows what each option saves."
            self._warn("series this hour", f"{text}, over the `series_budget` of {budget:,}", remedy)
        else:
            self._succeed("series this hour", f"{text}, of a `series_budget` of {budget:,}")

    def dropped(self) -> None:
        """What the last collection left out of each target, and why."""
        for result in self._results:
            left_out = [dropped for dropped in result.dropped if dropped.count]
            for dropped in left_out:
                self._warn("dropped", str(dropped), REMEDIES[dropped.reason], result.target.name)
            if not left_out and result.status is Status.READ:
                self._succeed("dropped", "nothing was left out", result.target.name)

    def _errors(self) -> Mapping[str, Exception | None]:
        """The error of each target by its name, None of one that was read; of the instance, under "", where the last
        collection had no target. Nothing before the first one."""
        if self._results:
            return {result.target.name: result.error for result in self._results}
        return {} if self._last is None else {"": self._last.error}

    def _loaded(self) -> bool:
        return self._check.config is not None

    def _succeed(self, name: str, text: str, target: str = "") -> None:
        self._record(self._check.diagnosis.success, name, text, None, target)

    def _warn(self, name: str, text: str, remedy: str, target: str = "") -> None:
        self._record(self._check.diagnosis.warning, name, text, remedy, target)

    def _fail(self, name: str, text: str, remedy: str, target: str = "") -> None:
        self._record(self._check.diagnosis.fail, name, text, remedy, target)

    def _record(self, record: Callable[..., None], name: str, text: str, remedy: str | None, target: str) -> None:
        # The Agent shows the check's name only, so that each text names the instance or the target.
        whole = f"{target or self._check.instance_name()}: {text}"
        # The base scrubs the remedy by itself, the text not.
        record(name, self._check.printable(whole), category=self._check.name, remediation=remedy or None)


def _what_came(error: SourceError) -> str:
    return f"{error.operation}: {error.detail} ({error.kind})"


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _requests(collection: Collection) -> str:
    return f"{collection.requests:,} request{'' if collection.requests == 1 else 's'}"
