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
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

SIZES = (10, 100, 1_000)
TEXT = (DEPLOY / "growth.md").read_text(encoding="utf-8")
VALUES = ("cluster-checks.yaml", "growth.yaml")
NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

WANDB_A_COLLECTION = 1
CI_REST_AN_HOUR, CI_POINTS_AN_HOUR, CI_FIRST = 36, 15, 39
WANDB_SECONDS, CI_SECONDS = 1, 2
"""How long a collection is taken to last."""

PAID_A_MINUTE, FREE_A_MINUTE, GITHUB_AN_HOUR = 200, 50, 5_000
WORKERS, KEPT_FREE = 4, 0.5
WANDB_COUNTS, TELEMETRY = 12, 9

IN_VALUES = [one for one in embedded() if one.is_cluster_check and one.place.partition(":")[0].endswith(VALUES)]


def interval(check: str) -> int:
    """Seconds between collections in the values."""
    (seconds,) = {one.document["instances"][0]["min_collection_interval"] for one in IN_VALUES if one.check == check}
    return int(seconds)


def a_file_each() -> float:
    """The bytes of a W&B project's file and a repository's, as they are in the values."""
    return sum(fmean(len(one.text) for one in IN_VALUES if one.check == check) for check in ("metta_wandb", "metta_ci"))


def busy_workers(count: int) -> float:
    return count * (WANDB_SECONDS / interval("metta_wandb") + CI_SECONDS / interval("metta_ci"))


def rows(count: int) -> Mapping[str, str]:
    """The column of the table for so many projects and repositories."""
    a_minute = count * WANDB_A_COLLECTION * 60 / interval("metta_wandb")
    rest, at_once = count * CI_REST_AN_HOUR, count * CI_FIRST
    points = count * CI_POINTS_AN_HOUR
    return {
        "W&B requests a minute": f"{a_minute:,.0f}",
        "keys of paid accounts, at 200 a minute": f"{ceil(a_minute / PAID_A_MINUTE)}",
        "keys of free accounts, at 50 a minute": f"{ceil(a_minute / FREE_A_MINUTE)}",
        "GitHub REST requests an hour that count": f"{rest:,}",
        "GitHub GraphQL points an hour": f"{points:,}",
        "tokens, at 5,000 an hour": f"{ceil(max(rest, points) / GITHUB_AN_HOUR)}",
        "requests when all CI checks start at once": f"{at_once:,}",
        "tokens for that within one hour": f"{ceil(at_once / GITHUB_AN_HOUR)}",
        "workers that are busy on average": f"{busy_workers(count):.1f}",
        "runners, two at least": f"{max(2, ceil(busy_workers(count) / (WORKERS * KEPT_FREE)))}",
        "series of the W&B counts and both checks' telemetry": f"{count * (WANDB_COUNTS + 2 * TELEMETRY):,}",
        "configuration files, in KiB": f"{ceil(count * a_file_each() / 1024)}",
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


def test_an_hour_of_ci_costs_no_more_than_it_says(aggregator: AggregatorStub) -> None:
    """For the sizes of a small, an ordinary and a busy repository."""
    for workflows, runs_per_day in ((10, 20), (28, 90), (40, 600)):
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
    assert 1024 * 1024 / a_file_each() > 2_000
    assert "more than about 2,000 projects" in TEXT
    assert PAID_A_MINUTE == 1_000 * 60 / 300
    assert "an interval of 300 s, which makes 200 requests a minute" in TEXT
    assert interval("metta_wandb") < 300
    assert re.search(r"`metta_wandb` every 120 s .* 30 requests", TEXT)
    assert 3_600 // interval("metta_wandb") == 30
