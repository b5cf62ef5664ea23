"""Formulas over queries, parsed: `query1 / (query1 + query2) * 100`, `cutoff_min(query1, 2)`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from metta_checks.board.filters import QuerySyntaxError

FUNCTIONS: Final = frozenset(
    (  # noqa: SIM905 (a paragraph, not fifty lines)
        "abs anomalies autosmooth calendar_shift clamp_max clamp_min count_nonzero count_not_null cumsum cutoff_max "
        "cutoff_min day_before default_zero derivative diff dt ewma_10 ewma_20 ewma_3 ewma_5 ewma_7 exclude_null fill "
        "forecast hour_before integral log10 log2 median_3 median_5 median_7 median_9 month_before monotonic_diff "
        "moving_rollup outliers per_hour per_minute per_second piecewise_constant robust_trend rollup timeshift top "
        "top_offset trend_line week_before"
    ).split()
)
"""What Datadog can apply in a formula."""

OPERATORS: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of a query."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    operator: str
    left: Formula
    right: Formula


@dataclass(frozen=True, slots=True)
class Call:
    """A function over a formula; `options` are its further arguments."""

    function: str
    argument: Formula
    options: tuple[float | str, ...]


Formula = Number | Reference | Operation | Call


def parse_formula(text: str) -> Formula:
    """What `text` computes. Raises QuerySyntaxError."""
    try:
        # The grammar of formulas is a part of Python's, so its own parser reads them; nothing is executed.
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise QuerySyntaxError(f"{text!r} is not a formula") from None
    return _formula(tree.body, text)


def walk(formula: Formula) -> Iterator[Formula]:
    """The formula and all its parts."""
    yield formula
    match formula:
        case Operation(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case Call(_, argument, _):
            yield from walk(argument)


def references(formula: Formula) -> set[str]:
    """The names of the queries that a formula uses."""
    return {part.name for part in walk(formula) if isinstance(part, Reference)}


def _formula(node: ast.expr, text: str) -> Formula:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Number(float(value))
        case ast.Name(id=name):
            return Reference(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Operation("-", Number(0.0), _formula(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return Operation(OPERATORS[type(op)], _formula(left, text), _formula(right, text))
        case ast.Call(func=ast.Name(id=name), args=[first, *others], keywords=[]):
            return Call(_function(name, text), _formula(first, text), tuple(_option(one, text) for one in others))
    raise QuerySyntaxError(f"{ast.unparse(node)!r} cannot stand in the formula {text!r}")


def _function(name: str, text: str) -> str:
    if name not in FUNCTIONS:
        raise QuerySyntaxError(f"there is no function {name!r}, which the formula {text!r} uses")
    return name


def _option(node: ast.expr, text: str) -> float | str:
    match node:
        case ast.Constant(value=int() | float() | str() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name):
            return name
    raise QuerySyntaxError(f"{ast.unparse(node)!r} is no option of a function in the formula {text!r}")
