"""Repositories of an organisation on loopback, and an Agent that watches them in one instance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ci_support.scene import NOW, TOKEN
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository
from metta_checks.simulator.github_server import GitHubServer

OWNER = "demo-org"

Series = tuple[str, tuple[str, ...]]


class Organisation:
    """`clock` may be moved and repositories changed between collections. A context manager; it closes the server."""

    def __init__(self, aggregator: AggregatorStub, *names: str, runs: int = 2, **options: Any) -> None:
        self.clock = ManualClock(NOW)
        self._made = 0
        self._aggregator = aggregator
        self._options = options
        first = [self.new_repository(name, runs) for name in names] or [DemoRepository("else/where", clock=self.clock)]
        self.server = GitHubServer(first, token=TOKEN)
        self.check = self.new_check()

    def __enter__(self) -> Organisation:
        return self

    def __exit__(self, *_: object) -> None:
        self.check.cancel()
        self.server.close()

    def new_repository(self, name: str, runs: int = 2, **how: Any) -> DemoRepository:
        """A repository with one workflow, and runs that succeeded, a minute apart."""
        self._made += 1
        number = FIRST_REPOSITORY_ID + self._made
        repository = DemoRepository(f"{OWNER}/{name}", repository_id=number, clock=self.clock, **how)
        workflow = repository.add_workflow("CI", ".github/workflows/ci.yml")
        for back in range(runs, 0, -1):
            created = self.clock() - timedelta(minutes=10 + back)
            repository.new_run(workflow.id, conclusion="success", created_at=created, duration=timedelta(minutes=2))
        return repository

    def new_check(self, **options: Any) -> CiCheck:
        instance = {
            "organization": OWNER,
            "repos": {"include": [".*"]},
            "api_url": self.server.url,
            "token": TOKEN,
            "tests_blocking_merge_workflows": ["ci.yml"],
            "benchmarks_workflows": [],
            **self._options,
            **options,
        }
        check = CiCheck(
            "metta_ci", {"api_url": self.server.url}, [{k: v for k, v in instance.items() if v is not None}]
        )
        check.clock = self.clock
        check.load_configuration_models()
        check.transport.pause = 0.001
        return check

    def restart(self) -> None:
        self.check = self.new_check()

    def __getitem__(self, name: str) -> DemoRepository:
        return next(one for one in self.server.repositories if one.full_name == f"{OWNER}/{name}")

    def add(self, *repositories: DemoRepository) -> None:
        self.server.repositories = (*self.server.repositories, *repositories)

    def remove(self, name: str) -> DemoRepository:
        gone = self[name]
        self.server.repositories = tuple(one for one in self.server.repositories if one is not gone)
        return gone

    def finish_run(self, name: str, conclusion: Any = "success") -> None:
        """A run that ends now."""
        repository, brief = self[name], timedelta(minutes=1)
        workflow = repository.workflows[0].id
        repository.new_run(workflow, conclusion=conclusion, created_at=self.clock() - brief, duration=brief)

    def collect(self, check: CiCheck | None = None, **after: float) -> int:
        """One collection so much later, which must not fail; gives its number of requests."""
        self.clock.advance(timedelta(**after))
        check = check or self.check
        self._aggregator.reset()
        before = len(self.server.requests)
        report = check.run()
        assert not report, json.loads(report)[0]["message"]
        return len(self.server.requests) - before

    def failing(self, **after: float) -> str:
        self.clock.advance(timedelta(**after))
        self._aggregator.reset()
        report = self.check.run()
        assert report, "the collection does not fail"
        message: str = json.loads(report)[0]["message"]
        return message

    def by_repo(self, name: str, *tags: str) -> dict[str, float]:
        """The sum of a metric's values by repository."""
        found: dict[str, float] = {}
        for stub in self._aggregator.metrics(name):
            if set(tags) <= set(stub.tags):
                repo = next((text.rpartition("/")[2] for text in stub.tags if text.startswith("repo:")), "")
                found[repo] = found.get(repo, 0.0) + stub.value
        return found

    def branches(self) -> dict[str, str]:
        """By repository, the branch that its `up` names."""
        tags = [stub.tags for stub in self._aggregator.metrics("metta.check.up")]
        pairs = [dict(text.partition(":")[::2] for text in some) for some in tags]
        return {pair["repo"].rpartition("/")[2]: pair.get("branch", "") for pair in pairs if "repo" in pair}

    def statuses(self) -> dict[str, float]:
        """`metta.check.targets` by status, without the zeros."""
        found = {}
        for stub in self._aggregator.metrics("metta.check.targets"):
            assert f"github_organization:{OWNER}" in stub.tags
            found[next(text[7:] for text in stub.tags if text.startswith("status:"))] = stub.value
        assert set(found) == {"read", "failed", "in_progress", "waiting", "over_limit"}
        return {status: count for status, count in found.items() if count}

    def figures(self, repo: str) -> Mapping[Series, float]:
        """The gauges of one repository, without telemetry."""
        return {
            (name, tuple(sorted(stub.tags))): stub.value
            for name in self._aggregator.metric_names
            for stub in self._aggregator.metrics(name)
            if name.startswith("metta.infra.") and f"repo:{OWNER}/{repo}" in stub.tags
        }

    def points(self, name: str = "metta.infra.cron.ci.run.duration_minutes") -> list[str]:
        """The repositories of the distribution points, in order; a bucket may have several points."""
        return [
            text.rpartition("/")[2]
            for bucket in self._aggregator.histogram_bucket(name)
            for text in bucket.tags
            if text.startswith("repo:")
            for _ in range(int(bucket.value))
        ]

    def warnings(self) -> list[str]:
        return [str(warning) for warning in self.check.get_warnings()]
