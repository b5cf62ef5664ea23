"""What a collection asks of GitHub: how many requests, and how many of them the quota counts."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from ci_support.scene import Scene
from ci_support.truth import DAY, Truth
from simulator_support.github_changes import RandomChanges

from metta_checks.simulator.github_repository import DemoRepository

COLD = 19
"""Without the earlier attempts of re-runs: twelve pages of runs and two that find their end, the list of workflows, one
GraphQL query, one workflow's past, two of the queue."""
WARM = 5
"""Without the list of workflows, which is one more each hour."""
WITH_130_NEW_RUNS = 7
ONLY_THE_LABEL_QUERY = {"core": 0, "search": 0, "graphql": 1}


@pytest.fixture
def watched(scene) -> Scene:
    return scene(40, 600)


def reruns_that_succeeded(repository: DemoRepository) -> int:
    opens = repository.clock() - DAY
    runs = [run for run in repository.runs if run.branch == "main" and run.head_repository == repository.full_name]
    in_window = [run for run in runs if run.run_started_at >= opens and run.created_at >= opens - DAY]
    return sum(run.run_attempt > 1 and run.conclusion == "success" for run in in_window)


def test_a_cold_start(watched):
    reruns = reruns_that_succeeded(watched.repository)
    assert reruns > 10

    collected = watched.collect()

    attempts = sum("/attempts/" in request.path for request in collected.requests)
    assert collected.error is None
    assert len(collected.requests) - attempts <= COLD
    assert attempts < 1.3 * reruns


def test_a_warm_collection_where_nothing_changed(watched):
    """For an hour and a half of them, the hour included at which the list of workflows is due."""
    watched.collect()

    for _ in range(23):
        watched.later()
        collected = watched.collect()
        assert collected.error is None
        listed = sum(request.path.endswith("/actions/workflows") for request in collected.requests)
        assert len(collected.requests) <= WARM + listed
        assert collected.counted == ONLY_THE_LABEL_QUERY


def test_each_look_at_the_older_runs_is_at_other_ones(watched):
    watched.collect()
    looked_at = set()
    for _ in range(12):
        watched.later()
        looked_at |= {(r.query["created"], r.query["page"]) for r in watched.collect().requests if "created" in r.query}

    assert len(looked_at) == 12


def test_new_runs_cost_a_request_for_each_hundred(watched):
    truth = Truth(watched.repository)
    watched.collect()
    truth.look(watched.clock())
    started_at = watched.later(timedelta(hours=5))
    workflow = watched.repository.workflows[0]
    for number in range(130):
        watched.repository.new_run(
            workflow.id, created_at=started_at - number * timedelta(minutes=2), conclusion="success"
        )

    collected = watched.collect()

    expected = truth.look(watched.clock())
    assert collected.figures.gauges == pytest.approx(expected.gauges)
    assert collected.figures.points == expected.points
    assert len(collected.requests) <= WITH_130_NEW_RUNS


def test_a_day_later_older_runs_are_still_looked_at_for_nothing(watched):
    """New runs become old ones: pages for them are opened while things change, and cost nothing after that."""
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository, runs_per_day=600)
    watched.collect()
    for _ in range(24):
        watched.later(timedelta(hours=1))
        activity.catch_up()
        assert watched.collect().error is None
        truth.look(watched.clock())
    assert watched.collect().figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)

    looked_at = set()
    for _ in range(14):
        watched.later()
        collected = watched.collect()
        listed = sum(request.path.endswith("/actions/workflows") for request in collected.requests)
        assert len(collected.requests) <= WARM + listed
        assert collected.counted == ONLY_THE_LABEL_QUERY
        looked_at |= {(r.query["created"], r.query["page"]) for r in collected.requests if "created" in r.query}
    assert len(looked_at) > 5
    assert any(created >= "2026-03-01" for created, _ in looked_at)


def test_a_page_that_is_known_to_have_changed_waits_until_something_happens(watched):
    """A deleted run changes every page of its range; with nothing else going on, no quota is spent on them."""
    watched.collect()
    watched.later()
    old = [run for run in watched.repository.runs if run.id in watched.ledger.runs][1_000]
    watched.repository.delete_run(old.id)
    watched.collect()

    for _ in range(14):
        watched.later()
        assert watched.collect().counted == ONLY_THE_LABEL_QUERY
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success")
    assert watched.collect().counted["core"] == 2


def test_an_old_run_that_was_run_again_costs_one_request_and_one_for_its_first_attempt(watched):
    watched.collect()
    watched.later()
    known = watched.ledger.runs
    opens = watched.clock() - DAY
    old = next(
        run
        for run in watched.repository.runs
        if run.id in known
        and run.conclusion == "failure"
        and run.created_at < opens
        and known[run.id].run.from_this_repo
    )
    watched.repository.rerun(old.id, conclusion="success", duration=timedelta(0))

    collected = watched.collect()

    assert len(collected.requests) == WARM + 1
    again = watched.later() and watched.collect()
    assert len(again.requests) <= WARM
    assert again.counted == ONLY_THE_LABEL_QUERY


def test_runs_that_changed_together_are_read_together(watched):
    watched.collect()
    watched.later()
    known = watched.ledger.runs
    neighbours = [run for run in watched.repository.runs if run.id in known and run.conclusion == "failure"][20:26]
    for run in neighbours:
        watched.repository.rerun(run.id, conclusion="failure")

    collected = watched.collect()

    assert len(collected.requests) <= WARM + 2


def test_the_past_of_a_quiet_workflow_is_searched_once(watched):
    """Its last decision is remembered however long ago it was, and however many runs came to none since."""
    quiet = watched.repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    watched.repository.new_run(quiet.id, conclusion="success", duration=timedelta(0))
    for _ in range(30):
        watched.repository.new_run(quiet.id, conclusion="cancelled", duration=timedelta(0))
    watched.later()
    assert b"history0" in b"".join(request.body for request in watched.collect().requests)

    for _ in range(6):
        watched.later(timedelta(hours=20))
        collected = watched.collect()
        assert collected.value("metta.infra.cron.ci.workflow.latest_success", "workflow:quiet.yml") == 1
        quiet_ones = [request for request in collected.requests if "/actions/workflows/" in request.path]
        assert quiet_ones == []
        assert b"history0" not in b"".join(request.body for request in collected.requests)


def test_attempts_are_asked_for_once(watched):
    attempts = [request for request in watched.collect().requests if "/attempts/" in request.path]
    assert attempts

    watched.later()
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success")

    assert [request.path for request in watched.collect().requests if "/attempts/" in request.path] == []


def test_an_attempt_that_was_seen_is_not_asked_for(watched):
    run = watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure")
    watched.later()
    flaky = watched.collect().value("metta.infra.cron.ci.workflow.flaky_tests")
    watched.later()
    watched.repository.rerun(run.id, conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.value("metta.infra.cron.ci.workflow.flaky_tests") == flaky + 1
    assert [request.path for request in collected.requests if "/attempts/" in request.path] == []


def test_more_runs_than_max_pages_is_an_error_that_names_the_option(scene):
    collected = scene(40, 600, max_pages=5).collect()

    assert "max_pages" in collected.error
    assert collected.figures.gauges == {}


def test_no_more_than_four_requests_are_under_way_at_once(watched):
    under_way, most, lock = 0, 0, threading.Lock()
    answer = watched.server.answer

    def counting(request):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        try:
            time.sleep(0.02)
            return answer(request)
        finally:
            with lock:
                under_way -= 1

    watched.server.answer = counting
    watched.collect()

    assert most == 4
