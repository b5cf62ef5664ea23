"""The sample project holds every case that has been met, and is the same for the same seed and time."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulator_support.wandb_projects import bulk_project, edge_case_project

from metta_checks.simulator.wandb_project import ACTIVE, ENDED, DemoProject, DemoRun

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def project() -> DemoProject:
    return edge_case_project(NOW)


def test_there_are_as_many_runs_as_asked_for() -> None:
    assert [len(edge_case_project(NOW, runs=count)) for count in (0, 1, 50, 300, 1_000)] == [0, 1, 50, 300, 1_000]


def test_the_seed_and_the_time_decide() -> None:
    def told(project: DemoProject) -> list[Any]:
        return [
            (run.name, run.display_name, run.state, run.created_text, run.summary_text(), run.system_metrics_text)
            for run in project.runs
        ]

    later = edge_case_project(NOW + timedelta(days=100))
    assert told(edge_case_project(NOW)) == told(edge_case_project(NOW))
    assert told(edge_case_project(NOW, seed=8)) != told(edge_case_project(NOW))
    assert [run.name for run in later.runs] == [run.name for run in edge_case_project(NOW).runs]
    assert {run.created_at + timedelta(days=100) for run in edge_case_project(NOW).runs} == {
        run.created_at for run in later.runs
    }


def test_every_state_is_there_inside_and_outside_the_week(project: DemoProject) -> None:
    recent = Counter(run.state for run in project.runs if run.heartbeat_at and run.heartbeat_at >= NOW - WEEK)
    older = Counter(run.state for run in project.runs if run.heartbeat_at and run.heartbeat_at < NOW - WEEK)
    silent = Counter(run.state for run in project.runs if run.heartbeat_at is None)
    assert recent.keys() == silent.keys() == {*ACTIVE, *ENDED}
    assert older.keys() >= {"finished", "failed", "crashed", "running", "preempting"}


def _has_gpus(run: DemoRun) -> bool:
    return isinstance(run.system_metrics, dict) and "system.gpu.0.gpu" in run.system_metrics


def _parses(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | str | None)
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("case", "at_least"),
    [
        (lambda run: (run.display_name or "").startswith("github.sky."), 50),
        (lambda run: "sweep" in (run.display_name or "").lower() and run.sweep_name is None, 10),
        (lambda run: "Sweep" in (run.display_name or ""), 2),
        (lambda run: run.sweep_name is not None and "sweep" not in (run.display_name or "").lower(), 5),
        (lambda run: run.display_name is None, 1),
        (_has_gpus, 50),
        (lambda run: not _has_gpus(run), 50),
        (lambda run: _has_gpus(run) and "system.gpu.7.gpu" in run.system_metrics, 5),
        (lambda run: run.state == "running" and run.created_at <= NOW - timedelta(days=30), 2),
        (lambda run: run.heartbeat_at == NOW - WEEK, 1),
        (lambda run: run.heartbeat_at == NOW - WEEK - timedelta(seconds=1), 1),
        (lambda run: run.summary is None, 2),
        (lambda run: run.summary == {}, 1),
        (lambda run: isinstance(run.summary, str) and _parses(run.summary), 4),
        (lambda run: isinstance(run.summary, str) and not _parses(run.summary), 5),
        (lambda run: isinstance(run.summary, dict) and "NaN" in (run.summary_text() or ""), 2),
        (lambda run: isinstance(run.summary, dict) and "Infinity" in (run.summary_text() or ""), 2),
    ],
)
def test_every_case_is_there(project: DemoProject, case: Any, at_least: int) -> None:
    assert sum(1 for run in project.runs if case(run)) >= at_least


def test_display_names_repeat(project: DemoProject) -> None:
    assert max(Counter(run.display_name for run in project.runs).values()) >= 4
    assert len({run.name for run in project.runs}) == len({run.id for run in project.runs}) == 300


def test_without_broken_runs_every_stored_text_is_readable() -> None:
    readable = edge_case_project(NOW, broken=False)
    texts = [text for run in readable.runs for text in (run.summary_text(), run.system_metrics_text)]
    assert all(text is None or _parses(text) for text in texts)


def test_the_bulk_project_is_all_active_and_of_one_size() -> None:
    bulk = bulk_project(NOW, runs=200, keys=60)
    assert {len(run.summary or ()) for run in bulk.runs} == {60}
    assert all(run.state in ACTIVE or (run.heartbeat_at and run.heartbeat_at > NOW - WEEK) for run in bulk.runs)
    assert {run.state for run in bulk.runs} == {"running", "finished", "failed"}
