"""A month of collections under a clock of the test's: restarts, a broken cache, wrong clocks; nothing grows, nothing
counts twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from ci_support.scene import NOW, Scene
from ci_support.truth import Truth
from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from hostile_support.damage import DAMAGES, Damage
from hostile_support.memory import STEP, TURNS, Memory
from simulator_support.github_changes import RandomChanges
from simulator_support.github_edge_cases import edge_case_repository
from wandb_support.watch import Watch

from metta_checks.simulator.github_clock import ManualClock

pytestmark = pytest.mark.hostile


def damaged(damage: Damage) -> None:
    for key, text in list(datadog_agent._cache.items()):
        datadog_agent._cache[key] = damage(text)


def size_of_state() -> int:
    return sum(map(len, datadog_agent._cache.values()))


@pytest.fixture
def scene(aggregator: AggregatorStub) -> Iterator[Scene]:
    with Scene(edge_case_repository(NOW, workflows=12, runs_per_day=60, days=4, seed=3), aggregator) as built:
        yield built


def test_a_month_of_github(scene: Scene, figure: Callable[[str], None]) -> None:
    """Each collection agrees with a plain count over the repository; a restart in two changes nothing."""
    activity = RandomChanges(scene.repository, runs_per_day=40)
    truth, chance = Truth(scene.repository), random.Random(5)
    scene.collect()
    truth.look(scene.clock())
    sizes, points = [], 0
    memory = Memory("ci")
    for turn in range(TURNS):
        scene.later(STEP)
        activity.catch_up()
        if chance.random() < 0.5:
            scene.restart()
        collected, expected = scene.collect(), truth.look(scene.clock())
        assert collected.error is None
        assert collected.figures.gauges == pytest.approx(expected.gauges), turn
        assert collected.figures.points == expected.points, turn
        points += collected.figures.points.total()
        sizes.append(size_of_state())
        scene.server.requests.clear()
        memory.after(turn)
    assert points > 500
    assert max(sizes[len(sizes) // 2 :]) < 1.5 * max(sizes[: len(sizes) // 2])
    figure(f"a month of GitHub: {points} points, {max(sizes) / 1e3:.1f} kB of state at most, {memory.of_month()}")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_broken_state_of_github_counts_nothing_twice(scene: Scene, damage: Damage) -> None:
    """What is lost is a point or two; what is there is right, and no point comes a second time."""
    activity, truth = RandomChanges(scene.repository, runs_per_day=200), Truth(scene.repository)
    seen: Counter[Any] = Counter()
    scene.collect()
    truth.look(scene.clock())
    expected_points: Counter[Any] = Counter()
    for turn in range(6):
        scene.later(timedelta(minutes=30))
        activity.catch_up()
        if turn == 3:
            scene.restart()
            damaged(damage)
        collected, expected = scene.collect(), truth.look(scene.clock())
        assert collected.error is None
        assert collected.figures.gauges == pytest.approx(expected.gauges), turn
        seen += collected.figures.points
        expected_points += expected.points
    assert seen.total() > 5
    assert seen <= expected_points


@pytest.mark.parametrize("hours", [26, -26, 2, -2, 24 * 400])
def test_a_clock_of_github_that_is_wrong_counts_nothing_twice(scene: Scene, hours: int) -> None:
    """An hour later the figures are right again, and no run has given a second point."""
    activity, truth = RandomChanges(scene.repository, runs_per_day=200), Truth(scene.repository)
    seen: Counter[Any] = Counter()
    expected_points: Counter[Any] = Counter()
    scene.collect()
    truth.look(scene.clock())
    for turn in range(8):
        scene.later(timedelta(minutes=30))
        activity.catch_up()
        wrong = turn in (3, 5)
        right = scene.clock()
        if wrong:
            scene.check.clock = ManualClock(right + timedelta(hours=hours))
        collected, expected = scene.collect(), truth.look(right)
        scene.check.clock = scene.clock
        assert collected.error is None
        if not wrong:
            assert collected.figures.gauges == pytest.approx(expected.gauges), turn
        seen += collected.figures.points
        expected_points += expected.points
    assert seen.total() > 3
    assert seen <= expected_points


class Trainers:
    """What happens in a W&B project: runs start, beat, end, crash and are deleted. `ended` are those whose end a
    collection can have seen."""

    def __init__(self, watch: Watch, seed: int) -> None:
        self.watch = watch
        self.chance = random.Random(seed)
        self.started = 0
        self.ended: set[str] = set()

    def live(self) -> None:
        now, chance, project = self.watch.now, self.chance, self.watch.project
        for run in project.runs:
            if run.state == "running":
                self._beat(run.name, now)
            elif now - run.heartbeat_at > timedelta(days=20):
                project.delete(run.name)
            elif now - run.heartbeat_at > timedelta(days=8) and chance.random() < 0.01:
                # Its end was told, and it has left the timeframe since: ending once more is no second point.
                project.resume(run.name, now)
        for _ in range(chance.randrange(1, 4)):
            self.started += 1
            # The duration tells the run: no two points are alike.
            project.start(f"run{self.started}", now - timedelta(seconds=self.started), heartbeat_at=now)

    def _beat(self, name: str, now: datetime) -> None:
        fate = self.chance.random()
        if fate < 0.8:
            self.watch.project.beat(name, now, {"overview/reward": self.chance.random()})
        elif fate < 0.9:
            self.watch.project.finish(name, now)
            self.ended.add(name)
        elif fate < 0.97:
            self.watch.project.crash(name)
            self.ended.add(name)
        else:
            self.watch.project.delete(name)

    def active(self, timeframe: timedelta) -> int:
        """Runs that count, in the plainest way."""
        first = (self.watch.now - timeframe).replace(microsecond=0)
        return sum(
            run.state == "running" or (run.heartbeat_at is not None and run.heartbeat_at >= first)
            for run in self.watch.project.runs
        )


@pytest.mark.parametrize("damage", [None, *DAMAGES.values()], ids=["whole", *DAMAGES])
def test_a_month_of_wandb(aggregator: AggregatorStub, damage: Damage | None, figure: Callable[[str], None]) -> None:
    turns = TURNS if damage is None else 24
    with closing(Watch(aggregator)) as watch:
        trainers = Trainers(watch, 7)
        watch.collect()
        points: Counter[float] = Counter()
        sizes = []
        memory = Memory("wandb")
        for turn in range(turns):
            watch.now += STEP
            trainers.live()
            if trainers.chance.random() < 0.5:
                watch.restart()
            if damage is not None and turn == turns // 2:
                watch.restart()
                damaged(damage)
            received = watch.collect()
            points.update(received.point_values("duration_hours"))
            sizes.append(size_of_state())
            assert sum(received.counts().values()) == trainers.active(timedelta(days=7)), turn
            watch.server.requests.clear()
            memory.after(turn)
        assert set(points.values()) == {1}, "a run gave a point more than once"
        lost = 0 if damage is None else 25
        assert len(trainers.ended) - lost <= points.total() <= len(trainers.ended)
        if damage is None:
            assert points.total() > 100
            state = f"{max(sizes) / 1e3:.1f} kB of state at most"
            figure(f"a month of W&B: {points.total()} points, {state}, {memory.of_month()}")


def test_a_cache_that_cannot_be_written(
    aggregator: AggregatorStub, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Agent tells nobody. As long as a restart would begin anew nothing is lost by going on; where it would find an
    older state, the collection fails before anything is submitted, and the first that succeeds tells all, once."""
    full = True
    write = datadog_agent.write_persistent_cache
    monkeypatch.setattr(datadog_agent, "write_persistent_cache", lambda *entry: None if full else write(*entry))
    with closing(Watch(aggregator)) as watch:
        watch.project.start("a", watch.now)
        watch.collect()
        watch.now += timedelta(minutes=2)
        watch.project.finish("a", watch.now)
        assert len(watch.collect().point_values("duration_hours")) == 1
        watch.restart()
        assert watch.after(minutes=2).points == []
        full = False
        watch.project.start("b", watch.now)
        watch.after(minutes=2)
        full = True
        watch.project.finish("b", watch.now)
        for _ in range(2):
            assert "still has an older state" in watch.failing()
            watch.restart()
        full = False
        assert len(watch.after(minutes=2).point_values("duration_hours")) == 1
        watch.restart()
        assert watch.after(minutes=2).points == []
    assert scene.collect().error is None
    full = True
    scene.later(STEP)
    assert "still has an older state" in str(scene.collect().error)
    full = False
    assert scene.collect().error is None


@pytest.mark.parametrize("error", [RuntimeError("failed to read data"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "")])
def test_a_cache_that_cannot_be_read(
    aggregator: AggregatorStub, scene: Scene, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """As the Agent says it of a file that belongs to root, or holds no text: a fresh start."""

    def refuse(_: str) -> str:
        raise error

    monkeypatch.setattr(datadog_agent, "read_persistent_cache", refuse)
    with closing(Watch(aggregator)) as watch:
        watch.project.start("a", watch.now)
        assert sum(watch.collect().counts().values()) == 1
        watch.restart()
        assert sum(watch.after(minutes=2).counts().values()) == 1
    assert scene.collect().error is None
