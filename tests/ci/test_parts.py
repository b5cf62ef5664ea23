"""Parts of a reading fail alone: what depends on them is unknown, with the reason, and the rest is submitted.

codeql-action#1023, pull-request-stats#103, git-ranker#90
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.runs import LISTING, add_runs
from ci_support.scene import NAMESPACE, Scene
from ci_support.truth import Truth
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.github_refusals import (
    JSON_HEADERS,
    graphql_errors,
    not_found,
    permission_missing,
    server_error,
)
from metta_checks.simulator.server import Reply, Request

SceneMaker = Callable[..., Scene]

OTHERS = f"{NAMESPACE}ci.workflow.other_failing"
BLOCKING = f"{NAMESPACE}ci.workflow.tests_blocking_merge"
RATIO = f"{NAMESPACE}ci.workflow.success_ratio"
LATEST = f"{NAMESPACE}ci.workflow.latest_success"

FAULTS: dict[str, Answer] = {
    "500": server_error(500),
    "502": server_error(502),
    "404": not_found(),
    "403": permission_missing(),
    "another shape": Reply(200, b'{"total_count":1,"workflow_runs":[{"id":"x"}]}', JSON_HEADERS),
    "JSON that stops": Reply(200, b'{"total_count":3,"workflow_runs":[{"id":1', JSON_HEADERS),
    "no answer": Fault("silent"),
    "a connection that breaks": Fault("reset_headers"),
}


@pytest.fixture
def quiet(empty_scene: SceneMaker) -> Scene:
    """`ci.yml` with pages of runs today and three days ago, and three workflows whose only run is nine days old; one of
    them is listed. GraphQL has no histories."""
    watched = empty_scene(tests_blocking_merge_workflows=["ci.yml", "quiet-0.yml"], read_timeout=0.2)
    add_runs(watched, 120, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 130, "success", youngest=timedelta(days=3))
    for number in range(3):
        workflow = watched.repository.add_workflow(f"Quiet {number}", f".github/workflows/quiet-{number}.yml")
        created_at = watched.clock() - timedelta(days=9)
        watched.repository.new_run(
            workflow.id, conclusion="success" if number == 0 else "failure", created_at=created_at
        )
    return watched


def without_histories(answer: Answer, path: str) -> Callable[[Request], Answer | None]:
    def intercept(request: Request) -> Answer | None:
        if b"history0" in request.body:
            return graphql_errors({"type": "FORBIDDEN", "path": ["history0"], "message": "Resource not accessible"})
        return answer if request.path.endswith(path) else None

    return intercept


@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("which", [0, 1], ids=["a listed workflow", "another workflow"])
def test_the_history_of_one_workflow(quiet: Scene, answer: Answer, which: int) -> None:
    workflow = quiet.repository.workflows[1 + which]
    quiet.server.intercept = without_histories(answer, f"/actions/workflows/{workflow.id}/runs")

    collected = quiet.collect()

    assert collected.error is None
    assert collected.value("metta.check.up") == 1
    assert collected.value(RATIO) == 1
    assert collected.value(LATEST, "workflow:quiet-2.yml") == 0
    assert collected.find(LATEST, f"workflow:quiet-{which}.yml") is None
    assert collected.find(OTHERS) is None
    assert collected.find(BLOCKING) == (None if which == 0 else 1)
    assert any(f"quiet-{which}.yml" in text and "could not be read" in text for text in collected.warnings)
    quiet.server.intercept = None
    quiet.later()

    after = quiet.collect()

    assert after.value(OTHERS) == 2
    assert after.value(BLOCKING) == 1
    assert after.warnings == []


def test_histories_that_all_fail_are_not_all_asked_for(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    for number in range(40):
        watched.repository.add_workflow(f"Quiet {number}", f".github/workflows/quiet-{number}.yml")
    add_runs(watched, 4, "success", youngest=timedelta(minutes=10))
    watched.server.intercept = without_histories(server_error(500), "/runs")
    listing = watched.server.intercept
    watched.server.intercept = lambda request: None if request.path == LISTING else listing(request)

    collected = watched.collect()

    assert collected.error is None
    asked = {request.path for request in collected.requests if "/actions/workflows/" in request.path}
    assert len(asked) == 8
    assert any("quiet-39.yml" in text for text in collected.warnings)


@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_the_list_of_workflows_once_it_is_known(scene: SceneMaker, answer: Answer) -> None:
    watched = scene(10, 60, read_timeout=0.3)
    truth = Truth(watched.repository)
    watched.collect()
    truth.look(watched.clock())
    watched.later(timedelta(hours=1, minutes=1))
    watched.server.intercept = lambda request: answer if request.path.endswith("/actions/workflows") else None

    collected = watched.collect()

    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)
    assert any("the list of workflows is that of 12:00 UTC" in warning for warning in collected.warnings)


@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_the_look_at_older_runs(scene: SceneMaker, answer: Answer) -> None:
    watched = scene(10, 110, read_timeout=0.3)
    truth = Truth(watched.repository)
    watched.collect()
    truth.look(watched.clock())
    watched.later()
    watched.server.intercept = lambda request: answer if "created" in request.query else None

    collected = watched.collect()

    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)
    assert any("show late" in warning for warning in collected.warnings)


LABEL_FAULTS: dict[str, Answer] = {
    "500": server_error(500),
    "404": not_found(),
    "503": server_error(503),
    "HTML": Reply(200, b"<html>", {"Content-Type": "text/html"}),
    "JSON that stops": Reply(200, b'{"data":{"label0":{"name', JSON_HEADERS),
    "an error of the labels": graphql_errors({"type": "FORBIDDEN", "path": ["label0"], "message": "no"}),
}


@pytest.mark.parametrize("answer", LABEL_FAULTS.values(), ids=LABEL_FAULTS)
def test_the_label_counts(scene: SceneMaker, answer: Answer) -> None:
    watched = scene(10, 60)
    watched.server.intercept = lambda request: answer if b"label0" in request.body else None

    collected = watched.collect()

    assert collected.error is None
    assert collected.value("metta.check.up") == 1
    expected = Truth(watched.repository).look(watched.clock()).gauges
    assert collected.figures.gauges == pytest.approx(
        {key: value for key, value in expected.items() if not key[0].startswith("github.")}
    )


def test_a_label_over_ten_pages_is_asked_for_once_an_hour(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    add_runs(watched, 4, "success", youngest=timedelta(minutes=10))
    for _ in range(520):
        opened = watched.repository.open_pull_request("Mend", labels=["hotfix"])
        watched.repository.merge_pull_request(opened.number)
    questions = []
    for _ in range(17):
        watched.later()
        collected = watched.collect()
        questions.append(sum(request.path == "/graphql" for request in collected.requests))
        assert collected.find(f"{NAMESPACE}github.hotfix.count") is None
        assert any("more than 10 pages" in warning for warning in collected.warnings)
        watched.restart()

    assert questions[0] >= 10
    assert questions[1:15] == [1] * 14
    assert max(questions[15:]) >= 10
