"""Conditions that a value is held against: `> 0.5`, `== 3`, `in [1, 2]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from operator import eq, ge, gt, le, lt, ne
from typing import Final

GRAMMAR: Final = "an operator (>, >=, <, <=, ==, !=) and a number, such as `> 0.5`, or an interval such as `in [1, 2]`"

_COMPARISONS: Final[Mapping[str, tuple[str, Callable[[float, float], bool]]]] = {
    ">": ("gt", gt),
    ">=": ("gte", ge),
    "<": ("lt", lt),
    "<=": ("lte", le),
    "==": ("eq", eq),
    "!=": ("ne", ne),
}

_NUMBER: Final = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?"
_COMPARISON: Final = re.compile(rf"\s*(>=|<=|==|!=|>|<)\s*({_NUMBER})\s*")
_INTERVAL: Final = re.compile(rf"\s*[iI][nN]\s*\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]\s*")

PATTERN: Final = f"^(?:{_COMPARISON.pattern}|{_INTERVAL.pattern})$".replace("++", "+").replace("*+", "*")
"""Matches what is written as a condition, for JSON Schema, which has no possessive quantifiers: the ends of an interval
may still be in the wrong order."""

_SHOWN: Final = 80
"""Characters of a foreign text that a message repeats."""


@dataclass(frozen=True, slots=True)
class Condition:
    """An operator and its operands: one number for a comparison, the two ends of a closed interval for `in`."""

    operator: str
    operands: tuple[float, ...]

    def holds(self, value: float) -> bool:
        """Whether `value` satisfies the condition. `==` and `!=` compare exactly."""
        if self.operator == "in":
            low, high = self.operands
            return low <= value <= high
        return _COMPARISONS[self.operator][1](value, self.operands[0])

    @property
    def target(self) -> float | None:
        """The number to reach; None for an interval, which has no single one."""
        return None if self.operator == "in" else self.operands[0]

    @property
    def tag_value(self) -> str:
        """The condition in characters that Datadog keeps: `lt_5`, `gte_0.5`, `in_1_2`.

        Datadog turns `<`, `>` and spaces into `_`, so that `< 5` and `> 5` would become one.
        """
        word = "in" if self.operator == "in" else _COMPARISONS[self.operator][0]
        return "_".join([word, *map(_number_text, self.operands)])


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Condition:
    """The condition that `text` says. Raises ValueError, with the text and the grammar, when it says none."""
    if match := _COMPARISON.fullmatch(text):
        condition = Condition(match[1], (float(match[2]),))
    elif match := _INTERVAL.fullmatch(text):
        condition = Condition("in", (float(match[1]), float(match[2])))
    else:
        raise ValueError(f"{_shown(text)} is not a condition: write {GRAMMAR}")
    if not all(map(isfinite, condition.operands)):
        raise ValueError(f"{_shown(text)} holds a number that is too large: write {GRAMMAR}")
    if list(condition.operands) != sorted(condition.operands):
        raise ValueError(f"{_shown(text)} is an empty interval: the lower end comes first")
    return condition


def condition_problem(text: str) -> str:
    """Why `text` is no condition; empty where it is one."""
    try:
        parse_condition(text)
    except ValueError as error:
        return str(error)
    return ""


def condition_tag(text: str) -> str:
    """The value of the `condition` tag: `Condition.tag_value`, or `text` made safe where it does not parse."""
    try:
        return parse_condition(text).tag_value
    except ValueError:
        return _sanitised(text)


def _sanitised(text: str) -> str:
    # The signs become words, else `=> 5` and `=< 5` would meet in one tag.
    for sign, word in (("<", " lt "), (">", " gt "), ("=", " eq "), ("!", " not ")):
        text = text.replace(sign, word)
    return re.sub(r"[^\w\-.:/]+", "_", text).strip("_") or "none"


def _number_text(number: float) -> str:
    """The shortest text that reads back as `number`; a `+` in an exponent would not survive in a tag."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(number).replace("+", "")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
