"""What a collection asks of the API, and how often."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from simulator_support.wandb_projects import bulk_project

from metta_checks.simulator.wandb_project import DEMO_ENTITY, DEMO_PROJECT, DemoProject
from metta_checks.simulator.wandb_server import WandbServer

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]


@pytest.mark.parametrize(
    ("runs", "requests"),
    [(1_000, 1), (1_001, 2), pytest.param(10_000, 10, marks=pytest.mark.slow)],
)
def test_one_request_per_thousand_active_runs(
    server: WandbServer, now: datetime, figures: Collect, runs: int, requests: int
) -> None:
    server.projects[DEMO_ENTITY, DEMO_PROJECT] = bulk_project(now, runs=runs, keys=5)
    collected = figures(max_runs=10)
    assert sum(collected["wandb.runs"].values()) == runs
    assert list(collected["metta.check.requests"].values()) == [requests]
    assert len(server.requests) == requests


def test_small_pages_say_the_same(server: WandbServer, now: datetime, figures: Collect) -> None:
    server.projects[DEMO_ENTITY, DEMO_PROJECT] = bulk_project(now, runs=95, keys=5)
    whole = figures()
    pages = figures(page_size=10)
    assert len(server.requests) == 1 + 10
    assert {name: series for name, series in pages.items() if name.startswith("wandb.")} == {
        name: series for name, series in whole.items() if name.startswith("wandb.")
    }


def sent(server: WandbServer) -> dict[str, Any]:
    """The body of the last request."""
    body: dict[str, Any] = json.loads(server.requests[-1].body)
    return body


def test_the_filter_is_the_one_that_catches_long_runs(server: WandbServer, now: datetime, figures: Collect) -> None:
    figures(timeframe="24h")
    variables = sent(server)["variables"]
    assert json.loads(variables["filters"]) == {
        "$or": [
            {"state": {"$in": ["running", "pending", "preempting"]}},
            {"heartbeatAt": {"$gte": "2026-01-09T12:00:00Z"}},
            {"createdAt": {"$gte": "2026-01-09T12:00:00Z"}},
        ]
    }
    assert variables["order"] == "+created_at"
    assert variables["first"] == 1_000
    assert variables["after"] is None


@pytest.mark.parametrize(
    ("options", "keys", "asks", "asks_not"),
    [
        (
            {"metrics": ["a"], "sps_keys": ["b"]},
            ["a", "b", "_timestamp"],
            ["summaryMetrics(keys: $keys)", "systemMetrics"],
            [],
        ),
        ({"metrics": ["a/*"]}, None, ["summaryMetrics "], ["$keys"]),
        ({"metrics": [], "sps_keys": []}, ["_timestamp"], ["summaryMetrics(keys: $keys)"], []),
        ({"system_metrics": []}, ..., ["systemMetrics", "computeSeconds"], []),  # for the GPUs
        (
            {"run_tags": ["host"], "completed_tags": ["user", "host"]},
            ...,
            [" host user { username } "],
            [" host host "],
        ),
        ({"gpus_key": "world_size", "metrics": [], "sps_keys": []}, ["world_size", "_timestamp"], [], []),
        ({}, ..., [], ["username", "host"]),
        ({"run_tags": ["user", "host"]}, ..., ["user { username }", " host "], []),
    ],
)
def test_only_what_is_wanted_is_asked_for(
    server: WandbServer, figures: Collect, options: dict[str, Any], keys: Any, asks: list[str], asks_not: list[str]
) -> None:
    figures(**options)
    query, variables = sent(server)["query"], sent(server)["variables"]
    assert [text for text in asks if text not in query] == []
    assert [text for text in asks_not if text in query] == []
    if keys is not ...:
        assert variables.get("keys") == keys


@pytest.mark.parametrize("name", ['a "quoted" project', "mit Umläuten 日本", "back\\slash", "{braces} $entity", "a b"])
def test_names_of_projects_reach_the_api_as_they_are(
    project: DemoProject, server: WandbServer, now: datetime, figures: Collect, name: str
) -> None:
    server.projects[name, name] = DemoProject(name, name)
    server.projects[name, name].start("r1", now - timedelta(hours=1), heartbeat_at=now)
    collected = figures(entity=f" {name} ", project=f"{name}\n")
    assert sum(collected["wandb.runs"].values()) == 1.0
    assert all(f"wandb_project:{name}" in tags for tags in collected["wandb.runs"])
