"""Records gathered during a job: published once at its end, whatever becomes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.health import (
    DestinationError,
    DestinationNameError,
    EmptyResultsError,
    InvalidResultsError,
    PublishError,
    PublishOptionError,
    RecordCollector,
    publish,
)

Make = Callable[..., Any]

PASS, FAIL = 0, 2
STATE = "metta.infra.health.state"
HEARTS = {"metric": "hearts", "value": 0.91, "condition": "> 0.5", "task": "trains", "check": "reward"}


class JobError(Exception):
    """The job fails."""


@pytest.fixture
def collector(tmp_path: Path, now: datetime) -> Callable[..., RecordCollector]:
    """A collector that publishes to out.json, one second later with each record."""
    moments = iter(now - timedelta(minutes=5) + timedelta(seconds=number) for number in range(1000))

    def make(**options: Any) -> RecordCollector:
        given = {"workflow_name": "arena", "clock": lambda: next(moments), **options}
        return RecordCollector(given.pop("destination", tmp_path / "out.json"), **given)

    return make


def fail(health: RecordCollector, error: BaseException) -> None:
    """A job that adds one record, and fails."""
    with health:
        health.add(HEARTS)
        raise error


@pytest.fixture
def published(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    return lambda: json.loads((tmp_path / "out.json").read_text())


def test_records_are_published_at_the_end(collector: Make, published: Make, tmp_path: Path) -> None:
    with collector(tags={"commit": "abc"}, suite="training") as health:
        health.add(HEARTS)
        health.add(HEARTS, metric="sps", value=38_200, condition=">= 40000", tags={"gpus": 8})
        assert not (tmp_path / "out.json").exists()

    first, second = published()
    assert first == {**HEARTS, "workflow_name": "arena", "tags": {"commit": "abc"}, "timestamp": "2025-01-14T15:55:00Z"}
    assert (second["metric"], second["tags"]) == ("sps", {"commit": "abc", "gpus": 8})
    assert second["timestamp"] == "2025-01-14T15:55:01Z"


@pytest.mark.parametrize("failure", [JobError("out of memory"), KeyboardInterrupt(), SystemExit(3)])
def test_a_job_that_fails_publishes_what_it_has(failure: BaseException, collector: Make, published: Make) -> None:
    with pytest.raises(type(failure)):
        fail(collector(), failure)

    assert [one["metric"] for one in published()] == ["hearts"]


def test_a_job_that_fails_leaves_the_verdicts_that_it_did_not_get_to(
    collector: Make, record: Make, collect: Make, tmp_path: Path, now: datetime
) -> None:
    publish([record(task="late", value=0.1, status="fail")], tmp_path / "out.json", now=now)

    with pytest.raises(JobError):
        fail(collector(), JobError())

    assert collect(tmp_path / "out.json").value(STATE, "task:late") == FAIL
    assert collect(tmp_path / "out.json").value(STATE, "task:trains") == PASS


def test_a_job_that_succeeds_replaces_the_document(
    collector: Make, record: Make, published: Make, tmp_path: Path, now: datetime
) -> None:
    publish([record(task="late", value=0.1, status="fail")], tmp_path / "out.json", now=now)

    with collector() as health:
        health.add(HEARTS)

    assert [one["task"] for one in published()] == ["trains"]


def test_a_later_record_replaces_an_earlier_one(collector: Make, collect: Make, tmp_path: Path) -> None:
    """So a job may begin with a failure, which stays where it does not get to its end."""
    with collector() as health:
        health.add(HEARTS, metric="completed", condition="== 1", value=0)
        health.add(HEARTS, metric="completed", condition="== 1", value=1)

    assert collect(tmp_path / "out.json").value(STATE) == PASS


def test_the_error_of_a_job_is_not_hidden_by_one_of_publishing(
    collector: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(JobError) as failed:
        fail(collector(destination=tmp_path / "none" / "out.json"), JobError("out of memory"))

    (note,) = failed.value.__notes__
    assert "health records were not published" in note
    assert f"There is no folder {tmp_path}/none" in note
    assert note in caplog.text


def test_a_job_that_fails_before_its_first_record_publishes_nothing(collector: Make, tmp_path: Path) -> None:
    with pytest.raises(JobError) as failed, collector():
        raise JobError

    assert not hasattr(failed.value, "__notes__")
    assert list(tmp_path.iterdir()) == []


def test_a_job_without_a_record_is_an_error(collector: Make) -> None:
    with pytest.raises(EmptyResultsError, match=r"Look at the step that makes them\.$"), collector():
        pass


@pytest.mark.parametrize("option", ["allow_empty", "merged", "Suite", "annotation_tag", "timestmp"])
def test_a_misspelled_option_is_no_field_of_every_record(option: str, collector: Make) -> None:
    with pytest.raises(PublishOptionError, match=rf"^{option}: is neither an option nor a field of a record: metric, "):
        collector(**{option: True})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"condition": "=> 0.5"}, "condition"),
        ({"value": float("nan")}, "value"),
        ({"value": None}, "value"),
        ({"staus": "fail"}, "write `status`"),
        ({"metric": "metta.check.up"}, "metric"),
        ({"workflow_name": ""}, "workflow_name"),
    ],
)
def test_a_mistake_is_named_where_it_is_made(fields: dict[str, Any], named: str, collector: Make) -> None:
    health = collector()
    health.add(HEARTS)

    with pytest.raises(InvalidResultsError, match=named) as refused:
        health.add(HEARTS, **fields)

    assert refused.value.positions == (2,)
    assert len(health.records) == 1


@pytest.mark.parametrize("destination", ["gs://bucket/key", "s3://bucket", "s3://bucket/prefix/", "", "a\0b"])
def test_what_is_no_destination_is_refused_before_the_job(destination: str, collector: Make) -> None:
    with pytest.raises(DestinationNameError):
        collector(destination=destination)


def test_it_can_publish_on_the_way(collector: Make, published: Make) -> None:
    with collector() as health:
        health.extend([HEARTS])
        assert health.publish() == 1
        health.add(HEARTS, task="evaluates")

    assert len(published()) == 2


def test_errors_of_publishing_are_typed(record: Make, tmp_path: Path, now: datetime) -> None:
    cases: list[tuple[type[Exception], Any, Any]] = [
        (InvalidResultsError, [record(), record(value="x"), record(condition="?")], tmp_path / "a.json"),
        (EmptyResultsError, [], tmp_path / "a.json"),
        (DestinationNameError, [record()], "ftp://host/a.json"),
        (DestinationError, [record()], tmp_path),
        (DestinationError, [record()], tmp_path / "none" / "a.json"),
    ]
    for expected, records, destination in cases:
        with pytest.raises(PublishError) as refused:
            publish(records, destination, now=now)
        assert type(refused.value) is expected
        assert isinstance(refused.value, ValueError | SourceError)

    with pytest.raises(InvalidResultsError) as bad:
        publish(cases[0][1], tmp_path / "a.json", now=now)
    assert bad.value.positions == (2, 3)
    assert os.listdir(tmp_path) == []  # noqa: PTH208
