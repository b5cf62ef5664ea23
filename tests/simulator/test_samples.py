"""What a newcomer sees in the demo is plausible: nothing is broken, nothing is absurd, and charts show a trend."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE, sample_repository
from metta_checks.simulator.timelapse import Timelapse, timelapse
from metta_checks.simulator.wandb_project import DemoProject, DemoRun
from metta_checks.simulator.wandb_sample import sample_project

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def project() -> DemoProject:
    return sample_project(NOW)


@pytest.fixture(scope="module")
def repository() -> DemoRepository:
    return sample_repository(NOW)


@pytest.fixture(scope="module")
def later() -> Iterator[Timelapse]:
    with timelapse(NOW) as life:
        for _ in range(12):
            life.advance()
        yield life


def values(run: DemoRun) -> dict[str, float]:
    text = run.summary_text()
    return {} if text is None else json.loads(text)


def test_every_value_is_a_number_of_a_usual_size(project: DemoProject) -> None:
    for run in project.runs:
        assert run.display_name
        assert all(abs(value) < 1e6 for key, value in values(run).items() if not key.startswith("_"))
        assert timedelta() <= (run.heartbeat_at or run.created_at) - run.created_at < DAY
        assert run.created_at <= NOW


def test_a_team_of_people_and_launchers(project: DemoProject) -> None:
    runs = project.runs
    assert 80 < len(runs) < 200
    assert {run.state for run in runs} >= {"running", "pending", "finished", "failed", "crashed"}
    assert len({run.user for run in runs}) >= 4
    assert len({run.group for run in runs}) >= 4
    assert len(project.sweeps) == 1
    gpus = Counter(sum(key.endswith(".temp") for key in run.system_metrics or ()) // 2 for run in runs)
    assert {1, 2, 4, 8} <= set(gpus)


def test_one_run_is_hung(project: DemoProject) -> None:
    """Its process sends heartbeats, and it has logged nothing for hours."""
    running = [run for run in project.runs if run.state == "running"]
    silent = [run for run in running if NOW.timestamp() - values(run)["_timestamp"] > 3_600]
    assert [NOW - run.heartbeat_at < timedelta(minutes=1) for run in silent if run.heartbeat_at] == [True]
    assert len(running) > 4


def test_rewards_rise_while_a_run_trains(later: Timelapse) -> None:
    before = {run.name: values(run)["overview/reward"] for run in sample_project(NOW - 2 * HOUR).runs if run.summary}
    trained = [run for run in later.sandbox.project.runs if run.state == "running" and run.name in before]
    rising = [run for run in trained if values(run)["overview/reward"] > before[run.name]]
    assert len(trained) >= 3
    assert len(rising) >= 0.6 * len(trained)


def test_runs_start_and_end_as_time_passes(later: Timelapse) -> None:
    ended = [run for run in later.sandbox.project.runs if run.state == "finished" and run.heartbeat_at]
    assert any(run.heartbeat_at > NOW - 2 * HOUR for run in ended if run.heartbeat_at)
    assert any(run.created_at > NOW - 2 * HOUR for run in later.sandbox.project.runs)
    assert sum(NOW.timestamp() - values(run).get("_timestamp", 1e12) > 3_600 for run in later.sandbox.project.runs
               if run.state == "running") == 1  # fmt: skip


def test_the_same_seed_and_time_give_the_same_data() -> None:
    def told(made: DemoProject) -> list[object]:
        return [(run.name, run.display_name, run.created_text, run.summary_text()) for run in made.runs]

    assert told(sample_project(NOW)) == told(sample_project(NOW))
    assert told(sample_project(NOW, seed=8)) != told(sample_project(NOW))
    assert sample_repository(NOW).runs == sample_repository(NOW).runs


def test_ci_mostly_succeeds_and_has_a_queue(repository: DemoRepository) -> None:
    runs = repository.runs
    outcomes = Counter(run.conclusion for run in runs)
    assert 0.7 < outcomes["success"] / len(runs) < 0.95
    assert sum(run.status == "queued" for run in runs) == 3
    assert all(run.created_at > NOW - 12 * HOUR for run in runs if run.status != "completed")
    files = {workflow.path.removeprefix(".github/workflows/") for workflow in repository.workflows}
    assert {*TESTS_BLOCKING_MERGE, *BENCHMARKS} <= files
    assert len({workflow.name for workflow in repository.workflows}) == len(repository.workflows)


def test_few_pull_requests_are_hotfixes(repository: DemoRepository) -> None:
    merged = [request for request in repository.pull_requests if request.merged_at]
    hotfixes = [request for request in merged if "hotfix" in request.labels]
    assert 0 < len(hotfixes) < 0.15 * len(merged)
    assert any(request.closed_at is None for request in repository.pull_requests)
