"""What `deploy/growth.md` says of a CI check that the Cluster Agent moves to another runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from deploy_support.runners import Collected, Runner
from simulator_support.github_changes import RandomChanges
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer

TURN = timedelta(minutes=4)
NAMESPACE = "metta.infra."
TOKEN = "ghp_" + 36 * "x"

NewCheck = Callable[..., CiCheck]
NewRunner = Callable[[str], Runner]


@pytest.fixture
def repository() -> DemoRepository:
    return edge_case_repository(datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), days=4)


@pytest.fixture
def clock(repository: DemoRepository) -> ManualClock:
    assert isinstance(repository.clock, ManualClock)
    return repository.clock


@pytest.fixture
def server(repository: DemoRepository) -> Iterator[GitHubServer]:
    with GitHubServer(repository, token=TOKEN) as server:
        yield server


@pytest.fixture
def new_check(server: GitHubServer, repository: DemoRepository, clock: ManualClock) -> NewCheck:
    def make(**options: Any) -> CiCheck:
        instance = {
            "repo": repository.full_name,
            "api_url": server.url,
            "token": TOKEN,
            "tls_verify": False,
            **options,
        }
        check = CiCheck("metta_ci", {}, [instance])
        check.clock = clock
        return check

    return make


@pytest.fixture
def runner(aggregator: AggregatorStub) -> NewRunner:
    return lambda name: Runner(name, aggregator)


def a_new_run(repository: DemoRepository) -> int:
    """A run on the branch that is under way."""
    return repository.new_run(repository.workflows[0].id).id


def points(collected: Collected) -> int:
    return len(collected.points)


def cancelled(collected: Collected) -> float:
    return collected.value(f"{NAMESPACE}cron.ci.workflow.cancelled")


def test_the_figures_are_those_that_the_old_runner_would_tell(
    runner: NewRunner, new_check: NewCheck, repository: DemoRepository, clock: ManualClock
) -> None:
    """Flaky runs too: the new runner asks for the earlier attempts again."""
    stays, gets_it, activity = runner("a"), runner("b"), RandomChanges(repository, runs_per_day=90)
    stays.take(new_check())
    for _ in range(15):
        clock.advance(TURN)
        activity.catch_up()
        stays.collect()
    expected = stays.collect().figures(NAMESPACE)
    assert expected
    assert gets_it.take(new_check()).figures(NAMESPACE) == expected


def test_runs_that_are_deleted_on_github_count_no_more(
    runner: NewRunner, new_check: NewCheck, repository: DemoRepository, clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    run_id = a_new_run(repository)
    clock.advance(TURN)
    repository.complete(run_id, "cancelled")
    seen = cancelled(a.take(new_check()))
    repository.delete_run(run_id)
    clock.advance(TURN)
    assert cancelled(a.collect()) == seen
    assert cancelled(b.take(new_check())) == seen - 1


def test_a_run_gives_no_second_point_on_the_new_runner_and_none_when_it_ended_between_the_two(
    runner: NewRunner, new_check: NewCheck, repository: DemoRepository, clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    told, between, late = (a_new_run(repository) for _ in range(3))
    a.take(new_check())
    clock.advance(TURN)
    repository.complete(told)
    assert points(a.collect()) == 1

    clock.advance(TURN)
    repository.complete(between)
    assert points(b.take(new_check())) == 0

    clock.advance(TURN)
    repository.complete(late)
    assert points(b.collect()) == 1


@pytest.mark.parametrize(("comes_back_to", "told"), [("the old pod", 2), ("a new pod", 0)])
def test_back_on_the_old_runner_what_it_missed_is_told_again(
    runner: NewRunner,
    new_check: NewCheck,
    repository: DemoRepository,
    clock: ManualClock,
    comes_back_to: str,
    told: int,
) -> None:
    a, b = runner("a"), runner("b")
    between, late = a_new_run(repository), a_new_run(repository)
    a.take(new_check())
    clock.advance(TURN)
    repository.complete(between)
    b.take(new_check())
    clock.advance(TURN)
    repository.complete(late)
    assert points(b.collect()) == 1

    clock.advance(TURN)
    back = a if comes_back_to == "the old pod" else runner("a")
    assert points(back.take(new_check())) == told
    clock.advance(TURN)
    assert points(back.collect()) == 0


def test_a_verdict_that_flips_between_the_two_is_no_event(
    runner: NewRunner, new_check: NewCheck, repository: DemoRepository, clock: ManualClock
) -> None:
    stays, gets_it = runner("a"), runner("b")
    file = repository.workflows[0].path.rpartition("/")[2]
    check = {"events": True, "benchmarks_workflows": [file]}
    run_id = a_new_run(repository)
    repository.complete(run_id, "success")
    clock.advance(TURN)
    stays.take(new_check(**check))
    clock.advance(TURN)
    repository.complete(a_new_run(repository), "failure")
    clock.advance(TURN)
    assert gets_it.take(new_check(**check)).events == []
    flipped = [event["msg_title"] for event in stays.collect().events]
    assert [title for title in flipped if "benchmarks" in title]


def test_the_new_runner_reads_the_window_again(
    runner: NewRunner, new_check: NewCheck, server: GitHubServer, clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    a.take(new_check())
    clock.advance(TURN)
    warm = spent(server, a.collect)
    clock.advance(TURN)
    moved = spent(server, lambda: b.take(new_check()))
    clock.advance(TURN)
    assert spent(server, b.collect) <= warm + 1
    assert warm <= 2
    assert 10 <= moved <= 40


def spent(server: GitHubServer, collect: Callable[[], Collected]) -> int:
    """What a collection cost of the hourly quota of REST requests."""
    before = server.counted["core"]
    collect()
    return server.counted["core"] - before
