"""The demo GitHub's answers against GitHub's own published descriptions: OpenAPI for REST, the SDL for GraphQL."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.ci.check import CiCheck
from metta_checks.simulator.github_api import API
from metta_checks.simulator.github_refusals import permission_missing, primary_limit_exceeded, secondary_limit_exceeded
from metta_checks.simulator.github_server import GitHubServer

graphql = pytest.importorskip("graphql", reason="graphql-core is needed to read GitHub's SDL")
jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is needed to read GitHub's OpenAPI description")

OPENAPI = ("@octokit/openapi@23.0.2", "package/generated/api.github.com.json")
SDL = ("@octokit/graphql-schema@15.26.1", "package/schema.graphql")
CACHE = Path(tempfile.gettempdir()) / "metta-checks-github-schema"
DOWNLOAD_SECONDS = 300

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
REPO = "/repos/demo-org/arena"


@pytest.fixture(scope="session")
def openapi() -> Mapping[str, Any]:
    return json.loads(_published(*OPENAPI))


@pytest.fixture(scope="session")
def schema() -> Any:
    return graphql.build_schema(_published(*SDL).decode(), assume_valid=True)


@pytest.fixture(scope="module")
def server() -> Iterator[GitHubServer]:
    with GitHubServer(edge_case_repository(NOW, workflows=28, runs_per_day=60, days=4)) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.headers["Authorization"] = "Bearer a-token"
        yield opened


def test_every_rest_answer_is_what_github_describes(
    openapi: Mapping[str, Any], server: GitHubServer, session: requests.Session
) -> None:
    repository = server.repositories[0]
    rerun = next(run for run in repository.runs if run.run_attempt == 3)
    of_fork = next(run for run in repository.runs if run.head_repository != repository.full_name)
    pull_request = repository.open_pull_request("A change")
    repository.new_run(rerun.workflow_id, branch="a-branch", event="pull_request", pull_request=pull_request.number)
    unfinished = next(run for run in repository.runs if run.conclusion is None)
    cases = [
        ("", ""),
        ("/actions/runs", "/actions/runs?per_page=100"),
        ("/actions/runs", "/actions/runs?per_page=100&page=3&branch=main"),
        ("/actions/runs", "/actions/runs?branch=no-such-branch"),
        ("/actions/runs/{run_id}", f"/actions/runs/{rerun.id}"),
        ("/actions/runs/{run_id}", f"/actions/runs/{of_fork.id}"),
        ("/actions/runs/{run_id}", f"/actions/runs/{unfinished.id}"),
        ("/actions/runs/{run_id}/attempts/{attempt_number}", f"/actions/runs/{rerun.id}/attempts/2"),
        ("/actions/runs/{run_id}/attempts/{attempt_number}/jobs", f"/actions/runs/{rerun.id}/attempts/2/jobs"),
        ("/actions/runs/{run_id}/jobs", f"/actions/runs/{rerun.id}/jobs?filter=all&per_page=100"),
        ("/actions/runs/{run_id}/jobs", f"/actions/runs/{unfinished.id}/jobs?filter=latest"),
        ("/actions/workflows", "/actions/workflows?per_page=100"),
        ("/actions/workflows/{workflow_id}", f"/actions/workflows/{repository.workflows[0].id}"),
        ("/actions/workflows/{workflow_id}/runs", "/actions/workflows/unit-tests.yml/runs?branch=main"),
        ("/pulls", "/pulls?state=closed&sort=updated&direction=desc&per_page=100"),
    ]
    cases = [(f"/repos/{{owner}}/{{repo}}{described}", f"{REPO}{path}") for described, path in cases]
    cases += [
        ("/search/issues", "/search/issues?q=repo:demo-org/arena is:pr&per_page=100"),
        ("/search/issues", "/search/issues?q=repo:demo-org/arena is:issue&per_page=100"),
        ("/rate_limit", "/rate_limit"),
    ]
    wrong = {}
    for described, path in cases:
        answer = session.get(server.url + path)
        assert answer.status_code == 200, path
        response = openapi["paths"][described]["get"]["responses"]["200"]
        validator = _validator(openapi, response["content"]["application/json"]["schema"])
        if errors := _told(validator, answer.json()):
            wrong[path] = errors
    assert wrong == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/repos/demo-org/other", 404),
        (f"{REPO}/actions/runs/1", 404),
        (f"{REPO}/actions/runs?created=yesterday", 422),
        ("/search/issues?q=is:pr repo:demo-org/other", 422),
    ],
)
def test_refusals_have_the_shape_of_githubs_errors(
    openapi: Mapping[str, Any], server: GitHubServer, session: requests.Session, path: str, status: int
) -> None:
    answer = session.get(server.url + path)
    assert answer.status_code == status
    assert _told(_validator(openapi, _reference("basic-error")), answer.json()) == []
    assert answer.json()["message"]


@pytest.mark.parametrize("refusal", [permission_missing(), primary_limit_exceeded(), secondary_limit_exceeded()])
def test_refusals_by_switch_have_it_too(openapi: Mapping[str, Any], refusal: Any) -> None:
    assert _told(_validator(openapi, _reference("basic-error")), json.loads(refusal.body)) == []


def test_the_demo_knows_no_graphql_field_that_github_does_not(schema: Any) -> None:
    wrong = []
    for type_name, ours in API.schema.type_map.items():
        if type_name.startswith("__") or not (graphql.is_object_type(ours) or graphql.is_interface_type(ours)):
            continue
        for name, field in ours.fields.items():
            theirs = getattr(schema.get_type(type_name), "fields", {}).get(name)
            if theirs is None:
                wrong.append(f"{type_name}.{name} does not exist")
                continue
            if _composite(field.type) != _composite(theirs.type):
                wrong.append(f"{type_name}.{name} is a {theirs.type}, not a {field.type}")
            if not set(field.args) <= set(theirs.args):
                wrong.append(f"{type_name}.{name} does not take {set(field.args) - set(theirs.args)}")
    assert wrong == []


def _composite(of_type: Any) -> str | None:
    """The name of a type with fields; None for a scalar or an enum."""
    named = graphql.get_named_type(of_type)
    return named.name if graphql.is_composite_type(named) else None


QUERIES = {
    "labels": """
        query ($hotfix: String!) {
          hotfix: search(type: ISSUE, query: $hotfix, first: 1) { issueCount }
          reverts: search(type: ISSUE, query: "repo:demo-org/arena is:pr label:revert", first: 1) { issueCount }
          rateLimit { cost limit remaining used resetAt nodeCount }
        }""",
    "quiet workflows": """
        query ($ids: [ID!]!) {
          nodes(ids: $ids) {
            __typename
            ... on Workflow {
              id databaseId name state createdAt updatedAt url resourcePath
              runs(first: 10) { totalCount
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
                nodes { ...RunFields }
              }
            }
          }
        }
        fragment RunFields on WorkflowRun {
          id runNumber event createdAt updatedAt url resourcePath workflow { name }
          checkSuite { id status conclusion createdAt updatedAt branch { name prefix } workflowRun { runNumber } }
        }""",
    "search items": """
        {
          search(type: ISSUE, query: "repo:demo-org/arena is:pr is:merged label:hotfix,revert", first: 50) {
            issueCount codeCount discussionCount repositoryCount userCount wikiCount
            edges { cursor node { __typename
              ... on PullRequest {
                id number title url state merged mergedAt createdAt closedAt baseRefName
                labels(first: 5) { totalCount nodes { name } }
              }
              ... on Issue { number issueState: state labels(first: 5) { nodes { name } } }
            } }
          }
        }""",
    "labelled pull requests": """
        query ($after: String) {
          repository(owner: "demo-org", name: "arena") {
            label(name: "hotfix") { name }
            missing: label(name: "HOTFIX") { name }
            labels(first: 100, after: $after, query: "force", orderBy: {field: NAME, direction: ASC}) {
              totalCount nodes { name } pageInfo { hasNextPage endCursor } }
            pullRequests(labels: ["hotfix"], states: MERGED, orderBy: {field: UPDATED_AT, direction: DESC}, first: 3) {
              totalCount nodes { number mergedAt updatedAt state } pageInfo { hasNextPage endCursor } }
          }
        }""",
    "repository": """
        query Repository($owner: String = "demo-org") {
          viewer { login }
          repository(owner: $owner, name: "arena") {
            id databaseId name nameWithOwner isPrivate createdAt url defaultBranchRef { name } }
          other: repository(owner: $owner, name: "other") { id }
        }""",
}


@pytest.mark.parametrize("name", QUERIES)
def test_graphql_answers_are_what_the_schema_says(
    schema: Any, server: GitHubServer, session: requests.Session, name: str
) -> None:
    document = graphql.parse(QUERIES[name])
    assert graphql.validate(schema, document) == []

    workflows = session.get(f"{server.url}{REPO}/actions/workflows?per_page=100").json()["workflows"]
    variables = {"ids": [workflow["node_id"] for workflow in workflows], "hotfix": "repo:demo-org/arena label:hotfix"}
    answer = session.post(f"{server.url}/graphql", json={"query": QUERIES[name], "variables": variables})

    fragments = {part.name.value: part for part in document.definitions if hasattr(part, "type_condition")}
    (operation,) = (part for part in document.definitions if hasattr(part, "operation"))
    assert answer.status_code == 200
    assert [*_misfits(schema, schema.query_type, operation.selection_set, answer.json()["data"], fragments)] == []


def test_what_metta_ci_asks_is_valid(schema: Any, server: GitHubServer) -> None:
    instance = {"repo": "demo-org/arena", "api_url": server.url, "token": "a-token"}
    check = CiCheck(name="metta_ci", init_config=None, instances=[instance])
    check.clock = lambda: NOW
    server.requests.clear()
    assert [check.run(), check.run()] == ["", ""]

    queries = [json.loads(request.body)["query"] for request in server.requests if request.path == "/graphql"]

    asked = " ".join(queries)
    for part in ("label0:", "labelList:", "state0:", "history0:", "pulse0:", "close0:"):
        assert part in asked
    assert [error for query in queries for error in graphql.validate(schema, graphql.parse(query))] == []


def _published(package: str, member: str) -> bytes:
    """A file of an npm package, which is fetched once and kept."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, so GitHub's published descriptions cannot be fetched")
    folder = CACHE / package.replace("/", "_")
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.tgz")):
        try:
            subprocess.run(
                [npm, "pack", package, "--silent"],
                cwd=folder,
                check=True,
                capture_output=True,
                timeout=DOWNLOAD_SECONDS,
            )
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"npm could not fetch {package}: {error}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        found = archive.extractfile(member)
        return found.read() if found else b""


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _validator(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """OpenAPI 3.0 is JSON Schema draft 4 but for `nullable`; with it come all schemas that it refers to."""
    needed: dict[str, Any] = {}
    root = _draft4(schema, openapi, needed)
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(lambda text: text is None or datetime.fromisoformat(text))
    formats.checks("uri")(lambda text: text is None or bool(urlsplit(text).scheme and urlsplit(text).netloc))
    return jsonschema.Draft4Validator({**root, "components": {"schemas": needed}}, format_checker=formats)


def _draft4(schema: Any, openapi: Mapping[str, Any], needed: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_draft4(entry, openapi, needed) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name not in needed:
            needed[name] = {}
            needed[name] = _draft4(openapi["components"]["schemas"][name], openapi, needed)
        return {"$ref": reference}
    converted = {
        key: _draft4(value, openapi, needed) for key, value in schema.items() if key not in ("nullable", "example")
    }
    if isinstance(converted.get("properties"), dict) and not {"allOf", "anyOf", "oneOf"} & converted.keys():
        # What GitHub does not describe, the demo does not send: it would be a misspelt field.
        converted.setdefault("additionalProperties", False)
    return {"anyOf": [{"type": "null"}, converted]} if schema.get("nullable") is True else converted


def _told(validator: Any, body: Any) -> list[str]:
    return [f"{'/'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(body)][:5]


def _misfits(schema: Any, on_type: Any, selections: Any, value: Mapping[str, Any], fragments: Any) -> Iterator[str]:
    """Every place where an answer is not what its query's types promise."""
    for selection in selections.selections:
        if selection.kind == "field":
            key = selection.alias.value if selection.alias else selection.name.value
            if selection.name.value == "__typename":
                continue
            if key not in value:
                yield f"{on_type}.{key} is missing"
                continue
            field_type = on_type.fields[selection.name.value].type
            yield from _value_misfits(schema, field_type, selection, value[key], fragments, f"{on_type}.{key}")
            continue
        fragment = fragments[selection.name.value] if selection.kind == "fragment_spread" else selection
        condition = fragment.type_condition.name.value
        if value.get("__typename", condition) == condition:
            yield from _misfits(schema, schema.get_type(condition), fragment.selection_set, value, fragments)


def _value_misfits(schema: Any, expected: Any, selection: Any, value: Any, fragments: Any, where: str) -> Iterator[str]:
    if graphql.is_non_null_type(expected):
        if value is None:
            yield f"{where} is null"
            return
        expected = expected.of_type
    if value is None:
        return
    if graphql.is_list_type(expected):
        for entry in value:
            yield from _value_misfits(schema, expected.of_type, selection, entry, fragments, where)
    elif graphql.is_composite_type(expected):
        yield from _misfits(schema, expected, selection.selection_set, value, fragments)
    elif graphql.is_enum_type(expected):
        if value not in expected.values:
            yield f"{where} is {value!r}, which is no {expected}"
    elif not isinstance(value, {"Int": int, "Boolean": bool}.get(expected.name, str)):
        yield f"{where} is {value!r}, not a {expected}"
