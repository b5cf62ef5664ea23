"""A reader of GraphQL documents: text in, one operation with its fields, arguments and variables out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<ignored>[\s,\ufeff]+|\#[^\n]*)
  | (?P<mark>\.\.\.|[!$&()\[\]{}:=@|])
  | (?P<name>[_A-Za-z]\w*)
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<text>"(?:[^"\\\n]|\\.)*")
    """,
    re.VERBOSE,
)

_DEPTH_LIMIT = 30


class QueryError(ValueError):
    """The document cannot be read, or asks for what is not there: the server answers 400 with this text."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A `$name` in the place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a selection. `key` is the name in the answer: the alias, else the field's own.

    `conditions` are the `@include` and `@skip` on it: a boolean or a variable, and the value that lets it through.
    """

    key: str
    name: str
    arguments: Mapping[str, Any]
    conditions: tuple[tuple[Any, bool], ...] = ()
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """A query or a mutation. `required` are the variables declared with `!` and no default."""

    kind: str
    name: str | None
    defaults: Mapping[str, Any]
    required: frozenset[str]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class _Spread:
    """`...Name`, or an inline fragment with its selection. Type conditions are taken as met."""

    name: str | None
    selection: tuple[Field | _Spread, ...]
    conditions: tuple[tuple[Any, bool], ...]


@dataclass(frozen=True, slots=True)
class _Parsed:
    kind: str
    name: str | None
    selection: tuple[Field | _Spread, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


@lru_cache(maxsize=64)
def parse(document: str, operation_name: str | None = None) -> Operation:
    """The operation of that name, or the only one. Fragments are put in place. Raises `QueryError`."""
    definitions = list(_Reader(document).document())
    fragments = {d.name: d.selection for d in definitions if d.kind == "fragment"}
    operations = [d for d in definitions if d.kind != "fragment" and operation_name in (None, "", d.name)]
    if len(operations) != 1:
        raise QueryError(f"{len(operations)} operations named {operation_name!r} in the document, one is needed")
    chosen = operations[0]
    return Operation(
        kind=chosen.kind,
        name=chosen.name,
        defaults=chosen.defaults,
        required=chosen.required,
        fields=_flat(chosen.selection, fragments, 0),
    )


def _flat(selection: tuple[Any, ...], fragments: Mapping[str | None, tuple[Any, ...]], depth: int) -> tuple[Field, ...]:
    """The selection with every fragment in its place; fields of the same key become one."""
    if depth > _DEPTH_LIMIT:
        raise QueryError("the selection is nested too deeply, or a fragment holds itself")
    merged: dict[str, Field] = {}
    for item in _spread_out(selection, fragments, depth):
        known = merged.get(item.key)
        if known is not None and (known.name, known.arguments) != (item.name, item.arguments):
            raise QueryError(f"two different fields are both called {item.key}")
        merged[item.key] = replace(item, fields=(known.fields if known else ()) + item.fields)
    return tuple(replace(item, fields=_flat(item.fields, fragments, depth + 1)) for item in merged.values())


def _spread_out(
    selection: tuple[Any, ...], fragments: Mapping[str | None, tuple[Any, ...]], depth: int
) -> Iterator[Field]:
    if depth > _DEPTH_LIMIT:
        raise QueryError("the selection is nested too deeply, or a fragment holds itself")
    for item in selection:
        if isinstance(item, Field):
            yield item
            continue
        if item.name is not None and item.name not in fragments:
            raise QueryError(f"unknown fragment {item.name}")
        inside = fragments[item.name] if item.name is not None else item.selection
        for found in _spread_out(inside, fragments, depth + 1):
            yield replace(found, conditions=found.conditions + item.conditions)


class _Reader:
    """Recursive descent over the tokens of one document."""

    def __init__(self, document: str) -> None:
        self._tokens = _tokens(document)
        self._at = 0
        self._depth = 0

    def document(self) -> Iterator[_Parsed]:
        while self._peek():
            yield self._definition()

    def _definition(self) -> _Parsed:
        if self._peek() == "{":
            return _Parsed("query", None, self._selection())
        kind = self._name()
        if kind not in ("query", "mutation", "fragment"):
            raise QueryError(f"unexpected {kind!r}: expected a query, a mutation or a fragment")
        name = self._name() if self._peek() not in ("(", "{", "@") else None
        if kind == "fragment":
            self._expect("on")
            self._name()
            return _Parsed(kind, name, self._selection())
        defaults, required = self._variables()
        return _Parsed(kind, name, self._selection(), defaults, required)

    def _variables(self) -> tuple[dict[str, Any], frozenset[str]]:
        defaults: dict[str, Any] = {}
        required: set[str] = set()
        if not self._skip("("):
            return defaults, frozenset()
        while not self._skip(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            if self._type():
                required.add(name)
            if self._skip("="):
                defaults[name] = self._value()
        return defaults, frozenset(required - defaults.keys())

    def _type(self) -> bool:
        """Reads a type, and says whether it ends in `!`."""
        if self._skip("["):
            self._type()
            self._expect("]")
        else:
            self._name()
        return self._skip("!")

    def _selection(self) -> tuple[Field | _Spread, ...]:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise QueryError("the selection is nested too deeply")
        self._expect("{")
        items: list[Field | _Spread] = []
        while not self._skip("}"):
            items.append(self._spread() if self._skip("...") else self._field())
        self._depth -= 1
        if not items:
            raise QueryError("a selection is empty")
        return tuple(items)

    def _spread(self) -> _Spread:
        if self._skip("on"):
            self._name()
            conditions = self._conditions()
            return _Spread(None, self._selection(), conditions)
        if self._peek() in ("{", "@"):
            conditions = self._conditions()
            return _Spread(None, self._selection(), conditions)
        return _Spread(self._name(), (), self._conditions())

    def _field(self) -> Field:
        key = name = self._name()
        if self._skip(":"):
            name = self._name()
        arguments = self._arguments()
        conditions = self._conditions()
        # Spreads in there are put in place once all fragments are known.
        selection: Any = self._selection() if self._peek() == "{" else ()
        return Field(key, name, arguments, conditions, selection)

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if not self._skip("("):
            return arguments
        while not self._skip(")"):
            name = self._name()
            self._expect(":")
            arguments[name] = self._value()
        return arguments

    def _conditions(self) -> tuple[tuple[Any, bool], ...]:
        conditions = []
        while self._skip("@"):
            directive = self._name()
            if directive not in ("include", "skip"):
                raise QueryError(f"unknown directive @{directive}")
            conditions.append((self._arguments().get("if"), directive == "include"))
        return tuple(conditions)

    def _value(self) -> Any:
        token = self._next()
        match token:
            case "$":
                return Variable(self._name())
            case "[":
                values = []
                while not self._skip("]"):
                    values.append(self._value())
                return values
            case "{":
                self._at -= 1
                return self._object()
            case "true" | "false" | "null":
                return {"true": True, "false": False, "null": None}[token]
        if token[:1] == '"' or token[:1].isdigit() or token[:1] == "-":
            return json.loads(token, strict=False)
        if not token.isidentifier():
            raise QueryError(f"unexpected {token!r}: expected a value")
        return token

    def _object(self) -> dict[str, Any]:
        self._expect("{")
        values = {}
        while not self._skip("}"):
            name = self._name()
            self._expect(":")
            values[name] = self._value()
        return values

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise QueryError("the document ends too early")
        self._at += 1
        return token

    def _skip(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        found = self._next()
        if found != token:
            raise QueryError(f"unexpected {found!r}: expected {token!r}")

    def _name(self) -> str:
        found = self._next()
        if not found.isidentifier():
            raise QueryError(f"unexpected {found!r}: expected a name")
        return found


def _tokens(document: str) -> list[str]:
    tokens = []
    at = 0
    while at < len(document):
        match = _TOKEN.match(document, at)
        if match is None:
            raise QueryError(f"unexpected {document[at]!r} in the document")
        at = match.end()
        if match.lastgroup != "ignored":
            tokens.append(match.group())
    return tokens
