"""Publishing: all or nothing, in one step, and merged only when asked to."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.demo.server import LoopbackServer, Request, Response
from metta_checks.health import InvalidResultsError, Limits, parse_record, publish

Make = Callable[..., Any]


@pytest.fixture(params=["file", "s3"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
    """Where to publish to, and a function that tells what is there."""
    if request.param == "file":
        path = tmp_path / "shared" / "training.json"
        path.parent.mkdir()
        yield str(path), lambda: path.read_bytes() if path.exists() else None
        return
    s3 = request.getfixturevalue("s3")

    def content() -> bytes | None:
        listed = s3.list_objects_v2(Bucket="results").get("KeyCount")
        return s3.get_object(Bucket="results", Key="health/training.json")["Body"].read() if listed else None

    yield "s3://results/health/training.json", content


Destination = tuple[str, Callable[[], bytes | None]]


def published(destination: Destination) -> list[dict[str, Any]]:
    content = destination[1]()
    assert content is not None
    records: list[dict[str, Any]] = json.loads(content)
    return records


def test_what_was_published_is_collected(destination: Destination, record: Make, collect: Make, now: datetime) -> None:
    assert publish([record()], destination[0], now=now) == 1

    assert published(destination) == [record()]
    assert collect(destination[0]).hearts == [0.91]


def test_publishing_again_replaces(destination: Destination, record: Make, now: datetime) -> None:
    publish([record(), record(metric="sps", value=1)], destination[0], now=now)
    publish([record(value=0.5)], destination[0], now=now)

    assert published(destination) == [record(value=0.5)]


@pytest.mark.parametrize(
    "bad",
    [
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": "0.91"},
        {"metric": "metta.check.up"},
        {"status": "green"},
        {"timestamp": "2025-01-14T16:05:01Z"},
        {"timestamp": datetime(2025, 1, 14, 17, tzinfo=UTC)},
        {"tags": {"commit": None}},
        {"tags": {"lr": float("nan")}},
        {"owner": object()},
        {"owner": {1, 2}},
        {"owner": float("inf")},
    ],
    ids=str,
)
def test_one_bad_record_keeps_all_back(
    bad: dict[str, Any], destination: Destination, record: Make, now: datetime
) -> None:
    with pytest.raises(InvalidResultsError, match="results, record 2: ") as refusal:
        publish([record(), record(**bad), record()], destination[0], now=now)

    assert [fault.position for fault in refusal.value.faults] == [2]
    assert destination[1]() is None


def test_the_fault_of_a_field_names_the_field(tmp_path: Path, record: Make, now: datetime) -> None:
    with pytest.raises(InvalidResultsError, match="record 1: value: Input should be a finite number"):
        publish([record(value=float("nan"))], tmp_path / "results.json", now=now)


def test_a_refusal_names_ten_faults_and_knows_all(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(InvalidResultsError) as refusal:
        publish([{}] * 25, tmp_path / "results.json", now=now)

    assert len(refusal.value.faults) == 25
    assert str(refusal.value).splitlines()[10:] == ["and 15 more"]


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("item", [None, 7, "hearts", ["metric"]])
def test_what_is_no_record_is_refused(item: Any, tmp_path: Path, now: datetime) -> None:
    with pytest.raises(InvalidResultsError, match="a record is a JSON object"):
        publish([item], tmp_path / "results.json", now=now)


@pytest.mark.parametrize("depth", [199, 200, 5_000, 100_000])
def test_what_a_reader_could_not_read_is_refused(depth: int, tmp_path: Path, record: Make, now: datetime) -> None:
    path = tmp_path / "results.json"

    with pytest.raises((InvalidResultsError, SourceError)):
        publish([record(owner=nested(depth))], path, now=now)

    assert not path.exists()


@pytest.mark.parametrize("limits", [Limits(max_records=2), Limits(max_bytes=500)])
def test_more_than_a_reader_takes_is_refused(limits: Limits, tmp_path: Path, record: Make, now: datetime) -> None:
    with pytest.raises(SourceError, match="Publish fewer records"):
        publish([record()] * 3, tmp_path / "results.json", limits=limits, now=now)


class Figure(Fraction):
    """A number of somebody else's, as numpy's are."""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timestamp": "absent"}, {"timestamp": "2025-01-14T16:00:00Z"}),
        ({"timestamp": None}, {"timestamp": "2025-01-14T16:00:00Z"}),
        ({"timestamp": datetime(2025, 1, 14, 15)}, {"timestamp": "2025-01-14T15:00:00Z"}),  # noqa: DTZ001
        ({"timestamp": "2025-01-14T10:00:00-05:00"}, {"timestamp": "2025-01-14T15:00:00Z"}),
        ({"value": 1}, {"value": 1.0}),
        ({"value": Figure(1, 4)}, {"value": 0.25}),
        ({"owner": {"team": ["rl", None]}}, {"owner": {"team": ["rl", None]}}),
        ({"status": "absent"}, {"status": "absent"}),
        ({"owner": nested(150)}, {"owner": nested(150)}),
        ({"task": "half a pair: \ud83d"}, {"task": "half a pair: \ufffd"}),
    ],
)
def test_what_is_written_is_complete(
    fields: dict[str, Any], expected: dict[str, Any], tmp_path: Path, record: Make, absent: object, now: datetime
) -> None:
    def resolved(given: dict[str, Any]) -> dict[str, Any]:
        return {name: absent if value == "absent" else value for name, value in given.items()}

    path = tmp_path / "results.json"
    publish([record(**resolved(fields))], path, now=now)

    assert json.loads(path.read_text()) == [record(**resolved(expected))]


def test_parsed_records_are_published_as_they_are(tmp_path: Path, record: Make, now: datetime) -> None:
    path = tmp_path / "results.json"

    publish((parse_record(item) for item in [record(owner="me"), record(value=2)]), path, now=now)

    assert json.loads(path.read_text()) == [record(owner="me"), record(value=2)]


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
        ({"tags": {"workflow": "training", "commit": "abc123"}}, [2]),
    ],
)
def test_a_merge_keeps_what_is_there_unless_a_later_one_of_the_same_comes(
    changes: dict[str, Any], values: list[float], destination: Destination, record: Make, now: datetime
) -> None:
    assert publish([record(value=1)], destination[0], merge=True, now=now) == 1

    total = publish([record(value=2, **changes)], destination[0], merge=True, now=now)

    assert total == len(values)
    assert [item["value"] for item in published(destination)] == values


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

    def answer(self, request: Request) -> Response:
        if request.method == "GET":
            return self._object() if self.content is not None else failing("NoSuchKey", 404)
        if self.rivals:
            self._store(self.rivals.pop(0))
        wanted, current = request.headers.get("if-match"), f'"{self.version}"'
        if (wanted and wanted != current) or (request.headers.get("if-none-match") == "*" and self.content is not None):
            return failing("PreconditionFailed", 412)
        self._store(request.body)
        return Response(headers={"ETag": f'"{self.version}"'})

    def _store(self, content: bytes) -> None:
        self.content, self.version = content, self.version + 1

    def _object(self) -> Response:
        headers = {"ETag": f'"{self.version}"', "Last-Modified": "Tue, 14 Jan 2025 15:30:00 GMT"}
        return Response(body=self.content or b"", headers=headers)


def failing(code: str, status: int) -> Response:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    return Response(status, body, {"Content-Type": "application/xml"})


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


@pytest.mark.parametrize(
    "destination_text", ["", "https://host/results.json", "s3://bucket", "s3://bucket/prefix/", "a\0b"]
)
def test_an_unusable_destination_is_refused(destination_text: str, record: Make) -> None:
    with pytest.raises(ValueError, match="write a file's path or s3://|publish to one object|no S3 address"):
        publish([record()], destination_text)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none/results.json", "no such file or directory"), ("", "it is a directory"), ("file/results.json", "directory")],
)
@pytest.mark.parametrize("merge", [False, True])
def test_a_destination_that_cannot_be_written_is_an_error(
    name: str, message: str, merge: bool, tmp_path: Path, record: Make, now: datetime
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SourceError, match=message):
        publish([record()], tmp_path / name, merge=merge, now=now)


def test_nothing_is_left_beside_the_file(tmp_path: Path, record: Make, now: datetime) -> None:
    publish([record()], tmp_path / "results.json", now=now)

    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_agent_may_read_what_somebody_else_published(tmp_path: Path, record: Make, now: datetime) -> None:
    mask = os.umask(0o022)
    try:
        publish([record()], tmp_path / "results.json", now=now)
    finally:
        os.umask(mask)

    assert (tmp_path / "results.json").stat().st_mode & 0o777 == 0o644
