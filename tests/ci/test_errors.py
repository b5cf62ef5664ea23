"""What goes wrong with GitHub: what it was and what to do about it, and no trace once it is over.

Where REST fails there are no figures; where GraphQL fails alone, those that REST tells (git-ranker#90:
/graphql answers 502 for hours while REST is fine).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

import pytest
from ci_support.scene import Collected, Scene
from ci_support.truth import Key, Truth
from simulator_support.github_changes import RandomChanges

from metta_checks.simulator.github_refusals import (
    JSON_HEADERS,
    bad_credentials,
    graphql_errors,
    graphql_limit_exceeded,
    not_found,
    permission_missing,
    secondary_limit_exceeded,
    server_error,
)
from metta_checks.simulator.server import Reply

LISTING = "/repos/demo-org/arena/actions/runs"
GRAPHQL = "/graphql"
EVERYWHERE = "/"


class Case(NamedTuple):
    """An answer of the server's, where it is given, and what the message has to say."""

    answer: Reply
    path: str
    says: tuple[str, ...]


def json_page(body: bytes) -> Reply:
    return Reply(200, body, JSON_HEADERS)


CASES = {
    "401": Case(bad_credentials(), EVERYWHERE, ("Bad credentials", "unauthorized", "renew `token`")),
    "403 for a permission": Case(
        permission_missing(), LISTING, ("not accessible", "forbidden", "Actions, Contents and Pull requests")
    ),
    "403 for a permission in GraphQL": Case(permission_missing(), GRAPHQL, ("forbidden", "Pull requests (read)")),
    "403 for the secondary limit": Case(
        secondary_limit_exceeded(), EVERYWHERE, ("secondary", "rate limited", "at the same moment", "2026-03-01T12:05")
    ),
    "403 for the secondary limit, without a word on its end": Case(
        secondary_limit_exceeded(retry_after=None), LISTING, ("secondary", "rate limited", "at the same moment")
    ),
    "429": Case(
        secondary_limit_exceeded(status=429), GRAPHQL, ("HTTP 429", "secondary", "rate limited", "2026-03-01T12:05")
    ),
    "404": Case(
        not_found(),
        LISTING,
        ("not found", "Check `repo` and `api_url`", "GitHub answers 404 for what"),
    ),
    "404 in GraphQL": Case(not_found(), GRAPHQL, ("POST", "not found", "`api_url`")),
    "500": Case(server_error(500), LISTING, ("HTTP 500", "an HTML page", "server error", "status page")),
    "502 in GraphQL": Case(server_error(502), GRAPHQL, ("HTTP 502", "server error")),
    "a page of HTML": Case(
        Reply(200, b"<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html"}),
        LISTING,
        ("HTML", "malformed", "login page"),
    ),
    "JSON that stops": Case(json_page(b'{"total_count":3,"workflow_runs":[{"id":1'), LISTING, ("no valid JSON",)),
    "JSON that stops in GraphQL": Case(json_page(b'{"data":{"label0":'), GRAPHQL, ("no valid JSON",)),
    "JSON of another shape": Case(
        json_page(b'{"total_count":1,"workflow_runs":[{"id":"x"}]}'),
        LISTING,
        ("workflow_runs.0.id", "unknown shape", "`api_url`"),
    ),
    "GraphQL of another shape": Case(json_page(b'{"data":{"label0":null}}'), GRAPHQL, ("unknown shape",)),
    "GraphQL with neither data nor errors": Case(json_page(b"[]"), GRAPHQL, ("neither data nor errors",)),
    "GraphQL without data": Case(json_page(b'{"data":null}'), GRAPHQL, ("no data",)),
    "a GraphQL limit, with status 200": Case(
        graphql_limit_exceeded(), GRAPHQL, ("RATE_LIMITED", "hourly quota", "token of its own")
    ),
    "a missing scope, with status 200": Case(
        graphql_errors({"type": "INSUFFICIENT_SCOPES", "message": "Your token has not been granted the scopes"}),
        GRAPHQL,
        ("INSUFFICIENT_SCOPES", "forbidden", "the scope `repo`"),
    ),
    "a field that the server does not know, with status 200": Case(
        graphql_errors({"message": "Field 'runs' doesn't exist on type 'Workflow'"}),
        GRAPHQL,
        ("doesn't exist", "rejected", "GitHub Enterprise Server may be too old"),
    ),
    "an error beside data, with status 200": Case(
        graphql_errors({"type": "SOMETHING", "message": "half"}, data={"label0": None}, with_data=True),
        GRAPHQL,
        ("SOMETHING", "half"),
    ),
    "a timeout of GitHub's own, with status 200": Case(
        graphql_errors({"message": "Something went wrong while executing your query. This may be a timeout."}),
        GRAPHQL,
        ("Something went wrong", "server error", "too slow"),
    ),
}


@pytest.fixture
def watched(scene: Callable[..., Scene]) -> Scene:
    return scene()


def assert_nothing_but(collected: Collected, says: tuple[str, ...]) -> None:
    """The message says it; the verdicts are unknown; no figure was submitted."""
    assert collected.error is not None
    for words in says:
        assert words in collected.error
    assert collected.value("metta.check.up") == 0
    assert {name for name, _ in collected.series if not name.startswith("metta.check.")} == {
        "metta.infra.health.state",
        "metta.infra.health.target",
    }
    states = [value for (name, _), value in collected.series.items() if name == "metta.infra.health.state"]
    assert states == [1.0] * 10
    assert collected.figures.points.total() == 0
    assert collected.events == []


def assert_told(collected: Collected, case: Case, truth: Truth, says: tuple[str, ...]) -> None:
    """Without REST there is nothing; without GraphQL the labels are unknown and the rest is right."""
    if case.path != GRAPHQL:
        assert_nothing_but(collected, says)
        return
    assert collected.error is None
    assert collected.value("metta.check.up") == 1
    for words in says:
        assert words in " ".join(collected.warnings)
    expected = truth.look(truth.repository.clock())
    assert collected.figures.gauges == pytest.approx(without_labels(expected.gauges))
    assert collected.figures.points == expected.points
    assert label_states(collected) == [1.0] * 3


def without_labels(gauges: Mapping[Key, float]) -> dict[Key, float]:
    return {key: value for key, value in gauges.items() if not key[0].startswith("github.")}


def label_states(collected: Collected) -> list[float]:
    return [
        value
        for (name, tags), value in collected.series.items()
        if name == "metta.infra.health.state" and any(tag.startswith("metric_name:github.") for tag in tags)
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_told_and_the_next_good_collection_is_right(watched, case):
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository)
    watched.collect()
    truth.look(watched.clock())
    watched.later()
    activity.catch_up()

    watched.server.refuse(case.answer, case.path)
    assert_told(watched.collect(), case, truth, case.says)
    watched.server.relent()
    watched.later()
    activity.catch_up()

    collected, expected = watched.collect(), truth.look(watched.clock())
    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(expected.gauges)
    assert collected.figures.points == expected.points


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_so_it_is_on_a_cold_start(watched, case):
    watched.server.refuse(case.answer, case.path)
    assert_told(watched.collect(), case, Truth(watched.repository), ())
    watched.server.relent()

    collected = watched.collect()

    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(Truth(watched.repository).look(watched.clock()).gauges)


def test_a_quota_that_is_used_up_tells_when_it_is_renewed(watched):
    watched.server.limits.core = 0

    assert_nothing_but(watched.collect(), ("rate limited", "hourly quota", "2026-03-01T13:00:00Z"))

    watched.server.limits.core = 5_000
    assert watched.collect().error is None


def test_so_does_that_of_graphql_and_rest_goes_on(watched):
    watched.server.limits.graphql = 0
    says = ("rate limited", "hourly quota", "2026-03-01T13:00:00Z")

    collected = watched.collect()

    assert_told(collected, Case(graphql_limit_exceeded(), GRAPHQL, says), Truth(watched.repository), says)
    assert [request.path for request in collected.requests].count(GRAPHQL) == 1
    watched.server.limits.graphql = 5_000
    assert watched.collect().error is None


def test_without_the_list_of_workflows_there_is_nothing_at_first(watched):
    watched.server.refuse(server_error(500), "/repos/demo-org/arena/actions/workflows")

    assert_nothing_but(watched.collect(), ("HTTP 500", "server error"))


def test_an_error_of_one_page_among_several_wins(scene):
    watched = scene(40, 600)
    watched.server.intercept = lambda request: server_error(500) if request.query.get("page") == "7" else None

    assert_nothing_but(watched.collect(), ("HTTP 500",))


def test_a_question_that_is_too_much_is_put_without_the_runs(watched):
    """GitHub gives up on a query after ten seconds: the labels must not suffer for the runs that are watched."""
    watched.collect()
    watched.later()
    timeout = graphql_errors({"message": "Something went wrong while executing your query. This may be a timeout."})
    watched.server.intercept = lambda request: timeout if b"pulse0" in request.body else None

    first = watched.collect()
    watched.later()
    second = watched.collect()

    assert first.error is second.error is None
    assert [request.path for request in first.requests].count(GRAPHQL) == 2
    assert [request.path for request in second.requests].count(GRAPHQL) == 1
    watched.server.intercept = None
    watched.later(timedelta(hours=1))
    assert any(b"pulse0" in request.body for request in watched.collect().requests)


def test_the_message_never_holds_the_token(watched):
    for case in CASES.values():
        watched.server.refuse(case.answer, case.path)
        assert watched.options["token"] not in (watched.collect().error or "")
        watched.server.relent()
