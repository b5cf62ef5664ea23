"""Durations as operators write them: `90m`, `24h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PATTERN = re.compile(r"\s*([0-9]{1,9})\s*([smhdw])\s*", re.ASCII | re.IGNORECASE)
_LONGEST = timedelta(days=3660)


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names: a whole number and one of s, m, h, d, w.

    The unit may be a capital, except M, which stands for months elsewhere: a minute in its place would pass unnoticed.
    Raises ValueError, with the accepted forms, for anything else, for zero, and beyond ten years
    (a longer one is a slip of the hand, and `now` minus it may not be a date).
    """
    match = _PATTERN.fullmatch(text)
    if match is not None and match[2] == "M":
        number = int(match[1])
        forms = f"write {number}m for minutes, or {30 * number}d for months of 30 days"
        raise ValueError(f"{text!r} may be minutes or months: {forms}")
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a whole number and a unit, such as 90m, 24h, 7d or 2w")
    try:
        duration = timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
    except OverflowError:
        duration = timedelta.max
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"{text!r} is out of range: a duration is more than zero and at most ten years")
    return duration


def hours(duration: timedelta) -> float:
    """`duration` in hours."""
    return duration.total_seconds() / 3600
