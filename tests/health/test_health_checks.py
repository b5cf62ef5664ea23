"""What holds for every check of health records: its metadata, its example and its shim."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base import AgentCheck
from datadog_checks.base.stubs.aggregator import AggregatorStub

import metta_checks
from metta_checks.__about__ import __version__
from metta_checks.checks import CHECKS
from metta_checks.core import MettaCheck
from metta_checks.core.definition import CheckDefinition, RecordOrigin
from metta_checks.health import publish
from metta_checks.simulator.health import EXAMPLE
from metta_checks.simulator.server import LoopbackServer, Reply, Request

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)
ROOT = Path(metta_checks.__file__).parent.parent


SUITES = [definition for definition in CHECKS if definition.records is not None]
every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.slug)

RunCheck = Callable[[AgentCheck], Any]


def check_of(suite: CheckDefinition, source: object) -> MettaCheck:
    instance = {"source": str(source), "tags": ["team:rl"]}
    check = suite.check_class()(name=suite.name, init_config={}, instances=[instance])
    check.clock = lambda: NOW
    return check


def origin_of(suite: CheckDefinition) -> RecordOrigin:
    assert suite.records is not None
    return suite.records


class RecordServer(LoopbackServer):
    """Serves the records of a file, and tells of a rate limit."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.body = path.read_bytes()

    def answer(self, request: Request) -> Reply:
        return Reply(body=self.body, headers={"X-RateLimit-Remaining": "59"})


@every_suite
def test_the_metadata_names_all_metrics_but_those_of_records(
    suite: CheckDefinition, tmp_path: Path, aggregator: AggregatorStub, dd_run_check: RunCheck
) -> None:
    publish([EXAMPLE], tmp_path / "results.json", now=NOW)
    with RecordServer(tmp_path / "results.json") as server:
        check = check_of(suite, server.url)
        dd_run_check(check)
    with (Path(check._get_package_dir()) / "metadata.csv").open() as file:
        metadata = {row["metric_name"]: row for row in csv.DictReader(file)}

    assert {row["integration"] for row in metadata.values()} == {suite.name}
    aggregator.assert_metrics_using_metadata(
        metadata,
        exclude=[f"{origin_of(suite).namespace}.hearts"],
        check_submission_type=True,
        check_symmetric_inclusion=True,
    )


@every_suite
def test_a_source_that_cannot_be_read_is_missing_data(
    suite: CheckDefinition, tmp_path: Path, aggregator: AggregatorStub, dd_run_check: RunCheck
) -> None:
    with pytest.raises(Exception, match="none.json: no such file or directory"):
        dd_run_check(check_of(suite, tmp_path / "none.json"))

    origin = origin_of(suite)
    aggregator.assert_metric(
        "metta.infra.health.data_missing",
        1,
        tags=[f"source:{origin.source}", f"workflow_category:{origin.workflow_category}", "team:rl"],
        count=1,
    )
    aggregator.assert_metric("metta.check.up", 0, count=1)
    aggregator.assert_metric("metta.infra.health.state", count=0)


@every_suite
def test_the_example_configuration_runs_every_four_minutes_without_a_host(suite: CheckDefinition) -> None:
    example = yaml.safe_load((ROOT / f"conf.d/{suite.name}.d/conf.yaml.example").read_text())

    (instance,) = example["instances"]
    assert instance["service"] == f"{suite.slug}-health-collector"
    assert (instance["min_collection_interval"], instance["empty_default_hostname"]) == (240, True)


@every_suite
def test_the_agent_finds_one_check_in_the_shim(suite: CheckDefinition) -> None:
    spec = spec_from_file_location(suite.name, ROOT / f"checks.d/{suite.name}.py")
    assert spec is not None
    assert spec.loader is not None
    shim = module_from_spec(spec)
    spec.loader.exec_module(shim)

    found = [value for value in vars(shim).values() if isinstance(value, type) and issubclass(value, AgentCheck)]
    assert (found, shim.__version__) == ([suite.check_class()], __version__)
