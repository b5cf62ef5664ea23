"""Merging: what is there stays, and nothing that others publish meanwhile is lost."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.health import InvalidResultsError, publish
from metta_checks.simulator.server import LoopbackServer, Reply, Request

Make = Callable[..., Any]


LATER, EARLIER = "2025-01-14T15:30:00Z", "2025-01-14T14:00:00Z"


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"timestamp": LATER}, [2]),
        ({"timestamp": EARLIER}, [1]),
        ({}, [2]),
        ({"condition": "> 0.9", "status": "fail"}, [2]),
        ({"metric": "other"}, [1, 2]),
        ({"workflow_name": "other"}, [1, 2]),
        ({"task": "other"}, [1, 2]),
        ({"check": "other"}, [1, 2]),
        ({"tags": {"commit": "def456"}}, [1, 2]),
        ({"tags": {"workflow": "training", "commit": "def456"}}, [2]),
        ({"tags": {"workflow": "training", "Version": 7}}, [2]),
        ({"tags": {"workflow": "training", "commit": "abc123", "seed": 1}}, [1, 2]),
        ({"tags": {"workflow": "training", "commit": "abc123"}}, [2]),
    ],
)
def test_a_merge_keeps_what_is_there_unless_a_later_one_of_the_same_comes(
    changes: dict[str, Any], values: list[float], destination: Any, record: Make, now: datetime
) -> None:
    assert publish([record(value=1)], destination.address, merge=True, now=now) == 1

    total = publish([record(value=2, **changes)], destination.address, merge=True, now=now)

    assert total == len(values)
    assert [item["value"] for item in destination.records()] == values


def test_a_merge_does_not_make_old_records_look_new(
    record: Make, absent: object, write: Make, tmp_path: Path, now: datetime
) -> None:
    path = write([record(timestamp=absent)])
    os.utime(path, ((now - timedelta(days=3)).timestamp(),) * 2)

    publish([record(metric="sps")], path, merge=True, now=now)

    assert json.loads(path.read_text())[0]["timestamp"] == "2025-01-11T16:00:00Z"


@pytest.mark.parametrize("content", [b"{", b"[{}]", b"null"])
def test_a_merge_into_what_is_broken_is_refused(content: bytes, record: Make, write: Make, now: datetime) -> None:
    path = write(content)

    with pytest.raises((InvalidResultsError, SourceError), match="results.json"):
        publish([record()], path, merge=True, now=now)

    assert path.read_bytes() == content


def test_merges_side_by_side_lose_nothing(tmp_path: Path, record: Make, now: datetime) -> None:
    path = tmp_path / "results.json"

    def publish_ten(publisher: int) -> None:
        for number in range(10):
            publish([record(tags={"publisher": publisher, "n": number})], path, merge=True, now=now)

    threads = [threading.Thread(target=publish_ten, args=(publisher,)) for publisher in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert len(json.loads(path.read_text())) == 40


class BucketServer(LoopbackServer):
    """One S3 object whose version is its ETag, with S3's conditions on a PUT; `rivals` publish just before ours."""

    def __init__(self, rivals: list[bytes]) -> None:
        super().__init__()
        self.rivals = rivals
        self.content: bytes | None = None
        self.version = 0

    def answer(self, request: Request) -> Reply:
        if request.method == "GET":
            return self._object() if self.content is not None else failing("NoSuchKey", 404)
        if self.rivals:
            self._store(self.rivals.pop(0))
        wanted, current = request.headers.get("if-match"), f'"{self.version}"'
        if (wanted and wanted != current) or (request.headers.get("if-none-match") == "*" and self.content is not None):
            return failing("PreconditionFailed", 412)
        self._store(request.body)
        return Reply(headers={"ETag": f'"{self.version}"'})

    def _store(self, content: bytes) -> None:
        self.content, self.version = content, self.version + 1

    def _object(self) -> Reply:
        headers = {"ETag": f'"{self.version}"', "Last-Modified": "Tue, 14 Jan 2025 15:30:00 GMT"}
        return Reply(body=self.content or b"", headers=headers)


def failing(code: str, status: int) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return Reply(status, body, {"Content-Type": "application/xml"})


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketServer]:
    with BucketServer([]) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        # Else the body comes in chunks with checksums between them.
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        yield running


@pytest.mark.parametrize("rivals", [0, 1, 4])
def test_a_merge_into_an_object_that_changes_meanwhile_starts_again(
    rivals: int, bucket: BucketServer, record: Make, now: datetime
) -> None:
    bucket.rivals = [
        json.dumps([record(task=f"theirs {n}") for n in range(rival + 1)]).encode() for rival in range(rivals)
    ]

    total = publish([record(task="mine")], "s3://results/training.json", merge=True, now=now)

    tasks = [item["task"] for item in json.loads(bucket.content or b"")]
    assert tasks == [*(f"theirs {n}" for n in range(rivals)), "mine"]
    assert total == rivals + 1


def test_a_merge_that_never_gets_its_turn_is_an_error(bucket: BucketServer, record: Make, now: datetime) -> None:
    bucket.rivals = [b"[]"] * 100

    with pytest.raises(SourceError, match="it changed 5 times meanwhile"):
        publish([record()], "s3://results/training.json", merge=True, now=now)

    assert bucket.content == b"[]"
