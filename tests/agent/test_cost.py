"""What projects and repositories cost an Agent in memory, processor time and requests: it prints them.

`deploy/growth.md` quotes these figures. The servers have a process of their own.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from agent_support.agent import Agent
from agent_support.intake import Intake
from agent_support.serving import serving

from metta_checks.simulator.sandbox import DEMO_TOKEN
from metta_checks.simulator.wandb_server import DEMO_API_KEY

MakeAgent = Callable[..., Agent]
RUNS, ALIVE = 40, 4
"""Runs of the last day in each project, and how many of them are under way."""

WORKFLOW_RUNS = 40
INTERVAL = 30
COMMON = {"empty_default_hostname": True, "skip_proxy": True, "min_collection_interval": INTERVAL}
SECONDS = 4 * INTERVAL

TELEMETRY = ("requests", "duration_seconds")
HEAD = f"\n{'':<30}{'series':>8}{'MB':>6}   per collection of all:{'requests':>10}{'CPU, s':>8}{'longest, s':>12}\n"

CASES = [
    ("nothing", 0),
    ("projects by pattern", 10),
    ("projects by pattern", 100),
    ("projects by pattern", 1_000),
    ("a project each", 100),
    ("repositories by pattern", 100),
    ("a repository each", 10),
    ("a repository each", 100),
]


@pytest.mark.parametrize(("kind", "size"), CASES, ids=lambda part: str(part))
def test_what_it_costs(
    make_agent: MakeAgent, intake: Intake, capsys: pytest.CaptureFixture[str], kind: str, size: int
) -> None:
    numbers = {"runs": RUNS, "alive": ALIVE, "workflow_runs": WORKFLOW_RUNS}
    with serving(datetime.now(UTC), projects=size, repositories=size, **numbers) as (wandb, github):
        agent = make_agent()
        check, instances = configured(kind, size, wandb, github)
        if instances:
            agent.configure(check, [{**COMMON, **one} for one in instances])
        row = measured(agent, intake, len(instances))
    with capsys.disabled():
        sys.stdout.write(f"{HEAD}{size:>6} {kind:<23}{row}\n")


def configured(kind: str, size: int, wandb: str, github: str) -> tuple[str, Sequence[Mapping[str, Any]]]:
    of_wandb = {"entity": "team", "base_url": wandb, "api_key": DEMO_API_KEY}
    of_github = {"api_url": github, "token": DEMO_TOKEN}
    match kind:
        case "projects by pattern":
            return "metta_wandb", [{**of_wandb, "projects": {"include": ["p.*"], "limit": 1_000}}]
        case "a project each":
            return "metta_wandb", [{**of_wandb, "project": f"p{n:04}"} for n in range(size)]
        case "repositories by pattern":
            return "metta_ci", [{**of_github, "organization": "team", "repos": {"include": ["r.*"], "limit": 1_000}}]
        case "a repository each":
            return "metta_ci", [{**of_github, "repo": f"team/r{n:04}"} for n in range(size)]
    return "", []


def measured(agent: Agent, intake: Intake, instances: int) -> str:
    """The figures of an Agent whose every instance has collected once, over the next `SECONDS`."""
    agent.start()
    if instances:
        assert intake.wait_for(lambda: len(reports(intake, 0)) == instances, 400), agent.log[-4000:]
    else:
        intake.wait_for(lambda: False, 30)
    since, began, cpu = len(intake.points), time.monotonic(), agent.cpu_seconds()
    intake.wait_for(lambda: False, SECONDS)
    seconds, cpu = time.monotonic() - began, agent.cpu_seconds() - cpu
    points, memory = intake.points[since:], agent.memory() / 1e6
    assert {point.value for point in points if point.metric == "metta.check.up"} <= {1.0}
    collections = seconds / INTERVAL
    by_metric = {metric: [one.value for one in points if one.metric == f"metta.check.{metric}"] for metric in TELEMETRY}
    requests = sum(by_metric["requests"]) / len(by_metric["requests"] or [0]) * instances
    series = len({(one.metric, one.tags) for one in points})
    longest = max(by_metric["duration_seconds"], default=0.0)
    assert agent.stop() == 0
    return f"{series:>8,}{memory:>6.0f}{'':>25}{requests:>10,.1f}{cpu / collections:>8.2f}{longest:>12.2f}"


def reports(intake: Intake, since: int) -> Counter[tuple[str, ...]]:
    """How often each instance has reported."""
    return Counter(one.tags for one in intake.points[since:] if one.metric == "metta.check.duration_seconds")
