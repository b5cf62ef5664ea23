"""Slips: fields that nearly have a known name, and conditions that do not parse."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.health import InvalidResultsError, publish

Make = Callable[..., Any]

SLIPS = [
    ("staus", "status"),
    ("Status", "status"),
    ("STATUS", "status"),
    ("statuss", "status"),
    ("sttaus", "status"),
    ("timestmp", "timestamp"),
    ("time_stamp", "timestamp"),
    ("timeStamp", "timestamp"),
    ("Time-Stamp", "timestamp"),
    ("timstmp", "timestamp"),
    ("metric_nam", "metric"),
    ("metric_name", "metric"),
    ("metrics", "metric"),
    ("Value", "value"),
    ("vlaue", "value"),
    ("workflowName", "workflow_name"),
    ("workflow-name", "workflow_name"),
    ("worklow_name", "workflow_name"),
    ("conditon", "condition"),
    ("tag", "tags"),
    ("tgas", "tags"),
    ("Tags", "tags"),
    ("chekc", "check"),
    ("taks", "task"),
]
OTHERS = [
    "owner",
    "run_url",
    "unit",
    "seed",
    "notes",
    "workflow",
    "workflow_id",
    "task_id",
    "taskId",
    "check_id",
    "value_std",
    "value2",
    "metric_unit",
    "status_url",
    "timestamp_ms",
    "condition_met",
    "checkpoint",
    "checksum",
    "timestep",
    "timesteps",
    "mask",
    "stage",
    "matrix",
    "state",
    "x-status",
    "_comment",
    "",
    "値",
    "x" * 100_000,
]


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(("name", "meant"), SLIPS)
@pytest.mark.parametrize("instead", [False, True])
def test_a_field_that_nearly_is_a_known_one_is_not_published(
    name: str, meant: str, instead: bool, record: Make, absent: object, tmp_path: Path, now: datetime
) -> None:
    """With the true field beside it or without: the slip is named either way."""
    slip = record(**{meant: absent} if instead else {}, **{name: "fail"})

    with pytest.raises(InvalidResultsError, match=f"results, record 2: .*{name}: .*`{meant}`") as refusal:
        publish([record(), slip], tmp_path / "results.json", now=now)

    assert [fault.position for fault in refusal.value.faults] == [2]
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("name", OTHERS, ids=lambda name: name[:20])
def test_other_fields_stay_allowed(
    name: str, record: Make, write: Make, collect: Make, tmp_path: Path, now: datetime
) -> None:
    path = tmp_path / "results.json"

    publish([record(**{name: "fail"})], path, now=now)

    assert json.loads(path.read_text())[0][name] == "fail"
    assert collect(path).warnings == ()


@pytest.mark.parametrize(
    ("name", "value"), [("values", [1, 2]), ("stats", {"mean": 1}), ("metrics", {}), ("tasks", [])]
)
def test_a_list_or_an_object_is_no_slip_of_a_number_or_a_text(
    name: str, value: Any, record: Make, tmp_path: Path, now: datetime
) -> None:
    assert publish([record(**{name: value})], tmp_path / "results.json", now=now) == 1


@pytest.mark.parametrize(
    "condition", ["=> 0.5", "=< 5", "0.5", "> ", "> 0,5", "in (1, 2)", "in [2, 1]", "above 3", "> 1e999"]
)
@pytest.mark.parametrize("status", ["fail", None])
def test_a_condition_that_does_not_parse_is_not_published(
    condition: str, status: str | None, record: Make, tmp_path: Path, now: datetime
) -> None:
    with pytest.raises(InvalidResultsError, match="results, record 2: condition: "):
        publish([record(), record(condition=condition, status=status)], tmp_path / "results.json", now=now)

    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("slip", [{"staus": "fail"}, {"condition": "=> 0.5"}])
def test_lenient_allows_it(slip: dict[str, str], record: Make, tmp_path: Path, now: datetime) -> None:
    assert publish([record(**slip)], tmp_path / "results.json", lenient=True, now=now) == 1


@pytest.mark.parametrize(("slip", "field"), [({"staus": "fail"}, "staus"), ({"condition": "=> 0.5"}, "condition")])
def test_the_commands_refuse_it_too(
    slip: dict[str, str], field: str, record: Make, absent: object, write: Make, tmp_path: Path
) -> None:
    results = write([record(timestamp=absent), record(timestamp=absent, **slip)])
    out = tmp_path / "out.json"

    published = command("publish", "training", results, "--to", out)
    checked = command("publish", "training", results, "--check-only")
    validated = command("validate", results)

    assert (published.exit_code, checked.exit_code, validated.exit_code, out.exists()) == (1, 1, 1, False)
    assert published.stderr == checked.stderr
    assert published.stderr.startswith(f"{results}, record 2: {field}: ")
    assert "--lenient" in published.stderr
    assert f"fault: record 2: {field}: " in validated.stdout


@pytest.mark.parametrize(("slip", "field"), [({"staus": "fail"}, "staus"), ({"condition": "=> 0.5"}, "condition")])
def test_with_lenient_the_commands_warn(
    slip: dict[str, str], field: str, record: Make, absent: object, write: Make, tmp_path: Path
) -> None:
    results = write([record(timestamp=absent), record(task="x", timestamp=absent, **slip)])

    published = command("publish", "training", results, "--to", tmp_path / "out.json", "--lenient")
    validated = command("validate", results, "--lenient")

    assert (published.exit_code, validated.exit_code) == (0, 0)
    assert published.stderr.startswith(f"warning: {results}, record 2: {field}: ")
    assert f"warning: record 2: {field}: " in validated.stdout


@pytest.mark.parametrize(("slip", "field"), [({"staus": "fail"}, "staus"), ({"condition": "=> 0.5"}, "condition")])
def test_a_reader_warns_and_counts_the_record(
    slip: dict[str, str], field: str, record: Make, write: Make, collect: Make
) -> None:
    path = write([record(**slip)])

    collected = collect(path)

    assert (collected.hearts, collected.dropped("invalid")) == ([0.91], 0)
    (warning,) = collected.warnings
    assert warning.startswith(f"kept: {path}, record 1: {field}: ")


def test_a_merge_beside_a_slip_of_somebody_else_goes_on(record: Make, write: Make, now: datetime) -> None:
    path = write([record(task="theirs", staus="fail")])

    assert publish([record()], path, merge=True, now=now) == 2


EMPTY = ["[]", '{"records": []}', " [ ]\n"]


@pytest.mark.parametrize("content", EMPTY)
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("option", ["", "--merge", "--check-only"])
def test_no_record_at_all_is_refused(
    content: str, there: bool, option: str, record: Make, write: Make, tmp_path: Path
) -> None:
    out = write([record()], "out.json") if there else tmp_path / "out.json"
    before = out.read_bytes() if there else None

    result = command("publish", "training", write(content.encode(), "none.json"), "--to", out, *filter(None, [option]))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no record" in result.stderr
    assert "--allow-empty" in result.stderr
    assert (out.read_bytes() if out.exists() else None) == before


@pytest.mark.parametrize(("options", "left"), [([], 0), (["--merge"], 1)])
def test_allow_empty_publishes_none(options: list[str], left: int, record: Make, write: Make) -> None:
    out = write([record()], "out.json")

    result = command("publish", "training", write([], "none.json"), "--to", out, "--allow-empty", *options)

    assert (result.exit_code, len(json.loads(out.read_text()))) == (0, left)


def test_no_record_at_all_is_refused_in_python(destination: Any, record: Make, now: datetime) -> None:
    publish([record()], destination.address, now=now)

    with pytest.raises(InvalidResultsError, match="allow_empty=True"):
        publish(iter(()), destination.address, now=now)

    assert destination.records() == [record()]
    assert publish([], destination.address, allow_empty=True, now=now) == 0
    assert destination.records() == []


@pytest.mark.parametrize("content", EMPTY)
def test_validate_warns_of_what_publish_refuses(content: str, write: Make) -> None:
    result = command("validate", "--check", "training", write(content.encode(), "none.json"))

    assert result.exit_code == 0
    assert "warning: there is no record: `publish` refuses an empty list" in result.stdout


def test_validate_and_publish_warn_of_the_same_old_records(record: Make, write: Make, tmp_path: Path) -> None:
    times = ("2020-01-01T00:00:00Z", datetime.now(UTC).isoformat(), "2021-01-01T00:00:00Z")
    path = write([record(check=f"check{n}", timestamp=time) for n, time in enumerate(times)], "old.json")
    said = "record {}: timestamp: {}-01-01T00:00:00Z is older than 26 hours"

    validated = " ".join(command("validate", "--check", "training", path).stdout.split())
    published = command("publish", "training", path, "--to", tmp_path / "out.json").stderr

    for output in (validated, published):
        assert [said.format(n, year) in output for n, year in ((1, 2020), (3, 2021))] == [True, True]
        assert "record 2" not in output


def test_publish_names_the_command_that_lists_all_faults(record: Make, write: Make, tmp_path: Path) -> None:
    for count, named in ((10, False), (11, True)):
        path = write([record(value=None) for _ in range(count)], "bad.json")
        result = command("publish", "eval", path, "--to", tmp_path / "out.json")
        assert (f"`metta-checks validate --check eval {path}` lists them all" in result.stderr) is named
