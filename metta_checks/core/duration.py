"""Durations as operators write them: `90m`, `24h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PATTERN = re.compile(r"\s*([0-9]{1,9})\s*([smhdw])\s*", re.ASCII | re.IGNORECASE)
_LONGEST = timedelta(days=3660)

_WORDS = "(?:s|m|h|d|w|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|weeks?)"
_SLIP = re.compile(rf"\s*(?:[0-9]{{1,9}}(?:\.[0-9]{{1,3}})?\s*{_WORDS}[\s,]*)+", re.ASCII | re.IGNORECASE)
_PART = re.compile(r"([0-9.]+)\s*([smhdw])", re.ASCII | re.IGNORECASE)
_LENGTHS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_LONGEST_SLIP = 40


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
        forms = _meant(text) or "90m, 24h, 7d or 2w"
        raise ValueError(f"{text!r} is not a duration: write a whole number and a unit, such as {forms}")
    try:
        duration = timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
    except OverflowError:
        duration = timedelta.max
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"{text!r} is out of range: a duration is more than zero and at most ten years")
    return duration


def _meant(text: str) -> str:
    """The duration that `1d12h`, `1.5 hours` or `7 days` means, as it has to be written; empty where it means none."""
    if len(text) > _LONGEST_SLIP or not _SLIP.fullmatch(text):
        return ""
    parts = _PART.findall(text)
    seconds = sum(
        (float(number) * timedelta(**{_UNITS[unit.lower()]: 1}).total_seconds() for number, unit in parts), 0.0
    )
    if not 0 < seconds <= _LONGEST.total_seconds() or not seconds.is_integer() or any(unit == "M" for _, unit in parts):
        return ""
    unit, length = next((unit, length) for unit, length in _LENGTHS if seconds % length == 0)
    return f"{int(seconds / length)}{unit}"


def hours(duration: timedelta) -> float:
    """`duration` in hours."""
    return duration.total_seconds() / 3600
