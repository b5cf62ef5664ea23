"""A W&B project on loopback, and a check that watches it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from moto import mock_aws
from wandb_support.watch import Watch

from metta_checks.core import SourceError
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

Figures = dict[str, dict[tuple[str, ...], float]]
"""Gauges as the Agent received them: metric → sorted tags → value."""


@pytest.fixture
def now() -> datetime:
    """The moment of the check's clock. Half a second in, since W&B's own times are whole ones."""
    return datetime(2026, 1, 10, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.fixture
def project() -> DemoProject:
    return DemoProject("metta-research", "metta")


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


@pytest.fixture
def new_check(server: WandbServer, now: datetime) -> Callable[..., WandbCheck]:
    """Makes a check of the project on the server; keywords are options, and None takes one away."""

    def make(**options: Any) -> WandbCheck:
        instance = {
            "entity": "metta-research",
            "project": "metta",
            "base_url": server.url,
            "api_key": DEMO_API_KEY,
            # Loading the machine's certificates takes longer than a whole collection.
            "tls_verify": False,
            **options,
        }
        check = WandbCheck(name="metta_wandb", init_config=None, instances=[instance])
        check.clock = lambda: now
        return check

    return make


@pytest.fixture
def figures(
    aggregator: AggregatorStub, dd_run_check: Callable[..., str], new_check: Callable[..., WandbCheck]
) -> Callable[..., Figures]:
    """Runs one collection of a check with these options and gives the gauges that the Agent received."""

    def collect(check: WandbCheck | None = None, **options: Any) -> Figures:
        aggregator.reset()
        dd_run_check(check or new_check(**options), extract_message=True)
        return received(aggregator)

    return collect


def received(aggregator: AggregatorStub) -> Figures:
    return {
        name: {tuple(sorted(stub.tags)): stub.value for stub in aggregator.metrics(name)}
        for name in aggregator.metric_names
    }


@pytest.fixture
def answers(server: WandbServer) -> Callable[..., None]:
    """Makes the server give these documents one after the other, the last one for ever."""

    def give(*documents: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        bodies = [json.dumps(document).encode() for document in documents]

        def intercept(_: Request) -> Reply:
            body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
            return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})

        server.intercept = intercept

    return give


@pytest.fixture
def fault(new_check: Callable[..., WandbCheck], aggregator: AggregatorStub) -> Callable[..., SourceError]:
    """Runs a collection that has to fail, and gives its error: one line, and nothing but telemetry was submitted."""

    def collect(check: WandbCheck | None = None, **options: Any) -> SourceError:
        aggregator.reset()
        check = check or new_check(**options)
        report = json.loads(check.run())
        error = check.collection.error
        assert isinstance(error, SourceError)
        assert report[0]["message"] == str(error)
        assert "\n" not in str(error)
        assert [name for name in aggregator.metric_names if not name.startswith("metta.check.")] == []
        aggregator.assert_metric("metta.check.up", 0.0, count=1)
        return error

    return collect


@pytest.fixture
def ours(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is the operator's, so that it gets the Agent's key."""
    monkeypatch.setenv("WANDB_BASE_URL", server.url)


@pytest.fixture
def secrets() -> Iterator[Callable[[str, str], None]]:
    """AWS Secrets Manager in memory; sets a secret."""
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")

        def put(name: str, value: str) -> None:
            if name in {secret["Name"] for secret in client.list_secrets()["SecretList"]}:
                client.put_secret_value(SecretId=name, SecretString=value)
            else:
                client.create_secret(Name=name, SecretString=value)

        yield put


@pytest.fixture
def watch(aggregator: AggregatorStub) -> Iterator[Callable[..., Watch]]:
    """Makes an Agent that watches `project`, an empty one where none is given; keywords are the instance's options."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(closing(Watch(aggregator, **options)))
