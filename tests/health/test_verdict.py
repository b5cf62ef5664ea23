"""Verdicts: the gauges of the wall, and which of several verdicts they show."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from metta_checks.health import Condition, State, Verdict, data_missing_sample, judge, named_tags, verdict_samples

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)

FLAKY = Verdict(
    metric_name="ci.workflow.flaky_tests",
    source="ci",
    workflow_category="ci",
    workflow_name="latest_state_of_main",
    task="flaky_tests",
    check="flaky_threshold",
    state=State.PASS,
    value=3,
    target=10,
    scope=("repo:metta-ai/metta", "branch:main"),
)

WALL_TAGS = (
    "source:ci",
    "workflow_category:ci",
    "workflow_name:latest_state_of_main",
    "task:flaky_tests",
    "check:flaky_threshold",
    "metric_name:ci.workflow.flaky_tests",
    "repo:metta-ai/metta",
    "branch:main",
)


def gauges(*verdicts: Verdict) -> dict[str, float]:
    samples = list(verdict_samples(verdicts, NOW))
    assert {sample.tags for sample in samples} == {WALL_TAGS}
    return {sample.name.removeprefix("metta.infra.health."): sample.value for sample in samples}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (FLAKY, {"state": 0, "status": 1, "value": 3, "target": 10}),
        (replace(FLAKY, state=State.FAIL, value=11), {"state": 2, "status": 0, "value": 11, "target": 10}),
        (replace(FLAKY, state=State.UNKNOWN), {"state": 1, "value": 3, "target": 10}),
        (replace(FLAKY, state=State.UNKNOWN, value=None, target=None), {"state": 1}),
        (
            replace(FLAKY, at=NOW - timedelta(minutes=2)),
            {"state": 0, "status": 1, "value": 3, "target": 10, "age_seconds": 120},
        ),
        (
            replace(FLAKY, at=NOW + timedelta(minutes=2)),
            {"state": 0, "status": 1, "value": 3, "target": 10, "age_seconds": 0},
        ),
    ],
    ids=["pass", "fail", "unknown", "nothing known", "with an age", "a clock ahead of ours"],
)
def test_a_verdict_is_always_a_state_and_the_rest_where_it_is_known(
    verdict: Verdict, expected: dict[str, float]
) -> None:
    assert gauges(verdict) == expected


OLD, NEW = NOW - timedelta(hours=2), NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("verdicts", "shown"),
    [
        ([(State.PASS, OLD, 1), (State.PASS, NEW, 2)], 2),
        ([(State.PASS, NEW, 1), (State.PASS, OLD, 2)], 1),
        ([(State.FAIL, OLD, 1), (State.PASS, NEW, 2)], 1),
        ([(State.PASS, NEW, 1), (State.FAIL, OLD, 2)], 2),
        ([(State.FAIL, OLD, 1), (State.FAIL, NEW, 2)], 2),
        ([(State.UNKNOWN, OLD, 1), (State.PASS, NEW, 2)], 2),
        ([(State.PASS, OLD, 1), (State.UNKNOWN, NEW, 2)], 2),
        ([(State.PASS, None, 1), (State.PASS, OLD, 2)], 2),
        ([(State.PASS, NEW, 1), (State.PASS, NEW, 2)], 2),
    ],
)
def test_of_verdicts_that_share_tags_a_failing_one_wins_then_the_latest(
    verdicts: list[tuple[State, datetime | None, float]], shown: float
) -> None:
    assert gauges(*(replace(FLAKY, state=state, at=at, value=value) for state, at, value in verdicts))["value"] == shown


@pytest.mark.parametrize("spelling", ["Flaky_Tests", "flaky tests", "flaky<tests"])
def test_tags_that_datadog_folds_into_one_are_one(spelling: str) -> None:
    samples = list(verdict_samples([FLAKY, replace(FLAKY, task=spelling, state=State.FAIL)], NOW))

    assert [sample.value for sample in samples if sample.name == "metta.infra.health.state"] == [2]


@pytest.mark.parametrize(
    "other",
    [
        {"metric_name": "x"},
        {"source": "x"},
        {"workflow_category": "x"},
        {"workflow_name": "x"},
        {"task": "x"},
        {"check": "x"},
        {"scope": ("repo:x",)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_verdicts_about_different_things_stay_apart(other: dict[str, str]) -> None:
    samples = verdict_samples([FLAKY, replace(FLAKY, **other)], NOW)

    assert sum(sample.name == "metta.infra.health.state" for sample in samples) == 2


def test_the_named_metric_says_condition_and_status() -> None:
    assert named_tags(FLAKY, "lt_10") == (
        *WALL_TAGS[:5],
        "condition:lt_10",
        "status:pass",
        "repo:metta-ai/metta",
        "branch:main",
    )


@pytest.mark.parametrize(
    ("value", "condition", "state"),
    [
        (4, Condition("<", (5,)), State.PASS),
        (5, Condition("<", (5,)), State.FAIL),
        (None, Condition("<", (5,)), State.UNKNOWN),
        (4, None, State.UNKNOWN),
    ],
)
def test_a_verdict_needs_a_value_and_a_condition(
    value: float | None, condition: Condition | None, state: State
) -> None:
    assert judge(value, condition) is state


@pytest.mark.parametrize(("missing", "value"), [(True, 1), (False, 0)])
def test_missing_data_is_a_series_of_the_instance(missing: bool, value: float) -> None:
    sample = data_missing_sample(source="cron", workflow_category="evaluation", missing=missing)

    assert sample == (
        "metta.infra.health.data_missing",
        value,
        ("source:cron", "workflow_category:evaluation"),
        "gauge",
    )
