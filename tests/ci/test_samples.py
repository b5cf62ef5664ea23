"""What the Agent receives: names, tags, types, and the gauges of the verdicts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from ci_support.scene import Collected, Scene, tag_value

import metta_checks.ci

SCOPE = {"repo:demo-org/arena", "branch:main"}
VERDICTS = {
    "ci.workflow.success": ("latest_state_of_main", "tests_blocking_merge", "success_ratio", "gte_1"),
    "ci.workflow.flaky_tests": ("latest_state_of_main", "tests_blocking_merge", "flaky_tests", "lt_10"),
    "ci.workflow.tests_blocking_merge": ("latest_state_of_main", "tests_blocking_merge", "workflow_passing", "gte_1"),
    "ci.workflow.benchmarks": ("latest_state_of_main", "benchmarks", "workflow_passing", "gte_1"),
    "ci.workflow.other_failing": ("latest_state_of_main", "other_workflows", "failing_count", "lt_2"),
    "ci.workflow.duration.p90": ("ci_smoothness", "workflow_duration", "p90_minutes", "lt_5"),
    "ci.workflow.cancelled": ("ci_smoothness", "jobs_cancelled", "count", "lt_10"),
    "github.hotfix.count": ("commit_history", "hotfix_commits", "weekly_count", "lt_5"),
    "github.force_merge.count": ("commit_history", "force_merges", "weekly_count", "lt_7"),
    "github.reverts.count": ("commit_history", "reverts", "weekly_count", "lte_1"),
}


@pytest.fixture
def watched(scene) -> Scene:
    return scene(tags=["env:test", "team:research"])


@pytest.fixture
def collected(watched: Scene) -> Collected:
    return watched.collect()


def rows() -> dict[str, dict[str, str]]:
    path = Path(metta_checks.ci.__file__).with_name("metadata.csv")
    with path.open(newline="") as file:
        return {row["metric_name"]: row for row in csv.DictReader(file)}


OF_DISCOVERY = {"metta.check.read_age_seconds", "metta.check.targets"}
"""Sent by instances with an organisation alone: see `test_organization.py`."""


def test_metadata_names_every_gauge_and_no_other(collected, aggregator):
    described = {name: row for name, row in rows().items() if row["metric_type"] != "distribution"}
    assert described.keys() > OF_DISCOVERY
    gauges = {name: row for name, row in described.items() if name not in OF_DISCOVERY}

    aggregator.assert_metrics_using_metadata(gauges, check_submission_type=True, check_symmetric_inclusion=True)


def test_metadata_names_every_distribution(scene, aggregator):
    watched = scene(jobs=True)
    watched.collect()
    watched.later()
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success")

    watched.collect()

    distributions = {name for name, row in rows().items() if row["metric_type"] == "distribution"}
    assert {name for name in rows() if aggregator.histogram_bucket(name)} == distributions


@pytest.mark.parametrize(("metric", "tags"), VERDICTS.items())
def test_a_judged_metric_says_where_it_stands(collected, metric, tags):
    workflow_name, task, check, condition = tags
    scope = SCOPE if metric.startswith("ci.") else {"repo:demo-org/arena"}
    name = f"metta.infra.cron.{metric}"

    ((_, has),) = [series for series in collected.series if series[0] == name]

    assert set(has) - {f"status:{tag_value(has, 'status')}"} == scope | {
        "source:cron",
        "workflow_category:ci",
        f"workflow_name:{workflow_name}",
        f"task:{task}",
        f"check:{check}",
        f"condition:{condition}",
        "env:test",
        "team:research",
    }


@pytest.mark.parametrize("metric", VERDICTS)
def test_its_verdict_is_drawn_with_tags_that_never_move(collected, metric):
    of_metric = f"metric_name:{metric}"
    value = collected.value(f"metta.infra.cron.{metric}")
    passes = collected.value("metta.infra.health.status", of_metric) == 1

    assert collected.value("metta.infra.health.value", of_metric) == value
    assert collected.value("metta.infra.health.state", of_metric) == (0 if passes else 2)
    assert collected.value(f"metta.infra.cron.{metric}", f"status:{'pass' if passes else 'fail'}") == value
    for name, tags in collected.series:
        if name.startswith("metta.infra.health.") and of_metric in tags:
            assert not [tag for tag in tags if tag.startswith(("status:", "condition:"))]


@pytest.mark.parametrize("metric", ["success_ratio", "duration.p50", "runs", "latest_success"])
def test_a_figure_without_a_condition_still_says_what_it_is_of(collected, metric):
    found = [set(tags) for name, tags in collected.series if name == f"metta.infra.cron.ci.workflow.{metric}"]

    assert found
    for tags in found:
        own = {tag for tag in tags if tag.startswith(("workflow:", "conclusion:"))}
        assert tags - own == SCOPE | {"source:cron", "workflow_category:ci", "env:test", "team:research"}


def test_a_workflow_is_tagged_with_its_file_since_names_repeat(collected, watched):
    active = [workflow for workflow in watched.repository.workflows if workflow.state == "active"]
    assert len({workflow.name for workflow in active}) < len(active)

    for workflow in active:
        file = workflow.path.rpartition("/")[2]
        for conclusion in ("success", "failure", "cancelled"):
            collected.value("metta.infra.cron.ci.workflow.runs", f"workflow:{file}", f"conclusion:{conclusion}")


def test_telemetry_says_which_repository_it_is_about(collected):
    for name, tags in collected.series:
        if name.startswith("metta.check."):
            assert SCOPE | {"check_name:metta_ci"} <= set(tags)
    assert collected.value("metta.check.up") == 1
    assert collected.value("metta.check.requests") == len(collected.requests)
    assert collected.value("metta.check.quota_remaining") == 5_000 - max(collected.counted.values())


@pytest.mark.parametrize(
    ("option", "metric"),
    [
        ("tests_blocking_merge_workflows", "ci.workflow.tests_blocking_merge"),
        ("benchmarks_workflows", "ci.workflow.benchmarks"),
        ("hotfix_labels", "github.hotfix.count"),
        ("force_merge_labels", "github.force_merge.count"),
        ("revert_labels", "github.reverts.count"),
    ],
)
def test_an_empty_list_turns_its_metric_off_without_a_word(scene, option, metric):
    collected = scene(**{option: []}).collect()

    names = {name for name, _ in collected.series}
    judged = {tag_value(tags, "metric_name") for name, tags in collected.series if name == "metta.infra.health.state"}
    assert f"metta.infra.cron.{metric}" not in names
    assert judged == VERDICTS.keys() - {metric}
    assert collected.warnings == []


def test_without_runs_in_the_window_the_averages_are_absent_and_their_verdicts_unknown(scene):
    watched = scene()
    watched.collect()
    watched.later(watched.check.settings.window * 3)

    collected = watched.collect()

    assert collected.error is None
    for metric in ("ci.workflow.success", "ci.workflow.duration.p90"):
        assert f"metta.infra.cron.{metric}" not in {name for name, _ in collected.series}
        assert collected.value("metta.infra.health.state", f"metric_name:{metric}") == 1
    assert collected.value("metta.infra.cron.ci.workflow.cancelled") == 0
    assert collected.value("metta.infra.cron.ci.workflow.flaky_tests") == 0
