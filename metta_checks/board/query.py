"""Metric queries of dashboards and monitors, and the formulas over them, parsed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from metta_checks.board.filters import Filter, QuerySyntaxError, normalised, parse_filter

_QUERY: Final = re.compile(
    r"(?P<aggregator>[a-z0-9.]+):(?P<metric>[A-Za-z][A-Za-z0-9_.]*)"
    r"\{(?P<filter>[^{}]*)\}"
    r"(?:\s+by\s+\{(?P<by>[^{}]*)\})?"
    r"(?P<methods>(?:\.[a-z_]+\([^()]*\))*)"
)
_METHOD: Final = re.compile(r"\.([a-z_]+)\(([^()]*)\)")
_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_MONITOR: Final = re.compile(
    r"(?P<over_time>[a-z0-9]+)\(last_(?P<count>\d+)(?P<unit>m|h|d|w)\):\s*(?P<query>.+?)"
    r"\s*(?P<comparator>[<>=!]+)\s*(?P<threshold>[-+]?\d+(?:\.\d+)?)\s*"
)
_UNIT_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Method:
    """`.name(arguments)` behind a query, such as `.rollup(max, 300)`."""

    name: str
    arguments: tuple[str, ...]

    @property
    def seconds(self) -> int:
        """The argument that is a number of seconds, 0 without one."""
        return next((int(argument) for argument in self.arguments if argument.isdigit()), 0)


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """`aggregator:metric{filter} by {keys}.method(…)`; the aggregator is the one over series, keys are normalised."""

    aggregator: str
    metric: str
    filter: Filter
    by: tuple[str, ...]
    methods: tuple[Method, ...]

    @property
    def percentile(self) -> float | None:
        """95 for `p95`, None for any other aggregator."""
        found = _PERCENTILE.fullmatch(self.aggregator)
        return float(found[1]) if found else None

    @property
    def counts(self) -> bool:
        """Whether the points are added up as a count, `.as_count()`."""
        return self.method("as_count") is not None

    def method(self, name: str) -> Method | None:
        """The last method of that name."""
        return next((method for method in reversed(self.methods) if method.name == name), None)


@dataclass(frozen=True, slots=True)
class MonitorQuery:
    """`over_time(last_…):query comparator threshold`; the window is in seconds."""

    over_time: str
    window: int
    query: MetricQuery
    comparator: str
    threshold: float


def parse_query(text: str) -> MetricQuery:
    """One metric query. Raises QuerySyntaxError; functions belong into the formula."""
    found = _QUERY.fullmatch(text.strip())
    if not found:
        raise QuerySyntaxError(f"{text!r} is not `aggregator:metric{{filter}} by {{tags}}`, with methods behind it")
    return MetricQuery(
        aggregator=found["aggregator"],
        metric=found["metric"],
        filter=parse_filter(found["filter"]),
        by=_keys(found["by"], text),
        methods=tuple(
            Method(name, tuple(part.strip() for part in arguments.split(",") if part.strip()))
            for name, arguments in _METHOD.findall(found["methods"])
        ),
    )


def parse_monitor_query(text: str) -> MonitorQuery:
    """The query of a metric monitor. Raises QuerySyntaxError."""
    found = _MONITOR.fullmatch(text.strip())
    if not found:
        raise QuerySyntaxError(f"{text!r} is not `function(last_15m):query > threshold`")
    return MonitorQuery(
        over_time=found["over_time"],
        window=int(found["count"]) * _UNIT_SECONDS[found["unit"]],
        query=parse_query(found["query"]),
        comparator=found["comparator"],
        threshold=float(found["threshold"]),
    )


def _keys(text: str | None, query: str) -> tuple[str, ...]:
    if text is None:
        return ()
    keys = tuple(normalised(key) for key in text.split(","))
    if "" in keys:
        raise QuerySyntaxError(f"a tag is missing behind `by` in {query!r}")
    return keys


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

LARGEST: Final = 1e300
"""No number of a formula is as large as this."""

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
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < LARGEST:
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
