"""Times: whose a record's is, and what becomes of old ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Make = Callable[..., Any]


def age(collected: Any) -> float:
    return float(collected.value("metta.infra.health.age_seconds"))


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2025-01-14T15:00:00Z", 3600),
        ("2025-01-14T15:00:00", 3600),
        ("2025-01-14 15:00", 3600),
        ("2025-01-14T10:00:00-05:00", 3600),
        ("2025-01-14T20:30:00+0530", 3600),
        ("2025-01-14T15:59:59.500Z", 0.5),
        ("2025-01-14T15:59:59.123456789Z", 0.876544),
        ("2025-01-14", 57600),
        ("2025-01-14T16:05:00Z", 0),
    ],
)
def test_a_timestamp_is_iso_8601_and_utc_unless_it_says_otherwise(
    timestamp: str, seconds: float, record: Make, write: Make, collect: Make
) -> None:
    collected = collect(write([record(timestamp=timestamp)]), max_age="2d")

    assert age(collected) == pytest.approx(seconds)


def test_without_a_timestamp_the_time_of_the_file_counts(
    record: Make, absent: object, write: Make, collect: Make, now: datetime
) -> None:
    path = write([record(timestamp=absent)])
    os.utime(path, (now.timestamp() - 90,) * 2)

    assert age(collect(path)) == 90


@pytest.mark.parametrize(("ahead", "usable"), [(300, True), (301, False)])
def test_a_file_of_the_future_is_no_stand_in(
    ahead: float, usable: bool, record: Make, absent: object, write: Make, collect: Make, now: datetime
) -> None:
    path = write([record(timestamp=absent)])
    os.utime(path, (now.timestamp() + ahead,) * 2)

    collected = collect(path)

    assert (collected.hearts, collected.dropped("invalid")) == (([0.91], 0) if usable else ([], 1))
    assert [
        f"1 left out (invalid): {path}, record 1: timestamp: its document's time" in w for w in collected.warnings
    ] == ([] if usable else [True])


@pytest.mark.parametrize(
    ("max_age", "hours", "state", "status"),
    [
        (None, 25.9, 0, [1]),
        (None, 26.1, 1, []),
        ("1h", 0.9, 0, [1]),
        ("1h", 1.1, 1, []),
        ("7d", 167, 0, [1]),
    ],
)
def test_an_old_record_keeps_its_value_and_its_verdict_is_unknown(
    max_age: str | None,
    hours: float,
    state: float,
    status: list[float],
    record: Make,
    write: Make,
    collect: Make,
    now: datetime,
) -> None:
    path = write([record(timestamp=(now - timedelta(hours=hours)).isoformat())])

    collected = collect(path, **({"max_age": max_age} if max_age else {}))

    label = "unknown" if state else "pass"
    assert collected.value("metta.infra.stablesuite.hearts", f"status:{label}") == 0.91
    assert collected.value("metta.infra.health.state") == state
    assert collected.values("metta.infra.health.status") == status
    assert age(collected) == pytest.approx(hours * 3600)
    assert collected.data_missing == 0


def test_an_old_failure_does_not_hide_what_came_after_it(
    record: Make, write: Make, collect: Make, now: datetime
) -> None:
    old = record(value=0.1, status="fail", timestamp=(now - timedelta(days=3)).isoformat(), tags={"commit": "a"})

    assert collect(write([old, record(tags={"commit": "b"})])).value("metta.infra.health.state") == 0


def test_a_record_ages_although_its_file_does_not_change(
    record: Make, write: Make, make_check: Make, run: Make
) -> None:
    check = make_check(write([record()]))
    assert run(check).value("metta.infra.health.state") == 0

    check.clock = lambda: datetime(2025, 1, 16, 16, tzinfo=UTC)
    later = run(check)

    assert later.value("metta.infra.health.state") == 1
    assert age(later) == 49 * 3600


def test_a_record_of_the_future_counts_once_its_time_has_come(
    record: Make, write: Make, make_check: Make, run: Make
) -> None:
    check = make_check(write([record(timestamp="2025-01-14T17:00:00Z")]))
    assert run(check).data_missing == 1

    check.clock = lambda: datetime(2025, 1, 14, 17, tzinfo=UTC)

    assert run(check).hearts == [0.91]
