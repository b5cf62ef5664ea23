"""The filter of a metric query, the text between its braces: parsed, filled in, and matched against tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from metta_checks.core.tags import MAX_TAG_LENGTH

Tags = Mapping[str, frozenset[str]]
"""The values of each key of one series; a key may have several."""


class QuerySyntaxError(ValueError):
    """A query, filter or formula that cannot be read; the text says where."""


@dataclass(frozen=True, slots=True)
class Everything:
    """`*`: no condition."""


@dataclass(frozen=True, slots=True)
class Match:
    """`key:value`, both normalised; the value may hold `*`."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class VariableValue:
    """`$name`, which brings its own key, or `key:$name.value`."""

    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Filter, ...]


Filter = Everything | Match | VariableValue | Not | AllOf | AnyOf

_TOKEN: Final = re.compile(r"\s*(?:(?P<mark>[(),!])|(?P<word>[^\s(),!{}]+))")
_VARIABLE: Final = re.compile(r"\$([A-Za-z0-9_.\-]+?)(?:\.value)?")


def parse_filter(text: str) -> Filter:
    """The condition that `text` says. Raises QuerySyntaxError.

    Both forms are read: a list with commas, where `!` excludes, and AND, OR, NOT, IN with parentheses.
    """
    parser = _Parser(text)
    try:
        parsed = parser.either()
    except RecursionError:
        raise QuerySyntaxError(f"the filter {{{text[:40]}…}} is nested too deeply") from None
    if parser.ahead:
        raise QuerySyntaxError(f"{parser.ahead!r} is one too many in the filter {{{text}}}")
    return parsed


def holds(condition: Filter, tags: Tags) -> bool:
    """Whether a series with these tags is asked for. Variables have to be filled in before."""
    match condition:
        case Everything():
            return True
        case Match(key, value):
            return any(matches(value, present) for present in tags.get(key, ()))
        case Not(part):
            return not holds(part, tags)
        case AllOf(parts):
            return all(holds(part, tags) for part in parts)
        case AnyOf(parts):
            return any(holds(part, tags) for part in parts)
        case VariableValue(name):
            raise QuerySyntaxError(f"the variable ${name} has no value")


def filled(condition: Filter, value_of: Callable[[VariableValue], Filter]) -> Filter:
    """`condition` with every variable replaced by what `value_of` says."""
    match condition:
        case VariableValue():
            return value_of(condition)
        case Not(part):
            return Not(filled(part, value_of))
        case AllOf(parts):
            return AllOf(tuple(filled(part, value_of) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(filled(part, value_of) for part in parts))
        case _:
            return condition


def leaves(condition: Filter) -> Iterator[Match | VariableValue]:
    """Every tag and variable that is named, excluded ones too."""
    match condition:
        case Match() | VariableValue():
            yield condition
        case Not(part):
            yield from leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)


class _Parser:
    """Reads left to right; each method takes as much as it understands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if not found:
                raise QuerySyntaxError(f"{text[position:].strip()!r} cannot be read in the filter {{{text}}}")
            self._tokens.append(found["mark"] or found["word"])
            position = found.end()

    @property
    def ahead(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def either(self) -> Filter:
        parts = [self.both()]
        while self._took("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def both(self) -> Filter:
        parts = [self.one()]
        while self._took(",") or self._took("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def one(self) -> Filter:
        if self._took("!") or self._took("not"):
            return Not(self.one())
        if self._took("("):
            inner = self.either()
            self._expect(")")
            return inner
        return self._named()

    def _named(self) -> Filter:
        word = self._word()
        if word == "*":
            return Everything()
        if word.startswith("$"):
            return VariableValue(self._variable(word))
        if self._took("in"):
            return self._one_of(word)
        if self.ahead.lower() == "not" and [token.lower() for token in self._tokens[1:2]] == ["in"]:
            del self._tokens[:2]
            return Not(self._one_of(word))
        key, colon, value = word.partition(":")
        if not key or not colon or not value:
            raise QuerySyntaxError(f"{word!r} is no `key:value` in the filter {{{self._text}}}")
        if value.startswith("$"):
            return VariableValue(self._variable(value), normalised(key))
        return Match(normalised(key), normalised(value))

    def _one_of(self, key: str) -> Filter:
        self._expect("(")
        values = [self._word()]
        while self._took(","):
            values.append(self._word())
        self._expect(")")
        return AnyOf(tuple(Match(normalised(key), normalised(value)) for value in values))

    def _variable(self, word: str) -> str:
        found = _VARIABLE.fullmatch(word)
        if not found:
            raise QuerySyntaxError(f"{word!r} is no variable in the filter {{{self._text}}}")
        return found[1]

    def _word(self) -> str:
        if not self._tokens or self.ahead in "(),!":
            raise QuerySyntaxError(
                f"a tag is missing before {self.ahead or 'the end'!r} in the filter {{{self._text}}}"
            )
        return self._tokens.pop(0)

    def _took(self, token: str) -> bool:
        if self.ahead.lower() != token:
            return False
        self._tokens.pop(0)
        return True

    def _expect(self, token: str) -> None:
        if not self._took(token):
            raise QuerySyntaxError(
                f"{token!r} is missing before {self.ahead or 'the end'!r} in the filter {{{self._text}}}"
            )


_FOLDED: Final = re.compile(r"[^\w\-.:/*]")


def normalised(text: str) -> str:
    """A tag, a key or a value as Datadog stores it: lower case, `_` for what it does not keep, 200 characters.

    A `*` stays, since a query means something by it.
    """
    return _FOLDED.sub("_", text.strip().lower())[:MAX_TAG_LENGTH]


@lru_cache(maxsize=16_384)
def key_and_value(text: str) -> tuple[str, str]:
    """The two parts of a tag, normalised. A tag without a colon is all key."""
    key, _, value = normalised(text).partition(":")
    return key, value


def matches(pattern: str, value: str) -> bool:
    """Whether `value` is what a query's `pattern` asks for; only `*` stands for something else."""
    return fnmatchcase(value, pattern.replace("[", "[[]").replace("?", "[?]"))
