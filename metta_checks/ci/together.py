"""Several requests at once, but not too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from metta_checks.core.errors import SourceError

THREADS: Final = 4
"""GitHub's secondary limits are for those who ask for much at once."""

T = TypeVar("T")


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What the calls return, in their order. One that raises is an error of all of them: what has not begun by then is
    not begun, and the first error, in their order, is raised once the others have ended."""
    results, error = together_until_error(calls)
    if error is not None:
        raise error
    return results


def together_until_error(calls: Sequence[Callable[[], T]]) -> tuple[list[T], SourceError | None]:
    """What the calls before the first one that raises SourceError return, in their order, and that error. What has not
    begun by then is not begun."""
    results: list[T] = []
    if len(calls) == 1:
        try:
            return [calls[0]()], None
        except SourceError as error:
            return results, error
    if not calls:
        return results, None
    with ThreadPoolExecutor(THREADS, thread_name_prefix="metta-github") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in futures:
                results.append(future.result())  # noqa: PERF401 (what came before an error counts)
        except SourceError as error:
            pool.shutdown(wait=False, cancel_futures=True)
            return results, error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return results, None
