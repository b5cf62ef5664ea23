"""Submits samples and events of one check instance to the Agent, and counts the series that it is billed for."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime
from itertools import islice
from typing import Any, Final, Protocol

from metta_checks.core.clock import Clock, Pause, next_second
from metta_checks.core.sample import Event, Sample

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


class SubmittingCheck(Protocol):
    """What a submission needs of a check."""

    name: Any
    hour: SeriesHour
    clock: Clock
    pause: Pause

    @property
    def instance_tags(self) -> tuple[str, ...]: ...

    def gauge(self, name: str, value: float, tags: Any = None) -> None: ...

    def submit_histogram_bucket(
        self, name: str, value: Any, lower: Any, upper: Any, monotonic: Any, hostname: Any, tags: Any
    ) -> None: ...

    def event(self, event: Any) -> None: ...


class Submission:
    """The submissions of one collection, each with the instance's tags."""

    def __init__(self, check: SubmittingCheck) -> None:
        self._check = check
        self._last_point_at: datetime | None = None

    def samples(self, samples: Iterable[Sample]) -> int:
        """Submit gauges and distribution points, which are finite. Returns the number of distinct gauge series."""
        check, common = self._check, self._check.instance_tags
        gauges: set[int] = set()
        distributions: set[int] = set()
        for name, value, tags, kind in samples:
            series = hash((name, frozenset(tags)))
            if kind == "gauge":
                check.gauge(name, value, tags=[*tags, *common])
                gauges.add(series)
            else:
                # The base's comment says that bounds are whole numbers; what takes them reads doubles.
                check.submit_histogram_bucket(name, 1, value, value, False, "", [*tags, *common])
                distributions.add(series)
        if distributions:
            self._last_point_at = check.clock()
        check.hour.add(gauges, 1)
        check.hour.add(distributions, PER_DISTRIBUTION)
        return len(gauges)

    def events(self, events: Iterable[Event], now: datetime) -> None:
        """Submit events of the moment `now`."""
        check = self._check
        for event in events:
            check.event(
                {
                    "timestamp": int(now.timestamp()),
                    "event_type": check.name,
                    "source_type_name": check.name,
                    "msg_title": event.title,
                    "msg_text": event.text,
                    "aggregation_key": event.aggregation_key,
                    "alert_type": event.alert_type,
                    "host": "",
                    "tags": [*event.tags, *check.instance_tags],
                }
            )

    def outlast_points(self) -> None:
        """End no earlier than the first whole second after the last distribution point was submitted.

        At the end of a collection the Agent flushes the sketches of earlier seconds only. A point of the running second
        would wait for the next collection, and a stop of the Agent in between would lose it (seen in a real Agent).
        """
        submitted_at = self._last_point_at
        if submitted_at is None:
            return
        seconds = (next_second(submitted_at) - self._check.clock()).total_seconds()
        if seconds > 0:
            # A clock that was set back asks for more than there ever is to wait for.
            self._check.pause(min(seconds, 1.0))
