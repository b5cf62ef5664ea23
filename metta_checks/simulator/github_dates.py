"""GitHub's date ranges: `2026-01-31`, `>=2026-01-31T10:00:00Z`, `a..b`, `*..b`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DateRange:
    """From `since` to `until`, both included and in whole seconds UTC; `None` leaves an end open."""

    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, moment: datetime | None) -> bool:
        if moment is None:
            return False
        return (self.since is None or self.since <= moment) and (self.until is None or moment <= self.until)


def parse_range(text: str) -> DateRange:
    """A range as a `created` parameter or a search qualifier has it. Raises ValueError when it is not one.

    A date without a time means the whole day, in UTC.
    """
    if ".." in text:
        start, _, end = text.partition("..")
        return DateRange(None if start == "*" else _span(start)[0], None if end == "*" else _span(end)[1])
    operator, moment = _split_operator(text)
    first, last = _span(moment)
    match operator:
        case ">=":
            return DateRange(since=first)
        case ">":
            return DateRange(since=last + SECOND)
        case "<=":
            return DateRange(until=last)
        case "<":
            return DateRange(until=first - SECOND)
        case _:
            return DateRange(first, last)


def _split_operator(text: str) -> tuple[str, str]:
    operator = next((operator for operator in (">=", "<=", ">", "<") if text.startswith(operator)), "")
    return operator, text.removeprefix(operator)


def _span(text: str) -> tuple[datetime, datetime]:
    """The first and the last second that a date or a time names."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        first = datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
        return first, first + DAY - SECOND
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:?\d{2})?", text):
        raise ValueError(f"{text!r} is neither a date nor a time")
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment, moment
