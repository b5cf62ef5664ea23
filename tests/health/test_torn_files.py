"""A reader beside a writer: it never sees a torn document, nor a mixture of two."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from metta_checks.health import publish

Make = Callable[..., Any]

GENERATIONS = 300
RECORDS = 20


def test_a_reader_that_polls_never_sees_a_torn_file(
    record: Make, write: Make, make_check: Make, run: Make, now: Any
) -> None:
    def generation(number: int) -> list[dict[str, Any]]:
        return [record(value=number, condition=">= 0", tags={"n": n}) for n in range(RECORDS)]

    path = write(generation(0))
    failures: list[Exception] = []

    def publish_all() -> None:
        try:
            for number in range(1, GENERATIONS + 1):
                publish(generation(number), path, now=now)
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=publish_all)
    writer.start()
    check = make_check(path)
    seen: list[float] = []
    while writer.is_alive() and len(seen) < 50 * GENERATIONS:
        collected = run(check)
        assert (collected.up, collected.dropped("invalid"), collected.warnings) == (1, 0, ())
        assert len(collected.hearts) == RECORDS
        (number,) = set(collected.hearts)
        seen.append(number)
    writer.join(timeout=60)

    assert (failures, seen) == ([], sorted(seen))
    assert len(set(seen)) > 10
    assert run(check).hearts == [GENERATIONS] * RECORDS
