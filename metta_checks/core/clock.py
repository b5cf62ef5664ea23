"""The clock that checks read: one function, so that a test can put another in its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

Pause = Callable[[float], None]
"""Waits for so many seconds; a test puts one in its place that moves the clock instead."""


def utcnow() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def pause(seconds: float) -> None:
    """Wait on the real clock."""
    time.sleep(seconds)


def next_second(moment: datetime) -> datetime:
    """The first whole second after `moment`."""
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def in_utc(moment: datetime) -> datetime:
    """`moment` in UTC, as which one without a zone is taken. Raises ValueError when it lies outside of the calendar."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it lies outside of the calendar") from None
