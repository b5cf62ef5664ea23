"""Cases that users of such collectors met, each with its source: durations, permissions, credentials, the queue.

What this version does not do yet is expected to fail, by its value or its metric.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest
from ci_support.scene import NAMESPACE, Scene
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from metta_checks.simulator.github_refusals import JSON_HEADERS, permission_missing, refusal, secondary_limit_exceeded
from metta_checks.simulator.server import Reply, Request

P90 = f"{NAMESPACE}ci.workflow.duration.p90"
LISTING = "/repos/demo-org/arena/actions/runs"
BUT = "Although you appear to have the correct authorization credentials, "

SceneMaker = Callable[..., Scene]


def test_g10_a_duration_is_that_of_the_end_as_first_seen(empty_scene: SceneMaker) -> None:
    """gh-workflow-stats#11: `updated_at` moves hours after a run's end."""
    watched = empty_scene()
    workflow = watched.repository.workflows[0].id
    began = watched.clock() - timedelta(minutes=30)
    three = timedelta(minutes=3)
    runs = [
        watched.repository.new_run(workflow, conclusion="success", created_at=began, duration=three) for _ in range(10)
    ]
    assert watched.collect().value(P90) == pytest.approx(3)

    watched.later(timedelta(hours=2))
    for run in runs[:3]:
        watched.repository.complete(run.id, "success")

    assert watched.collect().find(P90) == pytest.approx(3)


def test_g10_an_attempt_that_is_run_again_has_an_end_of_its_own(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    workflow = watched.repository.workflows[0].id
    began = watched.clock() - timedelta(minutes=30)
    run = watched.repository.new_run(workflow, conclusion="failure", created_at=began, duration=timedelta(minutes=3))
    watched.collect()
    watched.later()
    watched.repository.rerun(run.id, conclusion="success", duration=timedelta(minutes=1))
    watched.later()

    assert watched.collect().find(P90) == pytest.approx(1)


def test_g10_the_end_survives_a_restart_of_the_agent(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    workflow = watched.repository.workflows[0].id
    began = watched.clock() - timedelta(minutes=30)
    run = watched.repository.new_run(workflow, conclusion="success", created_at=began, duration=timedelta(minutes=3))
    watched.collect()
    watched.restart()
    watched.later()
    watched.repository.complete(run.id, "success")

    assert watched.collect().find(P90) == pytest.approx(3)


@pytest.mark.parametrize("seconds", [1, 3, 90])
def test_g16_a_duration_is_never_negative(empty_scene: SceneMaker, seconds: int) -> None:
    """cli/cli, otel-contrib#39824: `updated_at` lies before `run_started_at` by seconds."""
    watched = empty_scene()
    workflow = watched.repository.workflows[0].id
    watched.collect()
    watched.later()
    before = timedelta(seconds=-seconds)
    began = watched.clock() - timedelta(minutes=2)
    watched.repository.new_run(workflow, conclusion="success", created_at=began, duration=before)

    collected = watched.collect()

    assert collected.find(P90) == 0
    assert dict(collected.figures.points) == {("ci.yml", "success", 0.0): 1}


class Forbidden(NamedTuple):
    """An answer of status 403, and what the message has to say of its cause."""

    answer: Reply
    says: tuple[str, ...]


CAUSES = {
    "an IP allow list": Forbidden(
        refusal(
            403,
            f"{BUT}the `demo-org` organization has an IP allow list enabled, and your IP address is not permitted to "
            "access this resource.",
        ),
        ("IP allow list",),
    ),
    "OAuth app restrictions": Forbidden(
        refusal(
            403,
            f"{BUT}the `demo-org` organization has enabled OAuth App access restrictions, meaning that data access to "
            "third-parties is limited.",
        ),
        ("OAuth",),
    ),
    "a policy on the lifetime of tokens": Forbidden(
        refusal(
            403,
            "The 'demo-org' organization forbids access via a fine-grained personal access tokens if the token's "
            "lifetime is greater than 366 days. Please adjust your token's lifetime.",
        ),
        ("lifetime",),
    ),
    "a policy on classic tokens": Forbidden(
        refusal(
            403,
            "`demo-org` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or a "
            "personal access token with fine-grained permissions.",
        ),
        ("classic",),
    ),
    "single sign-on": Forbidden(
        refusal(
            403,
            "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to "
            "this organization.",
            headers={"X-GitHub-SSO": "required; url=https://github.com/orgs/demo-org/sso?authorization_request=AB12"},
        ),
        ("https://github.com/orgs/demo-org/sso?authorization_request=AB12",),
    ),
    "single sign-on without an address": Forbidden(
        refusal(403, "Resource protected by organization SAML enforcement."),
        ("authorize", "Configure SSO"),
    ),
    "a policy on fine-grained tokens": Forbidden(
        refusal(403, "`demo-org` forbids access via a fine-grained personal access token."),
        ("forbids tokens of this type",),
    ),
    "the secondary limit without headers": Forbidden(secondary_limit_exceeded(retry_after=None), ("secondary limit",)),
    "the abuse limit without headers": Forbidden(
        refusal(
            403, "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again."
        ),
        ("rate limited", "abuse"),
    ),
}


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_g13_the_advice_on_a_403_fits_its_cause(empty_scene: SceneMaker, cause: Forbidden) -> None:
    """trivy#10567, scorecard#206"""
    watched = empty_scene()
    watched.server.refuse(cause.answer, LISTING)

    error = watched.collect().error or ""

    assert "let it read" not in error
    for words in cause.says:
        assert words in error


def test_g13_a_missing_permission_is_named(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    watched.server.refuse(permission_missing(), LISTING)

    assert "let it read Actions, Contents and Pull requests (read)" in (watched.collect().error or "")


def test_g14_a_renamed_repository_without_a_run_is_counted_under_its_new_name(empty_scene: SceneMaker) -> None:
    """cli/cli#12172: the old name redirects, and the search does not follow."""
    watched = empty_scene()
    repository = watched.repository
    opened = repository.open_pull_request("Mend", labels=["hotfix"])
    repository.merge_pull_request(opened.number)
    repository.rename("demo-org/colosseum")
    watched.later()

    collected = watched.collect()

    assert collected.error is None
    assert collected.find(f"{NAMESPACE}github.hotfix.count") == 1
    assert any("demo-org/colosseum" in warning for warning in collected.warnings)


QUEUE = ("queued", "in_progress", "oldest_queued_minutes")


@pytest.fixture
def queueing(empty_scene: SceneMaker) -> Scene:
    """Three queued runs and two under way on several branches, one that has ended, and what was left over long ago."""
    watched = empty_scene()
    repository, workflow = watched.repository, watched.repository.workflows[0].id
    for minutes, branch in ((20, "main"), (10, "feature/a"), (5, "feature/b")):
        created_at = watched.clock() - timedelta(minutes=minutes)
        repository.new_run(workflow, branch=branch, status="queued", created_at=created_at)
    for branch in ("main", "feature/c"):
        repository.new_run(workflow, branch=branch, created_at=watched.clock() - timedelta(minutes=30))
    ended_at = watched.clock() - timedelta(hours=1)
    repository.new_run(workflow, conclusion="success", created_at=ended_at)
    for status in ("queued", "queued", "in_progress"):
        created_at = watched.clock() - timedelta(days=10)
        repository.new_run(workflow, branch="feature/old", status=status, created_at=created_at)
    return watched


def test_g20_the_queue_of_the_whole_repository_is_shown_without_zombies(queueing: Scene) -> None:
    """actions/runner#3872, Labbs#45, promhippie#200: most of a queue is pull requests, and some runs
    stay queued for ever."""
    collected = queueing.collect()

    assert [collected.find(f"{NAMESPACE}ci.runs.{name}", "repo:demo-org/arena") for name in QUEUE] == [
        3,
        2,
        pytest.approx(20, abs=0.1),
    ]
    tags = [tags for (name, tags) in collected.series if name.startswith(f"{NAMESPACE}ci.runs.")]
    assert not any(tag.startswith("branch:") for has in tags for tag in has)


def test_g20_an_empty_queue_is_zero(empty_scene: SceneMaker) -> None:
    collected = empty_scene().collect()

    assert [collected.find(f"{NAMESPACE}ci.runs.{name}") for name in QUEUE] == [0, 0, 0]


def test_g22_a_github_app_gets_a_token_and_renews_it_before_it_ends(empty_scene: SceneMaker) -> None:
    """create-github-app-token#121, Labbs#24: an installation token ends after an hour."""
    key = rsa.generate_private_key(65_537, 2_048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    app = {"app_id": "12345", "app_installation_id": "42", "app_private_key": key.decode()}
    watched = empty_scene(token=None, **app)
    issued = []

    def issue(request: Request) -> Reply | None:
        if request.path != "/app/installations/42/access_tokens":
            return None
        issued.append(request.headers.get("authorization", ""))
        watched.server.token = f"ghs_{len(issued)}"
        ends_at = watched.clock() + timedelta(hours=1)
        body = {"token": watched.server.token, "expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"}
        return Reply(201, json.dumps(body).encode(), JSON_HEADERS)

    watched.server.intercept = issue
    used: list[set[str | None]] = []
    for _ in range(3):
        collected = watched.collect()
        assert collected.error is None
        api = [request for request in collected.requests if not request.path.startswith("/app/")]
        used.append({request.headers.get("authorization") for request in api})
        watched.later(timedelta(minutes=31))

    assert used == [{"Bearer ghs_1"}, {"Bearer ghs_1"}, {"Bearer ghs_2"}]
    # A JWT, signed with the App's key.
    assert [words.startswith("Bearer ey") for words in issued] == [True, True]
