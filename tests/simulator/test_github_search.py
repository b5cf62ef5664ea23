"""What the demo GitHub finds: the issue search over REST and GraphQL, nodes, and how GraphQL refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
HEADERS = {"Authorization": "Bearer a-token"}

LABELLED = [
    (("hotfix",), HOUR, "main"),
    (("Hotfix", "force-merge"), 2 * HOUR, "release"),
    (("force-merge", "force_merge"), 3 * HOUR, "main"),
    (("hotfix-candidate",), 4 * HOUR, "main"),
    (("revert",), 168 * HOUR, "main"),
    (("revert",), 168 * HOUR + SECOND, "main"),
    (("revert",), None, "main"),
]


@pytest.fixture
def repository() -> DemoRepository:
    """A workflow with three runs, the pull requests above, and an issue."""
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    workflow = repository.add_workflow("Tests", ".github/workflows/tests.yml")
    repository.new_run(workflow.id, created_at=NOW - 3 * HOUR, conclusion="timed_out")
    repository.new_run(workflow.id, created_at=NOW - 2 * HOUR, conclusion="success", branch="a-branch")
    repository.new_run(workflow.id, created_at=NOW - HOUR)
    for number, (labels, ago, base) in enumerate(LABELLED):
        opened = repository.open_pull_request(f"Change {number}", labels=labels, base=base, created_at=NOW - 400 * HOUR)
        if ago is not None:
            repository.merge_pull_request(opened.number, at=NOW - ago)
    repository.open_issue("Needs one", labels=["hotfix"])
    return repository


@pytest.fixture
def server(repository: DemoRepository) -> Iterator[GitHubServer]:
    with GitHubServer(repository) as running:
        yield running


def search(server: GitHubServer, query: str, **parameters: object) -> requests.Response:
    return requests.get(f"{server.url}/search/issues", params={"q": query, **parameters}, headers=HEADERS, timeout=30)


def ask(server: GitHubServer, query: str, **variables: object) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer = requests.post(f"{server.url}/graphql", json=body, headers=HEADERS, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("is:pr is:merged label:hotfix", 2),
        # The comma is OR, and a pull request with both labels counts once.
        ('is:pr is:merged label:"force-merge","force_merge"', 2),
        ("is:pr is:merged label:force_merge,revert", 3),
        # Two qualifiers are AND.
        ("is:pr is:merged label:hotfix label:force-merge", 1),
        ("is:pr is:merged label:hotfix -label:force-merge", 1),
        ("is:pr is:merged label:hotfix base:main", 1),
        ("is:pr label:revert", 3),
        ("is:issue label:hotfix", 1),
        # To the second, both edges included; a date without a time reaches back to midnight.
        ("is:pr is:merged label:revert merged:>=2026-02-25T15:30:00Z", 1),
        ("is:pr is:merged label:revert merged:>=2026-02-25T15:29:59+00:00", 2),
        ("is:pr is:merged label:revert merged:>=2026-02-25", 2),
        ("is:pr is:merged label:revert merged:>2026-02-25", 0),
        ("is:pr is:merged merged:2026-02-25T15:30:00Z..2026-03-04T12:30:00Z", 3),
    ],
)
def test_the_search_counts_pull_requests_by_label(server: GitHubServer, query: str, total: int) -> None:
    query = f"repo:demo-org/arena {query}"
    found = search(server, query).json()
    assert (found["total_count"], len(found["items"])) == (total, total)
    counted = ask(server, "query($q: String!) { search(type: ISSUE, query: $q, first: 1) { issueCount } }", q=query)
    assert counted == {"data": {"search": {"issueCount": total}}}


def labelled(server: GitHubServer, label: str) -> list[int]:
    query = """query($label: String!) { repository(owner: "demo-org", name: "arena") {
        pullRequests(labels: [$label], states: MERGED, first: 50, orderBy: {field: UPDATED_AT, direction: DESC}) {
          nodes { number } } } }"""
    answer = ask(server, query, label=label)
    return [node["number"] for node in answer["data"]["repository"]["pullRequests"]["nodes"]]


def test_pull_requests_with_a_label_are_listed_by_their_last_change(
    server: GitHubServer, repository: DemoRepository
) -> None:
    """In the label's very case, whatever that of the option."""
    assert labelled(server, "revert") == [5, 6]
    assert labelled(server, "Revert") == []
    repository.touch_pull_request(6)
    assert labelled(server, "revert") == [6, 5]


def test_a_label_is_one_in_any_case(repository: DemoRepository) -> None:
    assert repository.labels == ["hotfix", "force-merge", "force_merge", "hotfix-candidate", "revert"]
    with pytest.raises(ValueError, match="already has the label hotfix"):
        repository.add_label("HotFix")


def test_without_the_permission_a_list_is_an_error_and_a_search_finds_nothing(server: GitHubServer) -> None:
    server.lacking = frozenset({"pull_requests"})
    answer = ask(
        server,
        """{ viewer { login } it: repository(owner: "demo-org", name: "arena") {
             name pullRequests(first: 1) { totalCount } } }""",
    )
    # The connection is never null, so that the repository around it is.
    assert answer["data"] == {"viewer": {"login": "demo-viewer"}, "it": None}
    assert [(error["type"], error["path"]) for error in answer["errors"]] == [("FORBIDDEN", ["it", "pullRequests"])]
    assert search(server, "repo:demo-org/arena is:pr").json()["total_count"] == 0
    assert requests.get(f"{server.url}/repos/demo-org/arena/pulls", headers=HEADERS, timeout=30).status_code == 403


def test_an_old_name_leads_to_the_repository_but_finds_nothing(
    server: GitHubServer, repository: DemoRepository
) -> None:
    repository.rename("demo-org/coliseum")
    assert requests.get(f"{server.url}/repos/demo-org/arena", headers=HEADERS, timeout=30).json()["full_name"] == (
        "demo-org/coliseum"
    )
    answer = ask(server, '{ repository(owner: "demo-org", name: "arena") { nameWithOwner } }')
    assert answer["data"]["repository"] == {"nameWithOwner": "demo-org/coliseum"}
    assert search(server, "repo:demo-org/arena is:pr").json()["total_count"] == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("repo:demo-org/arena label:hotfix", "must include"),
        ("is:pr repo:demo-org/other", "cannot be searched"),
        ("is:pr merged:>=lately", "lately"),
        ("is:pr lable:hotfix", "lable"),
        ("is:pr is:brilliant", "brilliant"),
        ("", "must include"),
    ],
)
def test_a_search_that_would_mean_something_else_is_refused(server: GitHubServer, query: str, message: str) -> None:
    answer = search(server, query)
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_search_results_come_in_pages(server: GitHubServer) -> None:
    first = search(server, "is:pr", per_page=5)
    second = requests.get(first.links["next"]["url"], headers=HEADERS, timeout=30)
    numbers = [item["number"] for answer in (first, second) for item in answer.json()["items"]]
    assert numbers == [7, 6, 5, 4, 3, 2, 1]
    assert search(server, "is:pr", per_page=100, page=11).status_code == 422


def test_a_workflows_newest_runs_are_found_by_its_node_id(server: GitHubServer, repository: DemoRepository) -> None:
    workflows = requests.get(f"{server.url}/repos/demo-org/arena/actions/workflows", headers=HEADERS, timeout=30)
    (workflow,) = workflows.json()["workflows"]
    oldest = repository.runs[-1]
    repository.rerun(oldest.id, conclusion="failure", duration=timedelta(minutes=9))
    answer = ask(
        server,
        """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Workflow { databaseId runs(first: 3) { nodes {
             runNumber createdAt updatedAt checkSuite { status conclusion branch { name } } } } } } }""",
        ids=[workflow["node_id"]],
    )
    (node,) = answer["data"]["nodes"]
    assert node["databaseId"] == workflow["id"]
    assert [
        (run["runNumber"], run["checkSuite"]["status"], run["checkSuite"]["conclusion"])
        for run in node["runs"]["nodes"]
    ] == [(3, "IN_PROGRESS", None), (2, "COMPLETED", "SUCCESS"), (1, "COMPLETED", "FAILURE")]
    # The re-run keeps its place, and its last attempt tells how it ended.
    assert node["runs"]["nodes"][2] == {
        "runNumber": 1,
        "createdAt": "2026-03-04T12:30:00Z",
        "updatedAt": "2026-03-04T15:39:00Z",
        "checkSuite": {"status": "COMPLETED", "conclusion": "FAILURE", "branch": {"name": "main"}},
    }


def test_a_connection_is_read_page_by_page(server: GitHubServer, repository: DemoRepository) -> None:
    query = """query($after: String) { search(type: ISSUE, query: "is:pr", first: 3, after: $after) {
        pageInfo { hasNextPage endCursor } nodes { ... on PullRequest { number } } } }"""
    numbers, after = [], None
    for _ in range(3):
        found = ask(server, query, after=after)["data"]["search"]
        numbers.append([node["number"] for node in found["nodes"]])
        after = found["pageInfo"]["endCursor"]
    assert numbers == [[7, 6, 5], [4, 3, 2], [1]]
    assert found["pageInfo"]["hasNextPage"] is False


def test_what_is_not_there_is_null_and_an_error_beside_the_rest(server: GitHubServer) -> None:
    answer = ask(
        server,
        """{ nodes(ids: ["W_nothing"]) { id } repository(owner: "demo-org", name: "other") { id }
             viewer { login } }""",
    )
    assert answer["data"] == {"nodes": [None], "repository": None, "viewer": {"login": "demo-viewer"}}
    assert [(error["type"], error["path"]) for error in answer["errors"]] == [
        ("NOT_FOUND", ["nodes", 0]),
        ("NOT_FOUND", ["repository"]),
    ]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ viewer { logn } }", "Cannot query field"),
        ("{ viewer(first: 1) { login } }", "Unknown argument"),
        ("{ viewer }", "must have a selection of subfields"),
        ("{ ... on Starship { name } }", "Unknown type"),
        ("query { search(type: ISSUE, query: $q, first: 1) { issueCount } }", "is not defined"),
        ('{ search(type: ISSUE, query: "is:pr") { nodes { __typename } } }', "provide a `first` or `last` value"),
        ('{ search(type: ISSUE, query: "is:pr", first: 101) { issueCount } }', "exceeds the `first` limit of 100"),
        ('{ search(type: ISSUE, query: "is:brilliant", first: 1) { issueCount } }', "brilliant"),
        (f"{{ nodes(ids: {json.dumps(['W_MQ'] * 101)}) {{ id }} }}", "not provide more than 100 node ids"),
        ("{ viewer { ...Missing } }", "Unknown fragment"),
        ("{ viewer { ...Again } } fragment Again on User { ...Again }", "Cannot spread fragment"),
        ("{ viewer { login }", "found <EOF>"),
        ("{ viewer { login } } }", "Unexpected '}'"),
        ("mutation { viewer { login } }", "mutation"),
        ("{ viewer { login } } { viewer { login } }", "only defined operation"),
        ("", "Unexpected <EOF>"),
        ("{ viewer " * 20_000, "nested too deeply"),
        ("{ viewer { login } }" + " " * 200_000, "are allowed"),
    ],
)
def test_graphql_tells_what_is_wrong_with_status_200_and_no_data(server: GitHubServer, query: str, told: str) -> None:
    answer = ask(server, query)
    assert "data" not in answer
    assert told in answer["errors"][0]["message"]


def test_graphql_wants_a_token_and_a_query(server: GitHubServer) -> None:
    anonymous = requests.post(f"{server.url}/graphql", json={"query": "{ viewer { login } }"}, timeout=30)
    assert (anonymous.status_code, anonymous.json()["message"]) == (
        401,
        "This endpoint requires you to be authenticated.",
    )
    garbled = requests.post(f"{server.url}/graphql", data=b"{", headers=HEADERS, timeout=30)
    assert (garbled.status_code, garbled.json()["message"]) == (400, "Problems parsing JSON")


def test_graphql_costs_points_and_runs_out_of_them_with_status_200(server: GitHubServer) -> None:
    server.limits.graphql = 3
    query = """query($ids: [ID!]!) { rateLimit { cost remaining }
        nodes(ids: $ids) { ... on Workflow { runs(first: 1) { totalCount } } }
        again: nodes(ids: $ids) { ... on Workflow { runs(first: 1) { totalCount } } } }"""
    answer = ask(server, query, ids=["W_x"] * 100)
    assert answer["data"]["rateLimit"] == {"cost": 2, "remaining": 1}
    assert ask(server, "{ rateLimit { cost remaining } }")["data"]["rateLimit"] == {"cost": 1, "remaining": 0}
    assert server.counted == {"core": 0, "search": 0, "graphql": 3}
    assert ask(server, "{ viewer { login } }")["errors"][0]["type"] == "RATE_LIMITED"
