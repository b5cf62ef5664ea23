"""Records: which count, what they become, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


HEALTH_TAGS = {
    "source:stable_suite",
    "workflow_category:training",
    "workflow_name:multigpu_arena_basic_easy_shaped",
    "task:runs_successfully",
    "check:reward_threshold",
}


def test_a_record_becomes_its_metric_and_a_verdict(record: Make, write: Make, collect: Make) -> None:
    collected = collect(write([record()]), tags=["env:prod", "team:rl"])

    assert collected.hearts == [0.91]
    assert collected.tags("metta.infra.stablesuite.hearts") == HEALTH_TAGS | {
        "condition:gt_0.5",
        "status:pass",
        "commit:abc123",
        "workflow:training",
        "env:prod",
        "team:rl",
    }
    wall = HEALTH_TAGS | {"metric_name:hearts", "env:prod", "team:rl"}
    for name, value in {"state": 0, "status": 1, "value": 0.91, "target": 0.5, "age_seconds": 3600}.items():
        assert collected.value(f"metta.infra.health.{name}") == value
        assert collected.tags(f"metta.infra.health.{name}") == wall
    assert collected.tags("metta.infra.health.data_missing") == {
        "source:stable_suite",
        "workflow_category:training",
        "env:prod",
        "team:rl",
    }
    assert (collected.data_missing, collected.up, collected.warnings) == (0, 1, ())


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"metric": "absent"}, 'metric: is missing: add it, such as "metric": "hearts"'),
        ({"value": "absent"}, 'value: is missing: add it, such as "value": 0.91'),
        ({"workflow_name": "absent"}, 'workflow_name: is missing: add it, such as "workflow_name": "mult'),
        ({"task": "absent"}, 'task: is missing: add it, such as "task": "runs_successfully"'),
        ({"check": "absent"}, 'check: is missing: add it, such as "check": "reward_threshold"'),
        ({"condition": "absent"}, 'condition: is missing: add it, such as "condition": "> 0.5"'),
        ({"metric": "9lives"}, 'metric: is "9lives": use letters, digits, `_` and `.`, beginning with a letter'),
        ({"metric": "rate%"}, 'metric: is "rate%": use letters'),
        ({"metric": "herz\n"}, 'metric: is "herz": use letters'),
        ({"metric": ""}, 'metric: is empty: write text in quotes, such as "metric": "hearts"'),
        ({"metric": None}, 'metric: is null: write text in quotes, such as "metric": "hearts"'),
        ({"metric": ["hearts"]}, 'metric: is a list: write text in quotes, such as "metric": "hearts"'),
        ({"metric": "a" * 151}, "metric: has 151 characters: write at most 150"),
        ({"metric": "metta.check.up"}, "metric: metta.check.* and metta.infra.health.* are"),
        ({"metric": "metta.infra.health.state"}, "metric: metta.check.* and metta.infra.health.* are"),
        ({"value": "0.91"}, 'value: is text ("0.91"): remove the quotes'),
        ({"value": " 9.1e-1 "}, 'value: is text ("9.1e-1"): remove the quotes'),
        ({"value": "91%"}, "value: is a percentage in text: write a number alone"),
        ({"value": "high"}, 'value: is text: write a number, such as "value": 0.91'),
        ({"value": ""}, 'value: is empty: write a number, such as "value": 0.91'),
        ({"value": True}, "value: is true: write 1"),
        ({"value": False}, "value: is false: write 0"),
        ({"value": None}, "value: is null: give a number and `status: fail`, or leave the record out"),
        ({"value": [0.9, 0.8]}, "value: is a list: write one number, and a record for each of the others"),
        ({"value": {"mean": 0.9}}, 'value: is an object: write a number, such as "value": 0.91'),
        ({"value": 10**400}, "value: is too large a number: write one below 1.8e308"),
        ({"workflow_name": ""}, "workflow_name: is empty: write text, such as"),
        ({"task": 7}, 'task: is a number: write it in quotes, "7"'),
        ({"task": False}, "task: is false: write text in quotes, such as"),
        ({"check": {"name": "x"}}, "check: is an object: write text in quotes, such as"),
        ({"condition": 0.5}, 'condition: is a number: write text in quotes, such as "condition": "> 0.5"'),
        ({"condition": "x" * 1001}, "condition: has 1,001 characters: write at most 1,000"),
        ({"status": "PASS"}, 'status: is "PASS": write "pass", in lower case'),
        ({"status": "passed"}, 'status: is "passed": write "pass", "fail" or "unknown", or leave it out; did you mean'),
        ({"status": "ok"}, 'status: is "ok": write "pass", "fail" or "unknown", or leave it out'),
        ({"status": True}, 'status: is true: write "pass", "fail" or "unknown", or leave it out'),
        ({"timestamp": "yesterday"}, 'timestamp: is "yesterday": write it in ISO 8601, such as'),
        ({"timestamp": "14.01.2025 15:00"}, 'timestamp: is "14.01.2025 15:00": write it in ISO 8601'),
        ({"timestamp": ""}, "timestamp: is empty: write it in ISO 8601"),
        ({"timestamp": {"seconds": 5}}, "timestamp: is an object: write it in ISO 8601"),
        ({"timestamp": 1736866800}, "timestamp: is a number: write it in ISO 8601"),
        ({"timestamp": "2025-02-30T00:00:00Z"}, 'timestamp: is "2025-02-30T00:00:00Z", which is no date'),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp: it lies outside of the calendar"),
        ({"timestamp": "2025-01-14T16:05:01Z"}, "timestamp: its time 2025-01-14T16:05:01Z is in the future"),
        ({"tags": ["commit:abc"]}, 'tags: is a list: write an object, such as "tags": {"commit": "abc123"}'),
        ({"tags": {"commit": None}}, "tags.commit: is null: a tag is text, a number, true or false"),
        ({"tags": {"commit": {"sha": "abc"}}}, "tags.commit: is an object: a tag is text, a number, true or false"),
        ({"tags": {"seed": [1, 2]}}, "tags.seed: is a list: a tag is text, a number, true or false"),
        ({"tags": "commit:abc"}, "tags: is text: write an object, such as"),
        (
            {"value": "x", "task": ""},
            'value: is text: write a number, such as "value": 0.91; task: is empty: write text',
        ),
    ],
)
def test_a_bad_record_is_left_out_and_named_and_the_others_count(
    fields: dict[str, Any], fault: str, record: Make, absent: object, write: Make, collect: Make
) -> None:
    bad = record(**{name: absent if value == "absent" else value for name, value in fields.items()})
    path = write([record(), bad, record(metric="sps", value=1)])

    collected = collect(path)

    assert (collected.hearts, collected.values("metta.infra.stablesuite.sps")) == ([0.91], [1])
    assert (collected.up, collected.data_missing, collected.dropped("invalid")) == (1, 0, 1)
    (warning,) = collected.warnings
    assert warning.startswith(f"1 left out (invalid): {path}, record 2: {fault}")


@pytest.mark.parametrize("item", [None, 7, "hearts", [], [["metric", "hearts"]]])
def test_what_is_no_object_is_no_record(item: Any, record: Make, write: Make, collect: Make) -> None:
    collected = collect(write([item, record()]))

    assert (collected.hearts, collected.dropped("invalid")) == ([0.91], 1)
    assert ": a record is a JSON object" in collected.warnings[0]


def test_a_number_too_large_for_a_float_is_a_bad_record(record: Make, write: Make, collect: Make) -> None:
    collected = collect(write(b'[{"metric": "m", "value": 1e999}]'))

    assert (
        "value: is not a finite number: give a number and `status: fail`, or leave the record out"
        in collected.warnings[0]
    )


def test_the_first_three_faults_are_named_and_the_rest_counted(record: Make, write: Make, collect: Make) -> None:
    collected = collect(write([record(value=None)] * 25 + [record()]))

    assert collected.dropped("invalid") == 25
    (warning,) = collected.warnings
    assert warning.startswith("25 left out (invalid): ")
    assert "record 3: " in warning
    assert "record 4: " not in warning
    assert warning.endswith("; 22 more")


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("hearts", "metta.infra.stablesuite.hearts"),
        ("eval.hearts", "metta.infra.stablesuite.eval.hearts"),
        ("metta.infra.stablesuite.eval.hearts", "metta.infra.stablesuite.eval.hearts"),
        ("mettahearts", "metta.infra.stablesuite.mettahearts"),
    ],
)
def test_a_metric_gets_the_namespace_unless_it_has_one(
    metric: str, name: str, record: Make, write: Make, collect: Make
) -> None:
    collected = collect(write([record(metric=metric)]))

    assert collected.value(name) == 0.91
    assert f"metric_name:{metric}" in collected.tags("metta.infra.health.state")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"commit": "abc"}, "commit:abc"),
        ({"gpus": 8}, "gpus:8"),
        ({"lr": 0.001}, "lr:0.001"),
        ({"nightly": True}, "nightly:true"),
        ({"status": "green"}, "record_status:green"),
        ({"Source": "x"}, "record_Source:x"),
        ({"workflow_name": "x"}, "record_workflow_name:x"),
        ({"condition": "x"}, "record_condition:x"),
        ({"env": "x"}, "record_env:x"),
        ({"host": "x"}, "record_host:x"),
        ({"service": "x"}, "record_service:x"),
        ({"version": "x"}, "record_version:x"),
        ({"team": "x"}, "record_team:x"),
        ({"status:pass": "x"}, "status_pass:x"),
        ({" status": "x"}, "record_status:x"),
        ({"status:": "x"}, "record_status:x"),
        ({"9": "x"}, "record_9:x"),
        ({"": "x"}, "record_:x"),
        ({"note": "one, two\nthree"}, "note:one_ two_three"),
        ({"note": "x" * 300}, "note:" + "x" * 195),
    ],
)
def test_the_tags_of_a_record_stay_its_own(
    tags: dict[str, Any], expected: str, record: Make, write: Make, collect: Make
) -> None:
    collected = collect(write([record(tags=tags)]), tags=["team:rl"])

    own = (
        collected.tags("metta.infra.stablesuite.hearts") - HEALTH_TAGS - {"condition:gt_0.5", "status:pass", "team:rl"}
    )
    assert own == {expected}


@pytest.mark.parametrize("fields", [{"status": None}, {"timestamp": None}, {"tags": None}, {"tags": {}}, {"owner": {}}])
def test_null_is_absent_and_unknown_fields_are_allowed(
    fields: dict[str, Any], record: Make, write: Make, collect: Make, now: datetime
) -> None:
    path = write([record(**fields)])
    os.utime(path, (now.timestamp(),) * 2)

    collected = collect(path)

    assert (collected.hearts, collected.dropped("invalid")) == ([0.91], 0)


@pytest.mark.parametrize("content", [[], {"records": []}, {"records": [], "suite": "nightly"}])
def test_no_record_is_missing_data_but_no_failure(content: Any, write: Make, collect: Make) -> None:
    collected = collect(write(content))

    assert (collected.up, collected.data_missing) == (1, 1)


def test_a_document_may_be_an_object_with_records(record: Make, write: Make, collect: Make) -> None:
    assert collect(write({"suite": "nightly", "records": [record()]})).hearts == [0.91]


def test_a_byte_order_mark_is_no_fault(write: Make, collect: Make, tmp_path: Path) -> None:
    collected = collect(write(b"\xef\xbb\xbf" + b"[]"))

    assert (collected.up, collected.warnings) == (1, ())
