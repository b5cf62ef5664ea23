"""A branch that does not exist, misspelt or deleted: nothing is known of it, and nothing of it is green.

delta#2196
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.scene import NAMESPACE, NOW, Collected, Scene

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_refusals import permission_missing
from metta_checks.simulator.github_repository import DemoRepository

STATE = "metta.infra.health.state"


def assert_unknown(collected: Collected) -> None:
    """Every verdict, and no figure but the queue's, which is that of the whole repository."""
    assert collected.error is None
    assert_all_states_are_unknown(collected)
    of_the_branch = [name for name, _ in collected.series if not name.startswith(f"{NAMESPACE}ci.runs.")]
    assert [name for name in of_the_branch if name.startswith(NAMESPACE)] == []
    assert collected.figures.points.total() == 0
    assert collected.events == []


def assert_all_states_are_unknown(collected: Collected) -> None:
    states = [value for (name, _), value in collected.series.items() if name == STATE]
    assert len(states) >= 9
    assert set(states) == {1.0}


def about_the_branch(collected: Collected) -> list[str]:
    return [warning for warning in collected.warnings if "has no branch" in warning]


@pytest.mark.parametrize("token", [{}, {"token": None}], ids=["with a token", "without"])
@pytest.mark.parametrize("branch", ["mian", "Main", "refs/heads/main", "feature/none at all", "patch-1"])
def test_every_verdict_is_unknown_and_a_warning_names_the_default_branch(scene, branch, token):
    watched = scene(branch=branch, events=True, **token)
    # A fork's branch is none of the repository's.
    watched.repository.new_run(
        watched.repository.workflows[0].id, branch="patch-1", head_repository="somebody/arena", conclusion="success"
    )

    for _ in range(3):
        collected = watched.collect()
        assert_unknown(collected)
        (warning,) = about_the_branch(collected)
        assert f"has no branch {branch}," in warning
        assert warning.endswith("the default branch is main")
        watched.later()


@pytest.fixture
def quiet(aggregator) -> Callable[..., Scene]:
    """`quiet(branch, …)`: a repository of two workflows that ran on `main` and `release/1.4` alone, ten days ago."""
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    for name in ("ci", "docs"):
        workflow = repository.add_workflow(name, f".github/workflows/{name}.yml")
        for branch in ("main", "release/1.4"):
            created_at = NOW - timedelta(days=10)
            repository.new_run(workflow.id, branch=branch, conclusion="failure", created_at=created_at)
    options = {"tests_blocking_merge_workflows": ["ci.yml"], "benchmarks_workflows": []}
    scenes = []

    def make(branch: str, **more: object) -> Scene:
        scenes.append(Scene(repository, aggregator, branch=branch, **options, **more))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.__exit__()


@pytest.mark.parametrize("token", [{}, {"token": None}], ids=["with a token", "without"])
@pytest.mark.parametrize("branch", ["main", "release/1.4"])
def test_one_that_exists_keeps_its_figures_however_quiet_it_is(quiet, branch, token):
    collected = quiet(branch, **token).collect()

    assert collected.error is None
    assert about_the_branch(collected) == []
    assert collected.value(f"{NAMESPACE}ci.workflow.cancelled") == 0
    assert collected.value(f"{NAMESPACE}ci.workflow.other_failing") == 1
    assert collected.value(f"{NAMESPACE}ci.workflow.tests_blocking_merge") == 0


def test_one_that_was_deleted_is_unknown_although_its_runs_are_listed(quiet):
    watched = quiet("release/1.4")
    assert watched.collect().value(f"{NAMESPACE}ci.workflow.cancelled") == 0

    watched.repository.delete_branch("release/1.4")
    watched.later()

    collected = watched.collect()
    assert_unknown(collected)
    assert len(about_the_branch(collected)) == 1


def test_one_that_is_made_later_has_figures_from_then_on(quiet):
    watched = quiet("release/2.0")
    assert_unknown(watched.collect())

    watched.later()
    workflow = watched.repository.workflows[0].id
    watched.repository.new_run(workflow, branch="release/2.0", conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()
    assert collected.warnings == []
    assert collected.value(f"{NAMESPACE}ci.workflow.success_ratio") == 1
    assert collected.value(f"{NAMESPACE}ci.workflow.tests_blocking_merge") == 1


def test_the_old_name_of_a_branch_that_was_renamed_is_none(quiet):
    """GitHub redirects from it to the new one."""
    watched = quiet("master")
    renamed = watched.server.answer

    def answer(request):
        response = renamed(request)
        if not request.path.endswith("/branches/master"):
            return response
        headers = {**response.headers, "Location": request.path.replace("master", "main")}
        headers.pop("Content-Length", None)
        return type(response)(301, b"", headers)

    watched.server.answer = answer

    assert_unknown(watched.collect())


def test_a_branch_that_must_not_be_read_is_an_error_that_names_the_permission(quiet):
    watched = quiet("release/1.4")
    watched.server.refuse(permission_missing("contents=read"), "/repos/demo-org/arena/branches")

    collected = watched.collect()

    assert "Contents" in collected.error
    assert "branch release/1.4" in collected.error
    assert_all_states_are_unknown(collected)


def test_a_branch_with_runs_is_not_asked_for(scene):
    requests = scene().collect().requests

    assert [
        request.path for request in requests if "/branches" in request.path or request.path.endswith("/arena")
    ] == []
