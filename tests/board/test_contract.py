"""The contract says what the checks really emit: no metric, tag or value beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from metta_checks.board.contract import COUNTS, SHARES, contract, interval_of, metric_rows
from metta_checks.board.filters import Match, key_and_value, parse_filter
from metta_checks.checks import CHECKS
from metta_checks.core.definition import CheckDefinition

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)
def test_the_interval_is_that_of_the_example_configuration(definition: CheckDefinition) -> None:
    path = ROOT / "conf.d" / f"{definition.name}.d" / "conf.yaml.example"
    (instance,) = yaml.safe_load(path.read_text(encoding="utf-8"))["instances"]
    assert interval_of(definition) == instance["min_collection_interval"]


@pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)
def test_a_definition_gives_the_tags_of_the_metrics_in_the_metadata_and_of_no_others(
    definition: CheckDefinition,
) -> None:
    own = {row.name for row in metric_rows() if row.check == definition and not row.name.startswith("metta.check.")}
    assert {metric for metric in definition.metric_tags() if not metric.endswith(".")} == own
    assert definition.counts | definition.shares <= own


def test_every_collected_series_fits_one_shape_of_its_metric(documents: dict[str, str]) -> None:
    emitted = contract().with_tags(["team"])
    astray: set[str] = set()
    for document in documents.values():
        for collection in json.loads(document)["collections"]:
            for sample in collection["metrics"]:
                metric = emitted.find(sample["metric"])
                assert metric is not None, sample["metric"]
                assert metric.kind == sample["type"], sample["metric"]
                tags = [Match(*key_and_value(text)) for text in sample["tags"]]
                if not metric.open and not any(all(map(shape.can_be, tags)) for shape in metric.shapes):
                    astray.add(f"{sample['metric']} {sample['tags']}")
    assert astray == set()


OF_SEVERAL_PROJECTS = {"metta.check.targets", "metta.check.read_age_seconds"}
"""Telemetry of an instance with `projects`; the sample data have one project."""


def test_every_metric_of_the_metadata_was_collected_or_cannot_be_by_the_sample_data(documents: dict[str, str]) -> None:
    collected = {
        sample["metric"]
        for document in documents.values()
        for collection in json.loads(document)["collections"]
        for sample in collection["metrics"]
    }
    assert set(contract().metrics) - collected == OF_SEVERAL_PROJECTS


def test_counts_and_shares_are_gauges_of_the_contract() -> None:
    assert {contract().metrics[name].kind for name in COUNTS | SHARES} == {"gauge"}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("metta.infra.stablesuite.hearts", True),
        ("metta.infra.cron.eval.success_rate", True),
        ("metta.infra.cron.ci.workflow.success", True),
        ("metta.infra.cron.ci.workflow.succes", False),
        ("metta.infra.cron.github.hotfix", False),
        ("metta.infra.health.stat", False),
        ("metta.infra.other.hearts", False),
        ("wandb.run", False),
    ],
)
def test_record_metrics_are_known_by_their_namespace_alone(name: str, known: bool) -> None:
    assert (contract().find(name) is not None) == known


@pytest.mark.parametrize(
    ("metric", "condition", "possible"),
    [
        ("metta.infra.health.state", "workflow_category:training,workflow_name:anything", True),
        ("metta.infra.health.state", "workflow_category:ci,workflow_name:anything", False),
        ("metta.infra.health.state", "workflow_category:ci,workflow_name:commit_history", True),
        ("metta.infra.health.state", "workflow_name:commit_history,workflow_category:ci,branch:main", False),
        ("metta.infra.health.state", "workflow_category:CI AND NOT task:benchmarks", True),
        ("metta.infra.health.state", "workflow_category:c* AND (task:reverts OR task:nothing)", True),
        ("metta.infra.health.data_missing", "workflow_category:ci", False),
        ("metta.check.up", "check_name:metta_ci,wandb_project:metta", False),
        ("metta.check.up", "check_name IN (metta_ci, metta_eval)", True),
        ("metta.check.up", "!check_name:metta_*", False),
        ("wandb.run.log_age_seconds", "state:finished", False),
        ("wandb.run.system", "metric:gpu_*", True),
        ("wandb.runs", "env:prod,service:dashboard-collector", True),
        ("metta.infra.stablesuite.hearts", "commit:abc,source:stable_suite", True),
        ("metta.infra.stablesuite.hearts", "source:cron", False),
    ],
)
def test_a_filter_that_no_series_can_satisfy_is_told_from_one_that_some_can(
    metric: str, condition: str, possible: bool
) -> None:
    found = contract().find(metric)
    assert found is not None
    assert found.can_match(parse_filter(condition)) == possible
