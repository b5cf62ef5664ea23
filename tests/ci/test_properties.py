"""Whatever GitHub answers at one place, the collection ends as it promises: with a figure, or its absence and a reason,
of the repository alone that was struck."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from ci_support.organisation import OWNER, Organisation
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metta_checks.ci.check import CiCheck
from metta_checks.core import SourceError
from metta_checks.core.errors import CredentialError, NoTargetError
from metta_checks.simulator.server import Reply, Request

one_server = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

texts = st.text(max_size=8) | st.sampled_from(
    ["main", "arena", "zoo", "../zoo", "2026-01-10T11:00:00Z", "success", "completed"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


@pytest.fixture
def watched(aggregator: AggregatorStub) -> Iterator[Organisation]:
    with Organisation(aggregator, "arena", "maze", branch="main", jobs=True) as organisation:
        yield organisation


def begin(watched: Organisation, *, again: bool = True) -> None:
    """A fresh Agent, and with `again` a good collection before."""
    agent.reset()
    watched.server.intercept = None
    watched.server.requests.clear()
    watched.restart()
    for name in ("arena", "maze"):
        watched.finish_run(name)
    if again:
        watched.collect(minutes=1)


def document_of(watched: Organisation, request: Request) -> Any:
    """The true answer."""
    return json.loads(watched.server.answer(request).body)


def answer(document: Any) -> Reply:
    return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def run(watched: Organisation) -> Exception | None:
    """A collection a few minutes later; an error is one that operators are meant to read."""
    watched.clock.advance(timedelta(minutes=4))
    watched._aggregator.reset()
    watched.check.run()
    error = watched.check.collection.error
    assert error is None or isinstance(error, SourceError | CredentialError | NoTargetError), repr(error)
    return error


def assert_is_unharmed(watched: Organisation, name: str) -> None:
    assert watched.by_repo("metta.check.up")[name] == 1.0, watched.warnings()
    assert watched.by_repo("metta.infra.cron.ci.workflow.success")[name] == 1.0


@given(
    page=st.lists(
        st.fixed_dictionaries({}, optional={"name": texts | scalars, "default_branch": scalars, "archived": scalars})
        | anything,
        max_size=4,
    )
    | anything
)
@one_server
def test_a_page_of_the_list(watched: Organisation, page: Any) -> None:
    begin(watched, again=False)
    listed = f"/orgs/{OWNER}/repos"
    watched.server.intercept = lambda request: answer(page) if request.path == listed else None
    run(watched)
    named = {one.get("name") for one in page if isinstance(one, dict)} if isinstance(page, list) else set()
    found = set(watched.by_repo("metta.check.up")) - {""}
    assert found <= {str(name) for name in named}
    assert not any("/" in name for name in found)
    for request in watched.server.requests:
        assert request.path.split("/")[1] in {"orgs", "repos", "graphql"}
        assert request.path == "/graphql" or request.path.split("/")[2] == OWNER


@given(place=st.integers(0, 20), value=anything)
@one_server
def test_a_part_of_a_question_about_several_repositories(watched: Organisation, place: int, value: Any) -> None:
    begin(watched)
    watched.finish_run("arena")
    watched.finish_run("maze")

    def spoil(request: Request) -> Reply | None:
        if request.path != "/graphql":
            return None
        document = document_of(watched, request)
        given = json.loads(request.body)["variables"]
        prefix = next(
            (name.removesuffix("repo") for name, of in given.items() if name.endswith("repo") and of == "maze"), "-"
        )
        # A part that cannot be used is asked for once more, alone.
        aliases = sorted(alias for alias in document["data"] if alias.startswith(prefix))
        if aliases:
            document["data"][aliases[place % len(aliases)]] = value
        return answer(document)

    watched.server.intercept = spoil
    run(watched)
    assert_is_unharmed(watched, "arena")


@given(
    jobs=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.integers(0, 3) | scalars,
                "name": texts | scalars,
                "status": texts,
                "conclusion": texts | scalars,
                "labels": st.lists(texts, max_size=2) | scalars,
                "runner_id": scalars,
                **dict.fromkeys(
                    ("created_at", "started_at", "completed_at"),
                    st.sampled_from(
                        ["2026-01-10T11:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", None, "x", 5]
                    ),
                ),
            },
        ),
        max_size=3,
    )
    | anything,
    total=st.integers(-1, 4) | scalars,
)
@one_server
def test_a_list_of_jobs(watched: Organisation, jobs: Any, total: Any) -> None:
    begin(watched)
    watched.finish_run("maze")
    watched.server.intercept = lambda request: (
        answer({"total_count": total, "jobs": jobs}) if request.path.endswith("/jobs") else None
    )
    for _ in range(4):
        assert run(watched) is None
        assert_is_unharmed(watched, "arena")
        assert_is_unharmed(watched, "maze")
        for name in ("duration_minutes", "queue_minutes"):
            for bucket in watched._aggregator.histogram_bucket(f"metta.infra.cron.ci.job.{name}"):
                assert f"repo:{OWNER}/maze" in bucket.tags
                assert bucket.lower_bound >= 0
                assert all(tag.isprintable() and len(tag) <= 200 for tag in bucket.tags)


lines = st.sampled_from(
    ["-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "MIIEowIBAAKCAQEA", "\\n", "\n"]
)


@given(key=st.lists(lines | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=1, max_size=6))
@one_server
def test_a_private_key_that_is_none(watched: Organisation, key: list[str]) -> None:
    text = "".join(key)
    watched.restart()
    app = {"app_id": 12345, "app_installation_id": 42, "app_private_key": text, "token": None}
    watched.server.requests.clear()
    check: CiCheck = watched.new_check(**app)
    report = check.run()
    assert report
    assert watched.server.requests == []
    assert isinstance(check.collection.error, CredentialError | ConfigurationError)
    for part in key:
        if len(part) > 12 and not part.startswith("-----"):
            assert part not in report
