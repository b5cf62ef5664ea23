"""The Mongo-like filters of the W&B API, compiled once and then applied to each run; the fields that they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from metta_checks.simulator.wandb_project import DemoRun

Getter = Callable[[DemoRun], Any]
Predicate = Callable[[DemoRun], bool]
Test = Callable[[Any], bool]

_WANDB_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_TIME_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")

TIME_FIELDS = frozenset({"createdAt", "created_at", "heartbeatAt", "heartbeat_at"})

_FIELDS: Mapping[str, Getter] = {
    "createdAt": lambda run: run.created_text,
    "heartbeatAt": lambda run: run.heartbeat_text,
    "state": lambda run: run.state,
    "name": lambda run: run.name,
    "displayName": lambda run: run.display_name,
    "sweep": lambda run: run.sweep_name,
    "sweepName": lambda run: run.sweep_name,
    "tags": lambda run: run.tags,
    "group": lambda run: run.group,
    "jobType": lambda run: run.job_type,
    "host": lambda run: run.host,
    "username": lambda run: run.user,
    "duration": lambda run: run.seconds,
}

_SNAKE_CASE = {
    "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "display_name": "displayName",
    "sweep_name": "sweepName",
    "job_type": "jobType",
}


class FilterError(ValueError):
    """The filter is none: the server answers 400 with this text."""


def compile_filter(document: Any) -> Predicate:
    """The filter as a function of a run. Raises `FilterError` for what W&B would refuse."""
    if not isinstance(document, Mapping):
        raise FilterError(f"a filter must be an object, not {document!r}")
    parts = [_clause(name, value) for name, value in document.items()]
    if len(parts) == 1:
        return parts[0]
    return lambda run: all(part(run) for part in parts)


def _clause(name: str, value: Any) -> Predicate:
    if name in ("$and", "$or", "$nor"):
        return _combination(name, value)
    if name == "$not":
        inner = compile_filter(value)
        return lambda run: not inner(run)
    if name.startswith("$"):
        raise FilterError(f"unknown operator {name}")
    get = getter(name)
    if get is None:
        raise FilterError(f"unknown field {name}")
    return _condition(name, get, value)


def _combination(operator: str, value: Any) -> Predicate:
    if not isinstance(value, list) or not value:
        raise FilterError(f"{operator} needs a list of filters, not {value!r}")
    parts = [compile_filter(part) for part in value]
    match operator:
        case "$and":
            return lambda run: all(part(run) for part in parts)
        case "$or":
            return lambda run: any(part(run) for part in parts)
        case _:
            return lambda run: not any(part(run) for part in parts)


def _condition(name: str, get: Getter, value: Any) -> Predicate:
    tests = _tests(name, value)
    if len(tests) == 1:
        only = tests[0]
        return lambda run: only(get(run))
    return lambda run: all(test(get(run)) for test in tests)


def _tests(name: str, value: Any) -> list[Test]:
    if not isinstance(value, Mapping) or not any(key.startswith("$") for key in value):
        return [_operator(name, "$eq", value)]
    return [_operator(name, operator, operand) for operator, operand in value.items()]


def _operator(name: str, operator: str, operand: Any) -> Test:
    if operator == "$not":
        inner = _tests(name, operand)
        return lambda value: not all(test(value) for test in inner)
    make = _OPERATORS.get(operator)
    if make is None:
        raise FilterError(f"unknown operator {operator} on {name}")
    if name in TIME_FIELDS and operator != "$exists":
        if operator == "$regex":
            raise FilterError(f"{name} is a time: $regex does not apply")
        if not _is_time_with_zone(name, operand):
            return lambda _value: False
    return make(operand)


def _is_time_with_zone(name: str, operand: Any) -> bool:
    """False for a time without `Z`, which is accepted and matches nothing; other forms are refused."""
    moments = operand if isinstance(operand, list) else [operand]
    if all(moment is None or _matches(_WANDB_TIME, moment) for moment in moments):
        return True
    if all(_matches(_WANDB_TIME, moment) or _matches(_TIME_WITHOUT_ZONE, moment) for moment in moments):
        return False
    raise FilterError(f"invalid time {operand!r} for {name}: expected the form 2026-01-02T03:04:05Z")


def _matches(pattern: re.Pattern[str], moment: Any) -> bool:
    return isinstance(moment, str) and pattern.fullmatch(moment) is not None


def _equal(operand: Any) -> Test:
    """Equality as in Mongo: an array equals what it contains, `true` is not 1."""

    def test(value: Any) -> bool:
        if isinstance(value, tuple):
            return operand in value or list(value) == operand
        return value == operand and isinstance(value, bool) == isinstance(operand, bool)

    return test


def _in(operand: Any) -> Test:
    if not isinstance(operand, list):
        raise FilterError(f"$in and $nin need a list, not {operand!r}")
    if not all(isinstance(choice, str) for choice in operand):
        tests = [_equal(choice) for choice in operand]
        return lambda value: any(test(value) for test in tests)
    # Lists of run names can be thousands long.
    choices = frozenset(operand)
    return lambda value: not choices.isdisjoint(value) if isinstance(value, tuple) else _hashed_in(value, choices)


def _hashed_in(value: Any, choices: frozenset[str]) -> bool:
    return isinstance(value, str) and value in choices


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    """Order compares numbers with numbers and strings with strings; everything else does not match."""

    def make(operand: Any) -> Test:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        if isinstance(operand, int | float) and not isinstance(operand, bool):
            return lambda value: _is_number(value) and compare(value, operand)
        raise FilterError(f"cannot order by {operand!r}")

    return make


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exists(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise FilterError(f"$exists needs true or false, not {operand!r}")
    return lambda value: (value not in (None, ())) is operand


def _regex(operand: Any) -> Test:
    if not isinstance(operand, str):
        raise FilterError(f"$regex needs a string, not {operand!r}")
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise FilterError(f"$regex {operand!r}: {error}") from error

    def test(value: Any) -> bool:
        texts = value if isinstance(value, tuple) else (value,)
        return any(isinstance(text, str) and pattern.search(text) is not None for text in texts)

    return test


def _negated(make: Callable[[Any], Test]) -> Callable[[Any], Test]:
    def negate(operand: Any) -> Test:
        test = make(operand)
        return lambda value: not test(value)

    return negate


_OPERATORS: Mapping[str, Callable[[Any], Test]] = {
    "$eq": _equal,
    "$ne": _negated(_equal),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
    "$in": _in,
    "$nin": _negated(_in),
    "$exists": _exists,
    "$regex": _regex,
}


def getter(name: str) -> Getter | None:
    """How to read the field from a run; None where there is no such field. An absent value reads as None."""
    field = _FIELDS.get(_SNAKE_CASE.get(name, name))
    if field is not None:
        return field
    section, _, path = name.partition(".")
    if not path:
        return None
    if section == "config":
        path = path.removesuffix(".value")
        return lambda run: _inside(run.config, path)
    if section in ("summary_metrics", "summaryMetrics"):
        return lambda run: _inside(run.summary, path)
    return None


def _inside(values: Any, path: str) -> Any:
    """The value under a key that may itself hold dots, or further down the tree."""
    if not isinstance(values, Mapping):
        return None
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in values and (found := _inside(values[head], rest)) is not None:
            return found
        further, dot, rest = rest.partition(".")
        head = f"{head}.{further}"
    return None
