"""What `deploy/growth.md` says of a W&B check that the Cluster Agent moves to another runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from deploy_support.runners import Collected, Runner

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

TURN = timedelta(minutes=2)
HOUR = timedelta(hours=1)
ENDED_BEFORE = [f"old{number}" for number in range(5)]
RUNNING = ["between", "late", "live", "told"]

NewRunner = Callable[[str], Runner]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 10, 12, 0, 0, 500_000, tzinfo=UTC))


@pytest.fixture
def project(clock: ManualClock) -> DemoProject:
    """Five runs that ended in the last days, and four that run."""
    project = DemoProject("metta-research", "metta")
    beat = clock().replace(microsecond=0)
    for number, name in enumerate(ENDED_BEFORE):
        end = beat - timedelta(days=number + 1)
        project.start(name, end - HOUR, heartbeat_at=end, state="finished")
    for name in RUNNING:
        project.start(name, beat - HOUR, heartbeat_at=beat)
    return project


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


@pytest.fixture
def new_check(server: WandbServer, clock: ManualClock) -> Callable[[], WandbCheck]:
    def make() -> WandbCheck:
        instance = {
            "entity": "metta-research",
            "project": "metta",
            "base_url": server.url,
            "api_key": DEMO_API_KEY,
            "tls_verify": False,
            "events": True,
        }
        check = WandbCheck("metta_wandb", {}, [instance])
        check.clock = clock
        return check

    return make


@pytest.fixture
def runner(aggregator: AggregatorStub) -> NewRunner:
    return lambda name: Runner(name, aggregator)


def ended(collected: Collected) -> int:
    """The runs that gave their point to the distribution of durations."""
    return sum(metric == "wandb.run.completed.duration_hours" for (metric, _), _ in collected.points)


def run_ids(collected: Collected) -> list[str]:
    return collected.tag_values("wandb.run.duration_hours", "run_id")


def test_the_counts_are_those_that_the_old_runner_would_tell(
    runner: NewRunner, new_check: Callable[[], WandbCheck], project: DemoProject, clock: ManualClock
) -> None:
    stays, gets_it = runner("a"), runner("b")
    stays.take(new_check())
    for finish in ("told", "between"):
        clock.advance(TURN)
        project.finish(finish, clock())
    expected = stays.collect().figures("wandb.runs")
    assert expected
    assert gets_it.take(new_check()).figures("wandb.runs") == expected


def test_runs_that_ended_long_ago_have_their_series_again_for_an_hour(
    runner: NewRunner, new_check: Callable[[], WandbCheck], clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    a.take(new_check())
    clock.advance(HOUR + TURN)
    assert run_ids(a.collect()) == RUNNING

    assert run_ids(b.take(new_check())) == sorted([*RUNNING, *ENDED_BEFORE])
    clock.advance(HOUR)
    assert run_ids(b.collect()) == sorted([*RUNNING, *ENDED_BEFORE])
    clock.advance(TURN)
    assert run_ids(b.collect()) == RUNNING


def test_a_run_gives_no_second_point_on_the_new_runner_and_none_when_it_ended_between_the_two(
    runner: NewRunner, new_check: Callable[[], WandbCheck], project: DemoProject, clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    a.take(new_check())
    clock.advance(TURN)
    project.finish("told", clock())
    assert ended(a.collect()) == 1

    clock.advance(TURN)
    project.fail("between", clock())
    first = b.take(new_check())
    assert (ended(first), first.events) == (0, [])

    clock.advance(TURN)
    project.fail("late", clock())
    second = b.collect()
    assert (ended(second), len(second.events)) == (1, 1)


@pytest.mark.parametrize(
    ("comes_back_to", "points"),
    [
        # It remembers neither what ended between the two runners nor what the other one told.
        ("the old pod", 2),
        ("a new pod", 0),
    ],
)
def test_back_on_the_old_runner_what_it_missed_is_told_again(
    runner: NewRunner,
    new_check: Callable[[], WandbCheck],
    project: DemoProject,
    clock: ManualClock,
    comes_back_to: str,
    points: int,
) -> None:
    a, b = runner("a"), runner("b")
    a.take(new_check())
    clock.advance(TURN)
    project.finish("between", clock())
    b.take(new_check())
    clock.advance(TURN)
    project.finish("late", clock())
    assert ended(b.collect()) == 1

    clock.advance(TURN)
    back = a if comes_back_to == "the old pod" else runner("a")
    assert ended(back.take(new_check())) == points
    clock.advance(TURN)
    assert ended(back.collect()) == 0


def test_the_new_runner_asks_once_as_for_any_full_listing(
    runner: NewRunner, new_check: Callable[[], WandbCheck], clock: ManualClock
) -> None:
    a, b = runner("a"), runner("b")
    for collect in (lambda: a.take(new_check()), a.collect, lambda: b.take(new_check()), b.collect):
        assert collect().value("metta.check.requests") == 1
        clock.advance(TURN)


def test_the_telemetry_says_which_runner_it_was(runner: NewRunner, new_check: Callable[[], WandbCheck]) -> None:
    a, b = runner("a"), runner("b")
    on_a, on_b = a.take(new_check()), b.take(new_check())
    assert on_a.tag_values("metta.check.up", "runner") == ["a"]
    assert on_b.tag_values("metta.check.up", "runner") == ["b"]
    # Nothing else does: the figures go on as the same series.
    assert {tag for name, tags in on_a.gauges for tag in tags if tag.startswith("runner:")} == {"runner:a"}
    assert all(name.startswith("metta.check.") for name, tags in on_b.gauges if "runner:b" in tags)
