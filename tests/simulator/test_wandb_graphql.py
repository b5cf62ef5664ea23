"""What the W&B demo server understands of GraphQL, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)

Variables = dict[str, Any]


@pytest.fixture
def server() -> Iterator[WandbServer]:
    project = DemoProject("team", "arena")
    project.start("run-a", NOW)
    project.start("run-b", NOW, state="finished", heartbeat_at=None)
    with WandbServer(project) as server:
        yield server


def post(server: WandbServer, query: str) -> requests.Response:
    return requests.post(f"{server.url}/graphql", json={"query": query}, auth=("api", DEMO_API_KEY), timeout=10)


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ viewer { username } }", {"viewer": {"username": "demo-viewer"}}),
        ("query A { me: viewer { who: username __typename } }", {"me": {"who": "demo-viewer", "__typename": "User"}}),
        (
            'query { p: project(name: "arena", entityName: "team") { runCount running: runCount(filters: "{\\"state\\":'
            ' \\"running\\"}") } }',
            {"p": {"runCount": 2, "running": 1}},
        ),
        (
            """query R($p: String = "arena") { project(name: $p, entityName: "team") { ...Head run(name: "run-b") {
               ... on Run { name } ...{ user { username } } user { name } } } }
               fragment Head on Project { entityName  # who owns it
               }""",
            {
                "project": {
                    "entityName": "team",
                    "run": {"name": "run-b", "user": {"username": "demo-trainer", "name": "Demo Trainer"}},
                }
            },
        ),
        ('{ project(name: "arena", entityName: "team") { run(name: "gone") { id } } }', {"project": {"run": None}}),
        ('{ project(name: "elsewhere", entityName: "team") { id } }', {"project": None}),
        ('{ project(name: "arena", entityName: "nobody") { id } }', {"project": None}),
    ],
)
def test_queries(server: WandbServer, query: str, data: Variables) -> None:
    assert post(server, query).json() == {"data": data}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ viewer { colour } }", "Cannot query field"),
        ("{ viewer }", "must have a selection"),
        ("{ viewer { username { x } } }", "must not have a selection"),
        ("{ viewer(id: 1) { id } }", "Unknown argument"),
        ("{ viewer { ...Gone } }", "Unknown fragment"),
        ("{ viewer { ...A } } fragment A on User { ...A }", "Cannot spread fragment"),
        ("{ viewer { id: name id } }", "different fields"),
        ("{ viewer { id }", "found <EOF>"),
        ("{ viewer { id } ; }", "Unexpected character: ';'"),
        ("subscription { runs }", "subscription"),
        ("query A { viewer { id } } query B { viewer { id } }", "Must provide operation name"),
        ("mutation { deleteRun { id } }", "mutation"),
        ('{ project(name: "\\q") { id } }', "Invalid character escape sequence"),
        ("", "Unexpected <EOF>"),
    ],
)
def test_refused_queries(server: WandbServer, query: str, says: str) -> None:
    answer = post(server, query)
    assert answer.status_code == 400
    assert says in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"query": 1}', b'{"query": "{ viewer { id } }", "variables": 3}']
)
def test_a_body_that_is_no_request(server: WandbServer, body: bytes) -> None:
    answer = requests.post(f"{server.url}/graphql", data=body, auth=("api", DEMO_API_KEY), timeout=10)
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_only_graphql_is_there(server: WandbServer) -> None:
    assert requests.get(f"{server.url}/graphql", timeout=10).status_code == 404
    assert requests.post(f"{server.url}/files/x", timeout=10).status_code == 404
