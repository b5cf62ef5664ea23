"""A reader beside a writer: it never sees a torn document, nor a mixture of two."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.health import publish

Make = Callable[..., Any]

RECORDS = 20


@pytest.mark.parametrize("generations", [150, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_reader_that_polls_never_sees_a_torn_file(
    generations: int, record: Make, write: Make, make_check: Make, run: Make, now: Any
) -> None:
    def generation(number: int) -> list[dict[str, Any]]:
        return [record(value=number, condition=">= 0", tags={"n": n}) for n in range(RECORDS)]

    path = write(generation(0))
    failures: list[Exception] = []

    def publish_all() -> None:
        try:
            for number in range(1, generations + 1):
                publish(generation(number), path, now=now)
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=publish_all)
    writer.start()
    check = make_check(path)
    seen: list[float] = []
    while writer.is_alive() and len(seen) < 50 * generations:
        collected = run(check)
        assert (collected.up, collected.dropped("invalid"), collected.warnings) == (1, 0, ())
        assert len(collected.hearts) == RECORDS
        (number,) = set(collected.hearts)
        seen.append(number)
    writer.join(timeout=60)

    assert (failures, seen) == ([], sorted(seen))
    assert len(set(seen)) > 10
    assert run(check).hearts == [generations] * RECORDS


CALLS = ("open", "write", "fchown", "fchmod", "fsync", "close", "rename", "unlink")


def publish_and_stop(call: int, content: list[dict[str, Any]], path: Path, now: Any, *, merge: bool) -> bool:
    """Publish in another process, which dies at a call of the operating system; whether it got to its end."""
    child = os.fork()
    if child == 0:
        left = [call]

        def counting(function: Any) -> Any:
            def counted(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return function(*arguments, **options)

            return counted

        for name in CALLS:
            setattr(os, name, counting(getattr(os, name)))
        try:
            publish(content, path, merge=merge, now=now)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("merge", [False, True])
def test_wherever_a_publisher_dies_the_document_is_the_old_or_the_new_one(
    merge: bool, record: Make, write: Make, make_check: Make, run: Make, now: Any
) -> None:
    path = write([record(value=1, condition=">= 0", timestamp="2025-01-14T15:00:00Z")])
    tags = {"commit": "x" * 100_000, "workflow": "training"}
    new = [record(value=2, condition=">= 0", timestamp="2025-01-14T15:01:00Z", tags=tags)]
    check = make_check(path)
    assert run(check).hearts == [1]
    seen: list[list[float]] = []

    for call in range(200):
        ended = publish_and_stop(call, new, path, now, merge=merge)
        collected = run(check)
        assert (collected.up, collected.dropped("invalid"), collected.warnings) == (1, 0, ())
        seen.append(collected.hearts)
        if ended:
            break

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ([1], [2])
    assert len(seen) > 5
    # The lock of one that died is free, and what it left behind is no document.
    assert publish([record(value=3, condition=">= 0")], path, merge=True, now=now) >= 1
    assert [left.name for left in path.parent.glob("*.json")] == [path.name]
