"""A restart of the Agent costs one request and repeats nothing; lost state is a fresh start and never an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from wandb_support.watch import START, Watch, a_summary

Watches = Callable[..., Watch]

HOUR = timedelta(hours=1)


def a_watched_project(watch: Watches, **options: object) -> Watch:
    """One run that runs and one that the check has seen end, eighteen minutes before the restart."""
    watched = watch(**options)
    for name, reward in (("alive", 1.0), ("ended", 2.0)):
        watched.project.start(name, START - HOUR, heartbeat_at=START, summary=a_summary(reward=reward))
    watched.collect()
    watched.project.finish("ended", START + timedelta(minutes=1))
    assert watched.after(minutes=2).point_values("metric") == [2.0]
    watched.now += timedelta(minutes=18)
    return watched


def test_a_restart_costs_one_request_and_repeats_nothing(watch: Watches) -> None:
    watched = a_watched_project(watch)
    before = watched.collect()
    watched.restart()
    after = watched.collect()
    assert after.requests == 1
    assert after.gauges == before.gauges
    assert after.points == []
    assert after.events == []


def test_the_hour_of_an_ended_run_goes_on(watch: Watches) -> None:
    watched = a_watched_project(watch)
    watched.restart()
    # Its end was seen eighteen minutes ago.
    assert watched.after(minutes=42).of_run("ended")
    watched.restart()
    assert not watched.after(minutes=1).of_run("ended")
    assert watched.collect().counts() == {("all", "running"): 1, ("all", "finished"): 1}
    # Silent it stays, however often the Agent starts.
    for _ in range(3):
        watched.restart()
        assert not watched.after(minutes=1).of_run("ended")


MEANWHILE: dict[str, tuple[Callable[[Watch], object], list[float]]] = {
    "nothing happens": (lambda watch: None, []),
    "a run finishes": (lambda watch: watch.project.finish("alive", watch.now - timedelta(minutes=9)), [1.0]),
    "a run crashes, without a heartbeat": (lambda watch: watch.project.crash("alive"), [1.0]),
    "a run starts and ends": (
        lambda watch: watch.project.start("new", watch.now, state="failed", summary=a_summary(reward=3.0)),
        [3.0],
    ),
    "an ended run is resumed and ends again": (lambda watch: watch.project.finish("ended", watch.now), []),
    "an ended run is renamed": (lambda watch: watch.project.rename("ended", "other"), []),
    "a run is deleted": (lambda watch: watch.project.delete("alive"), []),
    "an old run is uploaded": (
        lambda watch: watch.project.start(
            "old", START - 3 * HOUR, state="finished", heartbeat_at=START - 2 * HOUR, summary=a_summary(reward=4.0)
        ),
        [],
    ),
}


@pytest.mark.parametrize(("change", "points"), MEANWHILE.values(), ids=MEANWHILE.keys())
def test_what_happens_while_the_agent_is_down(
    watch: Watches, change: Callable[[Watch], object], points: list[float]
) -> None:
    watched = a_watched_project(watch)
    watched.now += timedelta(minutes=10)
    change(watched)
    watched.restart()
    received = watched.after(minutes=10)
    assert received.point_values("metric") == points
    assert received.gauges == watched.fresh().gauges
    watched.restart()
    assert watched.after(minutes=2).points == []


def test_a_run_that_crashed_while_the_agent_was_down_for_longer_than_the_timeframe(watch: Watches) -> None:
    watched = a_watched_project(watch, timeframe="12h", events=True)
    watched.project.crash("alive")
    watched.restart()
    received = watched.after(days=3)
    # It is no longer active, but its end was seen only now.
    assert received.counts() == {}
    assert received.point_values("metric") == [1.0]
    assert [event["msg_title"] for event in received.events] == ["W&B run crashed: alive"]
    assert watched.after(hours=1).events == []


LOST: dict[str, Callable[[Watch], object]] = {
    "lost": lambda watch: watch.cached.clear(),
    "empty": lambda watch: watch.corrupt(""),
    "cut in half": lambda watch: watch.corrupt(next(iter(watch.cached.values()))[:100]),
    "cut by one character": lambda watch: watch.corrupt(next(iter(watch.cached.values()))[:-1]),
    "no JSON": lambda watch: watch.corrupt("\x00\ufffdgarbage"),
    "another kind of JSON": lambda watch: watch.corrupt("[1, 2, 3]"),
    "nested without end": lambda watch: watch.corrupt("[" * 100_000),
    "of another version": lambda watch: watch.corrupt('{"version": 0, "state": {}}'),
    "of a later version": lambda watch: watch.corrupt('{"version": 99, "state": {"alive": ["alive"]}}'),
    "of another check": lambda watch: watch.corrupt('{"version": 1, "state": {"etags": {"/runs": "abc"}}}'),
    "with a time that is none": lambda watch: watch.corrupt(
        json.dumps({"version": 1, "state": {"began": 10**18, "alive": [], "ended": {}, "settled": [], "told": []}})
    ),
    "with texts for times": lambda watch: watch.corrupt(
        json.dumps({"version": 1, "state": {"began": "1", "alive": [], "ended": {}, "settled": [], "told": []}})
    ),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST.keys())
def test_without_its_state_the_check_starts_afresh(watch: Watches, lose: Callable[[Watch], object]) -> None:
    watched = a_watched_project(watch)
    lose(watched)
    watched.restart()
    received = watched.after(minutes=2)
    # As in the first collection ever: what has ended gives its series for an hour, and no point.
    assert received.points == []
    assert received.of_run("ended")
    assert received.counts() == {("all", "running"): 1, ("all", "finished"): 1}
    # And from here on it knows again.
    watched.project.finish("alive", watched.now)
    watched.restart()
    assert watched.after(minutes=2).point_values("metric") == [1.0]


def test_state_belongs_to_the_project_and_not_to_the_file_around_it(watch: Watches) -> None:
    watched = a_watched_project(watch)
    watched.project.finish("alive", watched.now)
    # Other options, other tags, another check id: the same project.
    watched.restart(tags=["team:other"], max_runs=1, metrics=["overview/reward"], min_collection_interval=300)
    watched.check.check_id = "metta_wandb:edited"
    assert watched.after(minutes=2).point_values("metric") == [1.0]
    # The same options on another server are another project.
    watched.restart(base_url=watched.server.url.replace("127.0.0.1", "localhost"))
    assert watched.after(minutes=2).points == []


def test_a_state_written_by_a_clock_that_ran_ahead_heals(watch: Watches) -> None:
    watched = watch()
    watched.project.start("ended", START - 2 * HOUR, state="finished", heartbeat_at=START - HOUR)
    watched.now += timedelta(days=300)
    watched.project.beat("ended", watched.now)
    watched.collect()
    watched.project.beat("ended", START - HOUR)
    watched.now = START
    watched.restart()
    assert watched.collect().of_run("ended")
    assert not watched.after(minutes=61).of_run("ended")
