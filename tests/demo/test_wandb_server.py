"""The W&B demo server over HTTP: what it selects, orders, pages, hides and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from metta_checks.demo.wandb_project import DemoProject, bulk_project
from metta_checks.demo.wandb_server import DEMO_API_KEY, WandbServer

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)

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

Variables = dict[str, Any]


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


def post(server: WandbServer, query: str, variables: Variables, *, key: str = DEMO_API_KEY) -> requests.Response:
    sent = {"query": query, "variables": variables}
    return requests.post(f"{server.url}/graphql", json=sent, auth=("api", key), timeout=10)


def ask(server: WandbServer, query: str = SLIM, **variables: Any) -> requests.Response:
    return post(server, query, {"entity": "team", "project": "arena", **variables})


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
        ({"first": "ten"}, "first must be a whole number"),
        ({"first": -1}, "first must be a whole number"),
        ({"entity": None}, 'Variable "$entity" of a required type was not provided'),
    ],
)
def test_refused_variables(server: WandbServer, variables: Variables, says: str) -> None:
    answer = ask(server, **variables)
    assert (answer.status_code, says in answer.text.replace('\\"', '"')) == (400, True), answer.text


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


@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ viewer { username } }", {"viewer": {"username": "demo-viewer"}}),
        ("query A { me: viewer { who: username __typename } }", {"me": {"who": "demo-viewer", "__typename": "User"}}),
        (
            'query { p: project(name: "arena", entityName: "team") { runCount running: runCount(filters: "{\\"state\\":'
            ' \\"running\\"}") } }',
            {"p": {"runCount": 5, "running": 1}},
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
    assert post(server, query, {}).json() == {"data": data}


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{ viewer { colour } }", 'Cannot query field "colour" on type "User"'),
        ("{ viewer }", "must have a selection"),
        ("{ viewer { username { x } } }", "must not have a selection"),
        ("{ viewer(id: 1) { id } }", 'Unknown argument "id" on field "viewer"'),
        ("{ viewer { ...Gone } }", "unknown fragment Gone"),
        ("{ viewer { ...A } } fragment A on User { ...A }", "nested too deeply"),
        ("{ viewer { id: name id } }", "two different fields are both called id"),
        ("{ viewer { id }", "ends too early"),
        ("{ viewer { } }", "a selection is empty"),
        ("{ viewer { id } ; }", "unexpected ';'"),
        ("subscription { runs }", "unexpected 'subscription'"),
        ("query A { viewer { id } } query B { viewer { id } }", "2 operations"),
        ("mutation { deleteRun { id } }", "not configured for a mutation"),
        ('{ project(name: "\\q") { id } }', "expected a value"),
        ("", "0 operations"),
    ],
)
def test_refused_queries(server: WandbServer, query: str, says: str) -> None:
    answer = post(server, query, {})
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
    assert project["run-b"].created_at == ago(days=3)
