"""A W&B project on loopback and the Agent that watches it, on one clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.cli.independent_wandb import Scope
from metta_checks.core import tag
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

START = datetime(2026, 1, 10, 12, tzinfo=UTC)

Series = tuple[str, tuple[str, ...]]
"""A metric and its sorted tags."""


@dataclass(frozen=True)
class Received:
    """What the Agent received in one collection, telemetry apart. `points` are those of distributions, sorted."""

    gauges: dict[Series, float]
    points: list[tuple[Series, float]]
    events: list[dict[str, Any]]
    telemetry: dict[Series, float]
    requests: int

    def of_run(self, run_id: str) -> dict[str, float]:
        """A run's own gauges by metric; those with a name of their own under that name."""
        found = {}
        for (metric, tags), value in self.gauges.items():
            if f"run_id:{run_id}" in tags:
                names = [text.partition(":")[2] for text in tags if text.startswith(("metric_name:", "metric:"))]
                found[names[0] if names else metric.removeprefix("wandb.run.")] = value
        return found

    def counts(self) -> dict[tuple[str, str], int]:
        """`wandb.runs` by type and state, without the zeros."""
        return {
            (value_of(tags, "run_type"), value_of(tags, "state")): int(value)
            for (metric, tags), value in self.gauges.items()
            if metric == "wandb.runs" and value
        }

    def point_values(self, metric: str) -> list[float]:
        """The values of one distribution: `duration_hours`, `sps` or `metric`."""
        return [value for (name, _), value in self.points if name == f"wandb.run.completed.{metric}"]


class Watch:
    """`now` is the clock of project and check. A `restart` leaves nothing but the Agent's persistent cache.

    With `projects` among the options the check finds the project in a list; what it reports of `others` is left out.
    """

    def __init__(
        self,
        aggregator: AggregatorStub,
        project: DemoProject | None = None,
        others: Iterable[DemoProject] = (),
        **options: Any,
    ) -> None:
        self.now = START
        self.project = project or DemoProject("metta-research", "metta")
        self.server = WandbServer(self.project, *others)
        self.options = options
        self._aggregator = aggregator
        self.check = self.new_check()

    def close(self) -> None:
        self.server.close()

    def new_check(self, **options: Any) -> WandbCheck:
        """Another check object of the same instance, as the Agent makes one when it starts."""
        instance = {
            "entity": self.project.entity,
            "project": self.project.name,
            "base_url": self.server.url,
            "api_key": DEMO_API_KEY,
            # Loading the machine's certificates takes longer than a whole collection.
            "tls_verify": False,
            **self.options,
            **options,
        }
        if "projects" in instance:
            del instance["project"]
        check = WandbCheck(name="metta_wandb", init_config={}, instances=[instance])
        check.check_id = "metta_wandb:test"
        check.clock = lambda: self.now
        return check

    def restart(self, **options: Any) -> None:
        self.check = self.new_check(**options)

    def collect(self, check: WandbCheck | None = None) -> Received:
        """One collection, as the Agent runs it. Raises AssertionError with the check's own words when it fails."""
        check = check or self.check
        self._aggregator.reset()
        before = len(self.server.requests)
        report = check.run()
        assert not report, json.loads(report)[0]["message"]
        return self._received(len(self.server.requests) - before)

    def failing(self) -> str:
        """One collection that has to fail, and what it says."""
        self._aggregator.reset()
        message: str = json.loads(self.check.run())[0]["message"]
        assert not [name for name in self._aggregator.metric_names if not name.startswith("metta.check.")]
        assert not self._aggregator._histogram_buckets
        assert not self._aggregator.events
        return message

    def after(self, **duration: float) -> Received:
        """A collection so much later: `after(minutes=2)`."""
        self.now += timedelta(**duration)
        return self.collect()

    def fresh(self) -> Received:
        """What a full listing gives at this moment to a check that knows what this one does; changes nothing."""
        cache = dict(datadog_agent._cache)
        try:
            return self.collect(self.new_check())
        finally:
            datadog_agent._cache.clear()
            datadog_agent._cache.update(cache)

    def last_filter(self) -> dict[str, Any]:
        """The filter of the latest request."""
        sent: dict[str, Any] = json.loads(json.loads(self.server.requests[-1].body)["variables"]["filters"])
        return sent

    @property
    def cached(self) -> dict[str, str]:
        """The Agent's persistent cache."""
        cache: dict[str, str] = datadog_agent._cache
        return cache

    def corrupt(self, text: str) -> None:
        """Put `text` in the place of whatever the check keeps."""
        assert self.cached
        for key in self.cached:
            self.cached[key] = text

    def _received(self, requests: int) -> Received:
        gauges = {
            (name, tuple(sorted(stub.tags))): float(stub.value)
            for name in self._aggregator.metric_names
            for stub in self._aggregator.metrics(name)
            if self._is_ours(stub.tags)
        }
        points = [
            ((name, tuple(sorted(bucket.tags))), float(bucket.lower_bound))
            for name, buckets in self._aggregator._histogram_buckets.items()
            for bucket in buckets
            if self._is_ours(bucket.tags)
        ]
        return Received(
            gauges={series: value for series, value in gauges.items() if not series[0].startswith("metta.check.")},
            points=sorted(points),
            events=[event for event in self._aggregator.events if self._is_ours(event["tags"])],
            telemetry={series: value for series, value in gauges.items() if series[0].startswith("metta.check.")},
            requests=requests,
        )

    def _is_ours(self, tags: Iterable[str]) -> bool:
        named = [text for text in tags if text.startswith("wandb_project:")]
        return not named or named == [tag("wandb_project", self.project.name)]


def asked_of(watch: Watch, check: WandbCheck) -> Scope:
    """The check's options that an independent count needs; reading them sends no request."""
    check.load_options()
    return Scope.of(check.config.model_copy(update={"project": watch.project.name}))


def value_of(tags: tuple[str, ...], key: str) -> str:
    """The value of the tag with this key."""
    return next(text.partition(":")[2] for text in tags if text.startswith(f"{key}:"))


def a_summary(**values: float) -> Mapping[str, float]:
    """A summary whose `reward` and `sps` stand under the keys of the training code."""
    names = {"reward": "overview/reward", "sps": "overview/steps_per_second"}
    return {names[name]: value for name, value in values.items()}
