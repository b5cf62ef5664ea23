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
  | (?P<mark>\.\.\.|[!$()\[\]{}:=])
  | (?P<name>[_A-Za-z]\w*)
  | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<text>"(?:[^"\\\n]|\\.)*")
    """,
    re.VERBOSE,
)

_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None}


class QueryError(ValueError):
    """The document cannot be read, or asks for what is not there: the server answers 400 with this text."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A `$name` in the place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a selection. `key` is the name in the answer: the alias, else the field's own."""

    key: str
    name: str
    arguments: Mapping[str, Any]
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
    selection: _Selection = ()


@dataclass(frozen=True, slots=True)
class _RawField:
    """A field as it stands in the text, with spreads among its subfields."""

    key: str
    name: str
    arguments: Mapping[str, Any]
    selection: _Selection


_Selection = tuple[_RawField | _Spread, ...]


@dataclass(frozen=True, slots=True)
class _Definition:
    kind: str
    name: str | None
    selection: _Selection
    defaults: Mapping[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


@lru_cache(maxsize=64)
def parse(document: str, operation_name: str | None = None) -> Operation:
    """The operation of that name, or the only one, with every fragment in its place.

    Raises `QueryError`, and `RecursionError` for a document without a bottom.
    """
    definitions = list(_Reader(document).definitions())
    fragments = {d.name: d.selection for d in definitions if d.kind == "fragment"}
    operations = [d for d in definitions if d.kind != "fragment" and operation_name in (None, "", d.name)]
    if len(operations) != 1:
        raise QueryError(f"{len(operations)} operations named {operation_name!r} in the document, one is needed")
    chosen = operations[0]
    fields = _fields(chosen.selection, fragments)
    return Operation(chosen.kind, chosen.name, chosen.defaults, chosen.required, fields)


def _fields(selection: _Selection, fragments: Mapping[str | None, _Selection]) -> tuple[Field, ...]:
    """The fields of a selection; those of the same key become one."""
    merged: dict[str, _RawField] = {}
    for item in _without_spreads(selection, fragments):
        known = merged.setdefault(item.key, item)
        if known is item:
            continue
        if (known.name, known.arguments) != (item.name, item.arguments):
            raise QueryError(f"two different fields are both called {item.key}")
        merged[item.key] = replace(item, selection=known.selection + item.selection)
    return tuple(
        Field(item.key, item.name, item.arguments, _fields(item.selection, fragments)) for item in merged.values()
    )


def _without_spreads(selection: _Selection, fragments: Mapping[str | None, _Selection]) -> Iterator[_RawField]:
    for item in selection:
        if isinstance(item, _RawField):
            yield item
        elif item.name is None:
            yield from _without_spreads(item.selection, fragments)
        elif item.name in fragments:
            yield from _without_spreads(fragments[item.name], fragments)
        else:
            raise QueryError(f"unknown fragment {item.name}")


class _Reader:
    """Recursive descent over the tokens of one document."""

    def __init__(self, document: str) -> None:
        self._tokens = _tokens(document)
        self._at = 0

    def definitions(self) -> Iterator[_Definition]:
        while self._peek():
            yield self._definition()

    def _definition(self) -> _Definition:
        if self._peek() == "{":
            return _Definition("query", None, self._selection())
        kind = self._name()
        if kind not in ("query", "mutation", "fragment"):
            raise QueryError(f"unexpected {kind!r}: expected a query, a mutation or a fragment")
        name = self._name() if self._peek() not in ("(", "{") else None
        if kind == "fragment":
            self._expect("on")
            self._name()
            return _Definition(kind, name, self._selection())
        defaults, required = self._variables()
        return _Definition(kind, name, self._selection(), defaults, required)

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

    def _selection(self) -> _Selection:
        self._expect("{")
        items: list[_RawField | _Spread] = []
        while not self._skip("}"):
            items.append(self._spread() if self._skip("...") else self._field())
        if not items:
            raise QueryError("a selection is empty")
        return tuple(items)

    def _spread(self) -> _Spread:
        if self._skip("on"):
            self._name()
            return _Spread(None, self._selection())
        if self._peek() == "{":
            return _Spread(None, self._selection())
        return _Spread(self._name())

    def _field(self) -> _RawField:
        key = name = self._name()
        if self._skip(":"):
            name = self._name()
        arguments = self._pairs("(", ")") if self._peek() == "(" else {}
        return _RawField(key, name, arguments, self._selection() if self._peek() == "{" else ())

    def _pairs(self, opening: str, closing: str) -> dict[str, Any]:
        pairs = {}
        self._expect(opening)
        while not self._skip(closing):
            name = self._name()
            self._expect(":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Any:
        if self._peek() == "{":
            return self._pairs("{", "}")
        found = self._next()
        if found == "$":
            return Variable(self._name())
        if found == "[":
            return self._list()
        if found in _CONSTANTS:
            return _CONSTANTS[found]
        if found.isidentifier():
            return found
        try:
            return json.loads(found)
        except ValueError as error:
            raise QueryError(f"unexpected {found!r}: expected a value") from error

    def _list(self) -> list[Any]:
        values = []
        while not self._skip("]"):
            values.append(self._value())
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
