"""What a whole entity costs in one instance, beside one instance for each project."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench_support.measure import client

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

pytestmark = pytest.mark.benchmark

MOST_MB = 60
"""What the check may take beside its imports with 10,000 active runs in 50 projects."""

NOW = datetime.now(UTC).replace(microsecond=250_000)


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


def fifty_projects() -> list[DemoProject]:
    return [project_of(f"p{n:02}", runs=2_000, active=200, alive=20) for n in range(50)]


def ten_change(projects: list[DemoProject], now: datetime) -> None:
    """Five runs of each of ten projects send a heartbeat and new values."""
    for project in projects[:10]:
        for number in range(5):
            project.beat(f"{project.name}-{number}", now, {"x": 2.0})


@pytest.mark.parametrize(("what", "max_runs"), [("as it comes", 500), ("series of their own for all runs", 10_000)])
def test_fifty_projects_of_two_thousand_runs(capsys: pytest.CaptureFixture[str], what: str, max_runs: int) -> None:
    clock = Clock()
    projects = fifty_projects()
    with WandbServer(*projects) as server:
        together = new_check(server.url, clock, projects={"include": ["p.*"]}, max_runs=max_runs)
        singles = [new_check(server.url, clock, project=project.name, max_runs=max_runs) for project in projects]
        rows = [("cold", collected(together), collected(*singles))]
        for _ in range(5):
            clock.now += timedelta(minutes=2)
            ten_change(projects, clock.now)
            rows.append(("steady", collected(together), collected(*singles)))
    with capsys.disabled():
        sys.stdout.write(f"\n{'50 projects of 2,000 runs, ' + what:<60}{'one instance':>20}{'fifty':>20}\n")
        for name, *both in rows:
            cells = "".join(f"{requests:>6} req {cpu:>6.2f} s" for requests, cpu in both)
            sys.stdout.write(f"{name:<60}{cells}\n")
    steady = rows[1:]
    assert max(requests for _, (requests, _), _ in steady) <= 5
    # What else runs on the machine only ever makes them slower, so the least of each counts.
    assert min(cpu for _, (_, cpu), _ in steady) <= min(cpu for _, _, (_, cpu) in steady)
    (_, (_, cold), (_, cold_of_fifty)), *_ = rows
    assert cold <= 1.2 * cold_of_fifty


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("max_runs", [500, 10_000])
def test_memory_of_fifty_projects(tmp_path: Path, capsys: pytest.CaptureFixture[str], max_runs: int) -> None:
    projects = fifty_projects()
    options = {"projects": {"include": ["p.*"]}, "max_runs": max_runs}
    with (
        WandbServer(*projects) as server,
        client("QuietCheck", server, projects[0], tmp_path, **options) as check,
    ):
        first = check.read()
        for _ in range(4):
            ten_change(projects, datetime.now(UTC))
            last = check.read()
    with capsys.disabled():
        sys.stdout.write(
            f"\n50 projects of 2,000 runs, {max_runs:,} with series of their own: {first.above_import_mb:.0f} MB above"
            f" the imported check after the first collection, {last.above_import_mb:.0f} MB after five\n"
        )
    # The list, and a page of 1,000 runs for each five projects.
    assert first.requests == 11
    assert last.above_import_mb <= MOST_MB
