"""Leap days, changes of the clock and ends of eras: the window's edges are where they are on any other day."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.watch import Watch

pytestmark = pytest.mark.hostile


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Chatham"])
@pytest.mark.parametrize(
    "moment",
    [
        datetime(2028, 2, 29, 0, 30, tzinfo=UTC),
        datetime(2027, 3, 1, 0, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 6, 30, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
    ],
    ids=["leap day", "no leap day", "spring", "autumn", "new year", "2038"],
)
def test_days_that_are_not_like_others(
    aggregator: AggregatorStub, moment: datetime, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts are seconds in UTC: a run at each side of the window's edge, whatever the machine's calendar says."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        with closing(Watch(aggregator, timeframe="7d")) as watch:
            watch.now = moment
            week = timedelta(days=7)
            for name, beat in {
                "inside": moment - week,
                "outside": moment - week - timedelta(seconds=1),
                "fresh": moment,
            }.items():
                watch.project.start(name, beat - timedelta(hours=30), heartbeat_at=beat, state="finished")
            received = watch.collect()
            assert sum(received.counts().values()) == 2
            assert received.of_run("inside")["duration_hours"] == 30
            assert sum(watch.after(seconds=1).counts().values()) == 1
    finally:
        monkeypatch.undo()
        time.tzset()
