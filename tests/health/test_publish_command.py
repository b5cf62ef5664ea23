"""`metta-checks publish` and `schema`, as a pipeline calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main

Make = Callable[..., Any]


def command(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["publish", *map(str, arguments)], input=given, catch_exceptions=False)


@pytest.fixture
def fresh(record: Make, absent: object) -> Make:
    """Records that are as new as the moment of the test."""
    return lambda **fields: record(timestamp=absent, **fields)


@pytest.mark.parametrize("suite", ["training", "eval"])
def test_valid_results_are_published(suite: str, fresh: Make, write: Make, tmp_path: Path) -> None:
    results = write(
        [fresh(), fresh(value=0.1, status=None, task="other"), fresh(condition="in [2, 3]", status="unknown", task="x")]
    )

    result = command(suite, results, "--to", tmp_path / "out.json")

    expected = (
        f"3 valid {suite} records (1 pass, 1 unknown, 1 fail); published to {tmp_path}/out.json, which now has 3\n"
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")
    assert len(json.loads((tmp_path / "out.json").read_text())) == 3


def test_results_may_come_from_standard_input(fresh: Make, tmp_path: Path) -> None:
    result = command("training", "-", "--to", tmp_path / "out.json", given=json.dumps({"records": [fresh()]}).encode())

    assert result.exit_code == 0
    assert [item["value"] for item in json.loads((tmp_path / "out.json").read_text())] == [0.91]


@pytest.mark.parametrize("merge", [False, True])
def test_what_is_there_stays_with_merge_only(merge: bool, fresh: Make, write: Make) -> None:
    there = write([fresh(task="there")], "there.json")

    result = command("training", write([fresh()]), "--to", there, *(["--merge"] if merge else []))

    assert f"which now has {1 + merge}" in result.stdout
    assert [item["task"] for item in json.loads(there.read_text())] == ["there"] * merge + ["runs_successfully"]


@pytest.mark.parametrize("to", [False, True])
def test_check_only_writes_nothing(to: bool, fresh: Make, write: Make, tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    result = command("training", write([fresh()]), "--check-only", *(["--to", out] if to else []))

    assert (result.exit_code, result.stdout) == (0, "1 valid training record (1 pass); nothing was written\n")
    assert not out.exists()


def test_what_does_not_add_up_is_a_warning(fresh: Make, write: Make) -> None:
    results = write([fresh(value=0.1), fresh(condition="often", task="x")])

    result = command("training", results, "--check-only", "--lenient")

    assert result.exit_code == 0
    first, second = result.stderr.splitlines()
    assert first == (
        f"warning: {results}, record 1: status: the published `pass` is kept, but 0.1 against `> 0.5` says otherwise"
    )
    assert second.startswith(f"warning: {results}, record 2: condition: 'often' is not a condition")


@pytest.mark.parametrize("check_only", [False, True])
def test_bad_results_are_named_and_nothing_is_written(
    check_only: bool, fresh: Make, write: Make, tmp_path: Path
) -> None:
    results = write([fresh(), fresh(value="high"), fresh(metric="metta.check.up")])
    out = tmp_path / "out.json"

    result = command("training", results, "--to", out, *(["--check-only"] if check_only else []))

    assert (result.exit_code, result.stdout, out.exists()) == (1, "", False)
    assert result.stderr.splitlines() == [
        f'{results}, record 2: value: is text: write a number, such as "value": 0.91',
        f"{results}, record 3: metric: metta.check.* and metta.infra.health.* are the names of the checks' own metrics",
    ]


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "no valid JSON"), (b"", "it is empty"), (None, "no such file or directory")]
)
def test_results_that_cannot_be_read_are_an_error(
    content: bytes | None, message: str, write: Make, tmp_path: Path
) -> None:
    results = tmp_path / "none.json" if content is None else write(content)

    result = command("training", results, "--check-only")

    assert result.exit_code == 1
    assert message in result.stderr


def test_a_destination_that_cannot_be_written_is_an_error(fresh: Make, write: Make, tmp_path: Path) -> None:
    result = command("training", write([fresh()]), "--to", tmp_path / "none" / "out.json")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"publishing to {tmp_path}/none/out.json: no such file or directory (not found)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training", "results.json"], "set the destination with --to"),
        (["training", "results.json", "--to", "https://host/x"], "is no destination"),
        (["training", "results.json", "--to", "s3://bucket/prefix/"], "publish to one object under it"),
        (["training", "results.json", "--to", "s3://bucket"], "no S3 address"),
        (["training", "results.json", "--check-only", "--merge"], "--merge needs --to"),
        (["wandb", "results.json", "--check-only"], "'wandb' is not one of"),
        (["training"], "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_told_apart(arguments: list[str], message: str) -> None:
    result = command(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr


def test_results_are_published_to_s3_and_collected(s3: Any, fresh: Make, write: Make) -> None:
    published = command("training", write([fresh()]), "--to", "s3://results/health/training.json")
    collected = CliRunner().invoke(
        main,
        ["collect", "training", "--format", "json"],
        env={"TRAINING_HEALTH_FILE": "s3://results/health/training.json"},
    )

    assert (published.exit_code, collected.exit_code) == (0, 0)
    metrics = json.loads(collected.stdout)["collections"][0]["metrics"]
    assert [item["value"] for item in metrics if item["metric"] == "metta.infra.stablesuite.hearts"] == [0.91]


def test_the_schema_is_printed() -> None:
    result = CliRunner().invoke(main, ["schema"])

    assert (result.exit_code, json.loads(result.stdout)["title"]) == (0, "Metta health record")
