"""A token that must not read check suites: fine-grained ones cannot be given the permission.

orgs/community#179545, cli/cli#12597
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.forbidden import SHAPES, Shape, forbid_check_suites, nulls_up_to_the_run
from ci_support.scene import Collected, Scene
from ci_support.truth import DAY, Truth
from simulator_support.github_changes import RandomChanges

from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_refusals import permission_missing

LATEST = "metta.infra.cron.ci.workflow.latest_success"


def asked_in_vain(collected: Collected) -> int:
    return sum(b"checkSuite" in request.body for request in collected.requests)


def assert_truth(scene: Scene, truth: Truth) -> Collected:
    collected, expected = scene.collect(), truth.look(scene.clock())
    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(expected.gauges)
    assert collected.figures.points == expected.points
    return collected


def failed_run_of_yesterday(scene: Scene) -> DemoWorkflowRun:
    """Known, and far behind the first page."""
    known, opens = scene.ledger.runs, scene.clock() - DAY
    runs = [
        run
        for run in scene.repository.runs
        if run.id in known and run.created_at < opens and known[run.id].run.from_this_repo
    ]
    return [run for run in runs if run.conclusion == "failure"][5]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_figures_are_those_of_a_token_that_may(scene: Callable[..., Scene], shape: Shape) -> None:
    watched = scene()
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository)
    quiet = watched.repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    watched.repository.new_run(quiet.id, conclusion="failure", created_at=watched.clock() - timedelta(days=40))
    forbid_check_suites(watched.server, shape)

    assert assert_truth(watched, truth).value(LATEST, "workflow:quiet.yml") == 0
    for _ in range(3):
        watched.later()
        activity.catch_up()
        assert_truth(watched, truth)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_under_way_behind_the_first_page_is_read_by_rest(scene: Callable[..., Scene], shape: Shape) -> None:
    """It may end in the second in which it was last read, so that its time of change does not show the end."""
    watched = scene(28, 300)
    truth = Truth(watched.repository)
    forbid_check_suites(watched.server, shape)
    assert_truth(watched, truth)
    watched.later()
    run = failed_run_of_yesterday(watched)
    watched.repository.rerun(run.id)
    assert_truth(watched, truth)
    watched.repository.complete(run.id, "success")
    watched.later()

    assert_truth(watched, truth)


def test_a_run_that_was_deleted_while_under_way_is_not_read_for_ever(scene):
    watched = scene(28, 300)
    forbid_check_suites(watched.server, nulls_up_to_the_run)
    watched.collect()
    watched.later()
    run = failed_run_of_yesterday(watched)
    watched.repository.rerun(run.id)
    watched.collect()
    watched.later()
    watched.repository.delete_run(run.id)
    created = f"{run.created_at:%Y-%m-%dT%H:%M:%SZ}"

    watched.collect()
    watched.later()

    ranges = [request.query.get("created", "") for request in watched.collect().requests]
    assert f"{created}..{created}" not in ranges


def test_it_is_not_asked_in_vain_each_time_and_again_a_day_later(scene):
    watched = scene()
    forbid_check_suites(watched.server, nulls_up_to_the_run)

    assert asked_in_vain(watched.collect()) == 1
    for hours in range(20):
        if hours % 5 == 0:
            number = watched.repository.add_workflow("New", f".github/workflows/new-{hours}.yml").id
            watched.repository.new_run(number, conclusion="success", created_at=watched.clock() - timedelta(days=9))
        watched.later(timedelta(hours=1))
        assert asked_in_vain(watched.collect()) == 0
    watched.later(timedelta(hours=5))
    watched.repository.add_workflow("Another", ".github/workflows/another.yml")
    assert asked_in_vain(watched.collect()) == 1


def test_a_token_that_was_replaced_by_one_that_may_is_tried_again_by_a_new_process(scene):
    watched = scene()
    forbid_check_suites(watched.server, nulls_up_to_the_run)
    watched.collect()
    watched.server.intercept = None
    watched.repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    watched.later(timedelta(hours=2))
    watched.restart()

    assert asked_in_vain(watched.collect()) == 1


def test_a_token_that_may_read_no_history_leaves_the_rest(scene):
    """And the advice does not name a permission that cannot be given."""
    watched = scene()
    watched.server.refuse(permission_missing(), "/repos/demo-org/arena/actions/workflows/")
    forbid_check_suites(watched.server, nulls_up_to_the_run)

    collected = watched.collect()

    assert collected.error is None
    assert any("Actions, Contents and Pull requests (read)" in warning for warning in collected.warnings)
    assert not any("Checks" in warning for warning in collected.warnings)
