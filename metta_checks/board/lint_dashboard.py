"""What is wrong with a dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from metta_checks.board.contract import SHARES, Contract, Emitted
from metta_checks.board.document import COLUMNS, Dashboard, Definition, QueryEntry, Request, TemplateVariable, Widget
from metta_checks.board.evaluate import SPANS
from metta_checks.board.filters import QuerySyntaxError, Variable, leaves
from metta_checks.board.findings import Finding, Rule
from metta_checks.board.lint_query import query_findings
from metta_checks.board.query import Call, Formula, MetricQuery, parse_formula, parse_query, references, walk

READ: Final = frozenset({"group", "note", "query_table", "query_value", "timeseries", "toplist"})
"""Kinds of widgets whose queries are looked at."""

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
"""A figure of now is looked for in as many collections at least: one may come late, one may fail."""


def dashboard_findings(dashboard: Dashboard, contract: Contract) -> Iterator[Finding]:
    """Everything that the rules have against a dashboard."""
    yield from _grid_findings(dashboard.widgets, "the dashboard")
    queries: list[tuple[str, MetricQuery]] = []
    for widget in dashboard.leaves():
        yield from _widget_findings(widget.definition, contract, queries)
    yield from _variable_findings(dashboard.variables, queries, contract)


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


def _widget_findings(
    definition: Definition, contract: Contract, queries: list[tuple[str, MetricQuery]]
) -> Iterator[Finding]:
    place = definition.title or definition.type
    if definition.type not in READ:
        yield Finding(Rule.WIDGET, place, f"widgets of type {definition.type} are not read")
    for request in definition.requests:
        if request.q is not None:
            yield Finding(Rule.WIDGET, place, "requests with `q` are not read: write `queries` and `formulas`")
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
            queries.append((place, query))
            yield from query_findings(query, contract, place)
            yield from _reducing_findings(definition, request, entry, query, contract)
        yield from _formula_findings(request, parsed, contract, place)


def _reducing_findings(
    definition: Definition, request: Request, entry: QueryEntry, query: MetricQuery, contract: Contract
) -> Iterator[Finding]:
    metric = contract.find(query.metric)
    if metric is None or request.response_format != "scalar":
        return
    place, reducer = definition.title or definition.type, entry.aggregator or "avg"
    wanted = _reducers(metric, query)
    if reducer not in wanted:
        yield Finding(
            Rule.REDUCER, place, f"{query.aggregator}:{metric.name} is reduced by {wanted[0]}, not by {reducer}"
        )
    span = definition.time.live_span if definition.time else None
    seconds = SPANS[span].total_seconds() if span is not None and span in SPANS else 0.0
    if metric.kind == "gauge" and seconds < INTERVALS * metric.interval:
        told = "no time span of its own" if span is None else f"a time span of {span}"
        yield Finding(
            Rule.WINDOW,
            place,
            f"{told}; {metric.name} comes every {metric.interval} s, and {INTERVALS} of them are needed",
        )


def _reducers(metric: Emitted, query: MetricQuery) -> tuple[str, ...]:
    """How a course may become one figure, the usual way first."""
    if metric.kind == "gauge":
        return ("last", "avg") if metric.name in SHARES else ("last",)
    if query.percentile is not None:
        return ("percentile",)
    return ("sum",) if query.aggregator == "count" else (query.aggregator,)


def _formula_findings(
    request: Request, parsed: dict[str, MetricQuery], contract: Contract, place: str
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
        for name in _zeroed(formula):
            metric = contract.find(parsed[name].metric) if name in parsed else None
            if metric is not None and metric.of_source:
                yield Finding(Rule.ZERO, place, f"with default_zero an outage of the source shows as {metric.name} 0")
    for name in sorted(named - used):
        yield Finding(Rule.FORMULA, place, f"no formula uses the query {name!r}")


def _zeroed(formula: Formula) -> Iterator[str]:
    for part in walk(formula):
        if isinstance(part, Call) and part.function == "default_zero":
            yield from sorted(references(part.argument))


def _variable_findings(
    variables: Sequence[TemplateVariable], queries: Sequence[tuple[str, MetricQuery]], contract: Contract
) -> Iterator[Finding]:
    declared = {variable.name: variable for variable in variables}
    used: set[str] = set()
    for place, query in queries:
        metric = contract.find(query.metric)
        for leaf in leaves(query.filter):
            if not isinstance(leaf, Variable):
                continue
            used.add(leaf.name)
            if leaf.name not in declared:
                yield Finding(Rule.VARIABLE, place, f"the dashboard declares no variable ${leaf.name}")
                continue
            key = leaf.key or declared[leaf.name].prefix
            if leaf.key is None and metric and key and not metric.can_carry(key):
                yield Finding(
                    Rule.VARIABLE, place, f"${leaf.name} stands for the tag {key!r}, which {metric.name} has not"
                )
    for name in sorted(set(declared) - used):
        yield Finding(Rule.VARIABLE, f"${name}", "no query uses it")
