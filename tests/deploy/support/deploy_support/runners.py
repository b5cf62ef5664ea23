"""Cluster-check runners: Agents with a name and a persistent cache of their own, between which a check moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.core import MettaCheck

Series = tuple[str, tuple[str, ...]]
"""A metric and its sorted tags."""


@dataclass(frozen=True)
class Collected:
    """What one collection brought. `points` are those of distributions: series and value."""

    gauges: Mapping[Series, float]
    points: Sequence[tuple[Series, float]]
    events: Sequence[Mapping[str, Any]]

    def figures(self, *prefixes: str) -> dict[Series, float]:
        """The gauges whose names begin with one of these."""
        return {series: value for series, value in self.gauges.items() if series[0].startswith(prefixes)}

    def value(self, metric: str) -> float:
        """The only value of a metric."""
        (value,) = self.figures(metric).values()
        return value

    def tag_values(self, metric: str, key: str) -> list[str]:
        """The values of a tag over the metric's series."""
        tags = (tag.partition(":") for name, tags in self.gauges if name == metric for tag in tags)
        return sorted(value for name, _, value in tags if name == key)


class Runner:
    """An Agent that runs one check. Its cache lasts as long as the object: as long as the runner's pod."""

    def __init__(self, name: str, aggregator: AggregatorStub) -> None:
        self.name = name
        self._aggregator = aggregator
        self._cache: dict[str, str] = {}
        self._check: MettaCheck | None = None

    def take(self, check: MettaCheck) -> Collected:
        """The Cluster Agent places the check here: a new object. Its first collection."""
        self._check = check
        return self.collect()

    def collect(self) -> Collected:
        """The next collection of the check that is here. An error fails the test."""
        assert self._check is not None
        self._aggregator.reset()
        with self._in_charge():
            error = self._check.run()
        assert error == "", error
        return Collected(dict(self._gauges()), list(self._points()), list(self._aggregator.events))

    @contextmanager
    def _in_charge(self) -> Iterator[None]:
        """The Agent stub is one for the process: it gets this runner's name and cache meanwhile."""
        cache, name = datadog_agent._cache, datadog_agent.get_hostname()
        datadog_agent._cache = self._cache
        datadog_agent.set_hostname(self.name)
        try:
            yield
        finally:
            datadog_agent._cache = cache
            datadog_agent.set_hostname(name)

    def _gauges(self) -> Iterator[tuple[Series, float]]:
        for name in self._aggregator.metric_names:
            for stub in self._aggregator.metrics(name):
                yield (name, tuple(sorted(stub.tags))), stub.value

    def _points(self) -> Iterator[tuple[Series, float]]:
        for name, buckets in self._aggregator._histogram_buckets.items():
            for bucket in buckets:
                yield (name, tuple(sorted(bucket.tags))), bucket.lower_bound
