"""The repositories of an organisation in one instance: which are watched, what they cost, and what one failure does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from ci_support.organisation import Organisation
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_refusals import not_found, server_error
from metta_checks.simulator.github_repository import DemoRepository


class Organization(Organisation):
    """Repositories with a day of runs, of which a different one failed in each; what a collection costs."""

    def __init__(self, aggregator: AggregatorStub, *names: str, **options: Any) -> None:
        super().__init__(aggregator, **{"tests_blocking_merge_workflows": None, **options})
        self.repositories: dict[str, DemoRepository] = {}
        for number, name in enumerate(names):
            self.add_repository(name, number)

    def add_repository(self, name: str, number: int, runs: int = 12, **more: Any) -> None:
        """One with a workflow of so many runs, of which the one of this `number` failed."""
        self.repositories[name] = found = self.new_repository(name, runs=0, **more)
        for one in range(runs):
            self.run(found, "failure" if one == number else "success", hours=20, minutes=-10 * one)
        self.server.repositories = tuple(self.repositories.values())

    def run(self, repository: DemoRepository, conclusion: Any = "success", **ago: float) -> None:
        repository.new_run(
            repository.workflows[0].id,
            conclusion=conclusion,
            branch=repository.default_branch,
            created_at=self.clock() - timedelta(**ago),
            duration=timedelta(minutes=4),
        )

    def cost(self, check: CiCheck | None = None, **after: float) -> tuple[int, int]:
        """One collection so much later, which must not fail: the requests that GitHub counted, and the free ones."""
        before = sum(self.server.counted.values())
        sent = self.collect(check, **after)
        counted = sum(self.server.counted.values()) - before
        return counted, sent - counted


@pytest.fixture
def organization(aggregator: AggregatorStub) -> Iterator[Callable[..., Organization]]:
    with ExitStack() as made:
        yield lambda *names, **options: made.enter_context(Organization(aggregator, *names, **options))


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
    counted, free = watched.cost(minutes=4)
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
    watched.add_repository("extra", 4)
    watched.remove("bench")
    watched.collect(minutes=4)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "bench", "core", "docs"}
    watched.collect(minutes=8)
    assert watched.by_repo("metta.check.up") == {"arena": 1, "bench": 0, "core": 1, "docs": 1, "extra": 1}
    watched.collect(hours=25)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "core", "docs", "extra"}


def test_archived_repositories_are_left_out_unless_they_are_named(organization: Callable[..., Organization]) -> None:
    watched = organization("arena")
    watched.add_repository("old", 1, archived=True)
    watched.collect()
    assert set(watched.by_repo("metta.check.up")) == {"arena"}
    named = watched.new_check(repos={"include": [".*", "Old"]})
    watched.collect(named)
    assert set(watched.by_repo("metta.check.up")) == {"arena", "Old"}
    named.cancel()


def test_each_repository_is_watched_on_its_default_branch(organization: Callable[..., Organization]) -> None:
    watched = organization("arena")
    watched.add_repository("legacy", 1, default_branch="master")
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
        watched.run(watched.repositories["core"], minutes=-2)
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
