"""What is wrong with a field of a record, and what to write instead: the model's own errors are for programmers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from metta_checks.core.printable import printable
from metta_checks.core.unknown_options import did_you_mean

_SHOWN: Final = 60
"""Characters of a foreign text that a message repeats."""

_NUMBER: Final = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_PERCENTAGE: Final = re.compile(r"\s*[-+]?[0-9.]+\s*%\s*")

EXAMPLES: Final[Mapping[str, str]] = {
    "metric": '"metric": "hearts"',
    "value": '"value": 0.91',
    "workflow_name": '"workflow_name": "multigpu_arena_basic"',
    "task": '"task": "runs_successfully"',
    "check": '"check": "reward_threshold"',
    "condition": '"condition": "> 0.5"',
    "status": '"status": "pass"',
    "timestamp": '"timestamp": "2025-01-14T15:00:00Z"',
    "tags": '"tags": {"commit": "abc123"}',
}
"""Each field of a record as JSON, such as a record may have it."""

OTHER_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "metric": ("name", "metric_name"),
    "value": ("result", "score", "actual"),
    "workflow_name": ("workflow", "suite"),
    "task": ("task_name", "test"),
    "check": ("check_name",),
    "condition": ("threshold", "target", "expected"),
}
"""What pipelines call a field that is required. Beside the field itself, these are fields of their own."""


def field_problem(error: Mapping[str, Any], item: Mapping[Any, object]) -> str:
    """What is wrong with the field behind `error`, one of pydantic's about the record `item`, and what to write."""
    field = str(error["loc"][0])
    if error["type"] == "missing":
        meant = next((name for name in OTHER_WORDS.get(field, ()) if name in item), None)
        if meant is not None:
            return f"is missing: `{meant}` is no field of a record, write `{field}`"
        return f"is missing: add it, such as {EXAMPLES[field]}"
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    found = item.get(field)
    if field == "value":
        return _problem_of_value(error["type"], found)
    if field == "tags":
        return _problem_of_tags(error, found)
    if field == "status":
        return _problem_of_status(found)
    return _problem_of_text(error, field, found)


def kind_of(value: object) -> str:
    """The type of a value from JSON, or from Python, in a publisher's words."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return "text" if value.strip() else "empty"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case Sequence():
            return "a list"
        case _:
            return printable(type(value).__name__, _SHOWN)


def _problem_of_value(kind: str, found: object) -> str:
    if isinstance(found, str):
        if number := _NUMBER.fullmatch(found[:_SHOWN]):
            return f'is text ("{number[1]}"): remove the quotes'
        if _PERCENTAGE.fullmatch(found[:_SHOWN]):
            return "is a percentage in text: write a number alone, without quotes and %, on the scale of the condition"
    elif isinstance(found, bool):
        return f"is {kind_of(found)}: write {int(found)}"
    elif isinstance(found, int):
        return "is too large a number: write one below 1.8e308"
    elif kind == "finite_number":
        return "is not a finite number: give a number and `status: fail`, or leave the record out"
    elif hasattr(found, "item"):
        return f"is {kind_of(found)}: write the number that it holds, such as `value.item()`"
    elif isinstance(found, Sequence):
        return "is a list: write one number, and a record for each of the others"
    elif found is None:
        return "is null: give a number and `status: fail`, or leave the record out"
    return f"is {kind_of(found)}: write a number, such as {EXAMPLES['value']}"


def _problem_of_tags(error: Mapping[str, Any], found: object) -> str:
    if len(error["loc"]) > 1:
        return f"the name of a tag is {kind_of(error['loc'][1])}: write it in quotes, such as {EXAMPLES['tags']}"
    return f"is {kind_of(found)}: write an object, such as {EXAMPLES['tags']}"


def _problem_of_status(found: object) -> str:
    words = ("pass", "fail", "unknown")
    allowed = '"pass", "fail" or "unknown"'
    if not isinstance(found, str) or not found.strip():
        return f"is {kind_of(found)}: write {allowed}, or leave it out"
    word = printable(found, _SHOWN)
    if found.strip().lower() in words:
        return f'is "{word}": write "{found.strip().lower()}", in lower case'
    near = did_you_mean(found.strip(), words)
    return f'is "{word}": write {allowed}, or leave it out{near}'


def _problem_of_text(error: Mapping[str, Any], field: str, found: object) -> str:
    match error["type"]:
        case "string_too_long":
            return f"has {len(str(found)):,} characters: write at most {error['ctx']['max_length']:,}"
        case "string_too_short":
            return f"is empty: write text, such as {EXAMPLES[field]}"
        case "string_pattern_mismatch" if found:
            return f'is "{printable(str(found), _SHOWN)}": use letters, digits, `_` and `.`, beginning with a letter'
        case "string_unicode":
            return "is not valid Unicode: remove the lone surrogates"
    if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e15 and field != "condition":
        return f'is a number: write it in quotes, "{found}"'
    return f"is {kind_of(found)}: write text in quotes, such as {EXAMPLES[field]}"
