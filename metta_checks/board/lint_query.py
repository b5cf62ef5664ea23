"""What is wrong with one metric query, by the contract of what the checks emit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from metta_checks.board.contract import COUNTS, SHARES, Contract, Emitted, states
from metta_checks.board.filters import Everything, Filter, Match, VariableValue, filled, leaves
from metta_checks.board.findings import Finding, Rule
from metta_checks.board.query import Method, MetricQuery

OVER_SERIES: Final = ("avg", "max", "min", "sum")
"""Aggregators over the series of a gauge."""

ADDED_UP: Final = ("count", "sum")
"""Aggregators of a distribution that need `.as_count()`: without it Datadog averages over time."""

METHODS: Final = frozenset({"as_count", "as_rate", "fill", "rollup", "weighted"})
"""What Datadog can apply behind a query."""

ROLLUPS: Final = frozenset({"avg", "count", "max", "min", "sum"})
"""How a rollup can aggregate over time; `last` is a reducer of a widget."""

LONGEST_FILL: Final = 600
"""Seconds over which `.fill(last, …)` keeps a value: two collections of the slowest check and a reserve."""


def query_findings(query: MetricQuery, contract: Contract, place: str, joined: Iterable[str] = ()) -> Iterator[Finding]:
    """Every fault of a query, by the contract.

    `joined` are tags by which other queries of the same request group: series without them are of the group `N/A`, and
    have to be grouped by them as well, or the columns do not meet.
    """
    metric = contract.find(query.metric)
    if metric is None:
        yield Finding(Rule.METRIC, place, f"no check emits {query.metric}")
        return
    if problem := _aggregator_problem(query, metric):
        yield Finding(Rule.AGGREGATOR, place, problem)
    yield from _tag_findings(query, metric, place, frozenset(joined))
    for method in query.methods:
        yield from _method_findings(method, metric, place)


def _method_findings(method: Method, metric: Emitted, place: str) -> Iterator[Finding]:
    first = next(iter(method.arguments), "")
    if method.name not in METHODS:
        yield Finding(Rule.QUERY, place, f"there is no method .{method.name}()")
    elif method.name == "as_rate":
        yield Finding(Rule.AGGREGATOR, place, f".as_rate() divides {metric.name} by the seconds of a time bucket")
    elif method.name == "fill" and first == "zero" and metric.of_source:
        yield Finding(Rule.ZERO, place, f"with .fill(zero) an outage of the source shows as {metric.name} 0")
    elif method.name == "fill" and first == "last" and method.seconds > LONGEST_FILL:
        yield Finding(Rule.WINDOW, place, f".fill(last, {method.seconds}) keeps values for more than {LONGEST_FILL} s")
    elif method.name == "rollup" and first and not first.isdigit() and first not in ROLLUPS:
        yield Finding(Rule.ROLLUP, place, f"there is no .rollup({first}): it takes {', '.join(sorted(ROLLUPS))}")
    elif method.name == "rollup" and first in {"count", "sum"} and metric.kind == "gauge":
        yield Finding(
            Rule.ROLLUP,
            place,
            f".rollup({first}) of the gauge {metric.name} adds up collections, and counts things twice",
        )


def without_variables(condition: Filter) -> Filter:
    """The filter where every variable may be anything."""
    return filled(condition, lambda _: Everything())


def _aggregator_problem(query: MetricQuery, metric: Emitted) -> str | None:
    aggregator = query.aggregator
    if metric.kind == "distribution":
        if aggregator not in (*OVER_SERIES, "count") and query.percentile is None:
            return f"a distribution has no {aggregator}:"
        if query.method("as_rate"):
            return None
        if aggregator in ADDED_UP and not query.counts:
            return f"{aggregator}: over a distribution needs .as_count(): without it Datadog averages over time"
        if query.counts and aggregator not in ADDED_UP:
            return f".as_count() is for count: and sum:, and not for {aggregator}:"
        return None
    if query.percentile is not None:
        return f"{metric.name} is a gauge, and {aggregator}: is for distributions"
    if aggregator == "count":
        return f"count: over the gauge {metric.name} is not documented, and is not a number of things; use sum:"
    if aggregator not in OVER_SERIES:
        return f"there is no aggregator {aggregator}:"
    if query.counts:
        return f"{metric.name} is a gauge, and .as_count() is for counts"
    if aggregator == "avg" and metric.name in COUNTS:
        return f"{metric.name} counts things: avg: is their mean over series, sum: is their number"
    if aggregator == "avg" and metric.name in states() and metric.name not in SHARES:
        return f"{metric.name} is a state: the mean of several states is none of them"
    if aggregator in {"max", "min"} and metric.name in COUNTS - states() and not query.by:
        return f"{aggregator}:{metric.name} is one series; the number of things is sum:{metric.name}"
    if aggregator == "sum" and metric.name not in COUNTS:
        return f"{metric.name} is no count: the sum over its series has no meaning"
    return None


def _tag_findings(query: MetricQuery, metric: Emitted, place: str, joined: frozenset[str]) -> Iterator[Finding]:
    faults = list(_filter_findings(query.filter, metric, place))
    yield from faults
    for key in query.by:
        if not metric.can_carry(key) and key not in joined:
            yield Finding(Rule.TAG, place, f"{metric.name} has no tag {key!r} to group by")
    if not faults and not metric.can_match(without_variables(query.filter)):
        yield Finding(Rule.VALUE, place, f"no series of {metric.name} has all the tags of the filter together")


def _filter_findings(condition: Filter, metric: Emitted, place: str) -> Iterator[Finding]:
    for leaf in leaves(condition):
        match leaf:
            case Match(key, _) | VariableValue(_, str(key)) if not metric.can_carry(key):
                yield Finding(Rule.TAG, place, f"{metric.name} has no tag {key!r}")
            case Match(key, value) if not metric.can_be(leaf):
                yield Finding(Rule.VALUE, place, f"the tag {key!r} of {metric.name} is never {value!r}")
