"""The W&B check from the API to the Agent: what is submitted of a project's runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.wandb.check import WandbCheck

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]

HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
PROJECT = ("wandb_entity:metta-research", "wandb_project:metta")
GPUS = {"system.gpu.0.gpu": 80, "system.gpu.1.gpu": 100, "system.gpu.0.memoryAllocated": 40, "system.cpu": 5}
SUMMARY = {
    "overview/steps_per_second": 1_000,
    "overview/sps": 2_000,
    "overview/reward": 4.5,
    "env_agent/heart.gained": 0,
    "skypilot/queue_latency_s": 17,
    "losses/value": 0.1,
}


def start(project: DemoProject, name: str, now: datetime, **fields: Any) -> None:
    """A run that was created six hours before its last heartbeat, half a second ago."""
    beat = now.replace(microsecond=0)
    project.start(name, now, **{"created_at": beat - 6 * HOUR, "heartbeat_at": beat, **fields})


def tags_of(figures: Figures, metric: str, key: str) -> list[str]:
    """The values of one tag over the metric's series."""
    return sorted(tag.removeprefix(key) for tags in figures.get(metric, {}) for tag in tags if tag.startswith(key))


def run_ids(figures: Figures) -> list[str]:
    return tags_of(figures, "wandb.run.duration_hours", "run_id:")


def dropped(figures: Figures, reason: str) -> float:
    (value,) = (value for tags, value in figures["metta.check.dropped"].items() if f"reason:{reason}" in tags)
    return value


def test_everything_that_one_run_gives(project: DemoProject, now: datetime, figures: Collect) -> None:
    start(project, "r1", now, display_name="github.sky.main", summary=SUMMARY, system_metrics=GPUS)
    collected = figures(tags=["team:research"])
    run = (*PROJECT, "run_id:r1", "run_name:github.sky.main", "run_type:train", "state:running", "team:research")

    def tagged(*more: str) -> tuple[str, ...]:
        return tuple(sorted((*run, *more)))

    assert {metric: series for metric, series in collected.items() if metric.startswith("wandb.run.")} == {
        "wandb.run.duration_hours": {tagged(): 6.0},
        "wandb.run.sps": {tagged(): 1_000.0},
        "wandb.run.log_age_seconds": {tagged(): 21_600.5},
        "wandb.run.metric": {
            tagged("metric_name:overview/reward"): 4.5,
            tagged("metric_name:env_agent/heart.gained"): 0.0,
            tagged("metric_name:skypilot/queue_latency_s"): 17.0,
        },
        "wandb.run.system": {
            tagged("metric:gpu_utilization"): 90.0,
            tagged("metric:gpu_memory_utilization"): 40.0,
        },
    }


def test_counts_say_zero_too(project: DemoProject, now: datetime, figures: Collect) -> None:
    start(project, "r1", now, display_name="github.sky.main", state="pending")
    start(project, "r2", now, display_name="a", state="preempted")
    start(project, "r3", now, display_name="b", state="killed")
    start(project, "r4", now, display_name="c", state="finished", sweep_name="lr5x2k9q")
    there = {("train", "running"): 1.0, ("all", "failed"): 2.0, ("sweep", "finished"): 1.0}
    assert figures(tags=["team:research"], timeframe="3d")["wandb.runs"] == {
        (f"run_type:{run_type}", f"state:{state}", "team:research", "timeframe:3d", *PROJECT): there.get(
            (run_type, state), 0.0
        )
        for run_type in ("train", "sweep", "all")
        for state in ("running", "finished", "failed")
    }


def test_no_runs_at_all_is_nine_zeros_and_no_error(figures: Collect) -> None:
    collected = figures()
    assert list(collected["wandb.runs"].values()) == [0.0] * 9
    assert list(collected["metta.check.up"].values()) == [1.0]
    assert [metric for metric in collected if metric.startswith("wandb.")] == ["wandb.runs", "wandb.gpus_in_use"]


def test_telemetry(project: DemoProject, now: datetime, figures: Collect) -> None:
    start(project, "r1", now, summary={"overview/reward": float("nan")}, system_metrics="{ broken")
    start(project, "r2", now)
    collected = figures(tags=["team:research"], max_runs=1)
    tags = ("check_name:metta_wandb", "runner:stubbed.hostname", "team:research", *PROJECT)
    assert list(collected.pop("metta.check.duration_seconds")) == [tags]
    assert {metric: series for metric, series in collected.items() if metric.startswith("metta.check.")} == {
        "metta.check.up": {tags: 1.0},
        "metta.check.requests": {tags: 1.0},
        "metta.check.quota_remaining": {tags: 1000.0},
        # Nine counts, the GPUs of three types, and the duration and age of the one run.
        "metta.check.series": {tags: 14.0},
        "metta.check.dropped": {
            tuple(sorted((*tags, f"reason:{reason}"))): value
            for reason, value in {"over_limit": 1.0, "invalid": 0.0, "not_finite": 1.0, "unreadable": 1.0}.items()
        },
    }


def test_no_series_comes_twice_and_none_has_a_host(
    project: DemoProject, now: datetime, figures: Collect, aggregator: AggregatorStub
) -> None:
    for name in ("r1", "r2"):
        start(project, name, now, display_name="one name for two", summary=SUMMARY, system_metrics=GPUS)
    figures()
    aggregator.assert_no_duplicate_metrics()
    hosts = {stub.hostname for metric in aggregator.metric_names for stub in aggregator.metrics(metric)}
    assert hosts <= {"", None}


def test_the_limit_on_runs_spares_the_counts(project: DemoProject, now: datetime, figures: Collect) -> None:
    beat = now.replace(microsecond=0)
    start(project, "old", now, created_at=beat - 3 * DAY)
    start(project, "new", now, created_at=beat - HOUR)
    start(project, "done", now, created_at=beat - HOUR, state="finished")
    collected = figures(max_runs=2)
    assert run_ids(collected) == ["new", "old"]
    assert dropped(collected, "over_limit") == 1.0
    assert sum(collected["wandb.runs"].values()) == 3.0

    collected = figures(max_runs=1)
    assert run_ids(collected) == ["new"]
    assert dropped(collected, "over_limit") == 2.0

    assert run_ids(figures(max_runs=0)) == []


def test_an_ended_run_keeps_its_series_for_completed_runs(
    project: DemoProject, now: datetime, figures: Collect, new_check: Callable[..., WandbCheck]
) -> None:
    start(project, "r1", now)
    check = new_check(completed_runs="30m")
    assert run_ids(figures(check)) == ["r1"]
    project.finish("r1", now + timedelta(minutes=2))
    for minutes, alive in ((4, True), (34, True), (35, False)):
        check.clock = lambda moment=now + timedelta(minutes=minutes): moment
        collected = figures(check)
        assert bool(run_ids(collected)) is alive, f"after {minutes} minutes"
        assert sum(collected["wandb.runs"].values()) == 1.0


def test_the_edge_of_the_timeframe(project: DemoProject, now: datetime, figures: Collect) -> None:
    edge = now.replace(microsecond=0) - 7 * DAY
    ages = {"on": edge, "inside": edge + SECOND, "outside": edge - SECOND, "never": None}
    for name, heartbeat in ages.items():
        start(project, name, now, display_name=name, state="failed", created_at=edge - DAY, heartbeat_at=heartbeat)
        start(project, f"{name}-lives", now, created_at=edge - DAY, heartbeat_at=heartbeat)
    # The clock stands half a second behind the whole second: "on" has just left.
    collected = figures()
    assert run_ids(collected) == ["inside", "inside-lives", "on-lives", "outside-lives"]
    assert sum(value for tags, value in collected["wandb.runs"].items() if "state:running" in tags) == 4.0
    assert sum(value for tags, value in collected["wandb.runs"].items() if "state:failed" in tags) == 1.0


def test_run_tags_name_what_a_run_is_of(project: DemoProject, now: datetime, figures: Collect) -> None:
    whole = {"user": "daphne", "group": "arena", "job_type": "train", "sweep_name": "lr5x2k9q", "host": "node-01"}
    start(project, "r1", now, **whole)
    start(project, "r2", now, user="relh", group=None, job_type="", sweep_name=None, host=None)
    collected = figures(run_tags=["user", "group", "job_type", "sweep", "host"])
    for key, found in {
        "user:": ["daphne", "relh"],
        "group:": ["arena"],
        "job_type:": ["train"],
        "sweep:": ["lr5x2k9q"],
        "run_host:": ["node-01"],  # `host` is the Agent's own
        "host:": [],
    }.items():
        assert tags_of(collected, "wandb.run.duration_hours", key) == found, key
    assert tags_of(figures(), "wandb.run.duration_hours", "user:") == []


def test_run_types_are_an_option(project: DemoProject, now: datetime, figures: Collect) -> None:
    for name in ("arena.nightly", "arena.ci", "github.sky.main"):
        start(project, name, now, display_name=name)
    collected = figures(run_types={"nightly": "nightly$", "ci": "ci|sky"})
    assert tags_of(collected, "wandb.run.duration_hours", "run_type:") == ["ci", "ci", "nightly"]
    assert sorted(set(tags_of(collected, "wandb.runs", "run_type:"))) == ["all", "ci", "nightly"]


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (["losses/value"], ["losses/value"]),
        (
            ["overview/*", "losses/value"],
            ["losses/value", "overview/reward", "overview/sps", "overview/steps_per_second"],
        ),
        (["*gained"], ["env_agent/heart.gained"]),
        ([], []),
    ],
)
def test_which_summary_values_become_metrics(
    project: DemoProject, now: datetime, figures: Collect, metrics: list[str], names: list[str]
) -> None:
    start(project, "r1", now, summary=SUMMARY)
    collected = figures(metrics=metrics)
    assert tags_of(collected, "wandb.run.metric", "metric_name:") == names
    assert list(collected["wandb.run.sps"].values()) == [1_000.0]


def test_nothing_but_counts_when_nothing_else_is_wanted(project: DemoProject, now: datetime, figures: Collect) -> None:
    start(project, "r1", now, summary=SUMMARY, system_metrics=GPUS)
    collected = figures(metrics=[], sps_keys=[], system_metrics=[], max_runs=0)
    assert [metric for metric in collected if metric.startswith("wandb.")] == ["wandb.runs", "wandb.gpus_in_use"]


def test_a_run_without_a_name_is_called_by_its_id(project: DemoProject, now: datetime, figures: Collect) -> None:
    start(project, "r1", now, display_name=None)
    start(project, "r2", now, display_name="")
    assert tags_of(figures(), "wandb.run.duration_hours", "run_name:") == ["r1", "r2"]


def test_unified_tags(project: DemoProject, now: datetime, figures: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DD_ENV": "prod", "DD_VERSION": "1.2", "DD_SERVICE": "training"}.items():
        monkeypatch.setenv(name, value)
    for options, tags in (
        ({}, {"env:prod", "version:1.2", "service:training"}),
        ({"tags": ["env:dev", "version:9"]}, {"env:dev", "version:9", "service:training"}),
        ({"tags": ["service:mine"]}, {"env:prod", "version:1.2", "service:mine"}),
        # The option is the Agent's to apply.
        ({"service": "mine"}, {"env:prod", "version:1.2"}),
    ):
        (series,) = figures(**options)["metta.check.up"]
        assert {tag for tag in series if tag.startswith(("env:", "version:", "service:"))} == tags
