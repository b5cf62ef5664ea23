"""How a demo GitHub repository changes: run by run, at random, as time passes, and from many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import requests
from simulator_support.github_changes import RandomChanges
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer

NOW = datetime(2026, 3, 4, 15, 30, 0, 250_000, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def repository(clock: ManualClock) -> DemoRepository:
    repository = DemoRepository("demo-org/arena", clock=clock)
    repository.add_workflow("Tests", ".github/workflows/tests.yml")
    return repository


def test_a_run_goes_from_queued_to_its_end_by_the_clock(repository: DemoRepository, clock: ManualClock) -> None:
    run = repository.new_run(repository.workflows[0].id, status="queued")
    assert (run.status, run.conclusion, run.created_at) == ("queued", None, NOW.replace(microsecond=0))
    clock.advance(MINUTE)
    assert repository.start(run.id).status == "in_progress"
    clock.advance(3 * MINUTE)
    repository.complete(run.id, "failure")

    ended = repository.run(run.id)
    assert ended is not None
    assert (ended.status, ended.conclusion, ended.run_attempt) == ("completed", "failure", 1)
    assert ended.updated_at - ended.run_started_at == 4 * MINUTE
    assert run.status == "queued", "a snapshot does not change"


def test_a_rerun_adds_an_attempt_and_leaves_the_others(repository: DemoRepository, clock: ManualClock) -> None:
    run = repository.new_run(repository.workflows[0].id, conclusion="failure", duration=2 * MINUTE)
    clock.advance(10 * MINUTE)
    again = repository.rerun(run.id)
    assert (again.run_attempt, again.status, again.conclusion) == (2, "in_progress", None)
    assert (again.created_at, again.attempts[0]) == (run.created_at, run.attempts[0])
    assert again.run_started_at == run.created_at + 10 * MINUTE
    with pytest.raises(ValueError, match=f"workflow run {run.id} is in_progress"):
        repository.rerun(run.id)


def test_a_deleted_runs_number_is_not_given_again(repository: DemoRepository) -> None:
    workflow = repository.workflows[0].id
    first, second = repository.new_run(workflow), repository.new_run(workflow)
    repository.delete_run(second.id)
    assert repository.runs == [first]
    assert repository.new_run(workflow).number == 3


def test_two_workflows_cannot_share_a_file(repository: DemoRepository) -> None:
    with pytest.raises(ValueError, match=r"already has a workflow at \.github/workflows/tests\.yml"):
        repository.add_workflow("Other", ".github/workflows/tests.yml")


def test_merging_and_closing_are_stamped(repository: DemoRepository, clock: ManualClock) -> None:
    one, other = repository.open_pull_request("One", labels=["hotfix"]), repository.open_pull_request("Other")
    clock.advance(MINUTE)
    merged = repository.merge_pull_request(one.number)
    closed = repository.close_pull_request(other.number)
    assert (merged.labels, merged.merged_at) == (("hotfix",), one.created_at + MINUTE)
    assert (closed.merged_at, closed.closed_at) == (None, one.created_at + MINUTE)


def test_random_changes_are_of_every_kind_and_the_same_for_the_same_seed() -> None:
    def told(seed: int) -> list[str]:
        clock = ManualClock(NOW)
        activity = RandomChanges(edge_case_repository(NOW, workflows=12, runs_per_day=40, clock=clock), seed=seed)
        changes = []
        for _ in range(60):
            clock.advance(4 * MINUTE)
            changes.append(activity.mutate())
        return changes

    changes = told(5)
    assert changes == told(5)
    assert changes != told(6)
    for kind in ("new run", "completed", "attempt 2", "deleted", "merged", "workflow .github"):
        assert any(kind in change for change in changes), kind


def test_time_that_passes_brings_pushes_and_completions() -> None:
    clock = ManualClock(NOW)
    repository = edge_case_repository(NOW, workflows=12, runs_per_day=480, days=2, clock=clock)
    activity = RandomChanges(repository, runs_per_day=480)
    before = {run.id: run for run in repository.runs}
    assert activity.catch_up() == 0

    pushes = 0
    for _ in range(24):
        clock.advance(15 * MINUTE)
        pushes += activity.catch_up()
    new = [run for run in repository.runs if run.id not in before]
    assert len(new) == pushes
    # Six hours at twenty an hour, give or take.
    assert 60 < pushes < 180
    assert all(NOW - MINUTE < run.created_at <= clock.now for run in new)
    assert sum(run.status == "completed" for run in new) > pushes / 2
    assert any(run != before.get(run.id, run) for run in repository.runs), "nothing that was there has moved"


def test_it_is_read_and_changed_from_many_threads_at_once() -> None:
    clock = ManualClock(NOW)
    repository = edge_case_repository(NOW, workflows=12, runs_per_day=100, days=2, clock=clock)
    activity = RandomChanges(repository)

    def read(server: GitHubServer) -> int:
        total = 0
        with requests.Session() as session:
            for page in (1, 2, 3):
                url = f"{server.url}/repos/demo-org/arena/actions/runs?per_page=100&page={page}"
                runs = session.get(url, timeout=30).json()["workflow_runs"]
                total += len({run["id"] for run in runs}) == len(runs)
        return total

    with GitHubServer(repository) as server, ThreadPoolExecutor(5) as pool:
        readers = [pool.submit(read, server) for _ in range(8)]
        changes = [activity.mutate() for _ in range(200)]
        assert [reader.result() for reader in readers] == [3] * 8
        assert server.counted["core"] == 24
    assert len(changes) == 200
