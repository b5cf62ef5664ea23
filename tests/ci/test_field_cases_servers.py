"""What other servers than GitHub's own give: older Enterprise Servers, proxies on the way, names in another form.

Each is a neighbour of a case that users met: the same kind of fault with another input.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ci_support.runs import LISTING, add_runs
from ci_support.scene import NAMESPACE, Scene
from ci_support.truth import Truth
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.github_refusals import (
    graphql_errors,
    graphql_limit_exceeded,
    permission_missing,
    refusal,
)
from metta_checks.simulator.server import Reply, Request

SceneMaker = Callable[..., Scene]

RUNS = f"{NAMESPACE}ci.workflow.runs"
OTHER_FAILING = f"{NAMESPACE}ci.workflow.other_failing"
HOTFIX = f"{NAMESPACE}github.hotfix.count"
STATE = "metta.infra.health.state"


def undefined(type_: str, field: str, alias: str) -> dict[str, Any]:
    """How graphql-ruby, which GitHub uses, refuses a field that the schema does not have."""
    return {
        "path": ["query", alias, f"... on {type_}", field],
        "extensions": {"code": "undefinedField", "typeName": type_, "fieldName": field},
        "message": f"Field '{field}' doesn't exist on type '{type_}'",
    }


UNDEFINED = {
    "the outcome of a run": (b"checkSuite", undefined("WorkflowRun", "checkSuite", "close0")),
    "the runs of a workflow": (b"history0", undefined("Workflow", "runs", "history0")),
    "the changes of a run": (b"WorkflowRun { updatedAt", undefined("WorkflowRun", "updatedAt", "pulse0")),
    "the state of a workflow": (b"state0", undefined("Workflow", "state", "state0")),
}


@pytest.mark.parametrize(("words", "error"), UNDEFINED.values(), ids=UNDEFINED)
def test_g6_a_field_that_the_server_does_not_have_takes_no_other_with_it(
    scene: SceneMaker, words: bytes, error: dict[str, Any]
) -> None:
    """An Enterprise Server may be older than the field: figures and label counts are there all the same."""
    watched = scene(10, 60)
    truth = Truth(watched.repository)
    for path in ("quiet", "quieter"):
        workflow = watched.repository.add_workflow(path, f".github/workflows/{path}.yml")
        old = watched.clock() - timedelta(days=9)
        watched.repository.new_run(workflow.id, conclusion="failure", created_at=old)

    def refuse(request: Request) -> Reply | None:
        return graphql_errors(error) if request.path == "/graphql" and words in request.body else None

    watched.server.intercept = refuse
    for _ in range(2):
        collected = watched.collect()

        assert collected.error is None
        assert collected.figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)
        watched.later()


NO_GRAPHQL: dict[str, Answer] = {
    "a page of a proxy": Reply(404, b"<html>Not Found</html>", {"Content-Type": "text/html"}),
    "its own quota": graphql_limit_exceeded(),
    "no permission": permission_missing(),
    "another address": Reply(301, b"", {"Location": "https://github.example.com/login"}),
    "a closed connection": Fault("reset"),
    "405": refusal(405, "Method Not Allowed"),
    "a message alone": Reply(200, b'{"message":"upstream unavailable"}', {"Content-Type": "application/json"}),
}


@pytest.mark.parametrize("answer", NO_GRAPHQL.values(), ids=NO_GRAPHQL)
def test_g6_without_graphql_the_figures_are_those_of_rest(scene: SceneMaker, answer: Answer) -> None:
    watched = scene(10, 60)
    truth = Truth(watched.repository)
    watched.server.intercept = lambda request: answer if request.path == "/graphql" else None

    collected = watched.collect()

    assert collected.error is None
    expected = {
        key: value for key, value in truth.look(watched.clock()).gauges.items() if not key[0].startswith("github")
    }
    assert collected.figures.gauges == pytest.approx(expected)
    assert collected.find(STATE, "metric_name:github.hotfix.count") == 1


def test_g6_errors_that_are_null_are_none(scene: SceneMaker) -> None:
    watched = scene(10, 60)
    truth = Truth(watched.repository)

    def with_null(request: Request) -> Reply | None:
        if request.path != "/graphql":
            return None
        response = watched.server.answer(request)
        return replace(response, body=json.dumps({**json.loads(response.body), "errors": None}).encode())

    watched.server.intercept = with_null

    assert watched.collect().figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)


SHORT = {
    "no link, 99 of 300": (99, ""),
    "no link, 1 of 300": (1, ""),
    "a link without quotes": (99, "<{url}>; rel=next"),
    "a link in capitals": (60, '<{url}>; REL="Next"'),
    "a link with blanks": (40, '<{url}>; rel = "next", <{url}>; rel="last"'),
}


@pytest.mark.parametrize(("first", "link"), SHORT.values(), ids=SHORT)
def test_g21_a_short_page_goes_on_whatever_a_proxy_makes_of_its_link(
    empty_scene: SceneMaker, first: int, link: str
) -> None:
    watched = empty_scene()
    add_runs(watched, 300, "success", youngest=timedelta(minutes=10))

    def short(request: Request) -> Reply | None:
        if request.path != LISTING or "created" in request.query or "status" in request.query:
            return None
        response = watched.server.answer(request)
        document = json.loads(response.body)
        headers = {name: value for name, value in response.headers.items() if name not in {"ETag", "Link"}}
        if request.query.get("page", "1") == "1":
            document["workflow_runs"] = document["workflow_runs"][:first]
            headers |= {"Link": link.format(url=f"{watched.server.url}{LISTING}?page=2")} if link else {}
        return replace(response, body=json.dumps(document).encode(), headers=headers)

    watched.server.intercept = short

    assert watched.collect().find(RUNS, "workflow:ci.yml", "conclusion:success") == 300


NAMES = ["Prüfung", "Größe é", "テスト ガ", "İstanbul", "ÅNGSTRÖM"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", NAMES)
def test_g15_a_name_is_found_in_either_form_of_unicode(empty_scene: SceneMaker, name: str, form: Any) -> None:
    """macOS writes an accent as a character of its own; on a screen both are the same."""
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    watched = empty_scene(tests_blocking_merge_workflows=[unicodedata.normalize(form, name.lower())])
    theirs = unicodedata.normalize(other, name)
    workflow = watched.repository.add_workflow(theirs, ".github/workflows/named.yml")
    watched.repository.new_run(workflow.id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert watched.collect().find(f"{NAMESPACE}ci.workflow.tests_blocking_merge") == 1


@pytest.mark.parametrize("name", NAMES)
def test_g18_an_exclusion_too(empty_scene: SceneMaker, name: str) -> None:
    watched = empty_scene(exclude_workflows=[f"{unicodedata.normalize('NFD', name)}*"])
    workflow = watched.repository.add_workflow(
        unicodedata.normalize("NFC", f"{name} (nightly)"), ".github/workflows/n.yml"
    )
    watched.repository.new_run(workflow.id, conclusion="failure", duration=timedelta(0))
    watched.later()

    assert watched.collect().find(RUNS, "workflow:n.yml", "conclusion:failure") is None


@pytest.mark.parametrize("name", ["Prüfung", "É-hotfix"])
def test_g4b_a_label_too(empty_scene: SceneMaker, name: str) -> None:
    watched = empty_scene(hotfix_labels=[unicodedata.normalize("NFD", name.lower())])
    theirs = unicodedata.normalize("NFC", name)
    watched.repository.add_label(theirs)
    opened = watched.repository.open_pull_request("Mend", labels=[theirs])
    watched.repository.merge_pull_request(opened.number)
    watched.later()

    assert watched.collect().find(HOTFIX) == 1


def test_g3_where_the_folder_is_a_file_no_workflow_exists(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", duration=timedelta(0))
    watched.later()

    def as_file(request: Request) -> Reply | None:
        if request.path != "/graphql" or b"tree" not in request.body:
            return None
        response = watched.server.answer(request)
        document = json.loads(response.body)
        document["data"]["tree"] = {"object": {}}
        return replace(response, body=json.dumps(document).encode())

    watched.server.intercept = as_file

    assert watched.collect().find(OTHER_FAILING) == 0


REFUSALS = {
    "the account is suspended": ("Sorry. Your account was suspended.", "suspended the account"),
    "the installation is suspended": ("This installation has been suspended", "installation is suspended"),
    "two factors": (
        "Although you appear to have the correct authorization credentials, the `demo-org` organization has enabled "
        "or enforced two-factor authentication.",
        "two-factor",
    ),
    "a managed user": ("As an Enterprise Managed User, you cannot access this content", "managed user"),
    "blocked": ("Repository access blocked", "blocked the repository"),
    "no user agent": (
        "Request forbidden by administrative rules. Please make sure your request has a User-Agent header",
        "User-Agent",
    ),
    "an allow list of the enterprise": (
        "Although you appear to have the correct authorization credentials, the `acme` enterprise has an IP allow list "
        "enabled, and 203.0.113.9 is not permitted to access this resource.",
        "IP allow list",
    ),
}


@pytest.mark.parametrize(("message", "says"), REFUSALS.values(), ids=REFUSALS)
def test_g13_other_causes_of_a_403(empty_scene: SceneMaker, message: str, says: str) -> None:
    watched = empty_scene()
    watched.server.refuse(refusal(403, message), LISTING)

    error = watched.collect().error or ""

    assert "let it read" not in error
    assert says in error.partition(message)[2]


def test_g13_a_page_of_a_firewall_is_none_of_github(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    watched.server.refuse(Reply(403, b"<html>Blocked by policy</html>", {"Content-Type": "text/html"}), LISTING)

    error = watched.collect().error or ""

    assert "let it read" not in error
    assert "a proxy or firewall" in error


ODD = {
    "no workflow": {"workflow_id": None},
    "no time": {"updated_at": None},
    "a time without a zone": {"created_at": "2026-03-01T11:45:00"},
    "no path": {"path": None},
    "attempt 0": {"run_attempt": 0},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_g17_one_run_that_cannot_be_read_is_left_out_and_named(empty_scene: SceneMaker, odd: dict[str, Any]) -> None:
    watched = empty_scene()
    runs = add_runs(watched, 220, "success", youngest=timedelta(minutes=10))

    def change(request: Request) -> Reply | None:
        if request.path != LISTING:
            return None
        response = watched.server.answer(request)
        document = json.loads(response.body)
        for run in document["workflow_runs"]:
            run.update(odd if run["id"] == runs[150].id else {})
        headers = {name: value for name, value in response.headers.items() if name != "ETag"}
        return replace(response, body=json.dumps(document).encode(), headers=headers)

    watched.server.intercept = change
    collected = watched.collect()

    assert collected.error is None
    assert collected.find(RUNS, "workflow:ci.yml", "conclusion:success") == 219
    assert collected.value("metta.check.up") == 1
    assert collected.value("metta.check.dropped", "reason:invalid") == 1
    assert any(f"run {runs[150].id}" in warning for warning in collected.warnings)


def test_g17_an_answer_of_which_nothing_can_be_read_is_an_error(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    body = {"total_count": 2, "workflow_runs": [{"id": 1}, {"id": 2}]}
    watched.server.refuse(Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"}), LISTING)

    assert "malformed" in (watched.collect().error or "")


@pytest.mark.parametrize("odd", [{"conclusion": None}, {"conclusion": None, "status": "in_progress"}])
def test_g5_an_attempt_without_a_conclusion_leaves_its_run_undecided(
    empty_scene: SceneMaker, odd: dict[str, Any]
) -> None:
    """It has ended, since there is a later one: GitHub's answer is behind."""
    watched = empty_scene()
    workflow, began = watched.repository.workflows[0].id, watched.clock() - timedelta(minutes=9)
    run = watched.repository.new_run(workflow, conclusion="failure", created_at=began, duration=timedelta(minutes=1))
    watched.repository.rerun(run.id, conclusion="success", duration=timedelta(0))
    watched.later()

    def behind(request: Request) -> Reply | None:
        if "/attempts/" not in request.path:
            return None
        response = watched.server.answer(request)
        return replace(response, body=json.dumps({**json.loads(response.body), **odd}).encode())

    watched.server.intercept = behind
    collected = watched.collect()
    assert collected.find(f"{NAMESPACE}ci.workflow.flaky_tests") == 0
    assert any(f"run {run.id}" in warning for warning in collected.warnings)
    watched.server.intercept = None
    watched.later()

    assert watched.collect().find(f"{NAMESPACE}ci.workflow.flaky_tests") == 1
