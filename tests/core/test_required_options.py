"""The options that every spec.yaml must have: what is said of one that lacks them."""

from __future__ import annotations

from typing import Any

import pytest

from metta_checks.core.required_options import missing_options

COMPLETE: dict[str, dict[str, Any]] = {
    "collection_timeout": {"value": {"type": "number", "example": 60}},
    "max_response_bytes": {"value": {"type": "integer", "example": 1024}},
    "min_collection_interval": {"enabled": True, "value": {"type": "integer", "example": 240}},
    "empty_default_hostname": {"enabled": True, "value": {"type": "boolean", "example": True}},
    "tags": {"value": {"type": "array"}},
    "service": {"value": {"type": "string"}},
}


def missing(options: dict[str, dict[str, Any]]) -> list[str]:
    return list(missing_options({"name": name, **option} for name, option in options.items()))


def test_nothing_is_missing_from_a_complete_specification() -> None:
    assert missing(COMPLETE) == []


def test_the_limit_of_a_response_has_two_names() -> None:
    renamed = {"max_bytes" if name == "max_response_bytes" else name: option for name, option in COMPLETE.items()}
    assert missing(renamed) == []


@pytest.mark.parametrize("name", COMPLETE)
def test_each_option_that_is_not_there_is_one_sentence(name: str) -> None:
    (sentence,) = missing({other: option for other, option in COMPLETE.items() if other != name})
    assert sentence.startswith("the instance option ")
    assert f"`{name}`" in sentence
    assert " is missing: " in sentence
    assert sentence.endswith(" The template `core/options` has it.")


@pytest.mark.parametrize(
    ("name", "option", "problem"),
    [
        ("collection_timeout", {"value": {"type": "number"}}, "` needs a `value.example`, which is its default: "),
        ("max_response_bytes", {"value": {"type": "integer"}}, "` needs a `value.example`, which is its default: "),
        ("min_collection_interval", {"value": {"example": 240}}, "` needs `enabled: true` and a `value.example`: "),
        ("empty_default_hostname", {"enabled": True, "value": {"example": False}}, "` needs `enabled: true` and "),
    ],
)
def test_an_option_that_has_no_effect_is_no_better(name: str, option: dict[str, Any], problem: str) -> None:
    (sentence,) = missing({**COMPLETE, name: option})
    assert sentence.startswith(f"the instance option `{name}`")
    assert problem in sentence
