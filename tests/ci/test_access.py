"""The token: where it comes from, what happens without one, and how a rotated one is taken up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from ci_support.scene import TOKEN, Scene
from ci_support.truth import Key, Truth
from simulator_support.github_changes import RandomChanges

from metta_checks.simulator.server import LoopbackServer, Reply, Request


class SecretsManager(LoopbackServer):
    """AWS Secrets Manager with one secret, `values` by name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        super().__init__()

    def answer(self, request: Request) -> Reply:
        name = json.loads(request.body)["SecretId"]
        if name not in self.values:
            return Reply(400, b'{"__type":"ResourceNotFoundException","message":"no such secret"}')
        body = {"Name": name, "SecretString": self.values[name]}
        return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/x-amz-json-1.1"})


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManager]:
    with SecretsManager() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        yield server


def without_labels(gauges: dict[Key, float]) -> dict[Key, float]:
    return {key: value for key, value in gauges.items() if not key[0].startswith("github.")}


def tokens(scene: Scene) -> set[str | None]:
    """What the requests of one more collection carried."""
    return {request.headers.get("authorization") for request in scene.collect().requests}


@pytest.fixture
def without_token(scene, monkeypatch) -> Scene:
    """No token in the instance; the server is the operator's, so that it gets the Agent's."""
    made = scene(token=None)
    monkeypatch.setenv("GITHUB_API_URL", made.server.url)
    return made


def test_the_option_comes_first(scene, monkeypatch):
    monkeypatch.setenv("GITHUB_DASHBOARD_TOKEN", "another")

    assert tokens(scene()) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("variables", "token"),
    [
        ({"GITHUB_DASHBOARD_TOKEN": TOKEN, "GITHUB_TOKEN": "other"}, TOKEN),
        ({"GITHUB_TOKEN": TOKEN}, TOKEN),
    ],
)
def test_then_the_environment(without_token, monkeypatch, variables, token):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert tokens(without_token) == {f"Bearer {token}"}


@pytest.mark.parametrize("stored", [TOKEN, json.dumps({"token": TOKEN})], ids=["plain", "JSON"])
def test_then_aws(without_token, secrets, stored):
    secrets.values["github/dashboard-token"] = stored

    assert tokens(without_token) == {f"Bearer {TOKEN}"}
    assert tokens(without_token) == {f"Bearer {TOKEN}"}
    assert len(secrets.requests) == 1


def test_a_token_that_was_rotated_in_aws_is_read_again(without_token, secrets):
    secrets.values["github/dashboard-token"] = TOKEN
    without_token.collect()
    secrets.values["github/dashboard-token"] = without_token.server.token = "ghp_new"
    without_token.later()

    collected = without_token.collect()

    assert collected.error is None
    assert collected.figures.gauges == pytest.approx(Truth(without_token.repository).look(without_token.clock()).gauges)
    assert [request.headers["authorization"] for request in collected.requests][:2] == [
        f"Bearer {TOKEN}",
        "Bearer ghp_new",
    ]


def test_one_that_is_refused_all_the_same_is_an_error(without_token, secrets):
    secrets.values["github/dashboard-token"] = "ghp_wrong"

    collected = without_token.collect()

    assert "unauthorized" in collected.error
    assert len(collected.requests) == 1
    assert len(secrets.requests) == 2


def test_a_refusal_stands_where_aws_cannot_be_asked_again(without_token, secrets):
    secrets.values["github/dashboard-token"] = TOKEN
    without_token.collect()
    secrets.intercept = lambda _: Reply(503)
    without_token.server.token = "ghp_new"
    without_token.later()

    assert "unauthorized" in without_token.collect().error


def test_a_secret_that_was_named_has_to_be_there(scene, secrets):
    collected = scene(token=None, token_secret="team/github").collect()

    assert "team/github" in collected.error
    assert collected.requests == []


def test_an_unresolved_handle_is_no_token(scene):
    collected = scene(token="ENC[github]").collect()

    assert "secret backend" in collected.error
    assert collected.requests == []


class TestWithoutAny:
    def test_the_figures_are_the_same_and_agent_status_says_so(self, without_token):
        collected = without_token.collect()

        expected = Truth(without_token.repository, queue=False).look(without_token.clock())
        assert collected.figures.gauges == pytest.approx(expected.gauges)
        assert {request.headers.get("authorization") for request in collected.requests} == {None}
        assert {request.method for request in collected.requests} == {"GET"}
        (warning,) = collected.warnings
        for words in ("without a token", "60", "`token`", "GITHUB_DASHBOARD_TOKEN", "github/dashboard-token"):
            assert words in warning

    def test_the_search_for_a_token_is_not_repeated_every_time(self, without_token, secrets):
        without_token.collect()
        without_token.later()
        without_token.collect()

        assert len(secrets.requests) == 1

    def test_an_aws_that_did_not_answer_is_asked_again_by_the_next(self, without_token, secrets):
        secrets.intercept = lambda _: Reply(503)
        secrets.values["github/dashboard-token"] = TOKEN

        assert tokens(without_token) == {None}

        secrets.intercept = None
        without_token.later()
        assert tokens(without_token) == {f"Bearer {TOKEN}"}

    def test_an_hour_fits_into_the_quota(self, without_token):
        """GitHub counts a 304 too when nobody asks."""
        activity = RandomChanges(without_token.repository, runs_per_day=90)
        counted = without_token.collect().counted["core"]
        for _ in range(14):
            without_token.later()
            activity.catch_up()
            collected = without_token.collect()
            assert collected.error is None
            counted += collected.counted["core"]

        assert counted < 60

    def test_what_is_left_of_it_is_not_spent_on_care(self, without_token):
        without_token.collect()
        for left, listings in ((30, 2), (15, 1)):
            without_token.server.limits.anonymous_core = without_token.server.counted["core"] + left
            without_token.later()
            requests = without_token.collect().requests
            assert sum(request.path.endswith("/runs") for request in requests) == listings

    def test_once_it_is_used_up_nothing_is_asked_until_it_is_renewed(self, without_token):
        without_token.collect()
        without_token.server.limits.anonymous_core = 1
        without_token.later()

        first = without_token.collect()
        without_token.later()
        second = without_token.collect()

        assert "60 requests an hour" in first.error
        assert "2026-03-01T13:00:00Z" in first.error
        assert second.error == first.error
        assert second.requests == []
        without_token.server.limits.anonymous_core = 60
        without_token.later(timedelta(hours=1))
        assert without_token.collect().error is None

    def test_a_search_that_github_gave_up_is_no_figure_and_the_others_stay(self, without_token):
        without_token.server.intercept = lambda request: (
            Reply(200, b'{"total_count":1,"incomplete_results":true,"items":[]}')
            if request.path == "/search/issues"
            else None
        )

        collected = without_token.collect()

        assert collected.error is None
        assert "not completed in time" in collected.warnings[0]
        expected = without_labels(Truth(without_token.repository, queue=False).look(without_token.clock()).gauges)
        assert collected.figures.gauges == pytest.approx(expected)

    def test_a_private_repository_looks_as_if_it_were_not_there(self, without_token):
        without_token.server.anonymous_allowed = False

        assert "a token is needed" in without_token.collect().error

    def test_older_runs_are_seen_by_turns(self, without_token):
        """Without GraphQL nobody tells of a change there: the pages are looked at one after the other."""
        truth = Truth(without_token.repository, queue=False)
        without_token.collect()
        truth.look(without_token.clock())
        opens = without_token.clock() - timedelta(hours=24)
        old = [run for run in without_token.repository.runs if run.created_at < opens and run.branch == "main"]
        without_token.later()
        without_token.repository.rerun(old[20].id, conclusion="failure", duration=timedelta(0))
        for _ in range(3):
            without_token.later()
            collected = without_token.collect()

        expected = truth.look(without_token.clock())
        assert collected.figures.gauges == pytest.approx(expected.gauges)
