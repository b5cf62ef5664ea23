"""The W&B demo server over HTTP: what a run looks like, who may see it, and how often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)

Variables = dict[str, Any]

SLIM = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $after: String, $first: Int, $order: String,
           $keys: [String!]) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $after, first: $first, order: $order) {
      edges { node { id name displayName state createdAt heartbeatAt sweepName group jobType tags user { username }
                     host summaryMetrics(keys: $keys) systemMetrics } }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


@pytest.fixture
def project() -> DemoProject:
    project = DemoProject("team", "arena")
    project.start(
        "run-a", NOW - timedelta(days=30), heartbeat_at=NOW - timedelta(seconds=5), display_name="github.sky.main"
    )
    project.start("run-b", NOW - timedelta(days=3), heartbeat_at=NOW - timedelta(days=2), state="finished")
    project.start(
        "run-e",
        NOW - timedelta(days=20),
        heartbeat_at=NOW - timedelta(days=8),
        state="crashed",
        summary={"loss": 0.5, "flag": True},
    )
    return project


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


def post(server: WandbServer, query: str, variables: Variables, *, key: str = DEMO_API_KEY) -> requests.Response:
    sent = {"query": query, "variables": variables}
    return requests.post(f"{server.url}/graphql", json=sent, auth=("api", key), timeout=10)


def ask(server: WandbServer, query: str = SLIM, **variables: Any) -> requests.Response:
    return post(server, query, {"entity": "team", "project": "arena", **variables})


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [edge["node"]["name"].removeprefix("run-") for edge in answer.json()["data"]["project"]["runs"]["edges"]]


def test_a_node_has_what_was_asked_for(server: WandbServer, project: DemoProject) -> None:
    project["run-e"].system_metrics = {"system.cpu": float("nan")}
    answer = ask(server, filters='{"name": "run-e"}', keys=["loss", "absent"])
    assert answer.json()["data"]["project"]["runs"]["edges"][0]["node"] == {
        "id": project["run-e"].id,
        "name": "run-e",
        "displayName": "run-e",
        "state": "crashed",
        "createdAt": "2025-12-21T12:00:00Z",
        "heartbeatAt": "2026-01-02T12:00:00Z",
        "sweepName": None,
        "group": None,
        "jobType": None,
        "tags": [],
        "user": {"username": "demo-trainer"},
        "host": None,
        "summaryMetrics": '{"loss": 0.5}',
        "systemMetrics": '{"system.cpu": NaN}',
    }


@pytest.mark.parametrize(
    ("stored", "keys", "served"),
    [
        (None, None, None),
        (None, ["a"], None),
        ({}, ["a"], "{}"),
        ({"a": 1, "b": {"c": 2}}, None, '{"a": 1, "b": {"c": 2}}'),
        ({"a": 1, "b": {"c": 2}}, ["b", "a"], '{"b": {"c": 2}, "a": 1}'),
        ({"a": 1}, [], "{}"),
        ({"a": float("inf"), "b": "NaN"}, None, '{"a": Infinity, "b": "NaN"}'),
        ('"{\\"a\\": 1}"', ["a"], '"{\\"a\\": 1}"'),
        ('{"a": ', ["a"], '{"a": '),
    ],
)
def test_summaries(server: WandbServer, project: DemoProject, stored: Any, keys: list[str] | None, served: str) -> None:
    project["run-a"].summary = stored
    answer = ask(server, filters='{"name": "run-a"}', keys=keys)
    assert answer.json()["data"]["project"]["runs"]["edges"][0]["node"]["summaryMetrics"] == served


def test_a_replaced_summary_is_served_at_once(server: WandbServer, project: DemoProject) -> None:
    def whole_summary() -> str:
        answer = ask(server, filters='{"name": "run-e"}')
        return str(answer.json()["data"]["project"]["runs"]["edges"][0]["node"]["summaryMetrics"])

    before = whole_summary()
    project.beat("run-e", NOW, {"loss": 0.25})
    assert (json.loads(before)["loss"], json.loads(whole_summary())["loss"]) == (0.5, 0.25)


@pytest.mark.parametrize("auth", [None, ("api", "wrong"), ("user", DEMO_API_KEY)])
def test_a_wrong_key_is_refused(server: WandbServer, auth: tuple[str, str] | None) -> None:
    sent = {"query": "{ viewer { id } }"}
    answer = requests.post(f"{server.url}/graphql", json=sent, auth=auth, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["message"] == "user is not logged in"


def test_a_wrong_key_can_also_look_like_an_empty_account(server: WandbServer) -> None:
    server.invalid_key = "null"
    query = '{ viewer { id } project(name: "arena", entityName: "team") { id } }'
    answer = post(server, query, {}, key="wrong")
    assert (answer.status_code, answer.json()) == (200, {"data": {"viewer": None, "project": None}})
    assert post(server, query, {}).json()["data"]["project"] is not None


def test_the_key_can_be_changed_while_the_server_runs(server: WandbServer) -> None:
    server.api_key = "e4" * 20
    assert ask(server).status_code == 401
    assert post(server, "{ viewer { id } }", {}, key="e4" * 20).status_code == 200


def test_the_budget_counts_by_the_minute(project: DemoProject) -> None:
    clock = [NOW]
    with WandbServer(project, budget=2, clock=lambda: clock[0]) as server:
        answers = [ask(server) for _ in range(3)]
        clock[0] += timedelta(seconds=45)
        late = ask(server)
        clock[0] += timedelta(seconds=15)
        renewed = ask(server)
        server.budget = None
        free = [ask(server).status_code for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert (late.status_code, late.headers["RateLimit-Reset"], late.headers["Retry-After"]) == (429, "15", "15")
    assert (renewed.status_code, renewed.headers["RateLimit-Remaining"]) == (200, "1")
    assert free == [200, 200, 200]


def test_several_projects_are_kept_apart(project: DemoProject) -> None:
    other = DemoProject("team", "maze")
    other.start("run-z", NOW)
    with WandbServer(project, other) as server:
        query = """query Projects($after: String) {
          models(first: 1, after: $after) { edges { node { name } } pageInfo { endCursor } }
        }"""
        first = post(server, query, {}).json()["data"]["models"]
        second = post(server, query, {"after": first["pageInfo"]["endCursor"]}).json()["data"]["models"]
        found = names(ask(server, project="maze"))
    assert [edge["node"]["name"] for page in (first, second) for edge in page["edges"]] == ["arena", "maze"]
    assert found == ["z"]


@pytest.mark.parametrize(
    ("change", "state", "heartbeat", "display_name"),
    [
        (lambda p: p.beat("run-a", NOW), "running", "2026-01-10T12:00:00Z", "github.sky.main"),
        (lambda p: p.finish("run-a", NOW), "finished", "2026-01-10T12:00:00Z", "github.sky.main"),
        (lambda p: p.fail("run-a", NOW), "failed", "2026-01-10T12:00:00Z", "github.sky.main"),
        # The service marks a run as crashed without having heard from it.
        (lambda p: p.crash("run-a"), "crashed", "2026-01-10T11:59:55Z", "github.sky.main"),
        (lambda p: p.rename("run-a", "new"), "running", "2026-01-10T11:59:55Z", "new"),
        (lambda p: p.move("run-a", timedelta(days=-1)), "running", "2026-01-09T11:59:55Z", "github.sky.main"),
    ],
)
def test_the_project_moves_on(
    server: WandbServer,
    project: DemoProject,
    change: Callable[[DemoProject], None],
    state: str,
    heartbeat: str,
    display_name: str,
) -> None:
    change(project)
    node = ask(server, filters='{"name": "run-a"}').json()["data"]["project"]["runs"]["edges"][0]["node"]
    assert (node["state"], node["heartbeatAt"], node["displayName"]) == (state, heartbeat, display_name)


def test_runs_come_back_and_go(server: WandbServer, project: DemoProject) -> None:
    project.resume("run-b", NOW)
    project.delete("run-a")
    project.start("run-f", NOW)
    assert names(ask(server, filters='{"state": "running"}', order="name")) == ["b", "f"]
    assert project["run-b"].created_at == NOW - timedelta(days=3)
