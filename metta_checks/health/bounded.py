"""Work that nothing can interrupt, bounded by the collection's deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError

T = TypeVar("T")

MAX_LEFT_BEHIND: Final = 2
"""Threads that may hang in the same source before no more are started."""


class Bounded(Generic[T]):
    """Runs work on a thread of its own, which is left behind when the deadline comes first.

    A read from a network file system that is away, or the AWS client's search for credentials, cannot be interrupted;
    a check that waited for it would hold one of the Agent's few workers.
    """

    def __init__(self, tried: str) -> None:
        self._tried = tried
        self._left_behind: list[threading.Thread] = []

    def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work()` returns or raises. Raises SourceError when the deadline comes first."""
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        if len(self._left_behind) >= MAX_LEFT_BEHIND:
            raise self._timed_out("earlier reads of it still hang")
        results: list[T] = []
        errors: list[Exception] = []

        def outcome() -> None:
            try:
                results.append(work())
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=outcome, name="metta-health-read", daemon=True)
        thread.start()
        thread.join(deadline.remaining)
        # What broke off at the deadline did so because of it.
        if errors and not deadline.expired:
            raise errors[0]
        if not results:
            self._left_behind.append(thread)
            raise self._timed_out(f"not read within the collection's {deadline.seconds:g} s")
        return results[0]

    def _timed_out(self, came_back: str) -> SourceError:
        remedy = "Check the file system or the bucket; `collection_timeout` sets how long a collection may take."
        return SourceError(Kind.TIMED_OUT, self._tried, came_back, remedy)
