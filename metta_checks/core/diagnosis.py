"""What a check answers to `agent diagnose`, from what its last collections told: nothing is asked of the source."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from datadog_checks.base import ConfigurationError

from metta_checks.core.collection import Collection, Reason
from metta_checks.core.errors import CredentialError, Kind, SourceError
from metta_checks.core.state import StateOrigin

if TYPE_CHECKING:
    from metta_checks.core.check import MettaCheck

LATE_AFTER: Final = 3
"""Intervals without a good collection after which the figures are called late; fewer may be a passing fault."""

LOW_QUOTA: Final = 10
"""Collections that the source's rate limit should still have room for."""

REFUSALS: Final = frozenset({Kind.UNAUTHORISED, Kind.FORBIDDEN, Kind.NOT_FOUND})
"""Answers of a source that is there but does not show what was asked for."""

REMEDIES: Final = {
    Reason.OVER_LIMIT: "More than a limit of the configuration allows: raise the limit, or watch less.",
    Reason.INVALID: "The source sent what this version does not know; the warnings in `agent status` name it.",
    Reason.NOT_FINITE: "The source holds NaN or infinite values, which Datadog refuses.",
    Reason.UNREADABLE: "The source holds items that cannot be read; the warnings in `agent status` name them.",
}


class Diagnostics:
    """The explicit diagnoses of one check instance.

    `note` is told of every collection. Each diagnosis is a success, a warning or a failure with what to do about it;
    no diagnosis holds a credential.
    """

    def __init__(self, check: MettaCheck) -> None:
        self._check = check
        self._last: Collection | None = None
        self._good: Collection | None = None
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

    def note(self, collection: Collection) -> None:
        """A collection has ended."""
        self._last = collection
        if collection.error is None:
            self._good = collection

    def configuration(self) -> None:
        """Whether the options hold together."""
        try:
            self._check.load_options()
        except ConfigurationError as error:
            self._fail("configuration", str(error), "Run `metta-checks validate` on the file.")
        else:
            self._succeed("configuration", "the options are valid")

    def credential(self) -> None:
        """Where the credential comes from, as far as that is known without asking AWS."""
        if not self._loaded():
            return None
        places = self._check.credential_places()
        if places is None:
            return self._succeed("credential", f"{self._check.SOURCE}: no credential of the check's own is needed")
        error = self._last.error if self._last else None
        if isinstance(error, CredentialError):
            return self._fail("credential", str(error), "Set one of the places that the message names.")
        try:
            found = self._check.credentials.at_hand()
        except (ConfigurationError, CredentialError) as unusable:
            return self._fail("credential", str(unusable), "Put it right at the place that the message names.")
        if found is not None:
            return self._succeed("credential", f"the {places.what} comes from {found.origin}")
        self._warn(
            "credential",
            f"there is no {places.what} in the option `{places.option}` nor in {' or '.join(places.variables)}",
            f"A collection looks for the AWS secret {places.secret}, where it is allowed to read it.",
        )
        return None

    def source(self) -> None:
        """Whether the source answered the last collection."""
        last, name = self._last, self._check.SOURCE
        if last is None:
            return self._warn("source", f"{name}: not asked yet", "Wait for the first collection.")
        error = last.error
        if error is None:
            return self._succeed("source", f"{name}: read at {_clock(last.now)} with {_requests(last)}")
        if isinstance(error, SourceError):
            if error.kind in REFUSALS or error.kind is Kind.RATE_LIMITED:
                return self._succeed("source", f"{name}: reached at {_clock(last.now)}, but it refused: {error.kind}")
            return self._fail("source", f"{error.tried}: {error.came_back} ({error.kind})", error.remedy)
        if isinstance(error, CredentialError | ConfigurationError):
            return self._warn("source", f"{name}: not asked, since the collection ended before", "See the others.")
        return self._fail("source", f"{name}: {type(error).__name__}: {error}", "The check has a fault: report it.")

    def permissions(self) -> None:
        """Whether the source showed what was asked for."""
        if self._last is None:
            return
        error = self._last.error
        if error is None:
            self._succeed("permissions", f"{self._check.SOURCE}: everything that was asked for may be read")
        elif isinstance(error, SourceError) and error.kind in REFUSALS:
            self._fail("permissions", f"{error.tried}: {error.came_back} ({error.kind})", error.remedy)

    def quota(self) -> None:
        """What is left of the source's rate limit."""
        if self._last is None:
            return None
        error, left = self._last.error, self._last.quota_remaining
        if isinstance(error, SourceError) and error.kind is Kind.RATE_LIMITED:
            return self._fail("quota", f"{error.tried}: {error.came_back} ({error.kind})", error.remedy)
        if left is None:
            return self._succeed("quota", f"{self._check.SOURCE} tells of no rate limit")
        text = f"{left:,.0f} requests are left, the last collection took {self._last.requests:,}"
        if left < LOW_QUOTA * self._last.requests:
            return self._warn("quota", text, "Raise `min_collection_interval`, or share the credential with fewer.")
        return self._succeed("quota", text)

    def last_good(self) -> None:
        """How old the figures are that Datadog has."""
        if self._last is None:
            return self._warn("last good collection", "none yet in this process", "Wait for the first collection.")
        if self._good is None:
            remedy = "See the diagnoses of the source and the credential."
            return self._fail("last good collection", "none since the Agent started", remedy)
        age = self._check.clock() - self._good.now
        text = f"{_clock(self._good.now)}, {age.total_seconds():.0f} s ago"
        interval = timedelta(seconds=float(self._check.instance.get("min_collection_interval") or 15))
        if age > LATE_AFTER * interval:
            return self._fail("last good collection", text, "See `agent status` for the error of the last collection.")
        return self._succeed("last good collection", text)

    def state(self) -> None:
        """What became of the state that the process before left."""
        if not self._loaded():
            return
        for store in self._check.stores():
            if store.origin is StateOrigin.LOST:
                remedy = "It began afresh. If this repeats: can the Agent's user read and write its `run_path`?"
                self._warn("state", "the saved state could not be used", remedy)
            elif store.origin is StateOrigin.ABSENT:
                self._succeed("state", "none was there: this instance began afresh")
            elif store.origin is StateOrigin.RESTORED:
                self._succeed("state", "restored from the Agent's persistent cache")

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
        """What the last good collection left out, and why."""
        if self._good is None:
            return
        left_out = {reason: count for reason in Reason if (count := self._good.dropped[reason])}
        for reason, count in left_out.items():
            self._warn("dropped", f"{count:,} left out: {reason}", REMEDIES[reason])
        if not left_out:
            self._succeed("dropped", "nothing was left out")

    def _loaded(self) -> bool:
        return self._check.options is not None

    def _succeed(self, name: str, text: str) -> None:
        self._record(self._check.diagnosis.success, name, text, None)

    def _warn(self, name: str, text: str, remedy: str) -> None:
        self._record(self._check.diagnosis.warning, name, text, remedy)

    def _fail(self, name: str, text: str, remedy: str) -> None:
        self._record(self._check.diagnosis.fail, name, text, remedy)

    def _record(self, record: Callable[..., None], name: str, text: str, remedy: str | None) -> None:
        # The base scrubs the remedy by itself, the text not.
        record(name, self._check.printable(text), category=self._check.name, remediation=remedy or None)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _requests(collection: Collection) -> str:
    return f"{collection.requests:,} request{'' if collection.requests == 1 else 's'}"
