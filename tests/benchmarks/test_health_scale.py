"""How the cost of a collection of health records grows with their number."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.health import publish
from metta_checks.simulator.health import EXAMPLE
from metta_checks.training.check import TrainingCheck

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)
SIZES = (100, 1_000, 10_000)
ROUNDS = 5


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def check_of(path: Path) -> TrainingCheck:
    check = TrainingCheck(name="metta_training", init_config={}, instances=[{"source": str(path)}])
    check.clock = lambda: NOW
    return check


def measured(path: Path) -> tuple[float, float, int]:
    """Seconds of a collection that reads, seconds of one that finds nothing changed, gauges per collection."""
    cold, warm, gauges = [], [], Counter[str]()
    for _ in range(ROUNDS):
        check = check_of(path)
        # Nobody keeps the gauges: what the stub takes for that is not the check's cost.
        check.gauge = lambda name, *_, **__: gauges.update([name])  # type: ignore[method-assign]
        check.load_options()
        cold.append(seconds_of(partial(check.check, None)))
        warm.append(seconds_of(partial(check.check, None)))
        assert check.collection.error is None
    return median(cold), median(warm), gauges.total() // (2 * ROUNDS)


@pytest.mark.benchmark
def test_the_cost_grows_in_proportion_to_the_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for size in SIZES:
        path = tmp_path / f"{size}.json"
        publish([{**EXAMPLE, "task": f"task_{n}", "value": n / size} for n in range(size)], path, now=NOW)
        rows.append((size, path.stat().st_size, *measured(path)))

    with capsys.disabled():
        print(f"\n{'records':>8} {'KB':>6} {'gauges':>7} {'read, ms':>9} {'µs/record':>10} {'unchanged, ms':>14}")  # noqa: T201
        for size, weight, cold, warm, gauges in rows:
            each = cold / size * 1e6
            print(f"{size:>8,} {weight / 1e3:>6.0f} {gauges:>7,} {cold * 1e3:>9.1f} {each:>10.1f} {warm * 1e3:>14.1f}")  # noqa: T201

    (_, _, small, _, _), (_, _, middle, _, _), (_, _, large, _, gauges) = rows
    assert gauges > 6 * SIZES[-1]
    # Linear, with room for a busy machine: ten times as many records never cost much more than ten times as much.
    assert large / middle < 20
    assert large / small < 200


@pytest.mark.benchmark
def test_ten_thousand_records_are_one_collection(tmp_path: Path, aggregator: AggregatorStub) -> None:
    path = tmp_path / "results.json"
    publish([{**EXAMPLE, "task": f"task_{n}"} for n in range(10_000)], path, now=NOW)

    assert check_of(path).run() == ""

    assert len(aggregator.metrics("metta.infra.stablesuite.hearts")) == 10_000
    assert len(aggregator.metrics("metta.infra.health.state")) == 10_000
