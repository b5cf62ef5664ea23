"""What one collection knows of itself: its time, its deadline, what it asked and what it left out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from metta_checks.core.deadline import Deadline
from metta_checks.core.sample import Event, Sample

PREFIX: Final = "metta.check."


class Reason(StrEnum):
    """Why an item was left out; each is a series of `metta.check.dropped`, zeros too."""

    OVER_LIMIT = "over_limit"
    INVALID = "invalid"
    NOT_FINITE = "not_finite"
    UNREADABLE = "unreadable"


class Collection:
    """The ledger of one collection; the transport and the check write into it, the base reads it at the end.

    `now` is the moment all its figures speak of (aware, UTC). `quota_remaining` is the source's own rate-limit
    budget, None where it tells none. `error` is what ended the collection, None while nothing has. Pages may be
    fetched on several threads, so the counters are guarded.
    """

    def __init__(self, now: datetime, deadline: Deadline) -> None:
        self.now = now
        self.deadline = deadline
        self.requests = 0
        self.dropped: Counter[Reason] = Counter()
        self.quota_remaining: float | None = None
        self.events: list[Event] = []
        self.error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def present(self) -> datetime:
        """`now`, and what has passed since."""
        return self.now + timedelta(seconds=self.deadline.elapsed)

    def count_request(self) -> None:
        """One more request was sent to the source, retries included."""
        with self._lock:
            self.requests += 1

    def drop(self, reason: Reason, items: int = 1) -> None:
        """`items` were left out for `reason`."""
        with self._lock:
            self.dropped[reason] += items

    def note_quota(self, remaining: float) -> None:
        """The source told its budget; the lowest word of a collection stands."""
        with self._lock:
            known = self.quota_remaining
            self.quota_remaining = remaining if known is None else min(known, remaining)

    def telemetry(self, *, up: bool, series: int, tags: tuple[str, ...]) -> Iterator[Sample]:
        """The `metta.check.*` samples; `series` counts the distinct gauge series that were submitted."""
        yield Sample(f"{PREFIX}up", float(up), tags)
        yield Sample(f"{PREFIX}duration_seconds", self.deadline.elapsed, tags)
        yield Sample(f"{PREFIX}requests", float(self.requests), tags)
        yield Sample(f"{PREFIX}series", float(series), tags)
        for reason in Reason:
            yield Sample(f"{PREFIX}dropped", float(self.dropped[reason]), (*tags, f"reason:{reason}"))
        if self.quota_remaining is not None:
            yield Sample(f"{PREFIX}quota_remaining", self.quota_remaining, tags)
