"""Metric queries, of dashboards and of monitors, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from metta_checks.board.filters import Filter, QuerySyntaxError, parse_filter
from metta_checks.board.names import normalised

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
        return any(method.name == "as_count" for method in self.methods)


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
