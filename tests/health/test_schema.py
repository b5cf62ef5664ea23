"""The JSON Schema: the same as the model, and as strict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

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
