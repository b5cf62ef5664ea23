"""How many series one check instance has cost in the running clock hour."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from itertools import islice
from typing import Final

PER_DISTRIBUTION: Final = 5
"""Datadog bills a distribution as five series per tag set: count, sum, min, max and avg. Percentiles, which are
switched on at Datadog and so not known here, cost five more."""

MOST_REMEMBERED: Final = 200_000
"""Distinct series that are kept, some 15 MB; an hour with more counts as this many."""


class SeriesHour:
    """The distinct series of the clock hour, as Datadog bills them: an average over hours of what each one saw.

    A series that falls silent after ten minutes has cost its hour, which is why the count only falls when a new
    hour begins. A restart of the Agent begins at nothing.
    """

    def __init__(self) -> None:
        self.began: datetime | None = None
        """The full hour that is counted; None before the first collection."""
        self.billed = 0
        """Series to be billed for the hour so far."""
        self._seen: set[int] = set()

    def begin(self, now: datetime) -> None:
        """A collection begins at `now` (aware, UTC)."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.began:
            self.began, self.billed, self._seen = hour, 0, set()

    def add(self, series: Set[int], price: int) -> None:
        """Count the series, each given by a hash of its name and tags; each new one is billed as `price` series.

        A hash of 64 bits identifies a series: of the most that are kept, two are equal once in a billion hours.
        """
        new = set(islice(series - self._seen, MOST_REMEMBERED - len(self._seen)))
        self._seen |= new
        self.billed += price * len(new)
