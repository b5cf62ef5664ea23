"""What is said about runs: records in, samples out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from wandb_support.runs import RUN
from wandb_support.watch import START as NOW

from metta_checks.core import Sample
from metta_checks.wandb.metrics import SampleOptions, completed_samples, count_samples, run_samples, selected
from metta_checks.wandb.models import STATES, Run, RunState, RunTypes

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
IDENTITY = ("wandb_entity:metta-research", "wandb_project:metta")
OPTIONS = SampleOptions(RunTypes([("train", r"^github\.sky\."), ("sweep", "(?i)sweep")]), "7d", IDENTITY)

ENDED = replace(RUN, state=RunState.FINISHED)
TAGS = ("run_id:3x5ezzw0", "run_type:train", "state:running", "run_name:github.sky.main", *IDENTITY)


def of_run(run: Run) -> dict[str, float]:
    """The names and values of one run's samples."""
    return {sample.name: sample.value for sample in run_samples(run, OPTIONS, NOW, None)}


def test_states() -> None:
    assert STATES == {
        "running": "running",
        "pending": "running",
        "preempting": "running",
        "finished": "finished",
        "failed": "failed",
        "crashed": "failed",
        "killed": "failed",
        "preempted": "failed",
    }


def test_counts_have_every_type_in_every_state() -> None:
    runs = [RUN, replace(RUN, run_type="sweep"), ENDED, replace(ENDED, id="2")]
    assert {sample.tags: sample.value for sample in count_samples(runs, OPTIONS)} == {
        (f"run_type:{run_type}", f"state:{state}", "timeframe:7d", *IDENTITY): float(
            {"train running": 1, "train finished": 2, "sweep running": 1}.get(f"{run_type} {state}", 0)
        )
        for run_type in ("train", "sweep", "all")
        for state in ("running", "finished", "failed")
    }


def test_a_project_without_runs_counts_zero_nine_times() -> None:
    assert [sample.value for sample in count_samples([], OPTIONS)] == [0.0] * 9


def test_every_gauge_of_a_run_and_its_tags() -> None:
    run = replace(
        RUN, sps=120.5, metrics={"overview/reward": 3.0}, system={"gpu_power": 250.0}, labels=("user:daphne",)
    )
    tags = (*TAGS[:4], "user:daphne", *IDENTITY)
    assert list(run_samples(run, OPTIONS, NOW, None)) == [
        Sample("wandb.run.duration_hours", 6 - 30 / 3600, tags),
        Sample("wandb.run.sps", 120.5, tags),
        Sample("wandb.run.metric", 3.0, ("metric_name:overview/reward", *tags)),
        Sample("wandb.run.system", 250.0, ("metric:gpu_power", *tags)),
        Sample("wandb.run.log_age_seconds", 6 * 3_600.0, tags),
    ]


@pytest.mark.parametrize(
    ("created", "heartbeat", "hours"),
    [
        (NOW - 6 * HOUR, NOW - HOUR, 5.0),
        (NOW - HOUR, NOW - HOUR, 0.0),
        (NOW - HOUR, NOW + HOUR, 2.0),  # a trainer's clock runs ahead: the duration is its own affair
        (NOW - HOUR, NOW - 2 * HOUR, None),  # heard of before it was there
        (NOW - HOUR, None, None),
        (None, NOW, None),
    ],
)
def test_duration_is_from_creation_to_the_last_heartbeat(
    created: datetime | None, heartbeat: datetime | None, hours: float | None
) -> None:
    run = replace(RUN, created_at=created, heartbeat_at=heartbeat)
    assert of_run(run).get("wandb.run.duration_hours") == hours


@pytest.mark.parametrize(
    ("state", "created", "logged", "resumed", "age"),
    [
        (RunState.RUNNING, NOW - 20 * HOUR, NOW - HOUR, None, 3_600.0),  # a hung run shows
        (RunState.RUNNING, NOW - 20 * HOUR, None, None, 20 * 3_600.0),
        (RunState.RUNNING, NOW - HOUR, NOW - 20 * HOUR, None, 3_600.0),  # a summary that was taken over
        (RunState.RUNNING, NOW - 20 * HOUR, NOW - 9 * HOUR, NOW - HOUR, 3_600.0),
        (RunState.RUNNING, NOW - 20 * HOUR, NOW - HOUR, NOW - 9 * HOUR, 3_600.0),
        (RunState.RUNNING, NOW - HOUR, NOW + HOUR, None, 0.0),
        (RunState.RUNNING, NOW + HOUR, None, None, 0.0),
        (RunState.RUNNING, None, NOW - HOUR, None, 3_600.0),
        (RunState.RUNNING, None, None, None, None),
        (RunState.FINISHED, NOW - HOUR, NOW - HOUR, None, None),
        (RunState.FAILED, NOW - HOUR, NOW - HOUR, NOW - HOUR, None),
    ],
)
def test_log_age_is_that_of_runs_that_have_not_ended(
    state: RunState, created: datetime | None, logged: datetime | None, resumed: datetime | None, age: float | None
) -> None:
    run = replace(RUN, state=state, created_at=created, logged_at=logged)
    moments = {} if resumed is None else {run.id: resumed}
    found = {sample.name: sample.value for sample in run_samples(run, OPTIONS, NOW, moments.get(run.id))}
    assert found.get("wandb.run.log_age_seconds") == age


def test_completed_runs_give_points_without_the_run() -> None:
    run = replace(ENDED, heartbeat_at=NOW - HOUR, sps=0.0, metrics={"loss": -1.0}, labels=("user:daphne",))
    tags = ("run_type:train", "state:finished", *IDENTITY)
    assert list(completed_samples([run], OPTIONS)) == [
        Sample("wandb.run.completed.duration_hours", 5.0, tags, "distribution"),
        Sample("wandb.run.completed.sps", 0.0, tags, "distribution"),
        Sample("wandb.run.completed.metric", -1.0, ("metric_name:loss", *tags), "distribution"),
    ]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("commas, and, more", "run_name:commas_ and_ more"),
        ("two\r\nlines", "run_name:two_lines"),
        ("a \x00 byte", "run_name:a _ byte"),
        ("env:prod", "run_name:env:prod"),
        ("🚀 to the 🌙", "run_name:🚀 to the 🌙"),
        ("x" * 600, "run_name:" + "x" * 191),
    ],
)
def test_names_become_tags_that_datadog_keeps(name: str, tag: str) -> None:
    (sample, *_) = run_samples(replace(RUN, name=name), OPTIONS, NOW, None)
    assert tag in sample.tags


SELECTION = {
    "running, old": replace(RUN, id="running, old", created_at=NOW - 9 * HOUR),
    "running, new": replace(RUN, id="running, new", created_at=NOW - 2 * HOUR),
    "running, ageless": replace(RUN, id="running, ageless", created_at=None),
    "ended, old": replace(ENDED, id="ended, old", created_at=NOW - 8 * HOUR),
    "ended, new": replace(ENDED, id="ended, new", created_at=NOW - HOUR),
}
ORDER = ["running, new", "running, old", "running, ageless", "ended, new", "ended, old"]


@pytest.mark.parametrize("limit", range(6))
def test_the_limit_takes_running_ones_first_and_then_the_newest(limit: int) -> None:
    seen = dict.fromkeys(SELECTION, NOW)
    selection = selected(SELECTION.values(), seen, NOW, HOUR, limit)
    assert {run.id for run in selection.runs} == set(ORDER[:limit])
    assert len(selection.over_limit) == 5 - limit


def test_runs_created_together_do_not_change_places() -> None:
    twins = [replace(RUN, id=run_id) for run_id in "dacb"]
    for order in (twins, twins[::-1]):
        assert [run.id for run in selected(order, {}, NOW, HOUR, 2).runs] == ["a", "b"]


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        (timedelta(0), True),
        (HOUR, True),  # the edge belongs to it
        (HOUR + timedelta(seconds=1), False),
    ],
)
def test_an_ended_run_falls_silent_an_hour_after_it_was_seen_to_end(seen: timedelta, kept: bool) -> None:
    selection = selected([ENDED], {ENDED.id: NOW - seen}, NOW, HOUR, 500)
    assert (ENDED in selection.runs) is kept
    assert selection.over_limit == ()  # silent is not over the limit


@pytest.mark.parametrize(
    ("state", "created", "heartbeat", "active"),
    [
        (RunState.FINISHED, NOW - 9 * DAY, NOW - 7 * DAY, True),  # the edge belongs to it
        (RunState.FINISHED, NOW - 9 * DAY, NOW - 7 * DAY - timedelta(seconds=1), False),
        (RunState.FAILED, NOW - 7 * DAY, None, True),  # never heard of: by its creation
        (RunState.FAILED, NOW - 7 * DAY - timedelta(seconds=1), None, False),
        (RunState.FAILED, NOW - DAY, NOW - 9 * DAY, False),  # a heartbeat counts, however odd
        (RunState.FAILED, None, None, False),
        (RunState.RUNNING, NOW - 30 * DAY, NOW - 30 * DAY, True),  # not ended is active, however long ago
        (RunState.RUNNING, NOW - 30 * DAY, None, True),
        (RunState.RUNNING, None, None, True),
    ],
)
def test_which_runs_belong_to_the_timeframe(
    state: RunState, created: datetime | None, heartbeat: datetime | None, active: bool
) -> None:
    assert replace(RUN, state=state, created_at=created, heartbeat_at=heartbeat).active(NOW, 7 * DAY) is active
