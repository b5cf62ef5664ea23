"""What a record comes to: its status, its condition, and which of several counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("value", "condition", "status", "state", "label"),
    [
        (0.91, "> 0.5", None, 0, "pass"),
        (0.41, "> 0.5", None, 2, "fail"),
        (0.91, "> 0.5", "unknown", 1, "unknown"),
        (0.91, "about half", None, 1, "unknown"),
        (0.91, "about half", "pass", 0, "pass"),
        (0.91, "about half", "fail", 2, "fail"),
        (0.91, "> 0.5", "fail", 2, "fail"),
        (0.41, "> 0.5", "pass", 0, "pass"),
        (1.5, "in [1, 2]", None, 0, "pass"),
    ],
)
def test_the_published_status_stands_else_the_condition_decides(
    value: float,
    condition: str,
    status: str | None,
    state: float,
    label: str,
    record: Make,
    absent: object,
    write: Make,
    collect: Make,
) -> None:
    collected = collect(write([record(value=value, condition=condition, status=status or absent)]))

    assert collected.value("metta.infra.health.state") == state
    assert collected.values("metta.infra.health.status") == ([] if state == 1 else [float(state == 0)])
    assert collected.value("metta.infra.stablesuite.hearts", f"status:{label}") == value


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        ({"status": "fail"}, "status: the published `fail` is kept, but 0.91 against `> 0.5` says otherwise"),
        ({"value": 0.1}, "status: the published `pass` is kept, but 0.1 against `> 0.5` says otherwise"),
        ({"condition": "about half"}, "condition: 'about half' is not a condition: write an operator"),
        ({"status": "unknown"}, None),
        ({}, None),
    ],
)
def test_what_does_not_add_up_is_reported(
    fields: dict[str, Any], remark: str | None, record: Make, write: Make, collect: Make
) -> None:
    path = write([record(**fields)])

    warnings = collect(path).warnings

    assert len(warnings) == (remark is not None)
    assert all(warning.startswith(f"kept: {path}, record 1: {remark}") for warning in warnings)


def test_a_condition_that_does_not_parse_keeps_its_tag_and_has_no_target(
    record: Make, write: Make, collect: Make
) -> None:
    collected = collect(write([record(condition="within 5 % of main")]))

    assert "condition:within_5_of_main" in collected.tags("metta.infra.stablesuite.hearts")
    assert collected.values("metta.infra.health.target") == []


EARLY, LATE = "2025-01-14T13:00:00Z", "2025-01-14T14:00:00Z"


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({}, [2]),
        ({"condition": "> 1"}, [2]),
        ({"status": "fail"}, [2]),
        ({"metric": "metta.infra.stablesuite.hearts"}, [2]),
        ({"tags": {"workflow": "training", "commit": "abc123"}}, [2]),
        ({"tags": {"commit": "def456"}}, [1, 2]),
        ({"workflow_name": "other"}, [1, 2]),
        ({"task": "other"}, [1, 2]),
        ({"check": "other"}, [1, 2]),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_of_two_records_of_the_same_the_later_counts(
    changes: dict[str, Any], values: list[float], turned: bool, record: Make, write: Make, collect: Make
) -> None:
    records = [record(value=1, timestamp=EARLY), record(value=2, timestamp=LATE, **changes)]

    assert collect(write(records[::-1] if turned else records)).hearts == values


def test_records_that_differ_in_their_tags_share_the_gauges_of_the_wall(
    record: Make, write: Make, collect: Make
) -> None:
    early = record(value=0.1, status="fail", timestamp=EARLY, tags={"seed": 1})
    late = record(timestamp=LATE, tags={"seed": 2})

    collected = collect(write([early, late]))

    assert collected.hearts == [0.1, 0.91]
    assert collected.value("metta.infra.health.state") == 2
    assert collected.value("metta.infra.health.value") == 0.1
