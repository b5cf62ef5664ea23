"""What `agent status` shows of a collection: its error, or its warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from metta_checks.core.errors import NoTargetError, error_text
from metta_checks.core.target import DropReason, Result, first_three


def error_of(results: Sequence[Result]) -> Exception | None:
    """What the collection raises: the error of its only target, or of all when none could be read."""
    failed = [result for result in results if result.error is not None]
    if not failed or len(failed) < len(results):
        return None
    if len(failed) == 1:
        return failed[0].error
    texts = first_three(_texts(failed, _error))
    return NoTargetError(f"none of {len(failed):,} targets could be read: {'; '.join(texts)}")


def warnings_of(results: Sequence[Result], *, raised: bool) -> Iterator[str]:
    """The warnings of a collection, each kind as three in full and a count.

    The errors of targets are among them unless the collection `raised`.
    """
    if not raised:
        yield from first_three(_texts(results, _error))
    yield from first_three(_texts(results, _progress))
    yield from first_three(_texts(results, lambda result: map(str, result.unknown)))
    for reason in DropReason:
        yield from first_three(_texts(results, _dropped(reason)))
    others = _texts(results, lambda result: result.warnings)
    yield from others if len(results) == 1 else first_three(others)


def _texts(results: Sequence[Result], kind: Callable[[Result], Iterable[str]]) -> list[str]:
    """The texts of one kind, with the target's name where there are several."""
    named = len(results) > 1
    return [f"{result.target.name}: {text}" if named else text for result in results for text in kind(result)]


def _error(result: Result) -> Iterable[str]:
    return () if result.error is None else (error_text(result.error),)


def _progress(result: Result) -> Iterable[str]:
    return (result.progress,) if result.progress else ()


def _dropped(reason: DropReason) -> Callable[[Result], Iterable[str]]:
    return lambda result: [str(dropped) for dropped in result.dropped if dropped.reason is reason and dropped.count]
