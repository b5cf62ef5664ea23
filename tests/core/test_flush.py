"""Distribution points and the Agent's flush: a stop of the Agent loses no point that is older than a second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import Source
from datadog_checks.base.stubs.aggregator import AggregatorStub

Probe = Callable[..., ProbeCheck]

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
INTERVAL = timedelta(seconds=120)


class Agent:
    """Runs one check on a clock of its own, and flushes sketches as the Agent does.

    At the end of a collection only those points leave whose second lies before the present one
    (`CheckSampler.commit`); the others wait for the end of the next collection.
    """

    def __init__(self, check: ProbeCheck, aggregator: AggregatorStub, random: Random) -> None:
        self.now = START
        self.flushed: list[tuple[datetime, float]] = []
        self.waited: list[float] = []
        self._held: list[tuple[datetime, float]] = []
        self._random = random
        self._check = check
        self._aggregator = aggregator
        check.clock = self._read_clock
        check.pause = self._pause

    def collect(self) -> list[tuple[datetime, float]]:
        """One collection. Returns its points and when each was submitted."""
        self._aggregator.reset()
        # Reading the source takes a while.
        self.now += timedelta(seconds=self._random.uniform(0.05, 3))
        assert self._check.run() == ""
        points = [bucket.lower_bound for bucket in self._aggregator.histogram_bucket("probe.length")]
        submitted = [(self._submitted_at, point) for point in points]
        self._held += submitted
        second = self.now.replace(microsecond=0)
        self.flushed += [held for held in self._held if held[0] < second]
        self._held = [held for held in self._held if held[0] >= second]
        return submitted

    def _read_clock(self) -> datetime:
        self._submitted_at = self.now
        # Every look at the clock comes a little later than the one before.
        self.now += timedelta(microseconds=self._random.randrange(1, 400))
        return self._submitted_at

    def _pause(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.waited.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def points(probe: Probe, source: Source) -> None:
    lengths = [{"name": "probe.length", "value": float(one), "kind": "distribution"} for one in range(5)]
    source.put("/samples", [{"name": "probe.speed", "value": 1.5}, *lengths])


@pytest.mark.usefixtures("points")
def test_a_stop_loses_no_point_that_is_older_than_a_second(probe: Probe, aggregator: AggregatorStub) -> None:
    random = Random(20260301)
    for _ in range(50):
        agent = Agent(probe(), aggregator, random)
        submitted: list[tuple[datetime, float]] = []
        # The stop comes at any moment of the third interval, during its collection or after it.
        for _ in range(3):
            began = agent.now
            submitted += agent.collect()
            ended, agent.now = agent.now, began + INTERVAL
        stop = ended + timedelta(seconds=random.uniform(0, 100))
        due = [point for point in submitted if point[0] < stop - timedelta(seconds=1)]
        assert len(due) == 15
        assert due == agent.flushed


@pytest.mark.usefixtures("points")
def test_a_collection_waits_once_and_into_the_next_second_at_most(probe: Probe, aggregator: AggregatorStub) -> None:
    agent = Agent(probe(), aggregator, Random(7))
    for _ in range(20):
        before = len(agent.waited)
        ((submitted_at, _), *_) = agent.collect()
        assert len(agent.waited) <= before + 1
        assert submitted_at.replace(microsecond=0) < agent.now < submitted_at + timedelta(seconds=1.01)


def test_without_points_nothing_waits(probe: Probe, source: Source, aggregator: AggregatorStub) -> None:
    source.put("/samples", [{"name": "probe.speed", "value": 1.5}])
    agent = Agent(probe(), aggregator, Random(7))
    assert agent.collect() == []
    assert agent.waited == []


def test_a_failed_collection_submits_no_point_and_does_not_wait(
    probe: Probe, source: Source, aggregator: AggregatorStub
) -> None:
    source.put("/samples", [{"name": "probe.length", "value": 1.0, "kind": "distribution"}])
    check = probe(paths=["/samples", "/nothing"])
    waited: list[float] = []
    check.pause = waited.append
    assert "nothing" in check.run()
    assert aggregator.histogram_bucket("probe.length") == []
    assert waited == []


@pytest.mark.usefixtures("points")
def test_a_clock_that_is_set_back_does_not_prolong_the_wait(probe: Probe) -> None:
    moments = iter([START] * 3 + [START - timedelta(hours=1)] * 5)
    check = probe()
    check.clock = lambda: next(moments)
    waited: list[float] = []
    check.pause = waited.append
    assert check.run() == ""
    assert waited == [1.0]


@pytest.mark.usefixtures("points")
def test_the_wait_is_no_part_of_the_duration(probe: Probe, aggregator: AggregatorStub) -> None:
    agent = Agent(probe(), aggregator, Random(7))
    seen: list[int] = []
    pause = agent._pause

    def count_and_pause(seconds: float) -> None:
        seen.append(len(aggregator.metrics("metta.check.duration_seconds")))
        pause(seconds)

    agent._check.pause = count_and_pause
    agent.collect()
    assert seen == [1]
