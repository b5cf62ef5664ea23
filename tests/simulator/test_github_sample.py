"""What a sample GitHub repository holds: the cases that a collector can get wrong, at every size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.simulator.github_records import Conclusion, DemoPullRequest, DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE

NOW = datetime(2026, 3, 4, 15, 30, 12, tzinfo=UTC)
DAY, WEEK, SECOND = timedelta(days=1), timedelta(days=7), timedelta(seconds=1)
FAILED = {"failure", "timed_out", "startup_failure"}
EDGE_RUNS = 40
"""Set pieces per repository: those on main in the last ten days are fewer than this."""


@pytest.fixture(scope="module", params=[(28, 90), (40, 600)], ids=lambda size: f"{size[0]}/{size[1]}")
def repository(request: pytest.FixtureRequest) -> DemoRepository:
    workflows, runs_per_day = request.param
    return edge_case_repository(NOW, workflows=workflows, runs_per_day=runs_per_day)


def test_the_same_arguments_give_the_same_repository() -> None:
    def snapshot(**arguments: int) -> tuple[object, ...]:
        made = edge_case_repository(NOW, workflows=12, runs_per_day=20, days=3, **arguments)
        return made.workflows, made.runs, made.pull_requests, made.issues

    assert snapshot() == snapshot()
    assert snapshot(seed=1) != snapshot(seed=2)


def test_it_stands_relative_to_now() -> None:
    def ages(now: datetime) -> list[tuple[timedelta, timedelta]]:
        runs = edge_case_repository(now, workflows=12, runs_per_day=20, days=3).runs
        return [(now - run.created_at, now - run.run_started_at) for run in runs]

    assert ages(NOW) == ages(NOW + 1000 * DAY)


@pytest.mark.parametrize(("workflows", "runs_per_day"), [(28, 90), (40, 600), (120, 2_500)])
def test_a_days_listing_of_main_has_the_number_of_runs_asked_for(workflows: int, runs_per_day: int) -> None:
    repository = edge_case_repository(NOW, workflows=workflows, runs_per_day=runs_per_day, days=3)
    assert len(repository.workflows) == workflows
    for day in range(3):
        runs = repository.runs_created(NOW - (day + 1) * DAY, NOW - day * DAY - SECOND)
        on_main = [run for run in runs if run.branch == "main"]
        assert runs_per_day <= len(on_main) <= runs_per_day + EDGE_RUNS
        assert len(runs) > len(on_main)


def test_too_few_workflows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 workflows, not 9"):
        edge_case_repository(NOW, workflows=9)


def test_nothing_lies_in_the_future(repository: DemoRepository) -> None:
    for run in repository.runs:
        assert run.created_at == run.attempts[0].started_at
        assert [attempt.number for attempt in run.attempts] == list(range(1, run.run_attempt + 1))
        moments = [moment for attempt in run.attempts for moment in (attempt.started_at, attempt.updated_at)]
        assert moments == sorted(moments)
        assert moments[-1] <= NOW


def test_run_numbers_count_within_each_workflow(repository: DemoRepository) -> None:
    for workflow in repository.workflows:
        numbers = [run.number for run in repository.runs_created(None, None, workflow.id)]
        assert numbers == list(range(len(numbers), 0, -1))


def test_every_conclusion_occurs(repository: DemoRepository) -> None:
    assert {run.conclusion for run in repository.runs} == {*get_args(Conclusion), None}
    assert {run.status for run in repository.runs} >= {"completed", "in_progress", "queued", "waiting"}


def test_workflows_of_every_kind_are_there(repository: DemoRepository) -> None:
    workflows = repository.workflows
    assert {"active", "deleted", "disabled_manually"} <= {workflow.state for workflow in workflows}
    assert max(Counter(workflow.name for workflow in workflows).values()) > 1
    assert len({workflow.path for workflow in workflows}) == len(workflows)
    files = {workflow.path.removeprefix(".github/workflows/") for workflow in workflows if workflow.state == "active"}
    assert {*TESTS_BLOCKING_MERGE, *BENCHMARKS} <= files

    active = [workflow for workflow in workflows if workflow.state == "active"]
    runs_of = {workflow.id: repository.runs_created(None, None, workflow.id) for workflow in active}
    newest = [runs[0].created_at for runs in runs_of.values() if runs]
    assert any(not runs for runs in runs_of.values()), "none never ran"
    assert sum(created_at < NOW - 10 * DAY for created_at in newest) >= 3, "none is quiet"
    assert any({run.conclusion for run in runs} == {"skipped", "cancelled"} for runs in runs_of.values())
    # The newest ten runs of this one do not say how main stands.
    assert any(
        len(runs) > 10
        and not any(run.branch == "main" and run.head_repository == "demo-org/arena" for run in runs[:10])
        for runs in runs_of.values()
    )


def conclusions(run: DemoWorkflowRun) -> tuple[str | None, ...]:
    return tuple(attempt.conclusion for attempt in run.attempts)


RERUNS: dict[str, Callable[[DemoWorkflowRun], bool]] = {
    "a failure, then a success": lambda run: conclusions(run) == ("failure", "success"),
    "timed out, then a success": lambda run: conclusions(run) == ("timed_out", "success"),
    "failed to start, then a success": lambda run: conclusions(run) == ("startup_failure", "success"),
    "cancelled, then a success: not flaky": lambda run: conclusions(run) == ("cancelled", "success"),
    "a success twice: not flaky": lambda run: conclusions(run) == ("success", "success"),
    "a failure behind a cancellation": lambda run: conclusions(run) == ("failure", "cancelled", "success"),
    "a failure behind a success": lambda run: conclusions(run) == ("failure", "success", "success"),
    "a failure twice": lambda run: conclusions(run) == ("failure", "failure"),
    "a failure, not ended yet": lambda run: conclusions(run) == ("failure", None),
    "of a fork": lambda run: run.head_repository != "demo-org/arena" and run.run_attempt > 1,
    "created the day before": lambda run: NOW - 2 * DAY <= run.created_at < NOW - DAY <= run.run_started_at,
    "created exactly two days ago": lambda run: run.created_at == NOW - 2 * DAY and run.run_attempt > 1,
    "created a second too early": lambda run: (
        run.created_at == NOW - 2 * DAY - SECOND and run.run_started_at > NOW - DAY
    ),
}
PLAIN_RUNS: dict[str, Callable[[DemoWorkflowRun], bool]] = {
    "started as the window opens": lambda run: run.run_started_at == NOW - DAY,
    "started a second before": lambda run: run.run_started_at == NOW - DAY - SECOND,
    "a fork's main": lambda run: run.head_repository != "demo-org/arena" and run.branch == "main",
    "another branch": lambda run: run.branch not in ("main", ""),
    "stuck for more than a day": lambda run: run.conclusion is None and run.created_at < NOW - DAY,
}


@pytest.mark.parametrize("case", [*RERUNS, *PLAIN_RUNS])
def test_the_edges_of_the_window_are_there(repository: DemoRepository, case: str) -> None:
    assert any(map((RERUNS | PLAIN_RUNS)[case], repository.runs))


def is_recent(pull_request: DemoPullRequest) -> bool:
    return pull_request.merged_at is not None and pull_request.merged_at >= NOW - WEEK


@pytest.mark.parametrize("ago", [WEEK - SECOND, WEEK, WEEK + SECOND])
def test_labelled_merges_stand_at_the_seven_day_edge(repository: DemoRepository, ago: timedelta) -> None:
    labels = {label for merge in repository.pull_requests if merge.merged_at == NOW - ago for label in merge.labels}
    assert labels >= {"hotfix", "force-merge", "force_merge", "revert", "hotfix-candidate"}


def test_labels_are_also_where_they_must_not_count(repository: DemoRepository) -> None:
    pull_requests = repository.pull_requests
    assert any({"force-merge", "force_merge"} <= {*merge.labels} for merge in pull_requests if is_recent(merge))
    assert any(merge.base != "main" and merge.labels for merge in pull_requests if is_recent(merge))
    unmerged = [pull_request for pull_request in pull_requests if pull_request.merged_at is None]
    assert {"hotfix", "revert"} <= {label for pull_request in unmerged for label in pull_request.labels}
    assert {"hotfix", "revert"} <= {label for issue in repository.issues for label in issue.labels}
    assert sum(is_recent(merge) for merge in pull_requests) > 30, "one page of a search would do"
