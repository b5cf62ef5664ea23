"""How many series one check instance has cost in the running clock hour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from metta_checks.core.sample import Sample

PER_DISTRIBUTION: Final = 5
"""Datadog bills a distribution as five series per tag set: count, sum, min, max and avg. Percentiles, which are
switched on at Datadog and so not known here, cost five more."""

MOST_REMEMBERED: Final = 200_000
"""Series that are told apart, some 30 MB; an hour with more counts as this many."""


class SeriesHour:
    """The distinct series of the clock hour, as Datadog bills them: an average over hours of what each one saw.

    A series that falls silent after ten minutes has cost its hour, which is why the count only falls when a new
    hour begins. A restart of the Agent begins at nothing.
    """

    def __init__(self) -> None:
        self._hour: datetime | None = None
        self._seen: set[int] = set()
        # By the hash of the tags as they are written, which is found faster than that of their set.
        self._keys: dict[int, int] = {}
        self._billed = 0

    def add(self, now: datetime, samples: Iterable[Sample]) -> int:
        """Count what was submitted at `now` (aware, UTC), and say how many gauge series are among `samples`.

        The tags that all samples share need not be there.
        """
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._seen, self._keys, self._billed = hour, set(), {}, 0
        gauges: set[int] = set()
        keys = self._keys
        for name, _, tags, kind in samples:
            # A hash of 64 bits stands for the series: of the most that are kept, two meet once in a billion hours.
            written = hash((name, tags))
            key = keys.get(written)
            if key is None:
                key = hash((name, frozenset(tags)))
                if len(keys) < MOST_REMEMBERED:
                    keys[written] = key
                if key not in self._seen and len(self._seen) < MOST_REMEMBERED:
                    self._seen.add(key)
                    self._billed += PER_DISTRIBUTION if kind == "distribution" else 1
            if kind == "gauge":
                gauges.add(key)
        return len(gauges)

    @property
    def began(self) -> datetime | None:
        """The full hour that is counted; None before the first collection."""
        return self._hour

    @property
    def billed(self) -> int:
        """Series to be billed for the hour so far."""
        return self._billed
