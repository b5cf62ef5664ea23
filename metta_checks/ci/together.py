"""Several requests at once, but not too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

THREADS: Final = 4
"""GitHub's secondary limits are for those who ask for much at once."""

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. One that raises is an error of all of them: what has not begun by then is
    not begun, and the first error, in their order, is raised once the others have ended."""
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="metta-github") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
