"""Work that nothing can interrupt, on a thread of its own that is left behind when the time is up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LateError(Exception):
    """The work goes on, and the time is up."""


class Work(Generic[T]):
    """Runs `work` at once on a thread called `name`.

    Resolving a name, reading from a network file system that is away, or the AWS client's search for credentials cannot
    be interrupted, and a check that waited for them would hold one of the Agent's few workers. What comes after
    `give_up` goes to `discard`.
    """

    def __init__(self, work: Callable[[], T], name: str, discard: Callable[[T], None] = lambda _: None) -> None:
        self._work = work
        self._discard = discard
        self._results: list[T] = []
        self._error: Exception | None = None
        self._given_up = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float) -> T:
        """What the work returns or raises. Raises LateError when it goes on for more than `seconds`."""
        self._thread.join(seconds)
        if self._error is not None:
            raise self._error
        if not self._results:
            raise LateError
        return self._results[0]

    def give_up(self) -> None:
        """Nobody waits for the result any more."""
        with self._lock:
            self._given_up = True
            late = list(self._results)
        for result in late:
            self._discard(result)

    def _run(self) -> None:
        try:
            result = self._work()
        except Exception as error:
            self._error = error
            return
        with self._lock:
            self._results.append(result)
            is_late = self._given_up
        if is_late:
            self._discard(result)
