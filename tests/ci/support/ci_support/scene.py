"""A demo repository, its server and the check that watches it, all on one clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ci_support.truth import Expected, Key
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.ci.check import CiCheck
from metta_checks.ci.ledger import Ledger
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Request

NAMESPACE = "metta.infra.cron."
NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TOKEN = "ghp_" + 36 * "x"
TURN = timedelta(minutes=4)


@dataclass(frozen=True)
class Collected:
    """What the Agent received in one collection, and what that took."""

    figures: Expected
    series: Mapping[tuple[str, tuple[str, ...]], float]
    events: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    error: str | None
    requests: Sequence[Request]
    counted: Mapping[str, int]

    def value(self, metric: str, *tags: str) -> float:
        """The only value of a metric's series with these tags. Raises LookupError when there are none or several."""
        found = [value for (name, has), value in self.series.items() if name == metric and set(tags) <= set(has)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} series of {metric} with {tags}")
        return found[0]

    def find(self, metric: str, *tags: str) -> float | None:
        """The same; None when there are none or several."""
        try:
            return self.value(metric, *tags)
        except LookupError:
            return None


class Scene:
    """`repository` may be changed and `clock` moved between collections. A context manager; it closes the server."""

    def __init__(self, repository: DemoRepository, aggregator: AggregatorStub, **options: Any) -> None:
        self.repository = repository
        assert isinstance(repository.clock, ManualClock)
        self.clock = repository.clock
        self.server = GitHubServer(repository, token=TOKEN)
        self.options = {
            "repo": repository.full_name,
            "api_url": self.server.url,
            "token": TOKEN,
            "tests_blocking_merge_workflows": list(TESTS_BLOCKING_MERGE),
            "benchmarks_workflows": list(BENCHMARKS),
            **options,
        }
        self._aggregator = aggregator
        self.check = self.new_check()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.check.cancel()
        self.server.close()

    def new_check(self, *, load: bool = True) -> CiCheck:
        # The server is the operator's, so that it gets the Agent's credentials, or is asked without any.
        operators = {"api_url": self.server.url}
        check = CiCheck(name="metta_ci", init_config=operators, instances=[dict(self.options)])
        check.clock = self.clock
        if load:
            check.load_configuration_models()
            # Retries shall not take a test's time.
            check.transport.pause = 0.001
        return check

    @property
    def ledger(self) -> Ledger:
        """What the check knows of the branch."""
        (target,) = self.check.targets()
        return self.check.states.of(target)

    def restart(self) -> None:
        """The Agent stops and starts: what is left is its persistent cache."""
        self.check.cancel()
        self.check = self.new_check()

    def later(self, delta: timedelta = TURN) -> datetime:
        return self.clock.advance(delta)

    def collect(self) -> Collected:
        """One run of the check, as the Agent makes it. An error is in the result rather than raised."""
        self._aggregator.reset()
        requests, counted = len(self.server.requests), dict(self.server.counted)
        error = self.check.run()
        return Collected(
            figures=self._figures(),
            series=dict(self._series()),
            events=list(self._aggregator.events),
            warnings=self.check.get_warnings(),
            error=json.loads(error)[0]["message"] if error else None,
            requests=self.server.requests[requests:],
            counted={resource: count - counted[resource] for resource, count in self.server.counted.items()},
        )

    def _series(self) -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
        for name in self._aggregator.metric_names:
            for stub in self._aggregator.metrics(name):
                yield (name, tuple(sorted(stub.tags))), stub.value

    def _figures(self) -> Expected:
        """The gauges of the namespace by workflow and conclusion, and the points of the distribution."""
        gauges: dict[Key, float] = {}
        for (name, tags), value in self._series():
            if name.startswith(NAMESPACE):
                gauges[name.removeprefix(NAMESPACE), tag_value(tags, "workflow"), tag_value(tags, "conclusion")] = value
        points: Counter[tuple[str, str, float]] = Counter()
        for bucket in self._aggregator.histogram_bucket(f"{NAMESPACE}ci.run.duration_minutes"):
            minutes = round(bucket.lower_bound, 6)
            points[tag_value(bucket.tags, "workflow"), tag_value(bucket.tags, "conclusion"), minutes] += bucket.value
        return Expected(gauges, points)


def tag_value(tags: Sequence[str], key: str) -> str:
    """The value of the tag `key`, empty where there is none."""
    return next((tag.partition(":")[2] for tag in tags if tag.startswith(f"{key}:")), "")
