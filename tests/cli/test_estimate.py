"""`metta-checks estimate`: the arithmetic of a bill, held against what the check itself counts hour by hour."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from metta_checks.core.cost import Item, hours_touched, kinds_seen
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

Command = Callable[..., Result]
Conf = Callable[..., Path]

WANDB = {"entity": "team", "project": "arena", "min_collection_interval": 120}
CI = {"repo": "team/code", "min_collection_interval": 240}
ORGANISATION = {"organization": "team", "repos": {"include": [".*"]}, "min_collection_interval": 240}
ENTITY = {"entity": "team", "projects": {"include": [".*"]}, "min_collection_interval": 120}
HEALTH = {"source": "s3://bucket/key", "min_collection_interval": 240}


def estimated(command: Command, path: Path, check: str, *arguments: object) -> dict[str, Any]:
    result = command("estimate", "--config", path, "--check", check, "--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)[0]


@pytest.mark.parametrize(
    ("item", "percentiles", "billed"),
    [
        (Item("a", 3), False, 3),
        (Item("a", 3), True, 3),
        (Item("a", 3, "distribution"), False, 15),
        (Item("a", 3, "distribution"), True, 30),
    ],
)
def test_what_datadog_bills(item: Item, percentiles: bool, billed: float) -> None:
    assert item.billed(percentiles=percentiles) == billed


def test_clock_hours_that_something_touches() -> None:
    """Averaged over every minute that it may begin in."""
    for minutes in (1, 30, 60, 150):
        touched = [(start + minutes - 1) // 60 + 1 for start in range(60)]
        assert hours_touched(minutes / 60) == pytest.approx(sum(touched) / 60, abs=0.02)


def test_kinds_that_turn_up() -> None:
    rng = random.Random(7)
    seen = [len({rng.randrange(6) for _ in range(4)}) for _ in range(20_000)]
    assert kinds_seen(6, 4) == pytest.approx(sum(seen) / len(seen), rel=0.1)
    assert kinds_seen(6, 10_000) == pytest.approx(6)
    assert kinds_seen(0, 5) == kinds_seen(5, 0) == 0


@pytest.mark.parametrize(
    ("options", "arguments", "metric", "tag_sets"),
    [
        # Two runs begin in an hour, live for three and keep their series for one: 2 x (3 + 1) + 2 x (1 + 1).
        ({}, [], "wandb.run.duration_hours", 12),
        ({}, [], "wandb.run.sps", 12),
        ({}, [], "wandb.run.metric", 36),
        ({}, [], "wandb.run.system", 24),
        ({}, [], "wandb.run.log_age_seconds", 8),
        ({}, [], "wandb.runs", 9),
        ({"run_types": {"train": "t", "sweep": "s", "nightly": "night"}}, [], "wandb.runs", 12),
        ({"completed_runs": "30m"}, [], "wandb.run.duration_hours", 11),
        ({"metrics": []}, [], "wandb.run.metric", 0),
        ({"metrics": ["a", "a", "b"]}, [], "wandb.run.metric", 24),
        ({"sps_keys": []}, [], "wandb.run.sps", 0),
        # Six run at once, so that half of them have series, and none that have ended.
        ({"max_runs": 3}, [], "wandb.run.duration_hours", 4),
        ({"max_runs": 7}, [], "wandb.run.duration_hours", 10),
        ({"max_runs": 0}, [], "wandb.run.duration_hours", 0),
        ({}, ["--runs-per-day", 0], "wandb.run.duration_hours", 0),
        ({"distributions": False}, [], "wandb.run.completed.sps", 0),
    ],
)
def test_the_series_of_an_hour_of_runs(
    command: Command, conf: Conf, options: dict[str, Any], arguments: list[object], metric: str, tag_sets: float
) -> None:
    estimate = estimated(
        command, conf({**WANDB, **options}), "wandb", "--runs-per-day", 48, "--mean-hours", 3, *arguments
    )
    assert {one["metric"]: one["tag_sets"] for one in estimate["metrics"]}[metric] == tag_sets


@pytest.mark.parametrize(
    ("check", "instance", "arguments", "metric", "tag_sets"),
    [
        ("ci", CI, ["--workflows", 40], "metta.infra.cron.ci.workflow.runs", 120),
        ("ci", CI, ["--workflows", 40], "metta.infra.cron.ci.workflow.latest_success", 40),
        ("ci", {**CI, "tests_blocking_merge_workflows": ["a.yml"]}, [], "metta.infra.health.state", 9),
        ("ci", {**CI, "hotfix_labels": []}, [], "metta.infra.health.state", 7),
        ("ci", {**CI, "distributions": False}, [], "metta.infra.cron.ci.run.duration_minutes", 0),
        ("ci", CI, [], "metta.infra.cron.ci.job.queue_minutes", 0),
        ("ci", {**ORGANISATION, "repos": {"include": ["a", "b", "c"]}}, [], "metta.infra.health.state", 24),
        ("ci", {**ORGANISATION, "repos": {"include": [".*"]}}, [], "metta.infra.cron.ci.runs.*", 300),
        ("ci", {**ORGANISATION, "repos": {"include": [".*"], "limit": 5}}, [], "metta.check.*", 28),
        ("ci", ORGANISATION, ["--workflows", 40], "metta.infra.cron.ci.workflow.runs", 120),
        ("ci", {**CI, "jobs": True}, ["--runs-per-day", 0], "metta.infra.cron.ci.job.queue_minutes", 0),
        ("training", HEALTH, ["--records", 50], "metta.infra.health.age_seconds", 50),
        ("eval", HEALTH, ["--records", 50], "the records' metrics", 50),
    ],
)
def test_the_other_checks(
    command: Command,
    conf: Conf,
    check: str,
    instance: dict[str, Any],
    arguments: list[object],
    metric: str,
    tag_sets: int,
) -> None:
    estimate = estimated(command, conf(instance), check, *arguments)
    assert {one["metric"]: one["tag_sets"] for one in estimate["metrics"]}[metric] == tag_sets
    assert estimate["billed_per_hour"] == pytest.approx(sum(one["billed"] for one in estimate["metrics"]), abs=0.5)


@pytest.mark.parametrize(
    ("options", "arguments", "requests"),
    [
        ({}, [], 30),
        ({"min_collection_interval": 60}, [], 60),
        # 48 runs a day over seven days and more are 342 active ones: four pages once an hour, one page else.
        ({"page_size": 100}, [], 33),
        ({"page_size": 100, "full_refresh": "30m"}, [], 36),
        # Six runs are alive at once: each collection takes two pages.
        ({"page_size": 3, "timeframe": "1m"}, [], 61),
    ],
)
def test_the_requests_of_an_hour(
    command: Command, conf: Conf, options: dict[str, Any], arguments: list[object], requests: float
) -> None:
    estimate = estimated(
        command, conf({**WANDB, **options}), "wandb", "--runs-per-day", 48, "--mean-hours", 3, *arguments
    )
    assert estimate["requests_per_hour"] == requests


FREE = "what has not changed is free"


@pytest.mark.parametrize(
    ("options", "arguments", "counted", "points"),
    [
        # Nothing runs, so nothing changes, and what has not changed is free.
        ({"repos": {"include": [".*"], "limit": 20}}, ["--runs-per-day", 0], 0, 15),
        ({}, ["--runs-per-day", 0], 0, 60),
        ({}, ["--runs-per-day", 0, "--repositories", 12], 0, 15),
        ({}, ["--runs-per-day", 0, "--repositories", 26], 0, 30),
        # More than the limit are not watched.
        ({"repos": {"include": [".*"], "limit": 20}}, ["--runs-per-day", 0, "--repositories", 500], 0, 15),
        # Two changes of each run, in repositories of which hardly any changes twice in 240 s: listing and queue.
        ({}, ["--runs-per-day", 240], 60, 60),
        ({"queue": False}, ["--runs-per-day", 240], 20, 60),
        # A repository that changes all the time costs three in each of its fifteen collections.
        ({"repos": {"include": ["a"]}}, ["--runs-per-day", 24_000], 45, 15),
        # And of each run that ended its jobs.
        ({"repos": {"include": ["a"]}, "jobs": True}, ["--runs-per-day", 2_400], 145, 15),
    ],
)
def test_requests_that_count_against_the_quota(
    command: Command, conf: Conf, options: dict[str, Any], arguments: list[object], counted: float, points: float
) -> None:
    path = conf({**ORGANISATION, **options})
    estimate = estimated(command, path, "ci", *arguments)
    assert estimate["counted_per_hour"] == pytest.approx(counted, rel=0.03)
    assert estimate["graphql_points_per_hour"] == points
    assert estimate["requests_per_hour"] > estimate["counted_per_hour"]
    shown = " ".join(command("estimate", "--config", path, "--check", "ci", *arguments).stdout.split())
    assert f"GraphQL points; {estimate['requests_per_month']:,} a month" in shown
    assert f"of which about {estimate['counted_per_hour']:,.0f}" in shown or estimate["counted_per_hour"] % 1
    assert FREE in shown


@pytest.mark.parametrize(
    ("check", "options", "arguments", "assumed"),
    [
        ("ci", ORGANISATION, [], "in 100 repositories (the `limit`, as if all of it were used; --repositories sets"),
        ("ci", ORGANISATION, ["--repositories", 1], "in 1 repository (as given)"),
        ("ci", ORGANISATION, ["--repositories", 200], "in 100 repositories (the `limit`; 200 were given)"),
        ("wandb", ENTITY, [], "in 100 projects (the `limit`, as if all of it were used; --projects sets another"),
        ("wandb", ENTITY, ["--projects", 12], "of 4 hours each together, in 12 projects (as given)"),
        ("wandb", {**ENTITY, "projects": {"include": ["a", "b"]}}, ["--projects", 12], "in 2 projects (named in"),
    ],
)
def test_the_number_of_targets_that_is_assumed_is_named(
    command: Command, conf: Conf, check: str, options: dict[str, Any], arguments: list[object], assumed: str
) -> None:
    path = conf(options)
    assert assumed in estimated(command, path, check, *arguments)["assumed"]
    assert assumed in " ".join(command("estimate", "--config", path, "--check", check, *arguments).stdout.split())


@pytest.mark.parametrize(("projects", "requests"), [(10, 36), (100, 71)])
def test_projects_cost_the_requests_that_the_deployment_guide_measures(
    command: Command, conf: Conf, projects: int, requests: int
) -> None:
    """`tests/deploy/test_growth.py` counts them: forty active runs in each project, of which four run."""
    active, alive = 40 * projects, 4 * projects
    per_hour = (active - alive) / 168
    load = ["--projects", projects, "--runs-per-day", per_hour * 24, "--mean-hours", alive / per_hour]
    assert estimated(command, conf(ENTITY), "wandb", *load)["requests_per_hour"] == requests


def test_what_ifs_show_only_what_makes_a_difference(command: Command, conf: Conf) -> None:
    estimate = estimated(command, conf({**WANDB, "distributions": False, "metrics": []}), "wandb")
    assert "distributions: false" not in estimate["what_if"]
    assert "metrics: none" not in estimate["what_if"]
    assert estimate["what_if"]["distributions: true"] > estimate["billed_per_hour"] > estimate["what_if"]["max_runs: 0"]


def test_percentiles_double_the_distributions(command: Command, conf: Conf) -> None:
    once, twice = (estimated(command, conf(WANDB), "wandb", *more) for more in ([], ["--percentiles"]))
    billed = sum(one["billed"] for one in once["metrics"] if one["type"] == "distribution")
    assert twice["billed_per_hour"] == pytest.approx(once["billed_per_hour"] + billed, abs=0.5)


def test_the_table(command: Command, conf: Conf) -> None:
    result = command("estimate", "--config", conf({**WANDB, "series_budget": 100}, CI | WANDB), "--check", "wandb")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "metta_wandb, instance 1: about 187 billed series in an average hour"
    assert "  of a series_budget of 100: it would warn" in lines
    assert any(line.startswith("metta_wandb, instance 2: ") for line in lines)


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("instances: [{entity: a, project: b}]", [], "name the check with --check"),
        ("instances: [{entity: a}]", ["--check", "wandb"], "`project` is not set"),
        ("instances: [{entity: a, project: b, timeframe: 5}]", ["--check", "wandb"], "Run `metta-checks validate"),
        ("instances: []", ["--check", "wandb"], "`instances` has to be a list"),
        ("instances: [", ["--check", "wandb"], "no valid YAML"),
        ("instances: [{entity: a, project: b}]", ["--check", "wand"], "there is no check 'wand'"),
        ("instances: [{entity: a, project: b}]", ["--check", "wandb", "--mean-hours", "-1"], "is not in the range"),
    ],
)
def test_refusals(command: Command, tmp_path: Path, content: str, arguments: list[str], said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    result = command("estimate", "--config", path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_without_a_configuration(command: Command) -> None:
    assert command("estimate").exit_code == 2


MINUTES, HOURS, WARM_UP, MEAN_HOURS, PER_HOUR = 5, 14, 4, 2.0, 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"completed_runs": "10m", "distributions": False}], ids=["defaults", "sparing"]
)
def test_the_check_itself_counts_as_much(command: Command, conf: Conf, options: dict[str, Any]) -> None:
    """Ten hours of a project whose runs begin at any minute, collected every five minutes."""
    project = DemoProject("team", "arena")
    began = datetime(2026, 1, 10, 0, tzinfo=UTC)
    rng = random.Random(11)
    starts = sorted(rng.uniform(0, HOURS * 60) for _ in range(HOURS * PER_HOUR))
    runs = [(f"run-{number}", began + timedelta(minutes=minute)) for number, minute in enumerate(starts)]
    with WandbServer(project) as server:
        given = {**WANDB, **options, "min_collection_interval": MINUTES * 60}
        check = WandbCheck("metta_wandb", {}, [{**given, "base_url": server.url, "api_key": DEMO_API_KEY}])
        hourly: dict[int, int] = {}
        for step in range(HOURS * 60 // MINUTES):
            now = began + timedelta(minutes=step * MINUTES)
            _let_runs_live(project, runs, now)
            check.clock = lambda now=now: now
            assert check.run() == ""
            hourly[now.hour] = check.hour.billed
    counted = sum(billed for hour, billed in hourly.items() if hour >= WARM_UP) / (HOURS - WARM_UP)
    load = ["--runs-per-day", PER_HOUR * 24, "--mean-hours", MEAN_HOURS]
    assert estimated(command, conf(given), "wandb", *load)["billed_per_hour"] == pytest.approx(counted, rel=0.15)


def _let_runs_live(project: DemoProject, runs: list[tuple[str, datetime]], now: datetime) -> None:
    summary = {
        "overview/steps_per_second": 100.0,
        "overview/reward": 1.0,
        "env_agent/heart.gained": 2.0,
        "skypilot/queue_latency_s": 3.0,
    }
    names = ("github.sky.main", "a.sweep", "other")
    for number, (name, begin) in enumerate(runs):
        if begin > now or (name in project and project[name].state != "running"):
            continue
        if name not in project:
            system = {"system.gpu.0.gpu": 50.0, "system.gpu.0.memoryAllocated": 40.0}
            project.start(name, begin, display_name=names[number % 3], summary=summary, system_metrics=system)
        if now - begin < timedelta(hours=MEAN_HOURS):
            project.beat(name, now)
        else:
            project.end(name, "finished" if number % 2 else "failed", now)
