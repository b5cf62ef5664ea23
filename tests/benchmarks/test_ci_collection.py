"""What a collection of metta_ci costs at 80 ms latency: requests, quota, bytes and wall time, cold and warm."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from ci_support.scene import NOW, Scene
from ci_support.truth import DAY
from datadog_checks.base.stubs.aggregator import AggregatorStub
from simulator_support.github_edge_cases import edge_case_repository

LATENCY = 0.08
NEW_RUNS = 130
HEAD = f"{'size':<22}{'collection':<26}{'requests':>9}{'REST quota':>12}{'points':>8}{'KB':>8}{'seconds':>9}"

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module", autouse=True)
def head() -> Iterator[None]:
    sys.__stdout__.write(f"\n{HEAD}\n")
    yield
    sys.__stdout__.write("\n")


@pytest.mark.parametrize(("workflows", "runs_per_day"), [(28, 90), (40, 600), (120, 2_500)])
def test_what_a_collection_costs(aggregator: AggregatorStub, workflows: int, runs_per_day: int) -> None:
    repository = edge_case_repository(NOW, workflows=workflows, runs_per_day=runs_per_day, days=4)
    with Scene(repository, aggregator) as scene:
        scene.server.latency = LATENCY
        cold = measure(scene, "cold")
        scene.later()
        warm = measure(scene, "warm, nothing changed")
        start_runs(scene)
        busy = measure(scene, f"warm, {NEW_RUNS} new runs")
        scene.restart()
        restarted = measure(scene, "after a restart")

    # Points of the network's latency, not of this machine's speed: requests that follow one another.
    assert max(warm, restarted) < cold
    assert busy <= warm + 4


def test_what_a_first_reading_of_a_slow_server_costs(aggregator: AggregatorStub) -> None:
    """2,500 runs at 2.5 s a page and 10 s a collection, with the times divided by five: a page is read once, and once
    more where a collection ended in it."""
    repository = edge_case_repository(NOW, workflows=40, runs_per_day=1_250, days=2)
    with Scene(repository, aggregator, collection_timeout=2, read_timeout=30) as scene:
        scene.server.latency = 0.5
        asked: list[tuple[str, str]] = []
        collections = 0
        while True:
            collections += 1
            collected = scene.collect()
            assert collected.error is None
            asked += [(r.query["created"], r.query["page"]) for r in collected.requests if "created" in r.query]
            if collected.value("metta.check.up") == 1:
                break
            assert collections < 40
            scene.later()
        pages = -(-sum(known.run.created_at >= scene.clock() - 2 * DAY for known in scene.ledger.runs.values()) // 100)
    sys.__stdout__.write(f"slow: {collections} collections, {len(asked)} requests for {pages} pages of runs\n")

    # At most four are under way when a collection ends.
    assert len(asked) <= pages + 4 * collections


def measure(scene: Scene, name: str) -> int:
    """One collection, printed; the number of its requests."""
    sent, started = scene.server.bytes_sent, time.perf_counter()
    collected = scene.collect()
    seconds = time.perf_counter() - started
    assert collected.error is None
    size = f"{sum(one.state == 'active' for one in scene.repository.workflows)} active"
    sys.__stdout__.write(
        f"{size:<22}{name:<26}{len(collected.requests):>9}{collected.counted['core']:>12}"
        f"{collected.counted['graphql']:>8}{(scene.server.bytes_sent - sent) / 1000:>8.0f}{seconds:>9.2f}\n"
    )
    return len(collected.requests)


def start_runs(scene: Scene) -> None:
    """New runs of one workflow, two minutes apart, up to now."""
    now, workflow = scene.later(timedelta(hours=5)), scene.repository.workflows[0]
    for number in reversed(range(NEW_RUNS)):
        scene.repository.new_run(workflow.id, created_at=now - number * timedelta(minutes=2), conclusion="success")
