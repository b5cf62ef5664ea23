"""What holds for every check of health records: its metadata, its example and its shim."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from datadog_checks.base import AgentCheck
from datadog_checks.base.stubs.aggregator import AggregatorStub

import metta_checks
from metta_checks.__about__ import __version__
from metta_checks.demo.health import EXAMPLE
from metta_checks.demo.server import LoopbackServer, Request, Response
from metta_checks.eval.check import EvalCheck
from metta_checks.health import publish
from metta_checks.health.check import HealthCheck
from metta_checks.training.check import TrainingCheck

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)
ROOT = Path(metta_checks.__file__).parent.parent


class Room(NamedTuple):
    slug: str
    check: type[HealthCheck]
    namespace: str
    tags: tuple[str, str]


ROOMS = [
    Room("training", TrainingCheck, "metta.infra.stablesuite", ("source:stable_suite", "workflow_category:training")),
    Room("eval", EvalCheck, "metta.infra.cron", ("source:cron", "workflow_category:evaluation")),
]
every_room = pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.slug)

RunCheck = Callable[[AgentCheck], Any]


def check_of(room: Room, source: object) -> HealthCheck:
    check = room.check(
        name=f"metta_{room.slug}", init_config={}, instances=[{"source": str(source), "tags": ["team:rl"]}]
    )
    check.clock = lambda: NOW
    return check


class RecordServer(LoopbackServer):
    """Serves the records of a file, and tells of a rate limit."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.body = path.read_bytes()

    def answer(self, request: Request) -> Response:
        return Response(body=self.body, headers={"X-RateLimit-Remaining": "59"})


@every_room
def test_the_metadata_names_all_metrics_but_those_of_records(
    room: Room, tmp_path: Path, aggregator: AggregatorStub, dd_run_check: RunCheck
) -> None:
    publish([EXAMPLE], tmp_path / "results.json", now=NOW)
    with RecordServer(tmp_path / "results.json") as server:
        check = check_of(room, server.url)
        dd_run_check(check)
    with (Path(check._get_package_dir()) / "metadata.csv").open() as file:
        metadata = {row["metric_name"]: row for row in csv.DictReader(file)}

    assert {row["integration"] for row in metadata.values()} == {f"metta_{room.slug}"}
    aggregator.assert_metrics_using_metadata(
        metadata, exclude=[f"{room.namespace}.hearts"], check_submission_type=True, check_symmetric_inclusion=True
    )


@every_room
def test_a_source_that_cannot_be_read_is_missing_data(
    room: Room, tmp_path: Path, aggregator: AggregatorStub, dd_run_check: RunCheck
) -> None:
    with pytest.raises(Exception, match="none.json: no such file or directory"):
        dd_run_check(check_of(room, tmp_path / "none.json"))

    aggregator.assert_metric("metta.infra.health.data_missing", 1, tags=[*room.tags, "team:rl"], count=1)
    aggregator.assert_metric("metta.check.up", 0, count=1)
    aggregator.assert_metric("metta.infra.health.state", count=0)


@every_room
def test_the_example_configuration_runs_every_four_minutes_without_a_host(room: Room) -> None:
    example = yaml.safe_load((ROOT / f"conf.d/metta_{room.slug}.d/conf.yaml.example").read_text())

    (instance,) = example["instances"]
    assert instance["service"] == f"{room.slug}-health-collector"
    assert (instance["min_collection_interval"], instance["empty_default_hostname"]) == (240, True)


@every_room
def test_the_agent_finds_one_check_in_the_shim(room: Room) -> None:
    spec = spec_from_file_location(f"metta_{room.slug}", ROOT / f"checks.d/metta_{room.slug}.py")
    assert spec is not None
    assert spec.loader is not None
    shim = module_from_spec(spec)
    spec.loader.exec_module(shim)

    found = [value for value in vars(shim).values() if isinstance(value, type) and issubclass(value, AgentCheck)]
    assert (found, shim.__version__) == ([room.check], __version__)
