"""Listings that came back empty, short or cut in the middle: what they hide is asked for again.

cli/cli#5440, action-download-artifact#147: filtered listings are empty or short for minutes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ci_support.runs import LISTING, add_runs
from ci_support.scene import NAMESPACE, Collected, Scene

from metta_checks.simulator.github_json import RestPayloads
from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_refusals import server_error
from metta_checks.simulator.server import Reply, Request

SceneMaker = Callable[..., Scene]
Change = Callable[[list[Any], int], list[Any]]

RATIO = f"{NAMESPACE}ci.workflow.success_ratio"
RUNS = f"{NAMESPACE}ci.workflow.runs"
FLAKY = f"{NAMESPACE}ci.workflow.flaky_tests"


def shorten(scene: Scene, change: Change, *, total: Callable[[int], int] | None = None, ranges: bool = True) -> None:
    """From now on `change` makes the runs of a page of what is listed, by its number; `total` what is counted."""

    def intercept(request: Request) -> Reply | None:
        if request.path != LISTING or ("created" in request.query) is not ranges:
            return None
        response = scene.server.answer(request)
        if response.status != 200:
            return response
        document = json.loads(response.body)
        runs = change(document["workflow_runs"], int(request.query.get("page", "1")))
        count = document["total_count"] if total is None else total(document["total_count"])
        headers = {name: value for name, value in response.headers.items() if name not in {"ETag", "Link"}}
        body = json.dumps({"total_count": count, "workflow_runs": runs}).encode()
        return replace(response, body=body, headers=headers)

    scene.server.intercept = intercept


SHORT: dict[str, tuple[Change, Callable[[int], int] | None]] = {
    "empty, counted": (lambda _runs, _page: [], None),
    "one run": (lambda runs, page: runs[:1] if page == 1 else [], lambda _: 1),
    "the first page alone": (lambda runs, page: runs if page == 1 else [], lambda _: 100),
    "without its newest": (lambda runs, page: runs[30:] if page == 1 else runs, lambda total: total - 30),
    "a page in the middle cut": (lambda runs, page: runs[:40] if page == 2 else runs, None),
    "a page in the middle empty": (lambda runs, page: [] if page == 2 else runs, None),
    "the last page missing": (lambda runs, page: runs if page < 3 else [], lambda _: 200),
}


@pytest.mark.parametrize(("change", "total"), SHORT.values(), ids=SHORT)
def test_a_first_reading_is_unknown_until_the_range_is_whole(
    empty_scene: SceneMaker, change: Change, total: Callable[[int], int] | None
) -> None:
    watched = empty_scene()
    add_runs(watched, 100, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 300, "failure", youngest=timedelta(hours=2))
    shorten(watched, change, total=total)

    first = watched.collect()

    assert first.error is None
    assert first.value("metta.check.up") == 0
    assert first.find(RATIO) is None
    assert first.find(RUNS, "conclusion:success") is None
    assert first.find(f"{NAMESPACE}github.hotfix.count") == 0
    assert any("reads it again" in warning for warning in first.warnings)
    watched.server.intercept = None
    watched.later()
    watched.restart()

    second = watched.collect()

    assert second.value(RATIO) == pytest.approx(1 / 4)
    assert second.value("metta.check.up") == 1
    assert second.warnings == []


def test_it_is_asked_again_for_as_long_as_it_is_short(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    add_runs(watched, 100, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 100, "failure", youngest=timedelta(hours=2))
    shorten(watched, lambda _runs, _page: [], total=lambda _: 0)
    for _ in range(6):
        assert watched.collect().find(RATIO) is None
        watched.later()
    watched.server.intercept = None

    assert watched.collect().value(RATIO) == pytest.approx(1 / 2)


def test_a_count_above_what_is_ever_listed_is_believed_for_two_collections(empty_scene: SceneMaker) -> None:
    """GitHub may hide runs for good."""
    watched = empty_scene()
    add_runs(watched, 100, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 100, "failure", youngest=timedelta(hours=2))
    shorten(watched, lambda runs, _page: runs, total=lambda total: total + 3)
    found = []
    for _ in range(4):
        found.append(watched.collect().find(RATIO))
        watched.later()

    assert found == [None, None, pytest.approx(1 / 2), pytest.approx(1 / 2)]


def test_a_run_that_was_deleted_is_not_waited_for(empty_scene: SceneMaker) -> None:
    """The last run of the first page goes before its range is asked for."""
    watched = empty_scene()
    newest = add_runs(watched, 100, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 100, "failure", youngest=timedelta(hours=2))

    def delete(request: Request) -> None:
        if "created" in request.query and watched.repository.run(newest[-1].id):
            watched.repository.delete_run(newest[-1].id)

    watched.server.intercept = delete
    watched.collect()
    watched.later()

    assert watched.collect().value(RATIO) == pytest.approx(1 / 2)


@pytest.mark.parametrize("kept", [0, 40], ids=["empty", "40 of 100"])
def test_a_first_page_that_lacks_what_is_known_is_not_read(empty_scene: SceneMaker, kept: int) -> None:
    watched = empty_scene()
    add_runs(watched, 90, "success", youngest=timedelta(minutes=10))
    watched.collect()
    watched.later()
    add_runs(watched, 30, "failure", youngest=timedelta(minutes=3))
    shorten(watched, lambda runs, _page: runs[len(runs) - kept :], ranges=False)

    assert watched.collect().find(RATIO) is None
    watched.server.intercept = None
    watched.later()

    assert watched.collect().value(RATIO) == pytest.approx(90 / 120)


@pytest.mark.parametrize("shown", [0, 30], ids=["empty", "30 of 300"])
def test_a_burst_of_runs_behind_the_first_page_is_found(empty_scene: SceneMaker, shown: int) -> None:
    """Pages behind the first one are short in the collection after 300 new runs."""
    watched = empty_scene()
    add_runs(watched, 150, "success", youngest=timedelta(hours=3))
    watched.collect()
    watched.later(timedelta(hours=1))
    add_runs(watched, 300, "failure", youngest=timedelta(minutes=1))
    shorten(watched, lambda runs, page: runs if page == 1 else runs[:shown], ranges=False)

    assert watched.collect().find(RATIO) in (None, pytest.approx(1 / 3))
    watched.server.intercept = None
    watched.later()

    assert watched.collect().value(RATIO) == pytest.approx(1 / 3)


def rerun_while_rest_is(watched: Scene, behind: Callable[[Request, DemoWorkflowRun], Reply | None]) -> Collected:
    """An old failed run is run again with success; REST answers otherwise for one collection. The one after that."""
    old = add_runs(watched, 250, "failure", youngest=timedelta(minutes=10))[200]
    watched.collect()
    watched.later()
    watched.repository.rerun(old.id, conclusion="success", duration=timedelta(0))
    watched.server.intercept = lambda request: behind(request, old) if "created" in request.query else None
    watched.later()
    during = watched.collect()
    assert during.error is None
    watched.server.intercept = None
    watched.later()
    return watched.collect()


def without_the_run(scene: Scene, request: Request, old: DemoWorkflowRun) -> Reply:
    response = scene.server.answer(request)
    document = json.loads(response.body)
    document["workflow_runs"] = [run for run in document["workflow_runs"] if run["id"] != old.id]
    return replace(response, body=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


BEHIND: dict[str, Callable[[Scene, Request, DemoWorkflowRun], Reply | None]] = {
    "an empty range": lambda _scene, _request, _old: Reply(
        200, b'{"total_count":0,"workflow_runs":[]}', {"Content-Type": "application/json"}
    ),
    "a range without the run": without_the_run,
    "500": lambda _scene, _request, _old: server_error(500),
    "502": lambda _scene, _request, _old: server_error(502),
    "an answer that stops": lambda _scene, _request, _old: Reply(200, b'{"total_count":3,"workflow_runs":[{', {}),
}


@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
def test_g9_an_announced_change_is_pending_until_it_was_read(
    empty_scene: SceneMaker, behind: Callable[[Scene, Request, DemoWorkflowRun], Reply | None]
) -> None:
    watched = empty_scene()

    collected = rerun_while_rest_is(watched, lambda request, old: behind(watched, request, old))

    assert collected.value(RUNS, "workflow:ci.yml", "conclusion:success") == 1
    assert collected.value(FLAKY) == 1


def test_g9_rest_may_be_behind_for_several_collections(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    old = add_runs(watched, 250, "failure", youngest=timedelta(minutes=10))[200]
    watched.collect()
    watched.later()
    before = json.loads(RestPayloads(watched.repository, watched.server.url).run(old, exclude_pull_requests=True))
    watched.repository.rerun(old.id, conclusion="success", duration=timedelta(0))
    shorten(watched, lambda runs, _page: [before if run["id"] == old.id else run for run in runs])
    for _ in range(5):
        watched.later()
        watched.collect()
    watched.server.intercept = None
    watched.later()

    assert watched.collect().value(FLAKY) == 1


@pytest.mark.parametrize("new_runs", [0, 1, 40, 130])
def test_g12_a_late_run_is_found_whatever_happens_in_front(empty_scene: SceneMaker, new_runs: int) -> None:
    """With 130 new runs in a collection each opens a bucket; the old ones are looked at all the same."""
    watched = empty_scene()
    runs = add_runs(watched, 450, "success", youngest=timedelta(minutes=10))
    watched.collect()
    workflow = watched.repository.workflows[0].id
    late = runs[330].created_at
    watched.repository.new_run(workflow, conclusion="failure", created_at=late, duration=timedelta(0))

    for _ in range(12):
        now = watched.later()
        for number in range(new_runs):
            watched.repository.new_run(
                workflow, conclusion="success", created_at=now - timedelta(seconds=number + 1), duration=timedelta(0)
            )
        collected = watched.collect()

    assert collected.value(RUNS, "workflow:ci.yml", "conclusion:failure") == 1


def test_g12_late_runs_that_fill_more_than_a_page_are_all_found(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    runs = add_runs(watched, 250, "success", youngest=timedelta(minutes=10))
    watched.collect()
    for number in range(230):
        created_at = runs[180].created_at - timedelta(seconds=number % 10)
        watched.repository.new_run(runs[0].workflow_id, conclusion="failure", created_at=created_at)

    for _ in range(6):
        watched.later()
        collected = watched.collect()

    assert collected.value(RUNS, "workflow:ci.yml", "conclusion:failure") == 230
