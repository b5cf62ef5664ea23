"""Mistakes of pipeline authors: each is refused or warned of, with the field and what to do instead."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.health import PublishError, RecordCollector, publish

Make = Callable[..., Any]


class Tensor:
    """What a training loop has in hand."""

    def item(self) -> float:
        return 0.91


IN_A_FILE = {
    "a number in quotes": ({"value": "0.91"}, 'value: is text ("0.91"): remove the quotes'),
    "a truth value": ({"value": True}, "value: is true: write 1"),
    "a status in capitals": ({"status": "PASS"}, 'status: is "PASS": write "pass", in lower case'),
    "seconds since 1970": ({"timestamp": 1736866800}, "not in seconds since 1970"),
    "a word for a time": ({"timestamp": "yesterday"}, "write it in ISO 8601"),
    "a blank in a name": ({"metric": "mean hearts"}, "letters, digits, `_` and `.`, beginning with a letter"),
    "tags as a list": ({"tags": ["commit:abc"]}, 'is a list: write an object, such as "tags": {"commit": "abc123"}'),
    "a tag that is null": ({"tags": {"seed": None}}, "tags.seed: is null: a tag is text, a number, true or false"),
    "a percentage": ({"condition": "> 50%"}, "'> 50%' is not a condition"),
    "a namespace of another check": (
        {"metric": "metta.infra.cron.hearts"},
        "begin with metta.infra.stablesuite.",
    ),
}
OTHER_WORDS = {
    "workflow_name": ("workflow", "arena"),
    "metric": ("name", "hearts"),
    "condition": ("threshold", 0.5),
    "value": ("score", 0.91),
}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["publish", "training", *map(str, arguments)])


@pytest.mark.parametrize(("fields", "named"), IN_A_FILE.values(), ids=IN_A_FILE)
def test_a_mistake_in_a_file_is_refused(
    fields: dict[str, Any], named: str, record: Make, write: Make, tmp_path: Path
) -> None:
    path = write([record(), record(**fields)])

    result = command(path, "--to", tmp_path / "out.json")

    assert result.exit_code == 1
    assert f"{path}, record 2: " in result.stderr
    assert named in result.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("field", OTHER_WORDS)
def test_another_word_for_a_field_is_named(field: str, record: Make, write: Make, absent: object) -> None:
    word, value = OTHER_WORDS[field]

    result = command(write([record(**{field: absent, word: value})]), "--check-only")

    assert result.exit_code == 1
    assert f"{field}: is missing: `{word}` is no field of a record, write `{field}`" in result.stderr


def test_the_same_words_beside_the_field_are_fields_of_their_own(record: Make, write: Make) -> None:
    extra = dict(OTHER_WORDS.values())

    result = command(write([record(timestamp=None, **extra)]), "--check-only")

    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("results", "named"),
    [
        ("none.json", "the step that writes it has run"),
        (".", "it is a directory"),
        ("/dev/null", "a device"),
    ],
)
def test_results_that_cannot_be_read_are_advice_for_the_publisher(
    results: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    result = command(results, "--check-only")

    assert result.exit_code == 1
    assert named in result.stderr
    assert "`source`" not in result.stderr


def test_results_may_come_through_a_pipe(record: Make, tmp_path: Path) -> None:
    """As in `publish training <(make-results)`."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(json.dumps([record()]), encoding="utf-8"), daemon=True)
    writer.start()

    result = command(pipe, "--check-only")
    writer.join(timeout=10)

    assert result.exit_code == 0
    assert "1 valid training record" in result.stdout


IN_PYTHON = {
    "a tensor": ({"value": Tensor()}, {}, "value: is Tensor: write the number that it holds, such as `value.item()`"),
    "a run that diverged": ({"value": float("nan")}, {}, "give a number and `status: fail`"),
    "a time to come": ({"timestamp": "2030-01-01"}, {}, "is in the future"),
    "a tag that is a set": ({"tags": {"a": {1}}}, {}, "tags.a: is set: a tag is"),
    "a suite that is none": ({}, {"suite": "train"}, "suite: 'train' is not a suite: use training or eval"),
    "one name for a list": ({}, {"annotation_tags": "commit"}, "write a list of names, such as ['commit']"),
    "no destination": ({}, {"destination": None}, "not NoneType"),
    "bytes for a path": ({}, {"destination": b"out.json"}, "not bytes"),
    "another store": ({}, {"destination": "gs://bucket/key"}, "write a file's path or s3://bucket/key"),
    "a prefix": ({}, {"destination": "s3://bucket/key/"}, "publish to one object under it"),
}


@pytest.mark.parametrize(("fields", "options", "named"), IN_PYTHON.values(), ids=IN_PYTHON)
def test_a_mistake_in_python_is_a_typed_error(
    fields: dict[str, Any], options: dict[str, Any], named: str, record: Make, tmp_path: Path, now: datetime
) -> None:
    given = {"destination": tmp_path / "out.json", "now": now, **options}

    with pytest.raises(PublishError) as refused:
        publish([record(**fields)], **given)

    assert named in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"suite": "train"}, {"annotation_tags": "commit"}, {"destination": None}])
def test_the_collector_refuses_its_options_before_the_job(options: dict[str, Any], tmp_path: Path) -> None:
    given = {"destination": tmp_path / "out.json", **options}

    with pytest.raises(PublishError):
        RecordCollector(given.pop("destination"), **given)


def test_a_decimal_is_a_number(record: Make, tmp_path: Path, now: datetime) -> None:
    publish([record(value=Decimal("0.91"))], tmp_path / "out.json", now=now)

    assert json.loads((tmp_path / "out.json").read_text())[0]["value"] == 0.91


def test_a_collector_outside_of_a_block_is_a_warning(
    record: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    forgotten, used = RecordCollector(tmp_path / "a.json"), RecordCollector(tmp_path / "b.json")
    for collector in (forgotten, used):
        collector.add(record(timestamp=None))
    used.publish()

    del forgotten, used, collector

    assert caplog.messages == ["1 health records were collected and not published: use the collector in a `with` block"]
