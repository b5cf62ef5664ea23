"""What a whole entity costs in one instance, beside one instance for each project."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

pytestmark = pytest.mark.benchmark

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def project_of(name: str, runs: int, active: int, alive: int) -> DemoProject:
    """A project of `runs` runs, of which `active` belong to the last week and `alive` of those have not ended."""
    project = DemoProject("team", name)
    for number in range(runs):
        age = timedelta(minutes=number) if number < active else timedelta(days=30)
        state = "running" if number < alive else "finished"
        project.start(
            f"{name}-{number}", NOW - age - timedelta(hours=2), state=state, heartbeat_at=NOW - age, summary={"x": 1.0}
        )
    return project


def new_check(url: str, clock: Clock, **options: Any) -> WandbCheck:
    instance = {"entity": "team", "base_url": url, "api_key": DEMO_API_KEY, "tls_verify": False, **options}
    check = WandbCheck("metta_wandb", {}, [instance])
    check.clock = clock
    # Nobody keeps the gauges: what the stub takes for that is not the check's cost.
    check.gauge = lambda *_, **__: None  # type: ignore[method-assign]
    return check


def collected(*checks: WandbCheck) -> tuple[int, float]:
    """Requests and CPU seconds of one collection of each."""
    begin = time.thread_time()
    assert {check.run() for check in checks} == {""}
    return sum(check.collection.requests for check in checks), time.thread_time() - begin


def test_twelve_projects_of_forty_runs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    projects = [project_of(f"p{n:02}", runs=40, active=40, alive=4) for n in range(12)]
    with WandbServer(*projects) as server:
        check = new_check(server.url, clock, projects={"include": [".*"]})
        cold, _ = collected(check)
        clock.now += timedelta(minutes=2)
        steady, _ = collected(check)
    with capsys.disabled():
        sys.stdout.write(f"\n12 projects of 40 runs: {cold} requests cold, {steady} steady\n")
    assert cold <= 6
    assert steady <= 2


def test_fifty_projects_of_two_thousand_runs(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    projects = [project_of(f"p{n:02}", runs=2_000, active=200, alive=20) for n in range(50)]
    with WandbServer(*projects) as server:
        together = new_check(server.url, clock, projects={"include": ["p.*"]})
        singles = [new_check(server.url, clock, project=project.name) for project in projects]
        rows = [("cold", collected(together), collected(*singles))]
        for _ in range(3):
            clock.now += timedelta(minutes=2)
            for project in projects[:10]:
                for number in range(5):
                    project.beat(f"{project.name}-{number}", clock.now, {"x": 2.0})
            rows.append(("steady", collected(together), collected(*singles)))
    with capsys.disabled():
        sys.stdout.write(f"\n{'50 projects of 2,000 runs':<28}{'one instance':>24}{'fifty':>24}\n")
        for name, *both in rows:
            cells = "".join(f"{requests:>10} req {cpu:>6.2f} s" for requests, cpu in both)
            sys.stdout.write(f"{name:<28}{cells}\n")
    for name, (requests, cpu), (_, cpu_of_fifty) in rows:
        if name == "steady":
            assert requests <= 5
            assert cpu <= 1.1 * cpu_of_fifty
