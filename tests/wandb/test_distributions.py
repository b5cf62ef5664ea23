"""A run's end is one point per distribution, told once, and only where the check was there to see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from wandb_support.watch import START, Received, Watch, a_summary

Watches = Callable[..., Watch]

HOUR = timedelta(hours=1)


def course(watch: Watch, *steps: Callable[[Watch], object]) -> list[Received]:
    """A collection, and one more two minutes after each step."""
    received = [watch.collect()]
    for step in steps:
        step(watch)
        received.append(watch.after(minutes=2))
    return received


def starts(watch: Watch) -> None:
    watch.project.start("run", watch.now - HOUR, heartbeat_at=watch.now, summary=a_summary(reward=7.5, sps=300.0))


def finishes(watch: Watch) -> None:
    watch.project.finish("run", watch.now)


def crashes(watch: Watch) -> None:
    watch.project.crash("run")


def is_preempted(watch: Watch) -> None:
    watch.project.crash("run", "preempted")


def is_resumed(watch: Watch) -> None:
    watch.project.resume("run", watch.now)


def is_deleted(watch: Watch) -> None:
    watch.project.delete("run")


def hangs(watch: Watch) -> None:
    watch.project.move("run", timedelta(days=-9))


def starts_and_ends(watch: Watch) -> None:
    summary = a_summary(reward=7.5, sps=300.0)
    watch.project.start(
        "run", watch.now - timedelta(seconds=90), state="finished", heartbeat_at=watch.now, summary=summary
    )


def starts_unheard(watch: Watch) -> None:
    watch.project.start("run", watch.now, state="pending", heartbeat_at=None, summary=a_summary(reward=7.5))


def starts_and_ends_long_ago(watch: Watch) -> None:
    starts_and_ends(watch)
    watch.project.move("run", timedelta(days=-30))


def is_uploaded(watch: Watch) -> None:
    ended = START - 2 * HOUR
    watch.project.start("run", ended - HOUR, state="finished", heartbeat_at=ended, summary=a_summary(reward=7.5))


def nothing(_: Watch) -> None:
    """Two minutes pass."""


def an_hour_passes(watch: Watch) -> None:
    watch.now += HOUR


ONCE: dict[str, tuple[list[Callable[[Watch], object]], int]] = {
    "it finishes": ([starts, finishes, nothing, an_hour_passes, nothing], 2),
    "it crashes": ([starts, crashes, nothing, an_hour_passes], 2),
    "it is resumed, and ends again": ([starts, finishes, is_resumed, finishes, nothing], 2),
    "it is preempted, resumed, and finishes": ([starts, is_preempted, is_resumed, finishes, nothing], 2),
    "it is resumed and ends between two collections": ([starts, finishes, finishes, an_hour_passes], 2),
    "it starts and ends between two collections": ([starts_and_ends, nothing, an_hour_passes], 1),
    "it hangs for longer than the timeframe, and crashes": ([starts, hangs, crashes, an_hour_passes], 3),
    "it dies before its first heartbeat": ([starts_unheard, crashes, nothing], 2),
}


@pytest.mark.parametrize(("steps", "told_at"), ONCE.values(), ids=ONCE.keys())
def test_each_end_is_told_once(watch: Watches, steps: list[Callable[[Watch], object]], told_at: int) -> None:
    told = [received.point_values("metric") for received in course(watch(), *steps)]
    assert told == [[7.5] if i == told_at else [] for i in range(len(steps) + 1)]


NEVER: dict[str, tuple[list[Callable[[Watch], object]], list[Callable[[Watch], object]]]] = {
    "it had ended before the first collection": ([starts_and_ends], [nothing, an_hour_passes]),
    "it had ended, is resumed and ends again": ([starts_and_ends], [is_resumed, finishes, nothing]),
    "it had ended long before, is resumed and ends again": (
        [starts_and_ends_long_ago],
        [is_resumed, nothing, finishes, nothing],
    ),
    "it had ended long before, is resumed and ends in between": ([starts_and_ends_long_ago], [finishes, nothing]),
    "it still runs": ([starts], [nothing, an_hour_passes]),
    "it is deleted while it runs": ([starts], [is_deleted, nothing]),
    "its end was before the first collection, and its upload after": ([], [is_uploaded, an_hour_passes]),
}


@pytest.mark.parametrize(("before", "steps"), NEVER.values(), ids=NEVER.keys())
def test_what_the_check_did_not_see_end_gives_no_point(
    watch: Watches, before: list[Callable[[Watch], object]], steps: list[Callable[[Watch], object]]
) -> None:
    watched = watch()
    for step in before:
        step(watched)
    assert [received.points for received in course(watched, *steps)] == [[] for _ in range(len(steps) + 1)]


def test_what_a_point_says(watch: Watches) -> None:
    watched = watch(tags=["env:prod"], run_tags=["user"])
    watched.collect()
    watched.project.start("run", START, display_name="github.sky.main", summary=a_summary(reward=7.5, sps=300.0))
    watched.now += timedelta(minutes=90)
    watched.project.fail("run", watched.now)
    common = ("env:prod", "run_type:train", "state:failed", "wandb_entity:metta-research", "wandb_project:metta")
    assert watched.collect().points == [
        (("wandb.run.completed.duration_hours", common), 1.5),
        (("wandb.run.completed.metric", ("env:prod", "metric_name:overview/reward", *common[1:])), 7.5),
        (("wandb.run.completed.sps", common), 300.0),
    ]


@pytest.mark.parametrize(
    ("fields", "metrics"),
    [
        ({}, ["duration_hours", "metric", "sps"]),
        ({"summary": None}, ["duration_hours"]),
        ({"summary": "{ torn"}, ["duration_hours"]),
        ({"summary": a_summary(sps=3.0)}, ["duration_hours", "sps"]),
        ({"summary": {"overview/reward": float("nan"), "overview/sps": "Infinity"}}, ["duration_hours"]),
        ({"heartbeat_at": START - timedelta(days=1)}, ["metric", "sps"]),  # before its creation
    ],
)
def test_a_point_for_each_figure_that_is_there(watch: Watches, fields: dict[str, object], metrics: list[str]) -> None:
    watched = watch()
    starts(watched)
    watched.collect()
    finishes(watched)
    for name, value in fields.items():
        setattr(watched.project["run"], name, value)
    assert [name.rpartition(".")[2] for (name, _), _ in watched.after(minutes=2).points] == metrics


def test_percentiles_are_over_runs(watch: Watches) -> None:
    watched = watch()
    for i in range(20):
        watched.project.start(f"run{i}", START - timedelta(minutes=i), summary=a_summary(reward=i))
    watched.collect()
    watched.now += timedelta(minutes=2)
    for i in range(20):
        watched.project.finish(f"run{i}", watched.now)
    received = watched.collect()
    assert received.point_values("metric") == [float(i) for i in range(20)]
    assert received.point_values("duration_hours") == sorted((i + 2) / 60 for i in range(20))


def test_points_can_be_switched_off_and_are_not_made_up_for(watch: Watches) -> None:
    watched = watch(distributions=False)
    assert [received.points for received in course(watched, starts, finishes)] == [[], [], []]
    watched.restart(distributions=True)
    assert watched.after(minutes=2).points == []


def test_a_run_over_the_limit_of_series_still_gives_its_point(watch: Watches) -> None:
    watched = watch(max_runs=0)
    assert course(watched, starts, finishes)[-1].point_values("metric") == [7.5]
