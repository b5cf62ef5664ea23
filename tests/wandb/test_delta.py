"""After the first listing a collection reads what has changed, and knows as much as if it had read everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from wandb_support.watch import START, Watch, a_summary

from metta_checks.simulator.server import Reply

Watches = Callable[..., Watch]

UNENDED = ["running", "pending", "preempting"]


def a_project(watch: Watch) -> None:
    """Two runs that run, three that have ended, and one from long ago."""
    project = watch.project
    hour = timedelta(hours=1)
    project.start("alive", START - 3 * hour, heartbeat_at=START, summary=a_summary(reward=1.0, sps=10.0))
    project.start("doomed", START - 2 * hour, heartbeat_at=START, summary=a_summary(reward=2.0))
    for i, state in enumerate(("finished", "failed", "crashed")):
        ended = START - (i + 1) * hour
        project.start(f"ended{i}", ended - hour, state=state, heartbeat_at=ended, summary=a_summary(reward=i))
    long_ago = START - timedelta(days=30)
    project.start("ancient", long_ago, state="finished", heartbeat_at=long_ago + hour)


CHANGES: dict[str, Callable[[Watch], object]] = {
    "nothing": lambda watch: None,
    "a run starts": lambda watch: watch.project.start("new", watch.now, summary=a_summary(reward=5.0)),
    "a run is pending, unheard of": lambda watch: watch.project.start(
        "new", watch.now, state="pending", heartbeat_at=None
    ),
    "a run beats": lambda watch: watch.project.beat("alive", watch.now, a_summary(reward=1.5)),
    "a run finishes": lambda watch: watch.project.finish("doomed", watch.now),
    "a run fails": lambda watch: watch.project.fail("doomed", watch.now),
    "a run crashes, without a heartbeat": lambda watch: watch.project.crash("doomed"),
    "a hung run crashes": lambda watch: (
        watch.project.move("doomed", -timedelta(days=9)),
        watch.project.crash("doomed"),
    ),
    "an ended run is resumed": lambda watch: watch.project.resume("ended0", watch.now),
    "an ended run is resumed and ends again": lambda watch: watch.project.fail("ended0", watch.now),
    "an ancient run is resumed": lambda watch: watch.project.resume("ancient", watch.now),
    "a run starts and ends in between": lambda watch: watch.project.start("new", watch.now, state="failed"),
    "a run that runs is renamed": lambda watch: watch.project.rename("alive", "github.sky.renamed"),
    "a run that runs is deleted": lambda watch: watch.project.delete("alive"),
    "a run that runs is moved in time": lambda watch: watch.project.move("alive", timedelta(hours=-2)),
    "the news is a minute late": lambda watch: watch.project.start(
        "late", START - timedelta(hours=1), state="finished", heartbeat_at=START - timedelta(seconds=60)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_delta_knows_what_a_full_listing_knows(watch: Watches, change: Callable[[Watch], object]) -> None:
    watched = watch()
    a_project(watched)
    watched.collect()
    watched.now += timedelta(minutes=2)
    change(watched)
    delta = watched.collect()
    assert delta.gauges == watched.fresh().gauges
    assert delta.requests == 1
    # And what it has learnt holds without further news.
    assert watched.after(minutes=2).gauges == watched.fresh().gauges


NEEDS_A_REFRESH: dict[str, Callable[[Watch], object]] = {
    "an ended run is renamed": lambda watch: watch.project.rename("ended0", "github.sky.renamed"),
    "an ended run is deleted": lambda watch: watch.project.delete("ended0"),
    "a crashed run turns out to have finished": lambda watch: watch.project.crash("ended2", "finished"),
    "a run is uploaded hours after its end": lambda watch: watch.project.start(
        "uploaded", START - timedelta(hours=5), state="finished", heartbeat_at=START - timedelta(hours=4)
    ),
}


@pytest.mark.parametrize("change", NEEDS_A_REFRESH.values(), ids=NEEDS_A_REFRESH.keys())
def test_the_hourly_refresh_notices_what_moves_without_a_heartbeat(
    watch: Watches, change: Callable[[Watch], object]
) -> None:
    watched = watch(completed_runs="3h")
    a_project(watched)
    watched.collect()
    change(watched)
    assert watched.after(minutes=58).gauges != watched.fresh().gauges
    assert watched.after(minutes=2).gauges == watched.fresh().gauges


def test_what_a_delta_asks_for(watch: Watches) -> None:
    watched = watch()
    a_project(watched)
    watched.collect()
    assert watched.last_filter() == {
        "$or": [
            {"state": {"$in": UNENDED}},
            {"heartbeatAt": {"$gte": "2026-01-03T12:00:00Z"}},
            {"createdAt": {"$gte": "2026-01-03T12:00:00Z"}},
        ]
    }
    watched.after(minutes=2)
    # The newest heartbeat is noon's: two minutes before it, and the runs that ran then by their ids.
    assert watched.last_filter() == {
        "$or": [
            {"state": {"$in": UNENDED}},
            {"heartbeatAt": {"$gte": "2026-01-10T11:58:00Z"}},
            {"createdAt": {"$gte": "2026-01-10T11:58:00Z"}},
            {"name": {"$in": ["alive", "doomed"]}},
        ]
    }


def test_a_delta_reaches_back_no_further_than_the_timeframe(watch: Watches) -> None:
    watched = watch(timeframe="12h", full_refresh="30d")
    a_project(watched)
    watched.collect()
    watched.after(hours=20)
    assert watched.last_filter()["$or"][1] == {"heartbeatAt": {"$gte": "2026-01-10T20:00:00Z"}}


@pytest.mark.parametrize(
    ("minutes", "option", "full"),
    [
        (2, "1h", False),
        (59, "1h", False),
        (60, "1h", True),
        (2, "1m", True),
        (90, "2h", False),
        (-5, "1h", True),  # the clock was set back
    ],
)
def test_when_everything_is_read_again(watch: Watches, minutes: float, option: str, full: bool) -> None:
    watched = watch(full_refresh=option)
    a_project(watched)
    watched.collect()
    watched.after(minutes=minutes)
    since = watched.last_filter()["$or"][1]["heartbeatAt"]["$gte"]
    week_ago = (watched.now - timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (since == week_ago) is full


def test_a_clock_that_runs_ahead_hides_nobody(watch: Watches) -> None:
    watched = watch()
    a_project(watched)
    watched.project.beat("alive", START + timedelta(days=2))
    watched.collect()
    watched.project.start("new", START + timedelta(minutes=1), state="finished")
    received = watched.after(minutes=2)
    assert received.of_run("new")
    assert received.gauges == watched.fresh().gauges


@pytest.mark.parametrize(
    ("minutes", "counted", "speaks"),
    [
        (0, True, True),
        (60, True, True),
        (61, True, False),  # it has had its hour
        (7 * 24 * 60, True, False),
        (7 * 24 * 60 + 1, False, False),  # it has left the timeframe
    ],
)
def test_how_long_an_ended_run_is_heard_of(watch: Watches, minutes: int, counted: bool, speaks: bool) -> None:
    watched = watch(full_refresh="30d")
    watched.project.start("run", START - timedelta(hours=1), summary=a_summary(reward=1.0))
    watched.collect()
    watched.now += timedelta(minutes=2)
    watched.project.finish("run", watched.now)
    watched.collect()
    received = watched.after(minutes=minutes)
    assert received.counts() == ({("all", "finished"): 1} if counted else {})
    assert bool(received.of_run("run")) is speaks


def test_a_failed_collection_loses_nothing(watch: Watches) -> None:
    watched = watch()
    a_project(watched)
    watched.collect()
    watched.project.finish("doomed", START + timedelta(minutes=1))
    watched.server.intercept = lambda _: Reply(400)
    watched.now += timedelta(minutes=2)
    assert "HTTP 400" in watched.failing()
    watched.server.intercept = None
    received = watched.after(minutes=2)
    assert received.gauges == watched.fresh().gauges
    assert received.point_values("metric") == [2.0]


def test_nothing_is_kept_from_half_a_listing(watch: Watches) -> None:
    watched = watch(page_size=2)
    a_project(watched)
    watched.server.intercept = lambda _: Reply(400) if len(watched.server.requests) == 2 else None
    assert "HTTP 400" in watched.failing()
    assert watched.cached == {}
    watched.server.intercept = None
    assert watched.collect().requests == 3


def test_a_delta_carries_only_what_runs_or_moved(watch: Watches) -> None:
    watched = watch()
    for i in range(1_500):
        ended = START - timedelta(hours=1, seconds=i)
        watched.project.start(f"run{i:04d}", ended - timedelta(hours=1), state="finished", heartbeat_at=ended)
    for i in range(10):
        watched.project.resume(f"run{i:04d}", START)
    first = watched.collect()
    assert first.requests == 2
    sent = watched.server.bytes_sent
    steady = watched.after(minutes=2)
    assert steady.requests == 1
    assert watched.server.bytes_sent - sent < sent / 100
    assert steady.counts() == first.counts() == {("all", "running"): 10, ("all", "finished"): 1_490}
