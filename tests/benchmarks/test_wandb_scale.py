"""What the check costs on ten thousand active runs, every one of them with series of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_support.measure import Measured, beat, client, project_of, table

from metta_checks.simulator.wandb_server import WandbServer

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="memory is read from Linux's /proc"),
]

RUNS = 10_000
CHANGED = 50
TRIES = 4
STEADY = 3
"""Processes with one first collection each, and the collections that follow in each."""

COLLECTIONS_AN_HOUR = 30
"""One every two minutes, of which one reads everything."""


def test_ten_thousand_active_runs(tmp_path: Path) -> None:
    project = project_of(RUNS, alive=CHANGED)
    firsts, steady = [], []
    with WandbServer(project) as server:
        for _ in range(TRIES):
            with client("OurCheck", server, project, tmp_path, max_runs=RUNS) as ours:
                firsts.append(ours.read())
                for number in range(STEADY):
                    beat(project, number)
                    steady.append(ours.read())

    # What else runs on the machine only ever makes them slower, so the least of each counts.
    first = min(firsts, key=lambda measured: measured.cpu)
    best = min(steady, key=lambda measured: measured.cpu)
    bare = min(measured.more["bare_submission"] for measured in (*firsts, *steady))
    hour = (first.cpu + (COLLECTIONS_AN_HOUR - 1) * best.cpu) / COLLECTIONS_AN_HOUR
    print(  # noqa: T201 (what a benchmark is for)
        table(
            f"{RUNS:,} active runs, {CHANGED} of them changed in between",
            ("", "requests", "KB", "samples", "wall s", "CPU s", "of it submission", "MB above import"),
            [("first collection", *cells(first)), ("steady collection", *cells(best))],
        ),
        f"\nbare submission of the same samples: {bare:.2f} s of CPU;"
        f" a collection costs {first.cpu / bare:.1f}x (first), {best.cpu / bare:.1f}x (steady),"
        f" {hour / bare:.1f}x (mean of an hour)",
    )
    assert first.requests == RUNS / 1_000
    for measured in steady:
        assert measured.requests == 1
        assert measured.bytes < 300_000
        # Every run has its duration, and all but a few the five figures that are asked for.
        assert measured.more["samples"] == first.more["samples"] > 6.9 * RUNS
    assert first.above_import_mb <= 80
    assert best.cpu <= 2 * bare
    assert hour <= 2 * bare


def cells(measured: Measured) -> tuple[str, ...]:
    return (
        f"{measured.requests}",
        f"{measured.bytes / 1e3:,.0f}",
        f"{measured.more['samples']:,}",
        f"{measured.wall:.2f}",
        f"{measured.cpu:.2f}",
        f"{measured.more['submission'] / measured.cpu:.0%}",
        f"{measured.above_import_mb:.0f}",
    )
