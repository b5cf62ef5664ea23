"""Single cases that a random walk rarely meets, each held against the truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.scene import NAMESPACE, Scene
from ci_support.truth import DAY, Truth

from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository

LATEST = f"{NAMESPACE}ci.workflow.latest_success"


def old_runs(scene: Scene) -> list[DemoWorkflowRun]:
    """Failed runs of yesterday that are known, far behind the listing's first page; newest first."""
    known, opens = scene.ledger.runs, scene.clock() - DAY
    runs = [run for run in scene.repository.runs if run.id in known and run.created_at < opens]
    return [run for run in runs if run.conclusion == "failure" and known[run.id].run.from_this_repo]


def assert_truth(scene: Scene, truth: Truth) -> None:
    collected = scene.collect()
    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(truth.look(scene.clock()).gauges)


def on_other_branches(repository: DemoRepository, workflow_id: int, ago: timedelta) -> None:
    for number in range(25):
        created_at = repository.clock() - ago + number * timedelta(minutes=1)
        repository.new_run(workflow_id, branch="release/1.4", conclusion="success", created_at=created_at)


def of_a_fork(repository: DemoRepository, workflow_id: int, ago: timedelta) -> None:
    created_at = repository.clock() - ago
    fork = {"head_repository": "somebody/arena", "event": "pull_request"}
    repository.new_run(workflow_id, conclusion="success", created_at=created_at, **fork)


def undecided(repository: DemoRepository, workflow_id: int, ago: timedelta) -> None:
    for number in range(25):
        created_at = repository.clock() - ago + number * timedelta(minutes=1)
        repository.new_run(workflow_id, conclusion="skipped", created_at=created_at)


@pytest.mark.parametrize("hidden_by", [on_other_branches, of_a_fork, undecided])
@pytest.mark.parametrize("options", [{}, {"token": None}], ids=["with a token", "without"])
def test_the_decision_of_a_quiet_workflow_may_lie_behind_many_runs(
    scene: Callable[..., Scene], hidden_by: Callable[..., None], options: dict[str, None]
) -> None:
    watched = scene(**options)
    # Without a token the queue is not read.
    truth, repository = Truth(watched.repository, queue=not options), watched.repository
    quiet = repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    repository.new_run(quiet.id, conclusion="failure", created_at=watched.clock() - timedelta(days=40))
    hidden_by(repository, quiet.id, timedelta(days=20))

    assert_truth(watched, truth)

    assert watched.collect().value(LATEST, "workflow:quiet.yml") == 0


def test_while_the_latest_run_of_a_quiet_workflow_is_run_again_the_one_before_it_speaks(scene):
    watched = scene()
    truth, repository = Truth(watched.repository), watched.repository
    quiet = repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    repository.new_run(quiet.id, conclusion="failure", created_at=watched.clock() - timedelta(days=9))
    latest = repository.new_run(quiet.id, conclusion="success", created_at=watched.clock() - timedelta(days=5))
    assert watched.collect().value(LATEST, "workflow:quiet.yml") == 1

    watched.later()
    repository.rerun(latest.id)
    assert watched.collect().value(LATEST, "workflow:quiet.yml") == 0
    watched.later()
    repository.complete(latest.id, "success")

    assert_truth(watched, truth)
    assert watched.collect().value(LATEST, "workflow:quiet.yml") == 1


def test_an_attempt_that_nobody_saw_end_is_asked_for(scene):
    """Under way at one collection; failed, run again and good at the next."""
    watched = scene()
    truth = Truth(watched.repository)
    run = watched.repository.new_run(watched.repository.workflows[0].id)
    watched.collect()
    watched.later()
    watched.repository.complete(run.id, "failure")
    watched.repository.rerun(run.id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert_truth(watched, truth)


def test_a_run_may_change_twice_within_a_second(scene):
    """GitHub tells when something changed by the second, so that the second change looks like the first."""
    watched = scene(40, 600)
    truth = Truth(watched.repository)
    watched.collect()
    watched.later()
    run = old_runs(watched)[30]
    watched.repository.rerun(run.id)
    assert_truth(watched, truth)
    watched.repository.complete(run.id, "success")
    watched.later()

    assert_truth(watched, truth)


def test_what_the_listing_shows_late_is_found_with_what_changed_around_it(scene):
    """More runs between two that changed than anybody knew of."""
    watched = scene(40, 600)
    truth = Truth(watched.repository)
    watched.collect()
    watched.later()
    second, first = old_runs(watched)[30:32]
    for number in range(150):
        created_at = first.created_at + (second.created_at - first.created_at) * number / 150
        watched.repository.new_run(first.workflow_id, conclusion="cancelled", created_at=created_at)
    for run in (first, second):
        watched.repository.rerun(run.id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert_truth(watched, truth)


def test_what_it_shows_late_in_between_is_found_in_its_turn(scene):
    watched = scene(40, 600)
    truth = Truth(watched.repository)
    watched.collect()
    late = old_runs(watched)[10]
    watched.repository.new_run(late.workflow_id, conclusion="failure", created_at=late.created_at)

    for _ in range(13):
        watched.later()
        watched.collect()

    assert_truth(watched, truth)


def test_a_thousand_runs_in_one_second_are_more_than_github_lists(scene):
    watched = scene()
    created_at = watched.clock() - timedelta(hours=40)
    for _ in range(1_101):
        watched.repository.new_run(watched.repository.workflows[0].id, created_at=created_at)

    assert "1000 in one second" in watched.collect().error
