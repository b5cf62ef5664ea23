"""The projects of an entity on loopback, and an Agent that watches them in one instance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.watch import START

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

Series = tuple[str, tuple[str, ...]]


def project_of(name: str, runs: int = 1, ended: int = 0) -> DemoProject:
    project = DemoProject("team", name)
    for number in range(runs + ended):
        state = "running" if number < runs else "finished"
        begin = START - timedelta(hours=2, minutes=number)
        project.start(f"{name}-{number}", begin, state=state, heartbeat_at=START - timedelta(seconds=20))
    return project


class Entity:
    """An entity on loopback, and an Agent that watches its projects."""

    def __init__(self, aggregator: AggregatorStub, *projects: DemoProject, **options: Any) -> None:
        self.now = START
        self.server = WandbServer(*projects)
        self._aggregator = aggregator
        self._options = options
        self.restart()

    def close(self) -> None:
        self.server.close()

    def restart(self, **options: Any) -> None:
        self.check = self.new_check(**options)

    def new_check(self, **options: Any) -> WandbCheck:
        instance = {
            "entity": "team",
            "projects": {"include": [".*"]},
            "base_url": self.server.url,
            "api_key": DEMO_API_KEY,
            "tls_verify": False,
            **self._options,
            **options,
        }
        check = WandbCheck("metta_wandb", {}, [instance])
        check.clock = lambda: self.now
        return check

    def __getitem__(self, name: str) -> DemoProject:
        return self.server.projects["team", name]

    def add(self, project: DemoProject) -> None:
        self.server.projects[project.entity, project.name] = project

    def remove(self, name: str) -> DemoProject:
        return self.server.projects.pop(("team", name))

    def collect(self, check: WandbCheck | None = None, **after: float) -> int:
        """One collection so much later, which must not fail; gives its number of requests."""
        self.now += timedelta(**after)
        check = check or self.check
        self._aggregator.reset()
        before = len(self.server.requests)
        report = check.run()
        assert not report, json.loads(report)[0]["message"]
        return len(self.server.requests) - before

    def failing(self, **after: float) -> str:
        self.now += timedelta(**after)
        self._aggregator.reset()
        message: str = json.loads(self.check.run())[0]["message"]
        return message

    def by_project(self, name: str) -> dict[str, float]:
        """The sum of a metric's values by project."""
        found: dict[str, float] = {}
        for stub in self._aggregator.metrics(name):
            project = next((text[14:] for text in stub.tags if text.startswith("wandb_project:")), "")
            found[project] = found.get(project, 0.0) + stub.value
        return found

    def statuses(self) -> dict[str, float]:
        """`metta.check.targets` by status, without the zeros."""
        found = {}
        for stub in self._aggregator.metrics("metta.check.targets"):
            assert "wandb_entity:team" in stub.tags
            found[next(text[7:] for text in stub.tags if text.startswith("status:"))] = stub.value
        assert set(found) == {"read", "failed", "in_progress", "waiting", "over_limit"}
        return {status: count for status, count in found.items() if count}

    def figures(self, project: str) -> Mapping[Series, float]:
        """The gauges of one project, without telemetry."""
        return {
            (name, tuple(sorted(stub.tags))): stub.value
            for name in self._aggregator.metric_names
            for stub in self._aggregator.metrics(name)
            if name.startswith("wandb.") and f"wandb_project:{project}" in stub.tags
        }

    def points(self, name: str = "wandb.run.completed.duration_hours") -> list[str]:
        """The projects of the distribution points, in order."""
        buckets = self._aggregator.histogram_bucket(name)
        return [text[14:] for bucket in buckets for text in bucket.tags if text.startswith("wandb_project:")]

    def warnings(self) -> list[str]:
        return [str(warning) for warning in self.check.get_warnings()]
