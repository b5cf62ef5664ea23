"""Reads GraphQL query text into selections; directives and subscriptions are not among what it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(
    r'(?P<skip>[\s,\ufeff]+|#[^\n]*)|(?P<block>"""(?:.|\n)*?""")|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[_A-Za-z][_0-9A-Za-z]*)|(?P<mark>\.\.\.|[!$&()\[\]{}:=@|])"
)
DEPTH_LIMIT = 32


class DocumentError(Exception):
    """The text is not a query that the demo server reads; the message says where."""


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class FieldSelection:
    """`alias: name(arguments) { selections }`."""

    name: str
    alias: str
    arguments: Mapping[str, Any]
    selections: tuple[Selection, ...]


@dataclass(frozen=True, slots=True)
class FragmentSelection:
    """`... on Type { selections }`; a named fragment is already put in its place."""

    on_type: str | None
    selections: tuple[Selection, ...]


Selection = FieldSelection | FragmentSelection


@dataclass(frozen=True, slots=True)
class Operation:
    """One query. `defaults` are its variables with their default values."""

    selections: tuple[Selection, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def parse_document(text: str) -> Operation:
    """The one query of a document. Raises DocumentError."""
    return _Parser(text).document()


@dataclass(frozen=True, slots=True)
class _Spread:
    name: str


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0
        self.depth = 0
        self.fragments: dict[str, FragmentSelection] = {}

    def document(self) -> Operation:
        operations: list[Operation] = []
        while self._peek() != "":
            if self._peek() == "fragment":
                self._fragment()
            else:
                operations.append(self._operation())
        if len(operations) != 1:
            raise DocumentError(f"Expected one operation, found {len(operations)}")
        return Operation(self._resolved(operations[0].selections, 0), operations[0].defaults)

    def _operation(self) -> Operation:
        if self._peek() == "{":
            return Operation(self._selections())
        self._expect("query")
        if self._peek() not in ("(", "{"):
            self._name()
        defaults = self._variables() if self._peek() == "(" else {}
        return Operation(self._selections(), defaults)

    def _variables(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        self._expect("(")
        while not self._accept(")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            self._type()
            defaults[name] = self._value() if self._accept("=") else None
        return defaults

    def _type(self) -> None:
        if self._accept("["):
            self._type()
            self._expect("]")
        else:
            self._name()
        self._accept("!")

    def _fragment(self) -> None:
        self._expect("fragment")
        name = self._name()
        self._expect("on")
        self.fragments[name] = FragmentSelection(self._name(), self._selections())

    def _selections(self) -> tuple[Selection, ...]:
        self._enter()
        self._expect("{")
        found: list[Any] = []
        while not self._accept("}"):
            found.append(self._spread() if self._accept("...") else self._field())
        self.depth -= 1
        if not found:
            raise self._failure()
        return tuple(found)

    def _spread(self) -> _Spread | FragmentSelection:
        if self._accept("on"):
            return FragmentSelection(self._name(), self._selections())
        if self._peek() == "{":
            return FragmentSelection(None, self._selections())
        return _Spread(self._name())

    def _field(self) -> FieldSelection:
        name = alias = self._name()
        if self._accept(":"):
            name = self._name()
        arguments: dict[str, Any] = {}
        if self._accept("("):
            while not self._accept(")"):
                key = self._name()
                self._expect(":")
                arguments[key] = self._value()
        return FieldSelection(name, alias, arguments, self._selections() if self._peek() == "{" else ())

    def _value(self) -> Any:
        kind, text = self._next()
        match kind, text:
            case "string", _:
                return json.loads(text)
            case "block", _:
                return text[3:-3].strip()
            case "number", _:
                return json.loads(text)
            case "mark", "$":
                return Variable(self._name())
            case "mark", "[":
                return self._list()
            case "mark", "{":
                return self._object()
            case "name", _:
                return {"true": True, "false": False, "null": None}.get(text, text)
        self.position -= 1
        raise self._failure()

    def _list(self) -> list[Any]:
        self._enter()
        values = []
        while not self._accept("]"):
            values.append(self._value())
        self.depth -= 1
        return values

    def _object(self) -> dict[str, Any]:
        self._enter()
        values: dict[str, Any] = {}
        while not self._accept("}"):
            key = self._name()
            self._expect(":")
            values[key] = self._value()
        self.depth -= 1
        return values

    def _resolved(self, selections: tuple[Any, ...], depth: int) -> tuple[Selection, ...]:
        """Fragments in the places where they are spread. One that spreads itself would never end."""
        if depth > DEPTH_LIMIT:
            raise DocumentError("The query is nested too deeply")
        found: list[Selection] = []
        for selection in selections:
            fragment = selection
            if isinstance(selection, _Spread):
                if selection.name not in self.fragments:
                    raise DocumentError(f"Fragment {selection.name} was used, but not defined")
                fragment = self.fragments[selection.name]
            inner = self._resolved(fragment.selections, depth + 1)
            if isinstance(fragment, FieldSelection):
                found.append(FieldSelection(fragment.name, fragment.alias, fragment.arguments, inner))
            else:
                found.append(FragmentSelection(fragment.on_type, inner))
        return tuple(found)

    def _enter(self) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise DocumentError("The query is nested too deeply")

    def _peek(self) -> str:
        return self.tokens[self.position][1]

    def _next(self) -> tuple[str, str]:
        kind, text, _ = self.tokens[self.position]
        if kind == "end":
            raise self._failure()
        self.position += 1
        return kind, text

    def _accept(self, text: str) -> bool:
        kind, found, _ = self.tokens[self.position]
        if found != text or kind not in ("mark", "name"):
            return False
        self.position += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._failure()

    def _name(self) -> str:
        if self.tokens[self.position][0] != "name":
            raise self._failure()
        return self._next()[1]

    def _failure(self) -> DocumentError:
        kind, text, line = self.tokens[self.position]
        if kind == "end":
            return DocumentError("Unexpected end of document")
        return DocumentError(f"Parse error on {text!r} at line {line}")


def _tokens(text: str) -> list[tuple[str, str, int]]:
    """Kind, text and line of each token; the last one is the end."""
    found: list[tuple[str, str, int]] = []
    position, line = 0, 1
    while position < len(text):
        token = TOKEN.match(text, position)
        if token is None:
            raise DocumentError(f"Parse error on {text[position]!r} at line {line}")
        if token.lastgroup not in ("skip", None):
            found.append((str(token.lastgroup), token[0], line))
        position, line = token.end(), line + token[0].count("\n")
    return [*found, ("end", "", line)]
