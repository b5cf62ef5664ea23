"""Carries out a GraphQL operation over tables that say, per type, what each field answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metta_checks.simulator.wandb_graphql import Field, Operation, QueryError, Variable

Arguments = Mapping[str, Any]
Reader = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field answers, from its parent and its arguments; `type` names the table of what it answers with."""

    get: Callable[[Any, Arguments], Any]
    arguments: frozenset[str] = frozenset()
    type: str | None = None


Tables = Mapping[str, Mapping[str, FieldType]]


def execute(operation: Operation, variables: Mapping[str, Any], root: Any, tables: Tables) -> dict[str, Any]:
    """The `data` of the answer. Raises `QueryError` for fields, arguments and variables that do not fit."""
    known = {**operation.defaults, **variables}
    missing = sorted(name for name in operation.required if known.get(name) is None)
    if missing:
        raise QueryError(f'Variable "${missing[0]}" of a required type was not provided.')
    root_type = operation.kind.title()
    if root_type not in tables:
        raise QueryError(f"Schema is not configured for a {operation.kind}.")
    answer: dict[str, Any] = _object(root_type, operation.fields, known, tables)(root)
    return answer


def _object(type_name: str, fields: tuple[Field, ...], variables: Mapping[str, Any], tables: Tables) -> Reader:
    """Reads the selected fields of one parent. What depends on the query alone is done once, not per parent."""
    readers = [(field.key, _field(type_name, field, variables, tables)) for field in fields]
    return lambda parent: {key: read(parent) for key, read in readers}


def _field(type_name: str, field: Field, variables: Mapping[str, Any], tables: Tables) -> Reader:
    if field.name == "__typename":
        return lambda _parent: type_name
    spec = tables[type_name].get(field.name)
    if spec is None:
        raise QueryError(f'Cannot query field "{field.name}" on type "{type_name}".')
    if unknown := sorted(field.arguments.keys() - spec.arguments):
        raise QueryError(f'Unknown argument "{unknown[0]}" on field "{field.name}" of type "{type_name}".')
    if (spec.type is None) != (not field.fields):
        needs = "must" if spec.type else "must not"
        raise QueryError(f'Field "{field.name}" of type "{type_name}" {needs} have a selection of subfields.')
    get = spec.get
    arguments = {name: _value(value, variables) for name, value in field.arguments.items() if _given(value, variables)}
    if spec.type is None:
        return lambda parent: get(parent, arguments)
    child = _object(spec.type, field.fields, variables, tables)
    return lambda parent: _each(get(parent, arguments), child)


def _each(value: Any, child: Reader) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [child(item) for item in value]
    return child(value)


def _given(value: Any, variables: Mapping[str, Any]) -> bool:
    """An argument whose variable was not sent counts as left out."""
    return not isinstance(value, Variable) or value.name in variables


def _value(value: Any, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, Variable):
        return variables.get(value.name)
    if isinstance(value, list):
        return [_value(item, variables) for item in value]
    if isinstance(value, dict):
        return {name: _value(item, variables) for name, item in value.items()}
    return value
