"""Formulas computed over the answers to queries."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final

from metta_checks.board.answers import NOT_THERE, Answer, Frame, Group, Series, UnsupportedError
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.formula import Call, Formula, Number, Operation, Reference

_OPERATORS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def over_time(formula: Formula, answers: Mapping[str, Answer]) -> Frame:
    """The course of the formula, group by group. Raises QuerySyntaxError and UnsupportedError."""
    return _frame(_computed(formula, answers, reduced=False))


def at_once(formula: Formula, answers: Mapping[str, Answer]) -> dict[Group, float]:
    """One value for each group: queries are reduced over time first, then the formula is computed.

    A function directly over a query sees its course, before it is reduced.
    """
    frame = _frame(_computed(formula, answers, reduced=True))
    return {group: value for group, series in frame.items() for value in series.values()}


def _frame(result: Frame | float) -> Frame:
    if isinstance(result, float):
        raise QuerySyntaxError("a formula without a query has nothing to show")
    return result


def _computed(formula: Formula, answers: Mapping[str, Answer], *, reduced: bool) -> Frame | float:
    match formula:
        case Number(value):
            return value
        case Reference(name):
            answer = _answer(answers, name)
            return answer.reduced() if reduced else answer.series()
        case Operation(sign, left, right):
            return _combined(
                _computed(left, answers, reduced=reduced), _computed(right, answers, reduced=reduced), _OPERATORS[sign]
            )
        case Call(function, Reference(name), options):
            answer = _answer(answers, name)
            course = _applied(function, answer.series(), options)
            return answer.reduced(course) if reduced else course
        case Call(function, argument, options):
            return _applied(function, _frame(_computed(argument, answers, reduced=reduced)), options)


def _answer(answers: Mapping[str, Answer], name: str) -> Answer:
    if name not in answers:
        raise QuerySyntaxError(f"there is no query {name!r}")
    return answers[name]


def _combined(left: Frame | float, right: Frame | float, sign: Callable[[float, float], float]) -> Frame | float:
    """Values of the same group and moment; one without groups goes with every group of the other."""
    if isinstance(left, float) and isinstance(right, float):
        return sign(left, right) if right or sign is not operator.truediv else float("nan")
    if isinstance(left, float):
        groups = _frame(right)
        return {group: _pointwise(dict.fromkeys(series, left), series, sign) for group, series in groups.items()}
    if isinstance(right, float):
        return {group: _pointwise(series, dict.fromkeys(series, right), sign) for group, series in left.items()}
    if set(left) == {()} and set(right) != {()}:
        return {group: _pointwise(left[()], series, sign) for group, series in right.items()}
    if set(right) == {()} and set(left) != {()}:
        return {group: _pointwise(series, right[()], sign) for group, series in left.items()}
    return {group: _pointwise(series, right[group], sign) for group, series in left.items() if group in right}


def _pointwise(left: Series, right: Series, sign: Callable[[float, float], float]) -> Series:
    """Where both have a value; a division by zero has none."""
    return {
        at: sign(value, right[at])
        for at, value in left.items()
        if at in right and (right[at] or sign is not operator.truediv)
    }


def _applied(function: str, frame: Frame, options: tuple[float | str, ...]) -> Frame:
    match function, options:
        case "abs", ():
            return _mapped(frame, abs)
        case "cutoff_min", (int() | float() as limit,):
            return _mapped(frame, lambda value: value if value >= limit else None)
        case "cutoff_max", (int() | float() as limit,):
            return _mapped(frame, lambda value: value if value <= limit else None)
        case "clamp_min", (int() | float() as limit,):
            return _mapped(frame, lambda value: max(value, float(limit)))
        case "clamp_max", (int() | float() as limit,):
            return _mapped(frame, lambda value: min(value, float(limit)))
        case "exclude_null", ():
            return {group: series for group, series in frame.items() if all(value != NOT_THERE for _, value in group)}
    raise UnsupportedError(f"the function {function}()")


def _mapped(frame: Frame, change: Callable[[float], float | None]) -> Frame:
    """Every value changed; those that become None are gone."""
    return {
        group: {at: changed for at, value in series.items() if (changed := change(value)) is not None}
        for group, series in frame.items()
    }
