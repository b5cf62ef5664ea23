"""What is wrong with a dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from metta_checks.board.contract import COUNTS, SHARES, Contract, Emitted, states
from metta_checks.board.document import (
    COLUMNS,
    Dashboard,
    Definition,
    QueryEntry,
    TemplateVariable,
    Widget,
    WidgetRequest,
)
from metta_checks.board.filters import QuerySyntaxError, VariableValue, leaves
from metta_checks.board.findings import Finding, Rule
from metta_checks.board.lint_figures import COUNTING, figure_findings
from metta_checks.board.lint_query import query_findings, without_variables
from metta_checks.board.query import Call, Formula, MetricQuery, parse_formula, parse_query, references, walk

READ: Final = frozenset({"group", "note", "query_table", "query_value", "timeseries", "toplist"})
"""Types of widgets whose queries are checked."""

LINE_PALETTES: Final = frozenset(
    {
        "blue",
        "cool",
        "datadog16",
        "dog_classic",
        "gray",
        "green",
        "grey",
        "orange",
        "purple",
        "red",
        "semantic",
        "warm",
    }  # fmt: skip
)
"""Colours of lines and bars. The models take any text for them."""

INTERVALS: Final = 3
"""A figure of now needs a window of so many collections at least: one may come late, one may fail."""

INTERPOLATED: Final = 300
"""Seconds after a real sample over which Datadog interpolates a gauge."""

DAY: Final = 86_400.0
"""From this window on Datadog's time buckets hold several collections, and aggregate them."""

_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_MARKER: Final = re.compile(rf"\s*(?:y\s*=\s*{_NUMBER}|{_NUMBER}\s*<\s*y\s*<\s*{_NUMBER})\s*")
_OF_LINK: Final = re.compile(r"\{\{\s*([\w.\-]+?)(?:\.value)?\s*\}\}|\$([A-Za-z0-9_\-]+)(?:\.value)?")
_KNOWN_TO_LINKS: Final = frozenset(
    {"timestamp_start", "timestamp_end", "timestamp_widget_start", "timestamp_widget_end"}
)


@dataclass(frozen=True, slots=True)
class PlacedQuery:
    """A parsed query, and the title of its widget."""

    place: str
    query: MetricQuery


def dashboard_findings(dashboard: Dashboard, contract: Contract) -> Iterator[Finding]:
    """Every fault of a dashboard."""
    yield from _grid_findings(dashboard.widgets, "the dashboard")
    placed: list[PlacedQuery] = []
    for widget in dashboard.leaves():
        definition = widget.definition
        queries = list(_parsed_queries(definition))
        placed += [PlacedQuery(_place(definition), query) for query in queries]
        yield from _widget_findings(definition, contract)
        yield from _marker_findings(definition)
        yield from _link_findings(definition, queries, dashboard.variables)
    yield from _variable_findings(dashboard.variables, placed, contract)


def _place(definition: Definition) -> str:
    return definition.title or definition.type


def _parsed_queries(definition: Definition) -> Iterator[MetricQuery]:
    for request in definition.requests:
        for entry in request.queries:
            try:
                yield parse_query(entry.query)
            except QuerySyntaxError:
                continue


def _grid_findings(widgets: Sequence[Widget], where: str) -> Iterator[Finding]:
    placed = [(widget.definition.title or widget.definition.type, widget.layout) for widget in widgets if widget.layout]
    for title, layout in placed:
        inside = layout.x >= 0 and layout.y >= 0 and layout.width > 0 and layout.height > 0
        if not inside or layout.x + layout.width > COLUMNS:
            yield Finding(Rule.GRID, title, f"it leaves the {COLUMNS} columns of {where}")
    for (title, layout), (other, its_layout) in combinations(placed, 2):
        if layout.overlaps(its_layout):
            yield Finding(Rule.GRID, title, f"it lies on {other!r}")
    for widget in widgets:
        inner = widget.definition.widgets
        if not inner:
            continue
        yield from _grid_findings(inner, f"the group {widget.definition.title!r}")
        rows = max((one.layout.y + one.layout.height for one in inner if one.layout), default=0)
        if widget.layout and rows + 1 > widget.layout.height:
            yield Finding(
                Rule.GRID, widget.definition.title, f"its widgets need {rows + 1} rows, its heading among them"
            )


def _widget_findings(definition: Definition, contract: Contract) -> Iterator[Finding]:
    place = _place(definition)
    if definition.type not in READ:
        yield Finding(Rule.WIDGET, place, f"the linter does not support widgets of type {definition.type}")
    for request in definition.requests:
        if request.q is not None:
            yield Finding(Rule.WIDGET, place, "the linter does not support `q`: write `queries` and `formulas`")
            continue
        if request.style and request.style.palette and request.style.palette not in LINE_PALETTES:
            yield Finding(Rule.PALETTE, place, f"there is no palette {request.style.palette!r} for lines")
        parsed: dict[str, MetricQuery] = {}
        for entry in request.queries:
            try:
                query = parsed[entry.name] = parse_query(entry.query)
            except QuerySyntaxError as error:
                yield Finding(Rule.QUERY, place, str(error))
                continue
            metric = contract.find(query.metric)
            if metric is not None:
                yield from _gap_findings(definition, query, metric)
                yield from _reducing_findings(definition, request, entry, query, metric)
                yield from _rollup_findings(definition, request, query, metric)
        joined = _carried_keys(parsed.values(), contract)
        for query in parsed.values():
            yield from query_findings(query, contract, place, joined)
        yield from _formula_findings(request, parsed, contract, place)
        yield from figure_findings(definition, request, parsed, contract)


def _carried_keys(queries: Iterable[MetricQuery], contract: Contract) -> set[str]:
    """Tags by which a query groups whose metric has them."""
    found = ((contract.find(query.metric), query.by) for query in queries)
    return {key for metric, by in found if metric for key in by if metric.can_carry(key)}


def _span_of(definition: Definition) -> float:
    """Seconds of the widget's own time window, 0 where it follows the dashboard's."""
    length = definition.time.length if definition.time else None
    return length.total_seconds() if length else 0.0


def _gap_findings(definition: Definition, query: MetricQuery, metric: Emitted) -> Iterator[Finding]:
    """A missed collection is a gap of two intervals, and Datadog interpolates no more than `INTERPOLATED` seconds."""
    if query.aggregator != "sum" or metric.name not in COUNTS or 2 * metric.interval <= INTERPOLATED:
        return
    if query.method("fill") is None:
        yield Finding(
            Rule.WINDOW,
            _place(definition),
            f"add .fill(last, 600): the sum of {metric.name} is too small after a missed collection",
        )


def _reducing_findings(
    definition: Definition, request: WidgetRequest, entry: QueryEntry, query: MetricQuery, metric: Emitted
) -> Iterator[Finding]:
    if request.response_format != "scalar":
        return
    place, reducer = _place(definition), entry.aggregator or "avg"
    if metric.kind == "distribution" and query.aggregator == "avg":
        yield Finding(
            Rule.REDUCER,
            place,
            f"avg:{metric.name} is a mean of bucket means; the mean is sum:….as_count() / count:….as_count()",
        )
        return
    wanted = _reducers(metric, query)
    if reducer not in wanted:
        yield Finding(
            Rule.REDUCER, place, f"{query.aggregator}:{metric.name} is reduced by {wanted[0]}, not by {reducer}"
        )
    if metric.kind == "gauge" and _span_of(definition) < INTERVALS * metric.interval:
        found = f"a time span of {definition.time}" if definition.time else "no time span of its own"
        yield Finding(
            Rule.WINDOW,
            place,
            f"{found}; {metric.name} comes every {metric.interval} s, and {INTERVALS} of them are needed",
        )


def _rollup_findings(
    definition: Definition, request: WidgetRequest, query: MetricQuery, metric: Emitted
) -> Iterator[Finding]:
    """Without a rollup, a time bucket of several collections holds the mean of their states, which is no state."""
    if metric.name not in states() or query.aggregator not in {"max", "min"}:
        return
    span = _span_of(definition)
    if request.response_format == "scalar" and span < DAY:
        return
    rollup = query.method("rollup")
    if rollup is None or rollup.arguments[:1] != (query.aggregator,):
        yield Finding(
            Rule.ROLLUP,
            _place(definition),
            f"add .rollup({query.aggregator}): a long window averages {metric.name}, and 0 and 2 become 1",
        )


def _marker_findings(definition: Definition) -> Iterator[Finding]:
    for marker in definition.markers:
        if not _MARKER.fullmatch(marker.value):
            yield Finding(Rule.MARKER, _place(definition), f"{marker.value!r} is neither `y = 5` nor `0 < y < 5`")


def _link_findings(
    definition: Definition, queries: Sequence[MetricQuery], variables: Sequence[TemplateVariable]
) -> Iterator[Finding]:
    keys = {key for query in queries for key in query.by} | _KNOWN_TO_LINKS
    declared = {variable.name for variable in variables}
    for link in definition.custom_links:
        for key, variable in _OF_LINK.findall(link.link):
            if key and key not in keys:
                yield Finding(
                    Rule.LINK, _place(definition), f"{{{{{key}}}}} stays empty in {link.label!r}: no query groups by it"
                )
            if variable and variable not in declared:
                yield Finding(Rule.LINK, _place(definition), f"{link.label!r} uses an undeclared variable ${variable}")


def _reducers(metric: Emitted, query: MetricQuery) -> tuple[str, ...]:
    """How a course may become one figure, the usual way first."""
    if metric.kind == "gauge":
        return ("last", "avg") if metric.name in SHARES else ("last",)
    if query.percentile is not None:
        return ("percentile",)
    return ("sum",) if query.aggregator == "count" else (query.aggregator,)


def _formula_findings(
    request: WidgetRequest, parsed: dict[str, MetricQuery], contract: Contract, place: str
) -> Iterator[Finding]:
    named = {entry.name for entry in request.queries}
    used: set[str] = set()
    for entry in request.formulas:
        try:
            formula = parse_formula(entry.formula)
        except QuerySyntaxError as error:
            yield Finding(Rule.FORMULA, place, str(error))
            return
        used |= references(formula)
        for name in sorted(references(formula) - named):
            yield Finding(Rule.FORMULA, place, f"the formula {entry.formula!r} uses a query {name!r} that is not there")
        for name in sorted(_counted(formula)):
            if name in parsed and not parsed[name].by:
                yield Finding(Rule.FORMULA, place, f"count_nonzero counts groups, and the query {name!r} has none")
        for name in _zeroed(formula):
            metric = contract.find(parsed[name].metric) if name in parsed else None
            if metric is not None and metric.of_source:
                yield Finding(Rule.ZERO, place, f"with default_zero an outage of the source shows as {metric.name} 0")
    for name in sorted(named - used):
        yield Finding(Rule.FORMULA, place, f"no formula uses the query {name!r}")


def _counted(formula: Formula) -> set[str]:
    calls = (part for part in walk(formula) if isinstance(part, Call) and part.function in COUNTING)
    return {name for call in calls for name in references(call.argument)}


def _zeroed(formula: Formula) -> Iterator[str]:
    for part in walk(formula):
        if isinstance(part, Call) and part.function == "default_zero":
            yield from sorted(references(part.argument))


def _variable_findings(
    variables: Sequence[TemplateVariable], placed: Sequence[PlacedQuery], contract: Contract
) -> Iterator[Finding]:
    declared = {variable.name: variable for variable in variables}
    used: set[str] = set()
    chosen: list[tuple[PlacedQuery, Emitted | None, set[str]]] = []
    for one in placed:
        metric = contract.find(one.query.metric)
        keys: set[str] = set()
        for leaf in leaves(one.query.filter):
            if not isinstance(leaf, VariableValue):
                keys.add(leaf.key)
                continue
            used.add(leaf.name)
            if leaf.name not in declared:
                yield Finding(Rule.VARIABLE, one.place, f"the dashboard declares no variable ${leaf.name}")
                continue
            key = leaf.key or declared[leaf.name].prefix
            keys.add(key or "")
            if leaf.key is None and metric and key and not metric.can_carry(key):
                yield Finding(
                    Rule.VARIABLE, one.place, f"${leaf.name} stands for the tag {key!r}, which {metric.name} has not"
                )
        chosen.append((one, metric, keys))
    for one, metric, keys in chosen:
        if metric is not None:
            yield from _ignored_variables(one, metric, keys, [declared[name] for name in sorted(used & set(declared))])
    for name in sorted(set(declared) - used):
        yield Finding(Rule.VARIABLE, f"${name}", "no query uses it")


def _ignored_variables(
    placed: PlacedQuery, metric: Emitted, keys: set[str], variables: Sequence[TemplateVariable]
) -> Iterator[Finding]:
    """Where a query leaves a variable out, its figures mix what the reader has chosen with everything else."""
    matching = metric.matching(without_variables(placed.query.filter))
    for variable in variables:
        key = variable.prefix
        if key and key not in keys and any(key in shape.values for shape in matching):
            yield Finding(
                Rule.VARIABLE,
                placed.place,
                f"a query of {metric.name} ignores ${variable.name}, and it has the tag {key!r}",
            )
