"""Publishing: all or nothing, in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.health import InvalidResultsError, Limits, parse_record, publish

Make = Callable[..., Any]


def test_what_was_published_is_collected(destination: Any, record: Make, collect: Make, now: datetime) -> None:
    assert publish([record()], destination.address, now=now) == 1

    assert destination.records() == [record()]
    assert collect(destination.address).hearts == [0.91]


def test_publishing_again_replaces(destination: Any, record: Make, now: datetime) -> None:
    publish([record(), record(metric="sps", value=1)], destination.address, now=now)
    publish([record(value=0.5)], destination.address, now=now)

    assert destination.records() == [record(value=0.5)]


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
        {"owner": b"bytes"},
        {"owner": {1, 2}},
        {"owner": float("inf")},
    ],
    ids=str,
)
def test_one_bad_record_keeps_all_back(bad: dict[str, Any], destination: Any, record: Make, now: datetime) -> None:
    with pytest.raises(InvalidResultsError, match="results, record 2: ") as refusal:
        publish([record(), record(**bad), record()], destination.address, now=now)

    assert [fault.position for fault in refusal.value.faults] == [2]
    assert destination.content() is None


def test_the_fault_of_a_field_names_the_field(tmp_path: Path, record: Make, now: datetime) -> None:
    with pytest.raises(InvalidResultsError, match="record 1: value: is not a finite number"):
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
