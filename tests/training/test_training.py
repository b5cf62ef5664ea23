"""metta_training: the names that are its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datadog_checks.base import AgentCheck
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.health import publish
from metta_checks.simulator.health import EXAMPLE
from metta_checks.training.check import TrainingCheck

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)
TAGS = [
    "source:stable_suite",
    "workflow_category:training",
    "workflow_name:multigpu_arena_basic_easy_shaped",
    "task:runs_successfully",
    "check:reward_threshold",
]


def test_the_example_record_becomes_its_metric_and_a_verdict(
    tmp_path: Path, aggregator: AggregatorStub, dd_run_check: Callable[[AgentCheck], Any]
) -> None:
    publish([EXAMPLE], tmp_path / "results.json", now=NOW)
    instance = {"source": str(tmp_path / "results.json"), "tags": ["team:rl"]}
    check = TrainingCheck(name="metta_training", init_config={}, instances=[instance])
    check.clock = lambda: NOW

    dd_run_check(check)

    own = [*TAGS, "condition:gt_0.5", "status:pass", "commit:abc123", "workflow:training", "team:rl"]
    aggregator.assert_metric(
        "metta.infra.stablesuite.hearts", 0.91, tags=own, count=1, metric_type=AggregatorStub.GAUGE
    )
    wall = [*TAGS, "metric_name:hearts", "team:rl"]
    for name, value in {"state": 0, "status": 1, "value": 0.91, "target": 0.5, "age_seconds": 3600}.items():
        aggregator.assert_metric(f"metta.infra.health.{name}", value, tags=wall, count=1)
    aggregator.assert_metric("metta.infra.health.data_missing", 0, tags=[*TAGS[:2], "team:rl"], count=1)
