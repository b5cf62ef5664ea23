"""The queue: what waits and what runs, in the whole repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.scene import NAMESPACE, Collected, Scene

from metta_checks.simulator.server import Reply

QUEUE = ("queued", "in_progress", "oldest_queued_minutes")


def queue_of(collected: Collected) -> list[float | None]:
    return [collected.find(f"{NAMESPACE}ci.runs.{name}") for name in QUEUE]


def about_the_queue(collected: Collected) -> list[str]:
    return [warning for warning in collected.warnings if "the queue is unknown" in warning]


@pytest.fixture
def watched(empty_scene: Callable[..., Scene]) -> Scene:
    """One run has ended on the branch, so that nobody asks whether the branch exists."""
    scene = empty_scene()
    ended_at = scene.clock() - timedelta(hours=1)
    scene.repository.new_run(scene.repository.workflows[0].id, conclusion="success", created_at=ended_at)
    return scene


def queue_up(scene: Scene, number: int, *, status: str = "queued", age: timedelta = timedelta(minutes=3)) -> list[int]:
    workflow = scene.repository.workflows[0].id
    created_at = scene.clock() - age
    runs = [
        scene.repository.new_run(
            workflow, branch=f"feature/{i}", status=status, created_at=created_at - timedelta(seconds=i)
        )
        for i in range(number)
    ]
    return [run.id for run in runs]


def test_more_than_a_page_is_counted_to_the_last(watched):
    queue_up(watched, 250)
    queue_up(watched, 101, status="in_progress")

    assert queue_of(watched.collect())[:2] == [250, 101]


def test_an_unchanged_queue_is_free_and_grows_old(watched):
    queue_up(watched, 130)
    first = watched.collect()
    watched.later()

    again = watched.collect()

    assert again.counted["core"] == 0
    assert queue_of(again)[:2] == [130, 0]
    assert queue_of(again)[2] == pytest.approx(queue_of(first)[2] + 4, abs=0.01)


def test_it_is_free_after_a_restart_too(watched):
    queue_up(watched, 3)
    watched.collect()
    watched.restart()
    watched.later()

    again = watched.collect()

    assert again.counted["core"] == 0
    assert queue_of(again)[0] == 3


def listing(scene: Scene, *runs: tuple[int, str], total: int | None = None) -> Reply:
    """A page of runs, each with its id and status, created a minute ago."""
    created_at = f"{scene.clock() - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    entries = [
        {
            "id": run_id,
            "workflow_id": 1,
            "path": ".github/workflows/ci.yml",
            "name": "CI",
            "status": status,
            "created_at": created_at,
            "run_started_at": created_at,
        }
        for run_id, status in runs
    ]
    body = {"total_count": len(entries) if total is None else total, "workflow_runs": entries}
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def answer_with(scene: Scene, **by_status: Reply) -> None:
    scene.server.intercept = lambda request: by_status.get(request.query.get("status", ""))


def test_a_run_that_starts_between_the_two_requests_runs(watched):
    answer_with(watched, queued=listing(watched, (1, "queued")), in_progress=listing(watched, (1, "in_progress")))

    assert queue_of(watched.collect()) == [0, 1, 0]


def test_a_run_that_has_another_status_by_now_counts_as_that(watched):
    """GitHub's filters are behind the runs that they list."""
    queued = listing(watched, (1, "completed"), (2, "in_progress"), (3, "queued"))
    answer_with(watched, queued=queued, in_progress=listing(watched))

    assert queue_of(watched.collect())[:2] == [1, 1]


def test_what_waits_for_something_else_than_a_runner_is_not_queued(watched):
    queue_up(watched, 1, status="waiting")
    queue_up(watched, 1, status="pending")
    queue_up(watched, 1)

    assert queue_of(watched.collect())[:2] == [1, 0]


def test_a_rerun_waits_since_it_was_asked_for(watched):
    """It keeps the time of its creation."""
    created_at = watched.clock() - timedelta(hours=20)
    run = watched.repository.new_run(
        watched.repository.workflows[0].id, conclusion="failure", created_at=created_at, status="completed"
    )
    watched.repository.rerun(run.id, at=watched.clock() - timedelta(minutes=6))
    queued = watched.repository.run(run.id)
    assert queued.status == "in_progress"

    collected = watched.collect()

    assert queue_of(collected)[:2] == [0, 1]


def test_excluded_workflows_are_left_out(empty_scene):
    watched = empty_scene(exclude_workflows=["nightly*"])
    nightly = watched.repository.add_workflow("Nightly", ".github/workflows/nightly.yml")
    queue_up(watched, 2)
    watched.repository.new_run(nightly.id, status="queued", created_at=watched.clock() - timedelta(hours=5))

    collected = watched.collect()

    assert queue_of(collected)[:2] == [2, 0]
    assert queue_of(collected)[2] == pytest.approx(3, abs=0.1)


def test_a_listing_that_is_short_of_its_count_is_unknown(watched):
    answer_with(watched, queued=listing(watched, (1, "queued"), total=5))

    collected = watched.collect()

    assert queue_of(collected) == [None, None, None]
    assert "1 of 5 runs" in about_the_queue(collected)[0]
    assert collected.value("metta.check.up") == 1
    watched.server.intercept = None
    watched.later()
    assert queue_of(watched.collect()) == [0, 0, 0]


@pytest.mark.parametrize(
    "bad",
    [
        Reply(404, b'{"message":"Not Found"}'),
        Reply(200, b'{"total_count":1}'),
        Reply(200, b"<html>"),
        Reply(403, b'{"message":"Resource not accessible by personal access token"}'),
    ],
    ids=["404", "another shape", "HTML", "403"],
)
def test_its_failure_is_its_own(watched, bad):
    queue_up(watched, 3)
    answer_with(watched, in_progress=bad)

    collected = watched.collect()

    assert collected.error is None
    assert queue_of(collected) == [None, None, None]
    assert len(about_the_queue(collected)) == 1
    assert collected.value(f"{NAMESPACE}ci.workflow.cancelled") == 0


def test_over_a_thousand_it_is_unknown(watched):
    queue_up(watched, 1_001)

    collected = watched.collect()

    assert queue_of(collected) == [None, None, None]
    assert "more than 1,000 runs" in about_the_queue(collected)[0]


def test_it_can_be_switched_off(empty_scene):
    watched = empty_scene(queue=False)
    queue_up(watched, 3)

    collected = watched.collect()

    assert queue_of(collected) == [None, None, None]
    assert not any("status" in request.query for request in collected.requests)
    assert about_the_queue(collected) == []


def test_without_a_token_it_is_not_read(empty_scene):
    """GitHub counts each of an anonymous caller's 60 requests an hour, answered with 304 or not."""
    collected = empty_scene(token=None).collect()

    assert collected.error is None
    assert not any("status" in request.query for request in collected.requests)
    assert any("not for the queue" in warning for warning in collected.warnings)
