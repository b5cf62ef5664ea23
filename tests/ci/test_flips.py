"""Events: one when a verdict flips, with what moved it and a link."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote

import pytest
from ci_support.scene import Scene

LINT = "metta.infra.cron.ci.workflow.tests_blocking_merge"


@pytest.fixture
def watched(scene) -> Scene:
    """Everything passes but what a test breaks."""
    loose = {"ci.workflow.success": ">= 0", "ci.workflow.other_failing": "< 100", "ci.workflow.duration.p90": "< 60"}
    watched = scene(28, 90, days=4, events=True, conditions=loose)
    lint = workflow_id(watched, "lint.yml")
    watched.repository.new_run(lint, conclusion="success", duration=timedelta(0))
    watched.later()
    assert watched.collect().value(LINT) == 1
    watched.later()
    return watched


def workflow_id(scene: Scene, file: str) -> int:
    return next(one.id for one in scene.repository.workflows if one.path.endswith(f"/{file}"))


def test_a_verdict_that_flips_is_an_event_and_flipping_back_another(watched):
    lint = workflow_id(watched, "lint.yml")
    broken = watched.repository.new_run(lint, conclusion="failure", duration=timedelta(minutes=2))
    (failed,) = watched.collect().events
    assert watched.collect().events == []
    watched.repository.new_run(lint, conclusion="success")
    (recovered,) = watched.collect().events

    assert failed["msg_title"] == "ci.workflow.tests_blocking_merge fails on main of demo-org/arena"
    assert "went from 1 to 0; it passes when >= 1" in failed["msg_text"]
    link = f"[lint.yml #{broken.number}](https://github.com/demo-org/arena/actions/runs/{broken.id})"
    assert f"{link}: failure after 2.0 min" in failed["msg_text"]
    assert failed["alert_type"] == "error"
    assert {"repo:demo-org/arena", "branch:main", "metric_name:ci.workflow.tests_blocking_merge"} <= set(failed["tags"])
    assert recovered["msg_title"] == "ci.workflow.tests_blocking_merge passes again on main of demo-org/arena"
    assert recovered["alert_type"] == "success"
    assert recovered["aggregation_key"] == failed["aggregation_key"]


@pytest.mark.parametrize("labels", [["revert"], ["Revert"]])
def test_a_count_of_labels_links_to_the_search_that_finds_them(watched, labels):
    for number in range(3):
        opened = watched.repository.open_pull_request(f"Revert {number}", labels=labels)
        watched.repository.merge_pull_request(opened.number)

    (event,) = watched.collect().events

    assert event["msg_title"] == "github.reverts.count fails on demo-org/arena"
    assert 'is:pr is:merged merged:>=2026-02-22T12:08:00Z label:"revert"' in unquote(event["msg_text"])


@pytest.mark.parametrize(
    ("conclusions", "metric"),
    [
        (["cancelled"] * 12, "ci.workflow.cancelled"),
        (["success"] * 90, "ci.workflow.duration.p90"),
        (["failure", "success"] * 12, "ci.workflow.flaky_tests"),
    ],
)
def test_the_runs_behind_a_metric_are_named_but_not_all(watched, conclusions, metric):
    docs = workflow_id(watched, "docs.yml")
    pairs = zip(conclusions[::2], conclusions[1::2], strict=True)
    for first, second in pairs:
        run = watched.repository.new_run(docs, conclusion=first, duration=timedelta(minutes=90))
        if first == "failure":
            watched.repository.rerun(run.id, conclusion=second, duration=timedelta(minutes=90))
        else:
            watched.repository.new_run(docs, conclusion=second, duration=timedelta(minutes=90))
    watched.later()

    events = {event["msg_title"].split()[0]: event["msg_text"] for event in watched.collect().events}

    lines = events[metric].removesuffix("\n %%%").split("\n\n")
    assert sum(line.startswith("[docs.yml #") for line in lines) == 5
    assert lines[-1].startswith("… and ")


def test_a_verdict_that_is_unknown_for_a_while_has_not_flipped(watched):
    watched.server.limits.graphql = 0
    watched.collect()
    watched.server.limits.graphql = 5_000
    watched.later()

    assert watched.collect().events == []


def test_the_first_verdict_ever_is_no_flip_and_a_restart_neither(scene):
    watched = scene(events=True)
    assert watched.collect().events == []

    watched.restart()
    assert watched.collect().events == []


def test_a_flip_between_two_processes_is_not_lost(watched):
    watched.repository.new_run(workflow_id(watched, "lint.yml"), conclusion="failure")
    watched.restart()

    assert len(watched.collect().events) == 1


def test_they_are_off_unless_asked_for(scene):
    watched = scene()
    watched.repository.new_run(workflow_id(watched, "lint.yml"), conclusion="success", duration=timedelta(0))
    watched.later()
    watched.collect()
    watched.repository.new_run(workflow_id(watched, "lint.yml"), conclusion="failure", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.value(LINT) == 0
    assert collected.events == []
