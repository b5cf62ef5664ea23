"""The JSON Schema: the same as the model, and as strict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from metta_checks.cli import main
from metta_checks.health import InvalidRecordError, parse_record
from metta_checks.health.schema import generated_schema, schema_text
from metta_checks.simulator.health import EXAMPLE

SCHEMA = json.loads(schema_text())


def test_the_schema_in_the_package_is_that_of_the_model() -> None:
    assert schema_text() == generated_schema(), "run python -m metta_checks.health.schema"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_says_that_it_is_generated() -> None:
    assert "Generated" in schema_text().splitlines()[1]


FIELDS = {
    "metric": [
        "hearts",
        "a.b_c",
        "metta.infra.x",
        "metta.check.up",
        "metta.infra.health.state",
        "9a",
        "a b",
        "",
        7,
        None,
    ],
    "value": [0, 0.91, -1e300, "0.91", True, None, [], {}],
    "workflow_name": ["x", "", "x" * 1001, 7, None],
    "task": ["x", "", None],
    "check": ["x", "", None],
    "condition": ["> 0.5", "anything", "", None],
    "status": ["pass", "fail", "unknown", "PASS", "", True, None],
    "timestamp": [
        "2025-01-14T15:00:00Z",
        "2025-01-14 15:00",
        "2025-01-14",
        "2025-01-14T15:00:00.123456789+05:30",
        "2025-01-14T25:00:00Z",
        "2025-01-14T15:60:00Z",
        "20250114T150000Z",
        "15:00",
        "",
        1736866800,
        None,
    ],
    "tags": [{}, {"a": "b", "c": 1, "d": 0.5, "e": True}, {"a": None}, {"a": []}, {"a": {}}, [], "a:b", None],
    "unknown": [None, {}, "x"],
}
CASES = [(field, value) for field, values in FIELDS.items() for value in values]


def accepted(record: Any) -> bool:
    try:
        parse_record(record)
    except InvalidRecordError:
        return False
    return True


@pytest.mark.parametrize(("field", "value"), CASES)
def test_schema_and_model_agree(field: str, value: Any) -> None:
    record = {**EXAMPLE, field: value}

    assert Draft202012Validator(SCHEMA).is_valid(record) == accepted(record)


@pytest.mark.parametrize("field", EXAMPLE)
def test_schema_and_model_agree_on_what_is_required(field: str) -> None:
    record = {name: value for name, value in EXAMPLE.items() if name != field}

    assert Draft202012Validator(SCHEMA).is_valid(record) == accepted(record)


@given(st.fixed_dictionaries({}, optional={field: st.sampled_from(values) for field, values in FIELDS.items()}))
def test_schema_and_model_agree_on_any_mixture(record: dict[str, Any]) -> None:
    assert Draft202012Validator(SCHEMA).is_valid(record) == accepted(record)


DOCUMENT = json.loads(CliRunner().invoke(main, ["schema", "--document"]).output)


def valid(document: Any) -> bool:
    return bool(Draft202012Validator(DOCUMENT).is_valid(document))


def published(document: Any, tmp_path: Path) -> bool:
    path = tmp_path / "document.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    result = CliRunner().invoke(main, ["publish", "training", str(path), "--check-only", "--allow-empty"])
    assert result.exit_code in {0, 1}, result.output
    return result.exit_code == 0


def test_plain_schema_is_that_of_a_record() -> None:
    for arguments in (["schema"], ["schema", "--record"]):
        assert CliRunner().invoke(main, arguments).output == schema_text()


def test_the_schema_of_a_document_is_a_schema_with_a_name() -> None:
    Draft202012Validator.check_schema(DOCUMENT)
    assert DOCUMENT["$id"] == "urn:metta-checks:health-document:1"


WITHOUT_METRIC = {name: value for name, value in EXAMPLE.items() if name != "metric"}
DOCUMENTS = {
    "a list": [EXAMPLE],
    "an object": {"records": [EXAMPLE]},
    "an object with more": {"records": [EXAMPLE], "made_by": "arena"},
    "empty": [],
    "one record": EXAMPLE,
    "no list": {"records": EXAMPLE},
    "another key": {"results": [EXAMPLE]},
    "a bad record among good ones": [EXAMPLE, WITHOUT_METRIC],
    "a bad one in an object": {"records": [WITHOUT_METRIC]},
    "text": "records",
    "null": None,
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_schema_of_a_document_and_publish_agree(document: Any, tmp_path: Path) -> None:
    assert valid(document) == published(document, tmp_path)


CONDITIONS = [
    "> 0.5",
    ">=0",
    " <= 1e-3 ",
    "== .5",
    "!= -7.",
    "< +2E+4",
    "in [1, 2]",
    "IN[0,1]",
    "In [ -1e3 , 2.5 ] ",
    "=> 0.5",
    "= 1",
    "> 0,5",
    "> 50%",
    "0.5",
    "> x",
    "in (1, 2)",
    "in [1]",
    "in [1, 2, 3]",
    "> 0.5 and < 1",
    "> \u0665",
    "",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_they_agree_on_conditions(condition: str, tmp_path: Path) -> None:
    document = [{**EXAMPLE, "condition": condition, "status": "pass"}]

    assert valid(document) == published(document, tmp_path)
