"""Whatever bytes a parser is given, it answers with what it promises: a value, or the error that it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

import pytest
from datadog_checks.base import ConfigurationError
from hostile_support.outcome import UNSAFE
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from requests.structures import CaseInsensitiveDict

from metta_checks.ci.api_models import run_page, workflow_page
from metta_checks.ci.check import CiCheck
from metta_checks.ci.graphql import graphql_data
from metta_checks.ci.graphql_batch import Batch, parse_reply
from metta_checks.ci.labels import label_names, labelled_page
from metta_checks.ci.models import Workflow
from metta_checks.ci.models import WorkflowRun as WorkflowRun
from metta_checks.ci.state_codec import from_text
from metta_checks.core import MettaCheck, SourceError
from metta_checks.core.address import same_server
from metta_checks.core.decode import parse_model
from metta_checks.core.duration import parse_duration
from metta_checks.core.http_errors import display_url, reset_time
from metta_checks.core.secrets import secrets_of
from metta_checks.core.transport import Response
from metta_checks.health.condition import parse_condition
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb import state_codec
from metta_checks.wandb.api_models import RunReader, RunsResponse, UnknownStateError
from metta_checks.wandb.blobs import SummarySelection, UnreadableError
from metta_checks.wandb.check import WandbCheck
from metta_checks.wandb.metrics import SampleOptions, run_samples
from metta_checks.wandb.models import RunTypes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WANTED = SummarySelection(("overview/reward", "env/*"), ("sps",), ("gpu_utilization", "disk_utilization"))
TYPES = RunTypes([("train", "^github"), ("sweep", "(?i)sweep")])
READER = RunReader(WANTED, TYPES, ("user", "sweep"))
OPTIONS = SampleOptions(TYPES, "7d", ())

pytestmark = pytest.mark.hostile

bounded = settings(deadline=None, max_examples=150)

texts = st.text(st.characters(codec=None), max_size=30)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 10**30, 1e308])
moments = st.sampled_from(
    ["2026-03-01T11:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "now"]
)
scalars = st.none() | st.booleans() | numbers | texts | moments
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
keys = st.sampled_from(["overview/reward", "env/a", "sps", "system.gpu.0.gpu", "system.disk./.usagePercent"]) | texts
blobs = st.none() | texts | st.dictionaries(keys, anything, max_size=4).map(json.dumps)

nodes = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "displayName": texts | st.none(),
        "state": st.sampled_from(["running", "finished", "crashed", "asleep"]),
        "createdAt": moments | scalars,
        "heartbeatAt": moments | scalars,
        "summaryMetrics": blobs,
        "systemMetrics": blobs,
        "sweepName": scalars,
    },
)
listings = st.lists(nodes | anything, max_size=4).map(
    lambda found: {
        "data": {
            "project": {
                "runs": {
                    "edges": [{"node": node} for node in found],
                    "pageInfo": {"endCursor": None, "hasNextPage": False},
                }
            }
        }
    }
)
workflow_runs = st.fixed_dictionaries(
    {
        "id": st.integers() | scalars,
        "node_id": texts,
        "workflow_id": st.integers(),
        "path": texts,
        "run_number": numbers,
        "status": st.sampled_from(["completed", "queued"]) | scalars,
        "conclusion": st.sampled_from(["success", "failure"]) | scalars,
        "created_at": moments | scalars,
        "updated_at": moments,
        "repository": st.just({"id": 1, "full_name": "a/b", "html_url": "https://x"}) | anything,
        "head_repository": st.just({"id": 1}) | anything,
    },
    optional={"run_attempt": numbers, "run_started_at": moments | scalars},
)
pages = st.fixed_dictionaries(
    {"total_count": numbers, "workflow_runs": st.lists(workflow_runs, max_size=3) | anything, "workflows": anything}
)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def answer(body: bytes) -> Response:
    return Response("tried", 200, CaseInsensitiveDict(), body)


@given(body=listings.map(as_bytes) | anything.map(as_bytes) | st.binary(max_size=200))
@bounded
def test_run_nodes_summaries_and_system_metrics(body: bytes) -> None:
    with suppress(ValidationError):
        parsed = parse_model(RunsResponse, body)
        connection = parsed.data.project.runs if parsed.data and parsed.data.project else None
        for edge in connection.edges if connection else ():
            with suppress(UnknownStateError):
                for sample in run_samples(READER.run(edge["node"]), OPTIONS, NOW, None):
                    assert isfinite(sample.value)
                    assert not any(UNSAFE.search(tag) or len(tag) > 200 for tag in sample.tags)


@given(text=blobs.filter(bool) | texts)
@bounded
def test_blobs(text: str) -> None:
    for read in (WANTED.summary, WANTED.system):
        with suppress(UnreadableError):
            read(text)


@pytest.mark.parametrize("parse", [run_page, workflow_page])
@given(body=pages.map(as_bytes) | anything.map(as_bytes) | st.binary(max_size=200))
@bounded
def test_listings_of_github(parse: Callable[[Response], object], body: bytes) -> None:
    with suppress(SourceError):
        parse(answer(body))


WORKFLOW = Workflow(1, "W_1", "ci", ".github/workflows/ci.yml", "active")
RUN = WorkflowRun(1, "R_1", 1, "ci.yml", 1, 1, None, NOW, NOW, NOW, True, NOW)

pulses = st.fixed_dictionaries(
    {}, optional={"updatedAt": moments | scalars, "checkSuite": st.none() | st.dictionaries(texts, scalars)}
)
pages_of_nodes = st.fixed_dictionaries(
    {
        "nodes": st.lists(
            st.fixed_dictionaries({"number": numbers, "mergedAt": moments, "updatedAt": moments}) | anything, max_size=2
        ),
        "pageInfo": st.fixed_dictionaries({"hasNextPage": st.booleans(), "endCursor": st.none() | texts}) | anything,
    }
)
labelled = st.fixed_dictionaries(
    {"nameWithOwner": texts, "url": texts, "label": st.none() | st.fixed_dictionaries({"name": texts}) | anything},
    optional={"pullRequests": pages_of_nodes | anything, "labels": pages_of_nodes | anything},
)
replies = st.dictionaries(
    st.sampled_from(["label0", "labelList", "state0", "history0", "pulse0", "close0"]),
    st.lists(pulses | anything, max_size=2) | labelled | anything,
)


@given(data=replies)
@bounded
def test_graphql_of_github(data: dict[str, Any]) -> None:
    with suppress(SourceError):
        parsed = graphql_data(answer(as_bytes({"data": data})), NOW)
        for read, alias in ((labelled_page, "label0"), (label_names, "labelList")):
            with suppress(SourceError):
                read(parsed, alias, operation="tried")
        batch = Batch(states=[WORKFLOW], histories=[WORKFLOW], watched=[RUN], closely_watched=[RUN])
        parse_reply(parsed, batch, operation="tried")


@given(state=anything | st.text(st.characters(min_codepoint=33, max_codepoint=126)))
@bounded
def test_saved_state(state: Any) -> None:
    from_text(state)
    state_codec.restore(state)
    state_codec.restore({"began": state, "alive": [], "ended": {"a": state}, "settled": [], "told": []})


@given(text=texts | st.from_regex(r"(>|<=|==|!=|in) ?\[?-?[0-9eE.]{1,400}(, ?[0-9.]+\])?", fullmatch=True))
@bounded
def test_conditions(text: str) -> None:
    with suppress(ValueError):
        parse_condition(text)


@given(text=texts | st.from_regex(r"[0-9]{1,40} ?(s|m|h|d|w|weeks)", fullmatch=True))
@bounded
def test_durations(text: str) -> None:
    with suppress(ValueError):
        assert parse_duration(text) > timedelta(0)


@given(
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "x-ratelimit-reset", "RateLimit-Reset"]),
        st.text(max_size=20) | st.from_regex(r"-?[0-9]{1,30}", fullmatch=True),
    )
)
@bounded
def test_limits_in_headers(headers: dict[str, str]) -> None:
    moment = reset_time(CaseInsensitiveDict(headers), NOW)
    assert moment is None or moment.tzinfo is UTC


@given(
    url=st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,20}/\S{0,20}", fullmatch=True),
    location=st.text(max_size=40),
)
@bounded
def test_addresses(url: str, location: str) -> None:
    display_url(url)
    same_server(url, location)
    list(secrets_of({"source": url, "password": location}))


@pytest.mark.parametrize(
    ("kind", "name", "needed"),
    [
        (WandbCheck, "metta_wandb", {"entity": "a", "project": "b", "api_key": "k" * 40}),
        (CiCheck, "metta_ci", {"repo": "a/b"}),
        (TrainingCheck, "metta_training", {"source": "results.json"}),
    ],
)
@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_configurations(kind: type[MettaCheck], name: str, needed: dict[str, Any], data: st.DataObject) -> None:
    """Options of every wrong kind end in a ConfigurationError, as the Agent shows it, or are good."""
    options = [
        *needed, "timeframe", "window", "max_pages",
        "max_runs", "metrics", "run_types", "conditions", "max_age", "collection_timeout",
        "base_url", "api_url", "tags", "branch", "max_bytes", "page_size", "aws_region", "run_tags", "sps_keys",
    ]  # fmt: skip
    drawn = data.draw(st.dictionaries(st.sampled_from(options), anything, max_size=3))
    try:
        check = kind(name, {}, [{**needed, **drawn}])
        check.load_options()
    except ConfigurationError:
        return
    assert 0 < check.options_loader.timeout() <= 3600
