"""Durations as operators write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_checks.core.duration import hours, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("7D", timedelta(days=7)),
        (" 1 h ", timedelta(hours=1)),
        ("007d", timedelta(days=7)),
        ("3660d", timedelta(days=3660)),
    ],
)
def test_what_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1h", "+1h", "7y", "7M2", "\u0667d", "\xb2d", "1_0d", "7d\n8", "0 days", "1M 2d", "0.0001s"]
)
def test_what_is_not_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a whole number and a unit, such as 90m, 24h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("1M", "write 1m for minutes, or 30d for"),
        ("6M", "6m for minutes, or 180d"),
        (" 12 M", "12m for minutes, or 360d"),
    ],
)
def test_a_capital_m_is_refused(text: str, forms: str) -> None:
    with pytest.raises(ValueError, match=f"may be minutes or months: .*{forms}"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7 days", "7d"),
        ("1.5h", "90m"),
        ("1h30m", "90m"),
        ("1d12h", "36h"),
        ("1 day, 2 hours", "26h"),
        ("24hours", "1d"),
        ("90 mins", "90m"),
        ("2 Weeks", "14d"),
        ("0.5 s 0.5 s", "1s"),
    ],
)
def test_what_is_meant_is_named(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"is not a duration: write a whole number and a unit, such as {meant}$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0w", "3661d", "999999999w"])
def test_what_is_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match="more than zero and at most ten years"):
        parse_duration(text)


@given(st.text())
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) < duration <= timedelta(days=3660)


def test_hours() -> None:
    assert hours(timedelta(minutes=90)) == 1.5
