"""The repositories of an organisation in one instance: which are watched, what they cost, and what one failure does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from ci_support.scene import NAMESPACE, NOW, TOKEN
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_refusals import not_found, server_error
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository
from metta_checks.simulator.github_server import GitHubServer

Series = tuple[str, tuple[str, ...]]


class Organization:
    """An organisation on loopback, and an Agent that watches its repositories."""

    def __init__(self, aggregator: AggregatorStub, *names: str, **options: Any) -> None:
        self.clock = ManualClock(NOW)
        self.repositories = {name: self.repository(name, number) for number, name in enumerate(names)}
        self.server = GitHubServer(list(self.repositories.values()), token=TOKEN)
        self._aggregator = aggregator
        self._options = options
        self.check = self.new_check()

    def close(self) -> None:
        self.check.cancel()
        self.server.close()

    def repository(self, name: str, number: int, runs: int = 12, **more: Any) -> DemoRepository:
        """One with a workflow of so many runs, of which the one of this `number` failed."""
        found = DemoRepository(f"demo-org/{name}", repository_id=FIRST_REPOSITORY_ID + number, clock=self.clock, **more)
        workflow = found.add_workflow("Tests", ".github/workflows/tests.yml")
        for one in range(runs):
            self.run(
                found, "failure" if one == number else "success", hours=20, minutes=-10 * one, workflow=workflow.id
            )
        return found

    def run(self, repository: DemoRepository, conclusion: str = "success", workflow: int = 0, **ago: float) -> None:
        repository.new_run(
            workflow or repository.workflows[0].id,
            conclusion=conclusion,
            branch=repository.default_branch,
            created_at=self.clock() - timedelta(**ago),
            duration=timedelta(minutes=4),
        )

    def __getitem__(self, name: str) -> DemoRepository:
        return self.repositories[name]

    def add(self, name: str, number: int, **more: Any) -> DemoRepository:
        self.repositories[name] = self.repository(name, number, **more)
        self.server.repositories = tuple(self.repositories.values())
        return self.repositories[name]

    def remove(self, name: str) -> None:
        del self.repositories[name]
        self.server.repositories = tuple(self.repositories.values())

    def new_check(self, **options: Any) -> CiCheck:
        instance = {
            "organization": "demo-org",
            "repos": {"include": [".*"]},
            "api_url": self.server.url,
            "token": TOKEN,
            **self._options,
            **options,
        }
        instance = {name: value for name, value in instance.items() if value is not None}
        check = CiCheck("metta_ci", {"api_url": self.server.url}, [instance])
        check.clock = self.clock
        return check

    def collect(self, check: CiCheck | None = None, **after: float) -> tuple[int, int]:
        """One collection so much later, which must not fail: the requests that GitHub counted, and the free ones."""
        self.clock.advance(timedelta(**after))
        self._aggregator.reset()
        sent, counted = len(self.server.requests), sum(self.server.counted.values())
        report = (check or self.check).run()
        assert not report, json.loads(report)[0]["message"]
        counted = sum(self.server.counted.values()) - counted
        return counted, len(self.server.requests) - sent - counted

    def failing(self, **after: float) -> str:
        self.clock.advance(timedelta(**after))
        self._aggregator.reset()
        message: str = json.loads(self.check.run())[0]["message"]
        return message

    def figures(self, name: str) -> dict[Series, float]:
        """The gauges of one repository, without telemetry."""
        return {
            (metric, tuple(sorted(stub.tags))): stub.value
            for metric in self._aggregator.metric_names
            for stub in self._aggregator.metrics(metric)
            if not metric.startswith("metta.check.") and f"repo:demo-org/{name}" in stub.tags
        }

    def by_repo(self, metric: str) -> dict[str, float]:
        """The values of a metric by the repository's name."""
        found: dict[str, float] = {}
        for stub in self._aggregator.metrics(metric):
            repo = next((text[14:] for text in stub.tags if text.startswith("repo:demo-org/")), "")
            assert repo not in found or not repo
            found[repo] = stub.value
        return found

    def points(self) -> list[str]:
        """The repositories of the duration points."""
        buckets = self._aggregator.histogram_bucket(f"{NAMESPACE}ci.run.duration_minutes")
        return [
            text[14:]
            for bucket in buckets
            for text in bucket.tags
            if text.startswith("repo:demo-org/")
            for _ in range(int(bucket.value))
        ]

    def statuses(self) -> dict[str, float]:
        """`metta.check.targets` by status, without the zeros."""
        found = {}
        for stub in self._aggregator.metrics("metta.check.targets"):
            assert "github_organization:demo-org" in stub.tags
            found[next(text[7:] for text in stub.tags if text.startswith("status:"))] = stub.value
        assert set(found) == {"read", "failed", "in_progress", "waiting", "over_limit"}
        return {status: count for status, count in found.items() if count}

    def warnings(self) -> list[str]:
        return [str(warning) for warning in self.check.get_warnings()]


@pytest.fixture
def organization(aggregator: AggregatorStub) -> Iterator[Callable[..., Organization]]:
    made: list[Organization] = []

    def make(*names: str, **options: Any) -> Organization:
        made.append(Organization(aggregator, *names, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


NAMES = ("arena", "bench", "core", "docs")


def test_the_figures_are_those_of_single_instances(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES, hotfix_labels=["hotfix"])
    for _ in range(3):
        watched.run(watched["core"], "failure", minutes=6)
        watched.collect(minutes=10)
        figures = {name: watched.figures(name) for name in NAMES}
        for name in NAMES:
            alone = watched.new_check(organization=None, repos=None, repo=f"demo-org/{name}")
            watched.collect(alone)
            assert watched.figures(name) == figures[name]
            assert len(figures[name]) > 30
            alone.cancel()


def test_an_unchanged_organisation_takes_one_request_that_counts(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES)
    watched.collect()
    watched.collect(minutes=4)
    counted, free = watched.collect(minutes=4)
    assert counted == 1
    assert free <= 4 * len(NAMES)
    assert watched.statuses() == {"read": 4}


def test_one_failure_leaves_the_others_alone(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES)
    watched.collect()
    watched.server.refuse(not_found(), "/repos/demo-org/core")
    watched.collect(minutes=4)
    assert watched.by_repo("metta.check.up") == {"arena": 1, "bench": 1, "core": 0, "docs": 1}
    assert watched.statuses() == {"read": 3, "failed": 1}
    assert any("demo-org/core" in warning for warning in watched.warnings())
    unknown = [tags for (name, tags), value in watched.figures("core").items() if name.endswith("health.state")]
    assert len(unknown) == 8


def test_a_new_repository_appears_and_one_that_is_gone_is_reported_for_a_day(
    organization: Callable[..., Organization],
) -> None:
    watched = organization(*NAMES)
    watched.collect()
    watched.add("extra", 4)
    watched.remove("bench")
    watched.collect(minutes=4)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "bench", "core", "docs"}
    watched.collect(minutes=8)
    assert watched.by_repo("metta.check.up") == {"arena": 1, "bench": 0, "core": 1, "docs": 1, "extra": 1}
    watched.collect(hours=25)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "core", "docs", "extra"}


def test_archived_repositories_are_left_out_unless_they_are_named(organization: Callable[..., Organization]) -> None:
    watched = organization("arena")
    watched.add("old", 1, archived=True)
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena"}
    named = watched.new_check(repos={"include": [".*", "Old"]})
    watched.collect(named)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "Old"}
    named.cancel()


def test_each_repository_is_watched_on_its_default_branch(organization: Callable[..., Organization]) -> None:
    watched = organization("arena")
    watched.add("legacy", 1, default_branch="master")
    watched.collect()
    branches = {
        tag for name in ("arena", "legacy") for _, tags in watched.figures(name) for tag in tags if "branch:" in tag
    }
    assert branches == {"branch:main", "branch:master"}
    assert watched.by_repo("metta.check.up") == {"arena": 1, "legacy": 1}


def test_literal_names_need_no_list(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES, repos={"include": ["arena", "docs"]})
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena", "docs"}
    assert not [one for one in watched.server.requests if one.path.startswith("/orgs/")]


def test_a_list_that_cannot_be_read_again_stays_in_use(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES)
    watched.collect()
    watched.server.refuse(server_error(502), "/orgs/")
    watched.collect(minutes=12)
    assert watched.statuses() == {"read": 4}
    assert any("stays in use" in warning for warning in watched.warnings())
    restarted = watched.new_check()
    watched.collect(restarted, minutes=12)
    assert watched.statuses() == {"read": 4}
    restarted.cancel()


def test_a_list_that_was_never_read_is_an_error(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES)
    watched.server.refuse(not_found(), "/orgs/")
    assert "Check `organization`" in watched.failing()


def test_a_point_is_submitted_once_over_restarts_and_lists_that_flap(organization: Callable[..., Organization]) -> None:
    watched = organization(*NAMES)
    watched.collect()
    points: list[str] = []
    for number in range(6):
        watched.run(watched["core"], minutes=-2)
        if number % 2:
            watched.server.repositories = tuple(one for name, one in watched.repositories.items() if name != "core")
        else:
            watched.server.repositories = tuple(watched.repositories.values())
        if number == 3:
            watched.check.cancel()
            watched.check = watched.new_check()
        watched.collect(minutes=12)
        points += watched.points()
    watched.server.repositories = tuple(watched.repositories.values())
    watched.collect(minutes=12)
    points += watched.points()
    assert points == ["core"] * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repo": "demo-org/arena"}, "`organization`"),
        ({"repos": None}, "`repos`"),
        ({"organization": None}, "`repos`"),
        ({"organization": "https://github.com/demo-org"}, "`organization`"),
        ({"repos": {"include": []}}, "`repos`"),
        ({"repos": {"include": ["(a+"]}}, "`repos`"),
    ],
)
def test_options_that_cannot_be_meant(
    organization: Callable[..., Organization], options: dict[str, Any], message: str
) -> None:
    watched = organization("arena")
    watched.check = watched.new_check(**options)
    assert message in watched.failing()
