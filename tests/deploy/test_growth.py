"""The arithmetic in `deploy/growth.md`: its numbers follow from what the checks ask and submit, and from the values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import ceil
from statistics import fmean, median

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from deploy_support.manifests import DEPLOY, embedded
from deploy_support.runners import Collected, Runner
from simulator_support.github_changes import RandomChanges
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

SIZES = (10, 100, 1_000)
TEXT = (DEPLOY / "growth.md").read_text(encoding="utf-8")
VALUES = ("cluster-checks.yaml", "growth.yaml")
NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

TOGETHER = 100
"""Projects that one instance watches by pattern: the default of `limit`."""

WANDB_STEADY = {10: 1, 100: 2}
WANDB_AN_HOUR = {10: 36, 100: 71}
WANDB_FIRST = {10: 3, 100: 21}
"""Requests for so many projects by pattern: of a usual collection, of an hour with the list in it, of the first."""

WANDB_A_COLLECTION = 1
CI_REST_AN_HOUR, CI_POINTS_AN_HOUR, CI_FIRST = 36, 15, 39
"""Of one repository at most."""

CI_REST_QUIET = {10: 15, 100: 150}
CI_POINTS = {10: 15, 100: 60}
"""An hour of so many repositories by pattern, of which one in ten has a new workflow run between two collections."""
WANDB_SECONDS, CI_SECONDS = 5, 60
"""How long a collection of 100 targets is taken to last: for GitHub, 400 requests of 0.15 s one after the other."""

FREE_AN_HOUR, PAID_A_MINUTE, GITHUB_AN_HOUR = 3_000, 200, 5_000
WORKERS, KEPT_FREE = 4, 0.5
WANDB_COUNTS, TELEMETRY = 12, 9
DISCOVERED, DISCOVERING = 15, 12
"""Series of a discovered project without those of its runs, and of the instance that discovers it."""

CI_DISCOVERED = 3
"""Telemetry of a discovered repository."""

RUNS, ALIVE = 40, 4

IN_VALUES = [one for one in embedded() if one.is_cluster_check and one.place.partition(":")[0].endswith(VALUES)]


def interval(check: str) -> int:
    """Seconds between collections in the values."""
    (seconds,) = {one.document["instances"][0]["min_collection_interval"] for one in IN_VALUES if one.check == check}
    return int(seconds)


def file_of(check: str) -> float:
    """The bytes of one of the check's files, as they are in the values."""
    return fmean(len(one.text) for one in IN_VALUES if one.check == check)


def instances(count: int) -> int:
    """Instances that watch so many projects by pattern."""
    return ceil(count / TOGETHER)


def busy_workers(count: int) -> float:
    return instances(count) * (WANDB_SECONDS / interval("metta_wandb") + CI_SECONDS / interval("metta_ci"))


def rows(count: int) -> Mapping[str, str]:
    """The column of the table for so many projects and repositories."""
    each, an_hour = min(count, TOGETHER), 3_600 // interval("metta_wandb")
    by_pattern = instances(count) * WANDB_AN_HOUR[each]
    quiet, points = (instances(count) * an_hour_of[each] for an_hour_of in (CI_REST_QUIET, CI_POINTS))
    busy, at_once = count * CI_REST_AN_HOUR, count * CI_FIRST
    size = instances(count) * (file_of("metta_wandb") + file_of("metta_ci"))
    return {
        "instances of each check, of 100 targets by pattern": f"{instances(count)}",
        "W&B requests an hour": f"{by_pattern:,}",
        "the same with an instance for each project": f"{count * WANDB_A_COLLECTION * an_hour:,}",
        "W&B requests of the first collection": f"{instances(count) * WANDB_FIRST[each]:,}",
        "keys of free accounts, at 50 a minute": f"{ceil(by_pattern / FREE_AN_HOUR)}",
        "GitHub REST requests an hour that count, quiet repositories": f"{quiet:,}",
        "the same, repositories whose queue always changes": f"{busy:,}",
        "GitHub GraphQL points an hour": f"{points:,}",
        "the same with an instance for each repository": f"{count * CI_POINTS_AN_HOUR:,}",
        "tokens, at 5,000 an hour, quiet": f"{ceil(quiet / GITHUB_AN_HOUR)}",
        "tokens, busy": f"{ceil(busy / GITHUB_AN_HOUR)}",
        "GitHub requests when all begin at once, at most": f"{at_once:,}",
        "workers that are busy on average": f"{busy_workers(count):.1f}",
        "runners, two at least": f"{max(2, ceil(busy_workers(count) / (WORKERS * KEPT_FREE)))}",
        "series of the W&B counts and both checks' telemetry": (
            f"{count * (DISCOVERED + CI_DISCOVERED) + 2 * instances(count) * DISCOVERING:,}"
        ),
        "configuration files, in KiB": f"{ceil(size / 1024)}",
    }


@pytest.mark.parametrize("column", range(len(SIZES)), ids=str)
def test_the_table_adds_up(column: int) -> None:
    table = TEXT.partition("| projects and repositories |")[2].partition("\n\n")[0]
    written = {
        cells[0]: cells[1 + column]
        for line in table.splitlines()[2:]
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    assert written == rows(SIZES[column])


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_projects_by_pattern_cost_the_requests_and_series_that_it_says(count: int, aggregator: AggregatorStub) -> None:
    projects = [DemoProject("my-team", f"p{number}") for number in range(count)]
    for project in projects:
        for number in range(RUNS):
            ended = NOW - timedelta(minutes=30 * number)
            state = "running" if number < ALIVE else "finished"
            project.start(f"r{number}", ended - timedelta(hours=3), state=state, heartbeat_at=ended)
    moment = NOW
    with WandbServer(*projects) as server:
        instance = {"entity": "my-team", "projects": {"include": ["p.*"]}, "base_url": server.url, "max_runs": 0}
        check = WandbCheck("metta_wandb", {}, [{**instance, "api_key": DEMO_API_KEY, "tls_verify": False}])
        check.clock = lambda: moment
        runner = Runner("a", aggregator)
        requests = [(first := runner.take(check)).value("metta.check.requests")]
        for _ in range(3_600 // interval("metta_wandb")):
            moment += timedelta(seconds=interval("metta_wandb"))
            for project in projects[: count // 10]:
                project.beat("r0", moment.replace(microsecond=0))
            requests.append(runner.collect().value("metta.check.requests"))
    assert requests[0] == WANDB_FIRST[count]
    assert median(requests) == WANDB_STEADY[count]
    assert sum(requests[1:]) == WANDB_AN_HOUR[count]
    assert len(first.gauges) == count * DISCOVERED + DISCOVERING


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_repositories_by_pattern_cost_the_requests_and_series_that_it_says(
    count: int, aggregator: AggregatorStub
) -> None:
    clock = ManualClock(NOW)
    repositories = [DemoRepository(f"my-org/r{number}", clock=clock) for number in range(count)]
    for repository in repositories:
        workflow = repository.add_workflow("tests", ".github/workflows/tests.yml")
        for number in range(RUNS, 0, -1):
            started = NOW - timedelta(minutes=30 * number)
            repository.new_run(workflow.id, created_at=started, status="completed", conclusion="success")
    with GitHubServer(repositories, token="t" * 40) as server:
        instance = {"organization": "my-org", "repos": {"include": ["r.*"]}, "api_url": server.url, "token": "t" * 40}
        check = CiCheck("metta_ci", {}, [{**instance, "tls_verify": False}])
        check.clock = clock
        runner = Runner("a", aggregator)
        first = runner.take(check)
        before = dict(server.counted)
        for _ in range(3_600 // interval("metta_ci")):
            clock.advance(timedelta(seconds=interval("metta_ci")))
            for repository in repositories[: count // 10]:
                (workflow,) = repository.workflows
                started = clock() - timedelta(minutes=2)
                minute = timedelta(minutes=1)
                repository.new_run(workflow.id, created_at=started, conclusion="success", duration=minute)
            runner.collect()
        assert server.counted["core"] - before["core"] == CI_REST_QUIET[count]
        assert server.counted["graphql"] - before["graphql"] == CI_POINTS[count]
    assert len(first.figures("metta.check.")) == count * CI_DISCOVERED + DISCOVERING


@pytest.mark.parametrize(
    ("workflows", "runs_per_day"),
    [(10, 20), (28, 90), pytest.param(40, 600, marks=pytest.mark.slow)],
    ids=["small", "ordinary", "busy"],
)
def test_an_hour_of_ci_costs_no_more_than_it_says(
    aggregator: AggregatorStub, workflows: int, runs_per_day: int
) -> None:
    repository = edge_case_repository(NOW, workflows=workflows, runs_per_day=runs_per_day, days=4)
    activity = RandomChanges(repository, runs_per_day=runs_per_day)
    clock = repository.clock
    assert isinstance(clock, ManualClock)
    with GitHubServer(repository, token="t" * 40) as server:
        instance = {"repo": repository.full_name, "api_url": server.url, "token": "t" * 40, "tls_verify": False}
        check = CiCheck("metta_ci", {}, [instance])
        check.clock = clock
        runner = Runner("a", aggregator)
        first = runner.take(check)
        assert 16 <= len(server.requests) <= CI_FIRST
        before = dict(server.counted)
        requests = []
        for _ in range(3_600 // interval("metta_ci")):
            clock.advance(timedelta(seconds=interval("metta_ci")))
            activity.catch_up()
            requests.append(runner.collect().value("metta.check.requests"))
        assert median(requests) in (4, 5)
        assert server.counted["core"] - before["core"] <= CI_REST_AN_HOUR
        assert server.counted["graphql"] - before["graphql"] == CI_POINTS_AN_HOUR
    active = sum(workflow.state == "active" for workflow in repository.workflows)
    names = (
        "metta.infra.cron.ci.workflow.runs",
        "metta.infra.cron.ci.workflow.latest_success",
        "metta.infra.cron.ci.workflow.latest_age_hours",
    )
    of_workflows = len(first.figures(*names))
    assert 4.5 <= of_workflows / active <= 7
    assert len(first.figures("metta.infra.")) - of_workflows == 45
    assert len(first.figures("metta.check.")) == TELEMETRY


def test_a_project_and_a_run_cost_the_series_that_it_says(aggregator: AggregatorStub) -> None:
    summary = dict.fromkeys(
        ("overview/steps_per_second", "overview/reward", "env_agent/heart.gained", "skypilot/queue_latency_s"), 1
    )
    gpus = {"system.gpu.0.gpu": 1, "system.gpu.0.memoryAllocated": 1}
    project = DemoProject("metta-research", "metta")
    with WandbServer(project) as server:

        def collected() -> Collected:
            instance = {"entity": "metta-research", "project": "metta", "base_url": server.url, "tls_verify": False}
            check = WandbCheck("metta_wandb", {}, [{**instance, "api_key": DEMO_API_KEY}])
            check.clock = lambda: NOW
            return Runner("a", aggregator).take(check)

        empty = collected()
        beat = NOW.replace(microsecond=0)
        project.start("r", beat - timedelta(hours=1), heartbeat_at=beat, summary=summary, system_metrics=gpus)
        running = collected()
        project.finish("r", beat)
        ended = collected()
    assert len(empty.figures("wandb.")) == WANDB_COUNTS
    assert len(empty.figures("metta.check.")) == TELEMETRY
    assert empty.value("metta.check.requests") == WANDB_A_COLLECTION
    assert len(running.gauges) - len(empty.gauges) == 8
    assert len(ended.gauges) - len(empty.gauges) == 7


def test_the_other_numbers_in_the_text_follow_too() -> None:
    text = " ".join(TEXT.split())
    assert 1024 * 1024 / file_of("metta_ci") > 3_000
    assert "more than about 3,000 files" in text
    assert interval("metta_wandb") < 300
    assert 3_600 // interval("metta_wandb") == 30
    assert re.search(r"one project.* every 120 s .* 30 requests", text)
    assert "71 requests an hour for 100 projects" in text
    assert "60 GraphQL points and 150 REST requests an hour for 100 repositories" in text
    assert FREE_AN_HOUR == 50 * 60
