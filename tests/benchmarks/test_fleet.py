"""What a whole fleet costs one Agent: 50 W&B projects and 50 repositories, from one process with four workers."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hostile_support.fleet import fleet

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.simulator.wandb_server import DEMO_API_KEY
from metta_checks.wandb.check import WandbCheck

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
FLEET = 50
RUNS = 2_000
WORKFLOW_RUNS = 600
WORKERS = 4
HEAD = f"\n{'collections':<34}{'wall, s':>9}{'CPU, s':>9}{'RSS, MB':>9}{'requests':>10}{'series':>10}\n"


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.benchmark
def test_fifty_projects_and_fifty_repositories(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(NOW)
    rows = []
    with fleet(NOW, projects=FLEET, runs=RUNS, repositories=FLEET, workflow_runs=WORKFLOW_RUNS) as (wandb, github):
        checks = {"W&B": wandb_checks(wandb, clock), "GitHub": ci_checks(github, clock)}
        for name, of_kind in checks.items():
            for turn in ("cold", "warm"):
                rows.append((f"{FLEET} of {name}, {turn}", *measured(of_kind)))
                clock.now += timedelta(minutes=4)
    with capsys.disabled():
        sys.stdout.write(HEAD)
        for name, wall, cpu, rss, requests, series in rows:
            sys.stdout.write(f"{name:<34}{wall:>9.1f}{cpu:>9.1f}{rss:>9.0f}{requests:>10,}{series:>10,}\n")
    (_, _, _, _, cold_wandb, _), (_, _, _, _, warm_wandb, _), (*_, cold_github, _), (*_, warm_github, _) = rows
    # Requests are the same on every machine: two pages a project, and then one delta.
    assert (cold_wandb, warm_wandb) == (2 * FLEET, FLEET)
    assert warm_github < cold_github / 2
    assert max(row[3] for row in rows) < 1_500


def wandb_checks(url: str, clock: Clock) -> list[MettaCheck]:
    options = {"entity": "metta-research", "base_url": url, "api_key": DEMO_API_KEY}
    return [check_of(WandbCheck, "metta_wandb", {**options, "project": f"p{n}"}, clock) for n in range(FLEET)]


def ci_checks(url: str, clock: Clock) -> list[MettaCheck]:
    options = {"api_url": url, "token": "a-token-of-the-fleet"}
    return [check_of(CiCheck, "metta_ci", {**options, "repo": f"demo-org/r{n}"}, clock) for n in range(FLEET)]


def check_of(kind: type[MettaCheck], name: str, options: dict[str, Any], clock: Clock) -> MettaCheck:
    check = kind(name, {}, [{**options, "tls_verify": False}])
    check.clock = clock
    # Nobody keeps the gauges: what the stub takes for that is not the check's cost.
    check.gauge = lambda *_, **__: None  # type: ignore[method-assign]
    check.submit_histogram_bucket = lambda *_, **__: None  # type: ignore[method-assign]
    return check


def measured(checks: Sequence[MettaCheck]) -> tuple[float, float, float, int, int]:
    """Wall and CPU seconds, megabytes at the end, requests and billed series of one collection each."""
    wall, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(WORKERS) as pool:
        assert set(pool.map(lambda check: check.run(), checks)) == {""}
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    series = sum(check.hour.billed for check in checks)
    return wall, cpu, resident(), sum(check.collection.requests for check in checks), series


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6
