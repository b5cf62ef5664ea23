"""Which runs a filter selects, in which order, and how they come in pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from simulator_support.wandb_projects import bulk_project

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)

Variables = dict[str, Any]

QUERY = """
query Runs($entity: String!, $project: String!, $filters: JSONString, $after: String, $first: Int, $order: String) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $after, first: $first, order: $order) {
      edges { node { name } }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


@pytest.fixture
def project() -> DemoProject:
    project = DemoProject("team", "arena")
    project.start("run-a", ago(days=30), heartbeat_at=ago(seconds=5), display_name="github.sky.main", tags=("x", "y"))
    project.start("run-b", ago(days=3), heartbeat_at=ago(days=2), state="finished", sweep_name="s1", group="g1")
    project.start("run-c", ago(days=9), heartbeat_at=ago(days=7), state="failed", job_type="eval", user="daphne")
    project.start("run-d", ago(hours=1), heartbeat_at=None, state="pending", config={"lr": 0.1, "net": {"depth": 4}})
    project.start(
        "run-e",
        ago(days=20),
        heartbeat_at=ago(days=8),
        state="crashed",
        summary={"loss": 0.5, "env/heart.gained": 3, "nested": {"deep.er": "yes"}, "flag": True},
    )
    return project


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


def ask(server: WandbServer, **variables: Any) -> requests.Response:
    sent = {"query": QUERY, "variables": {"entity": "team", "project": "arena", **variables}}
    return requests.post(f"{server.url}/graphql", json=sent, auth=("api", DEMO_API_KEY), timeout=10)


def names(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [edge["node"]["name"].removeprefix("run-") for edge in answer.json()["data"]["project"]["runs"]["edges"]]


@pytest.mark.parametrize(
    ("filters", "selected"),
    [
        ({}, "abcde"),
        ({"state": "running"}, "a"),
        ({"state": {"$in": ["running", "pending", "preempting"]}}, "ad"),
        ({"state": {"$nin": ["running", "pending"]}}, "bce"),
        ({"state": {"$ne": "running"}}, "bcde"),
        ({"state": {"$in": []}}, ""),
        ({"heartbeatAt": {"$gte": "2026-01-03T12:00:00Z"}}, "abc"),
        ({"heartbeatAt": {"$gt": "2026-01-03T12:00:00Z"}}, "ab"),
        ({"heartbeat_at": {"$lt": "2026-01-03T12:00:00Z"}}, "e"),
        ({"heartbeatAt": {"$lte": "2026-01-03T12:00:00Z"}}, "ce"),
        ({"heartbeatAt": None}, "d"),
        ({"heartbeatAt": {"$exists": False}}, "d"),
        ({"createdAt": {"$gt": "2026-01-07T00:00:00Z", "$lt": "2026-01-10T00:00:00Z"}}, "b"),
        ({"created_at": "2026-01-10T11:00:00Z"}, "d"),
        # What a collection asks for: everything that has not ended, and what was heard of in the week.
        (
            {"$or": [{"state": {"$in": ["running", "pending"]}}, {"heartbeatAt": {"$gte": "2026-01-03T12:00:00Z"}}]},
            "abcd",
        ),
        # A time without its Z is taken, and matches nothing.
        ({"heartbeatAt": {"$gte": "2020-01-01T00:00:00"}}, ""),
        ({"$or": [{"heartbeatAt": {"$gte": "2020-01-01T00:00:00.5"}}, {"state": "running"}]}, "a"),
        ({"name": {"$in": ["run-a", "run-e", "gone"]}}, "ae"),
        ({"displayName": {"$regex": r"^github\.sky\."}}, "a"),
        ({"display_name": {"$not": {"$regex": "^run"}}}, "a"),
        ({"tags": "y"}, "a"),
        ({"tags": {"$in": ["y", "z"]}}, "a"),
        ({"tags": {"$nin": ["y"]}}, "bcde"),
        ({"tags": ["x", "y"]}, "a"),
        ({"tags": {"$exists": True}}, "a"),
        ({"sweep": "s1"}, "b"),
        ({"sweep": None}, "acde"),
        ({"group": {"$exists": True}}, "b"),
        ({"jobType": "eval"}, "c"),
        ({"job_type": {"$in": ["eval", None]}}, "abcde"),
        ({"username": "daphne"}, "c"),
        ({"duration": {"$gt": 86_400 * 20}}, "a"),
        ({"config.lr": {"$gte": 0.1}}, "d"),
        ({"config.net.depth": 4}, "d"),
        ({"config.lr.value": 0.1}, "d"),
        ({"summary_metrics.loss": {"$lt": 1}}, "e"),
        ({"summary_metrics.env/heart.gained": 3}, "e"),
        ({"summary_metrics.nested.deep.er": "yes"}, "e"),
        ({"summary_metrics.flag": 1}, ""),
        ({"summary_metrics.flag": True}, "e"),
        ({"summary_metrics.loss": {"$gt": "0"}}, ""),
        ({"$and": [{"state": {"$ne": "running"}}, {"$nor": [{"sweep": "s1"}, {"state": "crashed"}]}]}, "cd"),
        ({"$not": {"state": "running"}}, "bcde"),
        ({"state": "failed", "jobType": "train"}, ""),
    ],
    ids=str,
)
def test_filters(server: WandbServer, filters: Variables, selected: str) -> None:
    assert names(ask(server, filters=json.dumps(filters), order="+name")) == list(selected)


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ('{"state": {"$is": "running"}}', "unknown operator $is"),
        ('{"$xor": []}', "unknown operator $xor"),
        ('{"stat": "running"}', "unknown field stat"),
        ('{"state": ', "must be JSON"),
        ("[]", "must be an object"),
        ('{"$or": {}}', "$or needs a list"),
        ('{"$or": []}', "$or needs a list"),
        ('{"name": {"$in": "run-a"}}', "need a list"),
        ('{"name": {"$exists": 1}}', "$exists needs true or false"),
        ('{"name": {"$regex": "("}}', "$regex"),
        ('{"name": {"$regex": 1}}', "$regex needs a string"),
        ('{"tags": {"$gt": true}}', "cannot order by True"),
        ('{"heartbeatAt": {"$gte": "2026-01-03T12:00:00+00:00"}}', "invalid time"),
        ('{"heartbeatAt": {"$gte": "2026-01-03T12:00:00.000Z"}}', "invalid time"),
        ('{"createdAt": {"$gte": "2026-01-03"}}', "invalid time"),
        ('{"createdAt": {"$gte": 1767441600}}', "invalid time"),
        ('{"createdAt": {"$regex": "2026"}}', "$regex does not apply"),
        ('{"$not":' * 5_000 + "{}" + "}" * 5_000, "nested too deeply"),
    ],
)
def test_refused_filters(server: WandbServer, filters: str, says: str) -> None:
    answer = ask(server, filters=filters)
    assert answer.status_code == 400
    assert says in answer.json()["errors"][0]["message"]
    assert answer.json()["data"] is None


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, "aecbd"),
        ("+created_at", "aecbd"),
        ("created_at", "aecbd"),
        ("-created_at", "dbcea"),
        ("+heartbeat_at", "decba"),
        ("-heartbeatAt", "abced"),
        ("name", "abcde"),
        ("-summary_metrics.loss", "e????"),
        ("+config.lr.value", "????d"),
    ],
)
@pytest.mark.parametrize("first", [1, 2, 1000])
def test_order_holds_over_pages(server: WandbServer, order: str | None, expected: str, first: int) -> None:
    seen: list[str] = []
    after, more = None, True
    while more:
        answer = ask(server, order=order, first=first, after=after)
        seen += names(answer)
        page = answer.json()["data"]["project"]["runs"]["pageInfo"]
        after, more = page["endCursor"], page["hasNextPage"]
    assert len(seen) == len(set(seen)) == 5
    assert all(want in (name, "?") for want, name in zip(expected, seen, strict=True))
    assert len(server.requests) == -(-5 // first)


def test_a_page_holds_at_most_a_thousand_runs_and_fifty_unless_asked() -> None:
    with WandbServer(bulk_project(NOW, runs=1_001, keys=5, entity="team", name="arena")) as server:
        assert len(names(ask(server, first=5_000))) == 1_000
        assert len(names(ask(server))) == 50
        assert names(ask(server, first=0)) == []


def test_a_run_that_beats_between_pages_is_seen_twice_in_heartbeat_order(
    server: WandbServer, project: DemoProject
) -> None:
    first = ask(server, order="+heartbeat_at", first=3)
    project.beat("run-e", NOW)
    cursor = first.json()["data"]["project"]["runs"]["pageInfo"]["endCursor"]
    assert names(first) == list("dec")
    assert names(ask(server, order="+heartbeat_at", after=cursor)) == list("bae")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"filters": {"state": "running"}}, "filters must be JSON in a string"),
        ({"order": "+colour"}, "unknown order"),
        ({"after": "not a cursor"}, "invalid cursor"),
        ({"after": "WzIsIDEsICJ4Il0="}, "invalid cursor"),
        ({"first": "ten"}, "Int cannot represent non-integer value"),
        ({"first": -1}, "first must be a whole number"),
        ({"entity": None}, "of non-null type"),
    ],
)
def test_refused_variables(server: WandbServer, variables: Variables, says: str) -> None:
    answer = ask(server, **variables)
    assert (answer.status_code, says in answer.text.replace('\\"', '"')) == (400, True), answer.text
