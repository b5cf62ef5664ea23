"""metadata.csv and what the check submits: the same names, the same types."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.wandb.check import WandbCheck

Rows = dict[str, dict[str, str]]

MINUTES = timedelta(minutes=1)


@pytest.fixture
def rows(new_check: Callable[..., WandbCheck]) -> Rows:
    with Path(new_check()._get_package_dir(), "metadata.csv").open(newline="", encoding="utf-8") as file:
        return {row["metric_name"]: row for row in csv.DictReader(file)}


@pytest.fixture
def everything(
    project: DemoProject,
    now: datetime,
    new_check: Callable[..., WandbCheck],
    dd_run_check: Callable[..., str],
    aggregator: AggregatorStub,
) -> AggregatorStub:
    """Two collections of a run that has every kind of figure; it ends between them. A third one is of an instance that
    watches its project by name in `projects`."""
    project.start(
        "r1",
        now - 90 * MINUTES,
        heartbeat_at=now,
        summary={"overview/sps": 1, "overview/reward": 2},
        system_metrics={"system.gpu.0.gpu": 3},
    )
    check = new_check()
    dd_run_check(check)
    project.finish("r1", now + MINUTES)
    check.clock = lambda: now + 2 * MINUTES
    dd_run_check(check)
    dd_run_check(new_check(project=None, projects={"include": [project.name]}))
    return aggregator


def test_every_gauge_is_in_the_metadata_and_the_other_way_round(everything: AggregatorStub, rows: Rows) -> None:
    gauges = {name: row for name, row in rows.items() if row["metric_type"] != "distribution"}
    everything.assert_metrics_using_metadata(gauges, check_submission_type=True, check_symmetric_inclusion=True)


def test_every_distribution_is_in_the_metadata_and_the_other_way_round(everything: AggregatorStub, rows: Rows) -> None:
    distributions = {name for name, row in rows.items() if row["metric_type"] == "distribution"}
    assert set(everything._histogram_buckets) == distributions
    for name in distributions:
        (bucket,) = everything.histogram_bucket(name)
        assert (bucket.value, bucket.lower_bound, bucket.monotonic) == (1, bucket.upper_bound, False)


def test_a_name_is_either_a_gauge_or_a_distribution(everything: AggregatorStub) -> None:
    assert not set(everything.metric_names) & set(everything._histogram_buckets)


def test_the_rows_are_sorted_and_say_what_they_are(rows: Rows) -> None:
    assert list(rows) == sorted(rows)
    for name, row in rows.items():
        assert row["integration"] == "metta_wandb", name
        assert row["description"], name
        assert row["orientation"] in {"-1", "0", "1"}, name
