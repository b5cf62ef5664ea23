"""What the check costs beside the official SDK and beside the bare request that it cannot do without."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from bench_support.measure import Measured, beat, client, project_of, table

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory is read from Linux's /proc"),
    pytest.mark.skipif(
        importlib.util.find_spec("wandb") is None, reason="the official SDK is not installed: pip install wandb"
    ),
]

RUNS = 1_000
LATENCY = 0.08

FEWEST_TRIES, MOST_TRIES = 9, 40
"""Readings that take a fraction of a second are repeated, each in a process of its own, and the best one stands. What
else runs on the machine only ever makes them slower, so where the bound does not hold yet there are some more."""

SLOWER_THAN_THE_REQUEST = 1.5


def test_the_check_beside_the_sdk(tmp_path: Path) -> None:
    project = project_of(RUNS, alive=50)
    with WandbServer(project, latency=LATENCY) as server:
        bare, first, steady = best_readings(server, project, tmp_path)
        full = read_once("SdkFull", server, project, tmp_path)
        loop = read_once("SdkLoop", server, project, tmp_path)

    rows = {
        "SDK, loop over runs": loop,
        "SDK, lazy=False": full,
        "bare slim request": bare,
        "the check, first collection": first,
        "the check, steady collection": steady,
    }
    print(  # noqa: T201 (what a benchmark is for)
        table(
            f"{RUNS:,} runs of 60 summary keys, {LATENCY * 1000:.0f} ms latency",
            ("", "requests", "MB", "wall s", "peak MB", "children MB", "fewer requests", "less wall"),
            [(name, *cells(measured, loop)) for name, measured in rows.items()],
        )
    )
    assert (bare.more["runs"], full.more["runs"], loop.more["runs"]) == (RUNS, RUNS, RUNS)
    for ours in (first, steady):
        assert ours.requests == 1
        assert loop.requests >= 500 * ours.requests
        assert loop.wall >= 100 * ours.wall
        assert ours.wall <= SLOWER_THAN_THE_REQUEST * bare.wall


@pytest.mark.parametrize(("runs", "options", "limit"), [(RUNS, {}, 15), (RUNS, {"max_runs": RUNS}, 15)])
def test_memory_of_a_first_collection(tmp_path: Path, runs: int, options: dict[str, int], limit: float) -> None:
    project = project_of(runs, alive=50)
    with WandbServer(project) as server:
        first = read_once("OurCheck", server, project, tmp_path, **options)
    assert first.above_import_mb <= limit


def best_readings(server: WandbServer, project: DemoProject, home: Path) -> tuple[Measured, Measured, Measured]:
    """The bare request, the first collection and a steady one: in turns, so that the machine is fair to all three."""
    bare, first, steady = [], [], []
    for number in range(MOST_TRIES):
        bare.append(read_once("BareRequest", server, project, home))
        with client("OurCheck", server, project, home) as ours:
            first.append(ours.read())
            beat(project, number)
            steady.append(ours.read())
        holds = fastest(first).wall <= SLOWER_THAN_THE_REQUEST * fastest(bare).wall
        if holds and number + 1 >= FEWEST_TRIES:
            break
    return fastest(bare), fastest(first), fastest(steady)


def fastest(readings: list[Measured]) -> Measured:
    return min(readings, key=lambda measured: measured.wall)


def read_once(way: str, server: WandbServer, project: DemoProject, home: Path, **options: object) -> Measured:
    with client(way, server, project, home, **options) as process:
        return process.read()


def cells(measured: Measured, loop: Measured) -> tuple[str, ...]:
    return (
        f"{measured.requests:,}",
        f"{measured.bytes / 1e6:.2f}",
        f"{measured.wall:.2f}",
        f"{measured.peak_mb:.0f}",
        f"{measured.children_mb:.0f}",
        f"{loop.requests / measured.requests:,.0f}x",
        f"{loop.wall / measured.wall:,.0f}x",
    )
