"""What the tests of health records stand on: a record to vary, and a collection to look into."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from datadog_checks.base.stubs import aggregator as agent
from moto.server import ThreadedMotoServer

from metta_checks.health.check import HealthCheck
from metta_checks.training.check import TrainingCheck

NOW = datetime(2025, 1, 14, 16, tzinfo=UTC)

EXAMPLE: Mapping[str, Any] = {
    "metric": "hearts",
    "workflow_name": "multigpu_arena_basic_easy_shaped",
    "task": "runs_successfully",
    "check": "reward_threshold",
    "condition": "> 0.5",
    "value": 0.91,
    "status": "pass",
    "timestamp": "2025-01-14T15:00:00Z",
    "tags": {"commit": "abc123", "workflow": "training"},
}

ABSENT = object()
"""Leaves a field out of a record."""


@dataclass(frozen=True)
class Collected:
    """One collection: what the Agent received, and what `agent status` shows."""

    series: Mapping[tuple[str, frozenset[str]], float]
    warnings: tuple[str, ...]
    error: Exception | None
    requests: int

    def values(self, name: str, *tags: str) -> list[float]:
        """The values of the gauges called `name` that carry all of `tags`."""
        return [value for (metric, have), value in self.series.items() if metric == name and have.issuperset(tags)]

    def value(self, name: str, *tags: str) -> float:
        """The value of the only such gauge."""
        (value,) = self.values(name, *tags)
        return value

    def tags(self, name: str) -> frozenset[str]:
        """The tags of the only gauge called `name`."""
        (tags,) = (have for metric, have in self.series if metric == name)
        return tags

    def dropped(self, reason: str) -> float:
        return self.value("metta.check.dropped", f"reason:{reason}")

    @property
    def up(self) -> float:
        return self.value("metta.check.up")

    @property
    def data_missing(self) -> float:
        return self.value("metta.infra.health.data_missing")

    @property
    def hearts(self) -> list[float]:
        return sorted(self.values("metta.infra.stablesuite.hearts"))


def _collected(check: HealthCheck) -> Collected:
    agent.reset()
    check.run()
    received = [stub for name in agent.metric_names for stub in agent.metrics(name)]
    series = {(stub.name, frozenset(stub.tags)): stub.value for stub in received}
    assert len(series) == len(received), "a series was submitted twice"
    return Collected(series, tuple(check.get_warnings()), check.collection.error, check.collection.requests)


@pytest.fixture(autouse=True)
def no_default_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """No source of this machine reaches a check."""
    for variable in ("TRAINING_HEALTH_FILE", "EVAL_HEALTH_FILE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def now() -> datetime:
    """The moment of every collection."""
    return NOW


@pytest.fixture(scope="session")
def record() -> Callable[..., dict[str, Any]]:
    """The example record with the given fields instead; `ABSENT` leaves one out."""

    def make(**fields: Any) -> dict[str, Any]:
        return {name: value for name, value in {**EXAMPLE, **fields}.items() if value is not ABSENT}

    return make


@pytest.fixture(scope="session")
def absent() -> object:
    return ABSENT


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write `content`, as JSON unless it is bytes, into a file of the test's directory."""

    def write_file(content: Any, name: str = "results.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write_file


@pytest.fixture
def make_check() -> Callable[..., HealthCheck]:
    """A check of `source`, whose clock stands at NOW."""

    def make(source: object, kind: type[HealthCheck] = TrainingCheck, **options: Any) -> HealthCheck:
        instance = {**({} if source is None else {"source": str(source)}), **options}
        check = kind(name="metta_training", init_config={}, instances=[instance])
        check.clock = lambda: NOW
        return check

    return make


@pytest.fixture
def run() -> Callable[[HealthCheck], Collected]:
    """One more collection of a check."""
    return _collected


@pytest.fixture
def collect(make_check: Callable[..., HealthCheck]) -> Callable[..., Collected]:
    """The first collection of a new check of `source`."""

    def collect_once(source: object, **options: Any) -> Collected:
        return _collected(make_check(source, **options))

    return collect_once


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """An S3 on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(moto_url: str) -> Any:
    """A client of that S3, whatever the environment says: to make one takes a while."""
    return boto3.client(
        "s3",
        endpoint_url=moto_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


@pytest.fixture
def s3(s3_client: Any, moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An environment in which the bucket `results` of that S3 is empty, and a client to fill it with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3_client.create_bucket(Bucket="results")
    yield s3_client
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket="results"):
        for item in page.get("Contents", ()):
            s3_client.delete_object(Bucket="results", Key=item["Key"])
    s3_client.delete_bucket(Bucket="results")


@dataclass(frozen=True)
class Destination:
    """Where to publish to; `content` tells what is there, None for nothing."""

    address: str
    content: Callable[[], bytes | None]

    def records(self) -> Any:
        return json.loads(self.content() or b"null")


@pytest.fixture(params=["file", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """A file, and an object in S3."""
    if request.param == "file":
        path = tmp_path / "shared" / "training.json"
        path.parent.mkdir()
        return Destination(str(path), lambda: path.read_bytes() if path.exists() else None)
    s3 = request.getfixturevalue("s3")

    def content() -> bytes | None:
        if not s3.list_objects_v2(Bucket="results")["KeyCount"]:
            return None
        body: bytes = s3.get_object(Bucket="results", Key="health/training.json")["Body"].read()
        return body

    return Destination("s3://results/health/training.json", content)
