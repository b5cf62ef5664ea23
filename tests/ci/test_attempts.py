"""One attempt that cannot be read: its run stays undecided, and everything else is submitted.

codeql-action#1023
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.scene import NOW, Collected, Scene
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_refusals import (
    JSON_HEADERS,
    bad_credentials,
    not_found,
    permission_missing,
    secondary_limit_exceeded,
    server_error,
)
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.server import Reply, Request

FLAKY = "metta.infra.cron.ci.workflow.flaky_tests"
RATIO = "metta.infra.cron.ci.workflow.success_ratio"

GONE = {"404": not_found(), "410": Reply(410, b'{"message":"Gone"}', JSON_HEADERS)}
UNREADABLE = {
    "500": server_error(500),
    "502": server_error(502),
    "403": permission_missing(),
    "422": Reply(422, b'{"message":"Validation Failed"}', JSON_HEADERS),
    "a page of HTML": Reply(200, b"<html>", {"Content-Type": "text/html"}),
    "JSON that stops": Reply(200, b'{"conclusion":', JSON_HEADERS),
    "another shape": Reply(200, b'{"message":"odd"}', JSON_HEADERS),
    "a connection that breaks": Fault("reset_headers"),
    "an answer that never comes": Fault("silent"),
}


@pytest.fixture
def watched(aggregator):
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    repository.add_workflow("CI", ".github/workflows/ci.yml")
    options = {"tests_blocking_merge_workflows": ["ci.yml"], "benchmarks_workflows": [], "read_timeout": 0.3}
    with Scene(repository, aggregator, **options) as scene:
        yield scene


@pytest.fixture
def rerun(watched) -> Callable[..., DemoWorkflowRun]:
    """`rerun(*conclusions)`: a run with these attempts, which nobody saw come."""

    def make(*conclusions: str) -> DemoWorkflowRun:
        first, *others = conclusions
        created_at = NOW - timedelta(hours=3)
        run = watched.repository.new_run(watched.repository.workflows[0].id, conclusion=first, created_at=created_at)
        for number, conclusion in enumerate(others, 1):
            run = watched.repository.rerun(
                run.id, conclusion=conclusion, at=created_at + timedelta(minutes=20 * number)
            )
        return run

    return make


def answer_for(scene: Scene, run: DemoWorkflowRun, attempt: int, answer: Answer) -> None:
    def intercept(request: Request) -> Answer | None:
        return answer if request.path.endswith(f"/actions/runs/{run.id}/attempts/{attempt}") else None

    scene.server.intercept = intercept


def attempts_asked(collected: Collected) -> int:
    return sum("/attempts/" in request.path for request in collected.requests)


def dropped(collected: Collected) -> float:
    return collected.value("metta.check.dropped", "reason:unreadable")


def assert_undecided(collected: Collected, run: DemoWorkflowRun) -> None:
    assert collected.error is None
    assert collected.value("metta.check.up") == 1
    assert dropped(collected) == 1
    assert any(f"ci.yml #{run.number}" in warning and str(run.id) in warning for warning in collected.warnings)


@pytest.mark.parametrize("answer", [*GONE.values(), *UNREADABLE.values()], ids=[*GONE, *UNREADABLE])
def test_all_other_figures_are_submitted(watched, rerun, answer):
    rerun("failure", "success")
    broken = rerun("failure", "success")
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", duration=timedelta(0))
    watched.later()
    answer_for(watched, broken, 1, answer)

    collected = watched.collect()

    assert_undecided(collected, broken)
    assert collected.value(FLAKY) == 1
    assert collected.value(RATIO) == pytest.approx(2 / 3)


@pytest.mark.parametrize("answer", GONE.values(), ids=GONE)
def test_an_attempt_that_is_not_there_is_asked_for_three_times(watched, rerun, answer):
    """A first 404 may be a replica that is behind."""
    broken = rerun("failure", "success")
    answer_for(watched, broken, 1, answer)
    asked = []
    for _ in range(5):
        again = watched.collect()
        asked.append(attempts_asked(again))
        assert_undecided(again, broken)
        watched.later()
        watched.restart()

    assert asked == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_is_there_after_all_decides(watched, rerun, times):
    answer_for(watched, rerun("failure", "success"), 1, not_found())
    for _ in range(times):
        assert watched.collect().value(FLAKY) == 0
        watched.later()
    watched.server.intercept = None

    again = watched.collect()

    assert again.value(FLAKY) == 1
    assert dropped(again) == 0


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_one_that_could_not_be_read_is_asked_for_by_the_next_collection(watched, rerun, answer):
    broken = rerun("failure", "success")
    answer_for(watched, broken, 1, answer)
    watched.collect()
    watched.server.intercept = None
    watched.later()

    again = watched.collect()

    assert again.value(FLAKY) == 1
    assert dropped(again) == 0
    assert again.warnings == []


@pytest.mark.parametrize("answer", [not_found(), server_error(500)], ids=["404", "500"])
@pytest.mark.parametrize(("first", "flaky", "undecided"), [("failure", 1, 0), ("success", 0, 1)])
def test_an_older_attempt_that_failed_decides_without_it(watched, rerun, answer, first, flaky, undecided):
    broken = rerun(first, "cancelled", "success")
    answer_for(watched, broken, 2, answer)

    collected = watched.collect()

    assert collected.value(FLAKY) == flaky
    assert dropped(collected) == undecided


def test_a_later_failure_that_was_seen_decides_too(watched, rerun):
    broken = rerun("success", "success")
    answer_for(watched, broken, 1, not_found())
    watched.collect()
    watched.repository.rerun(broken.id, conclusion="failure", duration=timedelta(0))
    watched.later()
    watched.collect()
    watched.repository.rerun(broken.id, conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.value(FLAKY) == 1
    assert dropped(collected) == 0


def test_a_server_that_answers_for_none_is_not_asked_for_all(watched, rerun):
    for _ in range(40):
        rerun("failure", "success")
    watched.server.intercept = lambda request: server_error(500) if "/attempts/" in request.path else None

    collected = watched.collect()

    assert collected.error is None
    assert attempts_asked(collected) < 20
    assert dropped(collected) == 40
    (warning,) = collected.warnings
    assert "; 37 more: " in warning
    watched.server.intercept = None
    watched.later()
    assert watched.collect().value(FLAKY) == 40


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(bad_credentials(), "unauthorized"), (secondary_limit_exceeded(), "rate limited")],
    ids=["401", "the secondary limit"],
)
def test_what_every_request_would_end_in_ends_the_collection(watched, rerun, answer, kind):
    answer_for(watched, rerun("failure", "success"), 1, answer)

    collected = watched.collect()

    assert kind in collected.error
    assert collected.figures.gauges == {}


def test_the_deadline_leaves_a_first_reading_in_progress(watched, rerun):
    """What does not depend on the attempt is submitted."""
    answer_for(watched, rerun("failure", "success"), 1, Fault("silent"))
    watched.options |= {"read_timeout": 30, "collection_timeout": 2}
    watched.restart()

    collected = watched.collect()

    assert collected.error is None
    assert collected.value("metta.check.up") == 0
    assert any("within the collection's 2 s" in warning for warning in collected.warnings)
    assert collected.find(FLAKY) is None
    assert collected.value(RATIO) == 1


def test_the_deadline_of_a_later_one_leaves_the_run_undecided(watched, rerun):
    watched.options |= {"read_timeout": 30, "collection_timeout": 2}
    watched.restart()
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", duration=timedelta(0))
    watched.later()
    watched.collect()
    watched.later()
    broken = rerun("failure", "success")
    answer_for(watched, broken, 1, Fault("silent"))

    assert_undecided(watched.collect(), broken)
