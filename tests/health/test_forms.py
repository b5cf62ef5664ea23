"""Content that is no document: the cause is named, for those who read it and for those who publish it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from metta_checks.cli import main
from metta_checks.core import SourceError

Make = Callable[..., Any]

RECORD = '{"metric": "hearts", "value": 0.91}'
LM_EVAL = {"results": {"gsm8k": {"alias": "gsm8k", "acc,none": 0.5}}, "versions": {"gsm8k": 3}}
PYTEST = {"created": 1.5, "duration": 2.0, "summary": {"passed": 3, "total": 3}, "tests": []}

FORMS = {
    "UTF-8 with a mark, twice": (b"\xef\xbb\xbf\xef\xbb\xbf[]", ("no valid JSON",)),
    "UTF-32": (f"[{RECORD}]".encode("utf-32"), ("UTF-32", "Write it in UTF-8")),
    "UTF-32 without a mark": (f"[{RECORD}]".encode("utf-32-le"), ("UTF-32",)),
    "UTF-16, big-endian": (b"\xfe\xff" + f"[{RECORD}]".encode("utf-16-be"), ("UTF-16",)),
    "Latin-1": (b'[{"metric": "caf\xe9"}]', ("byte 17 is not UTF-8",)),
    "gzip": (gzip.compress(b"[]"), ("gzip", "uncompressed")),
    "ZIP": (b"PK\x03\x04rest", ("ZIP",)),
    "a web page": (b"<!DOCTYPE html>\n<html></html>", ("HTML page",)),
    "JSON Lines of lists": (b"[]\n[]\n", ("JSON Lines", "jq -s")),
    "values without a break": (f"{RECORD}{RECORD}".encode(), ("JSON Lines",)),
    "pretty-printed, one after the other": (f"[\n{RECORD}\n]\n[\n{RECORD}\n]".encode(), ("JSON Lines",)),
    "NaN on another line": (b'[\n{"value": 1},\n{"value": NaN}]', ("line 3, column 11 is NaN", '"status": "fail"')),
    "NaN in a text is none": (b'[{"a": "NaN", "value": -Infinity}]', ("column 24 is -Infinity",)),
    "nan of str()": (b'[{"value": nan}]', ("column 12 is nan", '"status": "fail"')),
    "None": (b'[{"value": 1, "status": None}]', ("column 25 is None", "json.dump")),
    "str() of a list": (b"[{'value': 1}]", ("single quotes", "json.dump")),
    "torn": (b'[{"metric": "hearts"', ("it is cut off",)),
    "one record": (RECORD.encode(), ("it is one record", "[ … ]")),
    "lm-eval": (json.dumps(LM_EVAL).encode(), ("lm-evaluation-harness", "--from lm-eval")),
    "pytest": (json.dumps(PYTEST).encode(), ("pytest-json-report", "--from pytest-json")),
    "numbers": (b'{"eval_loss": 0.2, "epoch": 3.0}', ("an object of numbers", "--from numbers")),
    "JUnit": (b'<?xml version="1.0"?>\n<testsuites tests="1"/>', ("JUnit XML", "--from junit")),
    "JUnit, one suite": (b'<testsuite name="a" tests="1"></testsuite>', ("--from junit",)),
    "other XML": (b"<coverage/>", ("it is XML",)),
    "some object": (b'{"name": "arena"}', ("no list of records", "JSON list of records")),
    "records as an object": (b'{"records": {"a": 1}}', ("its `records` is no list",)),
}


@pytest.mark.parametrize(("content", "named"), FORMS.values(), ids=FORMS)
def test_the_cause_is_named(content: bytes, named: tuple[str, ...], write: Make, collect: Make) -> None:
    path = write(content)

    published = CliRunner().invoke(main, ["publish", "training", str(path), "--check-only"])
    validated = CliRunner().invoke(main, ["validate", "--check", "training", str(path)])
    error = collect(path).error

    assert (published.exit_code, validated.exit_code) == (1, 1)
    assert isinstance(error, SourceError)
    for text in (published.stderr, " ".join(validated.output.split()), str(error).replace(" (malformed file)", "")):
        assert [part for part in named if part not in text] == []
