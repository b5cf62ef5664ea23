"""Who may ask the demo GitHub, how often, and how it refuses: tokens, ETags, budgets and switched refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_refusals import permission_missing, secondary_limit_exceeded, server_error
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
TOKEN = "the-token"
REPO = "/repos/demo-org/arena"
RUNS = f"{REPO}/actions/runs"


@pytest.fixture
def repository() -> DemoRepository:
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    workflow = repository.add_workflow("Tests", ".github/workflows/tests.yml")
    repository.new_run(workflow.id)
    return repository


@pytest.fixture
def server(repository: DemoRepository) -> Iterator[GitHubServer]:
    with GitHubServer(repository, token=TOKEN) as running:
        yield running


def get(server: GitHubServer, path: str, token: str | None = TOKEN, etag: str = "") -> requests.Response:
    headers = {"If-None-Match": etag} if etag else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return requests.get(server.url + path, headers=headers, timeout=30)


def test_an_unchanged_answer_is_304_and_free(repository: DemoRepository, server: GitHubServer) -> None:
    first = get(server, RUNS)
    again = get(server, RUNS, etag=first.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    assert server.counted["core"] == 1
    assert len(server.requests) == 2

    repository.complete(first.json()["workflow_runs"][0]["id"])
    changed = get(server, RUNS, etag=first.headers["ETag"])
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert server.counted["core"] == 2


def test_an_etag_belongs_to_its_token_and_its_address(repository: DemoRepository) -> None:
    with GitHubServer(repository) as server:
        etag = get(server, RUNS, token="one").headers["ETag"]
        assert get(server, RUNS, token="one", etag=etag).status_code == 304
        assert get(server, RUNS, token="one", etag=f'"another", {etag}').status_code == 304
        assert get(server, f"{RUNS}?page=1", token="one", etag=etag).status_code == 200
        assert get(server, RUNS, token="other", etag=etag).status_code == 200


def test_a_304_without_a_token_counts_all_the_same(server: GitHubServer) -> None:
    etag = get(server, RUNS, token=None).headers["ETag"]
    again = get(server, RUNS, token=None, etag=etag)
    assert (again.status_code, again.headers["x-ratelimit-remaining"]) == (304, "58")


@pytest.mark.parametrize(
    ("token", "path", "limit", "renewed"),
    [
        (TOKEN, RUNS, "5000", HOUR),
        (None, RUNS, "60", HOUR),
        (TOKEN, "/search/issues?q=is:pr", "30", MINUTE),
        (None, "/search/issues?q=is:pr", "10", MINUTE),
    ],
)
def test_each_resource_has_its_budget(
    server: GitHubServer, token: str | None, path: str, limit: str, renewed: timedelta
) -> None:
    used = int(limit) - 2
    server.limits.spend(token or "", "search" if "search" in path else "core", used)

    answers = [get(server, path, token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {limit}
    assert "API rate limit exceeded" in answers[2].json()["message"]
    assert int(answers[2].headers["x-ratelimit-reset"]) == int((NOW + renewed).timestamp())

    server.limits.clock.advance(renewed)
    assert get(server, path, token).status_code == 200


def test_the_rate_limit_can_be_asked_for_free(server: GitHubServer) -> None:
    get(server, RUNS)
    answer = get(server, "/rate_limit").json()
    assert {name: budget["used"] for name, budget in answer["resources"].items()} == {
        "core": 1,
        "search": 0,
        "graphql": 0,
    }
    assert server.counted == {"core": 1, "search": 0, "graphql": 0}


@pytest.mark.parametrize(
    ("refusal", "status", "headers"),
    [
        (secondary_limit_exceeded(), 403, {"retry-after": "60"}),
        (secondary_limit_exceeded(status=429, retry_after=5), 429, {"retry-after": "5"}),
        (permission_missing(), 403, {"x-accepted-github-permissions": "actions=read"}),
        (server_error(502), 502, {"Content-Type": "text/html; charset=utf-8"}),
    ],
)
def test_refusals_are_switched_on_and_off(
    server: GitHubServer, refusal: Reply, status: int, headers: dict[str, str]
) -> None:
    server.refuse(refusal, RUNS)
    refused = get(server, RUNS)
    assert refused.status_code == status
    assert headers.items() <= refused.headers.items()
    # Quota is left: that is how these are told from an exhausted one.
    assert int(refused.headers["x-ratelimit-remaining"]) > 0
    assert get(server, f"{REPO}/actions/workflows").status_code == 200
    server.relent()
    assert get(server, RUNS).status_code == 200


@pytest.mark.parametrize(
    ("token", "path", "status", "message"),
    [
        ("wrong", REPO, 401, "Bad credentials"),
        (TOKEN, REPO, 200, None),
        (TOKEN, "/repos/Demo-Org/ARENA", 200, None),
        (TOKEN, "/repos/demo-org/other", 404, "Not Found"),
        (TOKEN, f"{REPO}/no/such/thing", 404, "Not Found"),
        (None, REPO, 200, None),
        (None, "/repos/demo-org/hidden", 404, "Not Found"),
        (TOKEN, "/repos/demo-org/hidden", 200, None),
    ],
)
def test_who_may_see_what(
    repository: DemoRepository, token: str | None, path: str, status: int, message: str | None
) -> None:
    hidden = DemoRepository("demo-org/hidden", repository_id=2, private=True, clock=ManualClock(NOW))
    with GitHubServer([repository, hidden], token=TOKEN) as server:
        answer = get(server, path, token)
    assert (answer.status_code, answer.json().get("message")) == (status, message)


def test_anonymous_requests_can_be_kept_out_altogether(repository: DemoRepository) -> None:
    with GitHubServer(repository, anonymous_allowed=False) as server:
        assert get(server, REPO, token=None).status_code == 404
        assert get(server, REPO, token="any").status_code == 200
