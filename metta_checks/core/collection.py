"""The counters of one collection: its time, its deadline, what it asked of the source."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from metta_checks.core.deadline import Deadline
from metta_checks.core.target import TargetList


class Collection:
    """One collection; the transport writes into it, the base reads it at the end.

    `now` is the moment of all its figures (aware, UTC). `quota_remaining` is the source's own rate-limit budget, None
    where the source gives none. `target_list` is what it reads, empty until that is known. `error` is what the
    collection raised. Pages may be fetched on several threads, so the counters are guarded.
    """

    def __init__(self, now: datetime, deadline: Deadline) -> None:
        self.now = now
        self.deadline = deadline
        self.requests = 0
        self.quota_remaining: float | None = None
        self.target_list = TargetList(())
        self.error: Exception | None = None
        self._lock = threading.Lock()

    def time_left(self) -> float:
        """The share of the collection's time that is left, from 1 down to 0."""
        return self.deadline.remaining / self.deadline.seconds if self.deadline.seconds else 0.0

    @property
    def present(self) -> datetime:
        """`now`, and what has passed since."""
        return self.now + timedelta(seconds=self.deadline.elapsed)

    def count_request(self) -> None:
        """One more request was sent to the source, retries included."""
        with self._lock:
            self.requests += 1

    def note_quota(self, remaining: float) -> None:
        """The source gave its budget; the lowest of a collection counts."""
        with self._lock:
            known = self.quota_remaining
            self.quota_remaining = remaining if known is None else min(known, remaining)
