"""A first reading that does not fit into one collection continues in the next ones; pages and questions that are too
large for the server get smaller.

cli/cli#6560, tap-github#461: 2,500 runs at 2.5 s a page, 502 above 50 runs a page.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.runs import LISTING, add_runs
from ci_support.scene import NAMESPACE, Scene
from ci_support.truth import Truth
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.github_refusals import graphql_errors, server_error
from metta_checks.simulator.server import Reply, Request

SceneMaker = Callable[..., Scene]

RATIO = f"{NAMESPACE}ci.workflow.success_ratio"


class TiredServer:
    """Answers so many requests a collection, of those below `path`, and leaves the others without an answer."""

    def __init__(self, scene: Scene, answers: int, path: str = LISTING) -> None:
        self.left = self.answers = answers
        self.path = path
        self.pages: list[tuple[str, str]] = []
        scene.server.intercept = self.intercept

    def intercept(self, request: Request) -> Answer | None:
        if not request.path.startswith(self.path):
            return None
        self.left -= 1
        if self.left < 0:
            return Fault("silent")
        if "created" in request.query:
            self.pages.append((request.query["created"], request.query.get("page", "1")))
        return None


@pytest.mark.parametrize("restarted", [False, True], ids=["one process", "restarted between"])
def test_pages_are_kept_over_collections(empty_scene: SceneMaker, restarted: bool) -> None:
    """1,600 runs are 16 pages; of six answers a collection one is the first page."""
    watched = empty_scene(collection_timeout=1, read_timeout=30)
    add_runs(watched, 800, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 800, "failure", youngest=timedelta(hours=3))
    tired = TiredServer(watched, answers=6)
    found, progress = [], []
    for _ in range(5):
        tired.left = tired.answers
        collected = watched.collect()
        assert collected.error is None
        found.append(collected.find(RATIO))
        progress += [warning for warning in collected.warnings if "the next collection continues it" in warning]
        watched.later()
        if restarted:
            watched.restart()

    assert found[0] is None
    assert found[-1] == pytest.approx(1 / 2)
    assert any("of 1,600 runs" in text or "of 1,601 runs" in text for text in progress)
    # What is read twice is where one range ends and the next begins.
    assert len(tired.pages) <= 22


def test_it_is_the_only_target_and_warns_and_diagnose_says_how_far_it_is(empty_scene: SceneMaker) -> None:
    watched = empty_scene(collection_timeout=1, read_timeout=30)
    add_runs(watched, 700, "success", youngest=timedelta(minutes=10))
    TiredServer(watched, answers=4)

    collected = watched.collect()

    assert collected.error is None
    assert collected.value("metta.check.up") == 0
    states = [value for (name, _), value in collected.series.items() if name == "metta.infra.health.state"]
    assert set(states) == {1.0}
    assert any("of 700 runs so far" in warning or "of 701 runs so far" in warning for warning in collected.warnings)
    diagnoses = watched.check.diagnosis.run_explicit()
    assert any("in progress" in diagnosis.diagnosis and "runs so far" in diagnosis.diagnosis for diagnosis in diagnoses)


PHASES = {
    "the list of workflows": "/repos/demo-org/arena/actions/workflows",
    "the GraphQL question": "/graphql",
    "attempts": "/repos/demo-org/arena/actions/runs/",
}


@pytest.mark.parametrize("path", PHASES.values(), ids=PHASES)
def test_a_first_reading_survives_a_stop_in_any_phase(scene: SceneMaker, path: str) -> None:
    watched = scene(28, 90, collection_timeout=1, read_timeout=30)
    TiredServer(watched, answers=0, path=path)
    first = watched.collect()
    assert first.error is None
    assert first.value("metta.check.up") == 0
    asked = {request.query["created"] for request in first.requests if "created" in request.query}
    watched.server.intercept = None
    watched.restart()

    second = watched.collect()

    assert second.value("metta.check.up") == 1
    assert second.figures.gauges == pytest.approx(Truth(watched.repository).look(watched.clock()).gauges)
    assert len([request for request in second.requests if request.query.get("created") in asked]) <= 1


def test_a_later_reading_that_runs_out_of_time_fails_and_keeps_its_pages(empty_scene: SceneMaker) -> None:
    watched = empty_scene(collection_timeout=1, read_timeout=30)
    add_runs(watched, 50, "success", youngest=timedelta(hours=3))
    watched.collect()
    watched.later(timedelta(hours=2))
    add_runs(watched, 650, "failure", youngest=timedelta(minutes=1))
    tired = TiredServer(watched, answers=4)

    assert "no response" in (watched.collect().error or "")
    tired.left = 5
    watched.later()
    watched.restart()

    assert watched.collect().value(RATIO) == pytest.approx(50 / 700)


TOO_LARGE: dict[str, Answer] = {
    "502": server_error(502),
    "503": server_error(503),
    "500": server_error(500),
    "no answer": Fault("silent"),
}


@pytest.mark.parametrize("most", [50, 30, 10])
@pytest.mark.parametrize("answer", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_smaller_page_is_asked_for_and_remembered(empty_scene: SceneMaker, most: int, answer: Answer) -> None:
    watched = empty_scene(read_timeout=0.1)
    add_runs(watched, 60, "success", youngest=timedelta(minutes=10))
    add_runs(watched, 60, "failure", youngest=timedelta(hours=1))
    sizes: list[int] = []

    def overwhelmed(request: Request) -> Answer | None:
        if request.path != LISTING:
            return None
        sizes.append(int(request.query["per_page"]))
        return answer if sizes[-1] > most else None

    watched.server.intercept = overwhelmed
    assert watched.collect().value(RATIO) == pytest.approx(1 / 2)
    watched.later()
    watched.restart()
    sizes.clear()

    assert watched.collect().value(RATIO) == pytest.approx(1 / 2)
    assert max(sizes) <= most


def test_the_usual_size_is_tried_again_after_some_hours(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    add_runs(watched, 120, "success", youngest=timedelta(minutes=10))
    large = lambda request: server_error(502) if request.query.get("per_page") == "100" else None  # noqa: E731
    watched.server.intercept = large
    watched.collect()
    watched.server.intercept = None

    watched.later(timedelta(hours=7))

    listed = [request.query for request in watched.collect().requests if request.path == LISTING]
    assert [query["per_page"] for query in listed if not {"created", "status"} & query.keys()] == ["100"]


QUESTIONS = {
    "a timeout": {"message": "Something went wrong while executing your query. This may be the result of a timeout."},
    "nodes": {
        "type": "MAX_NODE_LIMIT_EXCEEDED",
        "message": "This query requests up to 700,000 possible nodes which exceeds the maximum limit of 500,000.",
    },
    "time": {"message": "We couldn't respond to your request in time."},
}


@pytest.mark.parametrize("error", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_about_too_many_runs_is_put_in_parts(empty_scene: SceneMaker, error: dict[str, object]) -> None:
    watched = empty_scene()
    old = add_runs(watched, 600, "failure", youngest=timedelta(minutes=10))[500]
    watched.collect()
    watched.later()
    watched.repository.rerun(old.id, conclusion="success", duration=timedelta(0))
    watched.server.intercept = lambda request: graphql_errors(error) if request.body.count(b"pulse") > 4 else None

    assert watched.collect().value(f"{NAMESPACE}ci.workflow.flaky_tests") == 1
    watched.later()
    watched.restart()

    refused = [request for request in watched.collect().requests if request.body.count(b"pulse") > 4]
    assert refused == []


@pytest.mark.parametrize("status", [502, 504])
def test_histories_that_graphql_never_answers_are_read_by_rest(empty_scene: SceneMaker, status: int) -> None:
    watched = empty_scene()
    for number in range(12):
        workflow = watched.repository.add_workflow(f"Quiet {number}", f".github/workflows/quiet-{number}.yml")
        created_at = watched.clock() - timedelta(days=9)
        watched.repository.new_run(workflow.id, conclusion="failure", created_at=created_at)

    def refuse(request: Request) -> Reply | None:
        return server_error(status) if b"history0" in request.body else None

    watched.server.intercept = refuse

    assert watched.collect().value(f"{NAMESPACE}ci.workflow.other_failing") == 12
