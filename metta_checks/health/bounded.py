"""Work that nothing can interrupt, bounded by the collection's deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.work import LateError, Work

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
        self._left_behind: list[Work[T]] = []

    def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work()` returns or raises. Raises SourceError when the deadline comes first."""
        self._left_behind = [reading for reading in self._left_behind if reading.is_running]
        if len(self._left_behind) >= MAX_LEFT_BEHIND:
            raise self._timed_out("earlier reads of it still hang")
        reading = Work(work, "metta-health-read")
        try:
            return reading.result(deadline.remaining)
        except LateError:
            self._left_behind.append(reading)
        except Exception:
            # What broke off at the deadline did so because of it.
            if not deadline.expired:
                raise
        raise self._timed_out(f"not read within the collection's {deadline.seconds:g} s")

    def _timed_out(self, came_back: str) -> SourceError:
        remedy = "Check the file system or the bucket; `collection_timeout` sets how long a collection may take."
        return SourceError(Kind.TIMED_OUT, self._tried, came_back, remedy)
