"""What the texts of a document can make a check compute."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

RECORDS = 500


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("metric", "metta" + "." * 144),
        ("metric", "metta" + "._" * 72),
        ("metric", "metta.infra" + "._." * 45),
        ("metric", "metta.infra.cron" + "_." * 60 + "x"),
        ("condition", ">" + "1" * 490 + "." + "1" * 490 + "e"),
        ("condition", "in [" + "1" * 480 + "," + "1" * 480),
        ("condition", "<" + " " * 480 + "1" + " " * 480 + "x"),
    ],
    ids=["dots", "dots and lines", "two words", "three words", "a fraction", "an interval", "spaces"],
)
def test_no_text_takes_the_square_of_its_length(
    collect: Callable[..., Any], write: Callable[..., Any], record: Callable[..., Any], field: str, text: str
) -> None:
    """Where its pattern does, a document of two megabytes takes ten seconds of the Agent's Python."""

    def took(path: Any) -> float:
        began = time.process_time()
        collect(path)
        return time.process_time() - began

    plain = write([record(task=f"task {number}") for number in range(RECORDS)], "plain.json")
    odd = write([record(**{field: text, "task": f"task {number}"}) for number in range(RECORDS)])
    # Three attempts, since whatever else the process does adds to one.
    assert any(took(odd) < 5 * took(plain) for _ in range(3))
