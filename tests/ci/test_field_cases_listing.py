"""Cases that users met, each with its source: listings that lag, are slow, are short, or change unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ci_support.runs import LISTING, add_runs
from ci_support.scene import NAMESPACE, Scene
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.github_json import RestPayloads
from metta_checks.simulator.github_refusals import JSON_HEADERS, graphql_errors, server_error
from metta_checks.simulator.server import Reply, Request

SceneMaker = Callable[..., Scene]

RATIO = f"{NAMESPACE}ci.workflow.success_ratio"
RUNS = f"{NAMESPACE}ci.workflow.runs"


def rewritten(scene: Scene, request: Request, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
    """The server's own answer, with its document changed."""
    response = scene.server.answer(request)
    if response.status != 200:
        return response
    headers = {name: value for name, value in response.headers.items() if name != "ETag"}
    return replace(response, body=json.dumps(change(json.loads(response.body))).encode(), headers=headers)


@pytest.mark.parametrize("shown", [0, 40], ids=["empty", "40 of 200"])
def test_g2_a_range_that_came_back_short_is_read_again(empty_scene: SceneMaker, shown: int) -> None:
    """cli/cli#5440, action-download-artifact#147: filtered listings are empty or short for minutes."""
    watched = empty_scene()
    add_runs(watched, 100, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 200, "failure", youngest=timedelta(hours=2))

    def short(request: Request) -> Reply | None:
        if "created" not in request.query:
            return None
        page = int(request.query.get("page", "1"))

        def cut(document: dict[str, Any]) -> dict[str, Any]:
            return {"total_count": shown, "workflow_runs": document["workflow_runs"][:shown] if page == 1 else []}

        return rewritten(watched, request, cut)

    watched.server.intercept = short
    watched.collect()
    watched.server.intercept = None
    watched.later()

    assert watched.collect().find(RATIO) == pytest.approx(1 / 3)


def test_g7_a_repository_that_is_too_slow_for_one_collection_is_read_in_several(empty_scene: SceneMaker) -> None:
    """cli/cli#6560, tap-github#461: 2,500 runs at 2.5 s a page. Here six of thirteen pages are answered in a
    collection, and the others never."""
    watched = empty_scene(collection_timeout=2, read_timeout=30)
    add_runs(watched, 650, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 650, "failure", youngest=timedelta(hours=5))
    pages_left = 0

    def tired(request: Request) -> Answer | None:
        nonlocal pages_left
        if request.path != LISTING:
            return None
        pages_left -= 1
        return Fault("silent") if pages_left < 0 else None

    watched.server.intercept = tired
    for _ in range(4):
        pages_left = 6
        collected = watched.collect()
        watched.later()

    assert collected.find(RATIO) == pytest.approx(1 / 2)


@pytest.mark.parametrize("status", [502, 504])
def test_g7_a_page_that_is_too_large_for_the_server_is_asked_for_in_smaller_ones(
    empty_scene: SceneMaker, status: int
) -> None:
    """tap-github#461: 502 above 50 runs a page."""
    watched = empty_scene()
    add_runs(watched, 150, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 150, "failure", youngest=timedelta(hours=1))

    def overwhelmed(request: Request) -> Reply | None:
        large = request.path == LISTING and int(request.query.get("per_page", "30")) > 50
        return server_error(status) if large else None

    watched.server.intercept = overwhelmed

    assert watched.collect().find(RATIO) == pytest.approx(1 / 2)


TOO_LARGE = {
    "a timeout": {"message": "Something went wrong while executing your query. This may be the result of a timeout."},
    "resource limits": {"type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query exceeded."},
}


@pytest.mark.parametrize("error", TOO_LARGE.values(), ids=TOO_LARGE)
def test_g7_histories_that_are_too_much_in_one_question_are_read_otherwise(
    empty_scene: SceneMaker, error: dict[str, object]
) -> None:
    watched = empty_scene()
    for number in range(3):
        workflow = watched.repository.add_workflow(f"Quiet {number}", f".github/workflows/quiet-{number}.yml")
        created_at = watched.clock() - timedelta(days=9)
        watched.repository.new_run(workflow.id, conclusion="failure", created_at=created_at)
    watched.server.intercept = lambda request: graphql_errors(error) if b"history0" in request.body else None

    assert watched.collect().find(f"{NAMESPACE}ci.workflow.other_failing") == 3


def test_g9_a_rerun_that_rest_shows_late_is_right_in_the_next_collection(empty_scene: SceneMaker) -> None:
    """action-download-artifact#147: REST is behind what GraphQL announces."""
    watched = empty_scene()
    old = add_runs(watched, 250, "failure", youngest=timedelta(minutes=10))[200]
    watched.collect()
    watched.later()
    payloads = RestPayloads(watched.repository, watched.server.url)
    before = json.loads(payloads.run(old, exclude_pull_requests=True))
    watched.repository.rerun(old.id, conclusion="success", duration=timedelta(0))

    def behind(request: Request) -> Reply | None:
        if request.path != LISTING:
            return None

        def restore(document: dict[str, Any]) -> dict[str, Any]:
            runs = [before if run["id"] == old.id else run for run in document["workflow_runs"]]
            return {**document, "workflow_runs": runs}

        return rewritten(watched, request, restore)

    watched.server.intercept = behind
    watched.later()
    watched.collect()
    watched.server.intercept = None
    watched.later()

    collected = watched.collect()

    assert collected.find(RUNS, "workflow:ci.yml", "conclusion:success") == 1
    assert collected.find(f"{NAMESPACE}ci.workflow.flaky_tests") == 1


def test_g12_a_run_that_is_listed_late_is_found_beside_an_unlisted_workflow(empty_scene: SceneMaker) -> None:
    """cli/cli#9228: workflows of a ruleset run and are in no list."""
    watched = empty_scene()
    unlisted = watched.repository.add_workflow("Required", ".github/workflows/required.yml")

    def without_it(request: Request) -> Reply | None:
        if request.path != "/repos/demo-org/arena/actions/workflows":
            return None

        def leave_out(document: dict[str, Any]) -> dict[str, Any]:
            listed = [workflow for workflow in document["workflows"] if workflow["id"] != unlisted.id]
            return {"total_count": len(listed), "workflows": listed}

        return rewritten(watched, request, leave_out)

    watched.server.intercept = without_it
    runs = add_runs(watched, 250, "success", youngest=timedelta(minutes=10))
    watched.collect()
    late = runs[180].created_at
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", created_at=late)

    for _ in range(12):
        watched.later()
        watched.repository.new_run(unlisted.id, conclusion="success", duration=timedelta(0))
        collected = watched.collect()

    assert collected.find(RUNS, "workflow:ci.yml", "conclusion:failure") == 1


@pytest.mark.parametrize("short_by", [1, 40, 99])
def test_g21_a_page_that_is_short_is_followed_where_there_is_a_next_one(empty_scene: SceneMaker, short_by: int) -> None:
    """The first page has 99 of 300 runs, and a link to the next one."""
    watched = empty_scene()
    runs = add_runs(watched, 300, "success", youngest=timedelta(minutes=10))
    payloads = RestPayloads(watched.repository, watched.server.url)

    def short(request: Request) -> Reply | None:
        if request.path != LISTING or "created" in request.query:
            return None
        page, first = int(request.query.get("page", "1")), 100 - short_by
        end = first + 100 * (page - 1)
        texts = [payloads.run(run, exclude_pull_requests=True) for run in runs[max(0, end - 100) : end]]
        body = f'{{"total_count":300,"workflow_runs":[{",".join(texts)}]}}'.encode()
        link = f'<{watched.server.url}{LISTING}?branch=main&per_page=100&page={page + 1}>; rel="next"'
        return Reply(200, body, {**JSON_HEADERS, **({"Link": link} if end < len(runs) else {})})

    watched.server.intercept = short

    assert watched.collect().find(RUNS, "workflow:ci.yml", "conclusion:success") == 300
