"""An upgrade from 0.1: the states that its checks left are continued, or are a fresh start; no point comes twice.

The states in `fixtures/state` are those of the released checks, which collected at 12:00, 12:04 and 12:05 what
`runs_of` and `repository_of` describe.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ci_support.scene import Scene
from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.watch import Watch

from metta_checks.core.state import identity_hash
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.wandb_project import DemoProject

STATES = Path(__file__).parent / "fixtures" / "state"
BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
UPGRADED = BEGIN + timedelta(minutes=8)

WANDB = {"base_url": "http://127.0.0.1:18181", "entity": "team", "project": "arena"}
CI = {"api_url": "http://127.0.0.1:18182", "repo": "demo-org/arena", "branch": "main", "window": "86400.0"}

minutes = timedelta(minutes=1)
versions = pytest.mark.parametrize("version", ["0.1.0", "0.1.1"])


def left_by(version: str, check: str, document: str) -> tuple[str, str]:
    """The key and the text of a state that a version left."""
    kept = json.loads((STATES / f"{version}.json").read_text(encoding="utf-8"))
    ((key, text),) = ((key, text) for key, text in kept.items() if key.startswith(check) and key.endswith(document))
    return key, text


def runs_of(project: DemoProject) -> None:
    """Runs of 0.1's last collection: one that had ended before the first, two that ended in the second, two others."""
    project.start("before", BEGIN - 300 * minutes, state="finished", heartbeat_at=BEGIN - 60 * minutes)
    for number, name in enumerate(("first", "second", "third", "fourth"), 1):
        project.start(name, BEGIN - (120 + number) * minutes, heartbeat_at=BEGIN - minutes / 3)
    project.finish("first", BEGIN + 4 * minutes)
    project.crash("second")


def repository_of(clock: ManualClock) -> DemoRepository:
    """Three runs that had ended before the first collection, and three that ended in the second."""
    repository = DemoRepository("demo-org/arena", clock=clock)
    workflow = repository.add_workflow("CI", ".github/workflows/ci.yml").id
    for length in (11, 12, 13):
        took = length * minutes
        repository.new_run(workflow, conclusion="success", created_at=BEGIN - took - minutes, duration=took)
    under_way = repository.new_run(workflow, created_at=BEGIN - 2 * minutes)
    for length, conclusion in ((1, "success"), (2, "failure")):
        created = BEGIN + 4 * minutes - (length + 1) * minutes
        repository.new_run(workflow, conclusion=conclusion, created_at=created, duration=length * minutes)
    repository.complete(under_way.id, "success", at=BEGIN + 4 * minutes)
    return repository


@versions
def test_the_state_of_wandb_goes_on(aggregator: AggregatorStub, version: str) -> None:
    """It has the name that the check looks for, and a run that ended during the upgrade gives its point."""
    key, text = left_by(version, "metta_wandb", "_runs")
    assert key == f"metta_wandb:{identity_hash('metta_wandb', WANDB)}_runs"
    project = DemoProject("team", "arena")
    runs_of(project)
    with closing(Watch(aggregator, project)) as watch:
        identity = {**WANDB, "base_url": watch.server.url}
        datadog_agent._cache[f"metta_wandb:{identity_hash('metta_wandb', identity)}_runs"] = text
        watch.now = UPGRADED
        project.finish("third", watch.now)
        project.beat("fourth", watch.now)
        received = watch.collect()
        assert sum(received.counts().values()) == 5
        assert received.point_values("duration_hours") == [pytest.approx((123 + 8) / 60)]
        project.finish("fourth", watch.now + 2 * minutes)
        assert watch.after(minutes=2).point_values("duration_hours") == [pytest.approx((124 + 10) / 60)]
        watch.restart()
        assert watch.after(minutes=2).points == []


@versions
def test_metta_ci_starts_anew_once(aggregator: AggregatorStub, version: str) -> None:
    """The figures are right at once; what ended before or during the upgrade gives no point, what ends later one."""
    key, text = left_by(version, "metta_ci", "_ledger")
    assert key == f"metta_ci:{identity_hash('metta_ci', CI)}_ledger"
    clock = ManualClock(BEGIN)
    repository = repository_of(clock)
    lists = {"tests_blocking_merge_workflows": ["ci.yml"], "benchmarks_workflows": []}
    with Scene(repository, aggregator, **lists) as scene:
        datadog_agent._cache[f"metta_ci:{identity_hash('metta_ci', {**CI, 'api_url': scene.server.url})}_ledger"] = text
        scene.later(8 * minutes)
        workflow = repository.workflows[0].id
        repository.new_run(workflow, conclusion="success", created_at=UPGRADED - 4 * minutes, duration=3 * minutes)
        collected = scene.collect()
        assert collected.error is None
        assert collected.value("metta.infra.cron.ci.workflow.runs", "conclusion:success") == 6
        assert collected.value("metta.infra.cron.ci.workflow.success") == 0
        assert collected.figures.points == Counter()
        repository.new_run(workflow, conclusion="success", created_at=UPGRADED + minutes, duration=2 * minutes)
        scene.later()
        assert collected.events == []
        assert scene.collect().figures.points == Counter({("ci.yml", "success", 2.0): 1})
        scene.restart()
        scene.later()
        assert scene.collect().figures.points == Counter()
