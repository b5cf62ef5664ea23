"""What is wrong with how a widget shows its figures: colours, units, lengths of lists, and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from metta_checks.board.contract import COUNTS, SHARES, Contract, Emitted, states
from metta_checks.board.document import ConditionalFormat, Definition, FormulaEntry, WidgetRequest
from metta_checks.board.filters import Match, QuerySyntaxError, leaves, normalised
from metta_checks.board.findings import Finding, Rule
from metta_checks.board.query import (
    Call,
    Formula,
    MetricQuery,
    Operation,
    Reference,
    parse_formula,
    references,
    walk,
)

LONGEST: Final = 12
"""Rows that a list of exceptions shows at least."""

EXCEPTIONS: Final = frozenset({"cutoff_min", "cutoff_max"})
"""Functions that leave of a list what is beyond a limit."""

COUNTING: Final = frozenset({"count_nonzero", "count_not_null"})
"""Functions that count groups."""

SMOOTHING: Final = re.compile(r"autosmooth|moving_rollup|trend_line|robust_trend|(ewma|median)_\d+")
"""Functions that put a value between two of a series, which is none of its states."""

LISTS: Final = frozenset({"query_table", "toplist"})

_IDENTITY: Final = ("repo", "branch", "metric_name")
_OF_VERDICTS: Final = frozenset({"metta.infra.health.value", "metta.infra.health.target"})
"""Figures that mean something for one verdict only: the largest of several verdicts belongs to none of them."""

_UNIT_WORDS: Final = {"hour": ("hour", " h"), "minute": ("minute", "min"), "second": ("second", " s"), "fraction": ()}


def figure_findings(
    definition: Definition, request: WidgetRequest, parsed: Mapping[str, MetricQuery], contract: Contract
) -> Iterator[Finding]:
    """Every fault of how a request shows its figures. `parsed` has its queries by name."""
    place = definition.title or definition.type
    metrics = {name: found for name, query in parsed.items() if (found := contract.find(query.metric))}
    formulas: list[tuple[FormulaEntry, Formula]] = []
    for entry in request.formulas:
        try:
            formulas.append((entry, parse_formula(entry.formula)))
        except QuerySyntaxError:
            continue
    for entry, formula in formulas:
        used = [metrics[name] for name in sorted(references(formula)) if name in metrics]
        yield from _smoothing_findings(formula, metrics, place)
        yield from _share_findings(formula, parsed, place)
        yield from _unit_findings(definition, request, entry, formula, parsed, used)
        if request.response_format == "scalar":
            yield from _state_findings(definition, request, entry, formula, parsed, metrics)
    for formats in (request.conditional_formats, *(entry.conditional_formats for entry in request.formulas)):
        yield from _format_findings(definition, formats)
    if definition.type in LISTS:
        yield from _length_findings(request, formulas, parsed, place)
        yield from _verdict_findings(parsed, contract, place)
    yield from _name_findings(request, parsed, metrics, place)


def _is_code(name: str, parsed: Mapping[str, MetricQuery], metrics: Mapping[str, Emitted]) -> bool:
    """Whether the query has states, such as 0, 1 and 2, and not a mean of them."""
    return name in metrics and metrics[name].name in states() and parsed[name].aggregator in {"max", "min"}


def _state_findings(
    definition: Definition,
    request: WidgetRequest,
    entry: FormulaEntry,
    formula: Formula,
    parsed: Mapping[str, MetricQuery],
    metrics: Mapping[str, Emitted],
) -> Iterator[Finding]:
    place, names = definition.title or definition.type, references(formula)
    if not names or not all(_is_code(name, parsed, metrics) for name in names):
        return
    if isinstance(formula, Reference):
        yield Finding(
            Rule.STATE,
            place,
            f"shows {metrics[formula.name].name} as a code: count what fails, or turn it into 1 for a failure",
        )
    elif not (entry.conditional_formats or request.conditional_formats):
        yield Finding(Rule.FORMAT, place, f"{entry.alias or entry.formula!r} shows failures without a color")


def _format_findings(definition: Definition, formats: Sequence[ConditionalFormat]) -> Iterator[Finding]:
    place = definition.title or definition.type
    if any(one.comparator == "=" for one in formats):
        yield Finding(
            Rule.FORMAT,
            place,
            "the comparator = leaves fractions without a color: order the formats as >=, >, <=",
        )
        return
    for number, later in enumerate(formats):
        if any(_covers(earlier, later) for earlier in formats[:number]):
            yield Finding(
                Rule.FORMAT, place, f"{later.comparator} {later.value:g} never applies: an earlier format includes it"
            )
    if _gap(formats):
        yield Finding(Rule.FORMAT, place, "values between the formats have no color, such as fractions")


def _covers(earlier: ConditionalFormat, later: ConditionalFormat) -> bool:
    """Whether every value of `later` is one of `earlier`."""
    if earlier.comparator[:1] != later.comparator[:1]:
        return False
    inclusive = earlier.comparator.endswith("=") or not later.comparator.endswith("=")
    if earlier.value == later.value:
        return inclusive
    return earlier.value < later.value if later.comparator.startswith(">") else earlier.value > later.value


def _gap(formats: Sequence[ConditionalFormat]) -> bool:
    """Whether numbers between those above a limit and those below one have no format. One side alone is a choice."""
    above = min(((one.value, one.comparator == ">") for one in formats if one.comparator[:1] == ">"), default=None)
    below = max(((one.value, one.comparator == "<=") for one in formats if one.comparator[:1] == "<"), default=None)
    if above is None or below is None:
        return False
    return above[0] > below[0] or (above[0] == below[0] and above[1] and not below[1])


def _smoothing_findings(formula: Formula, metrics: Mapping[str, Emitted], place: str) -> Iterator[Finding]:
    for part in walk(formula):
        if isinstance(part, Call) and SMOOTHING.fullmatch(part.function):
            for name in sorted(references(part.argument)):
                if name in metrics and metrics[name].name in states() - SHARES:
                    yield Finding(Rule.ROLLUP, place, f"{part.function}() averages the states of {metrics[name].name}")


def _share_findings(formula: Formula, parsed: Mapping[str, MetricQuery], place: str) -> Iterator[Finding]:
    """A mean is the sum over the count of the same points."""
    for part in walk(formula):
        match part:
            case Operation("/", Reference(upper), Reference(lower)) if upper in parsed and lower in parsed:
                total, count = parsed[upper], parsed[lower]
            case _:
                continue
        if (total.aggregator, count.aggregator) != ("sum", "count") or total.metric != count.metric:
            continue
        if total.filter != count.filter or total.by != count.by:
            yield Finding(Rule.FORMULA, place, f"the sum and the count of {total.metric} are over different points")


def _unit_findings(
    definition: Definition,
    request: WidgetRequest,
    entry: FormulaEntry,
    formula: Formula,
    parsed: Mapping[str, MetricQuery],
    used: Sequence[Emitted],
) -> Iterator[Finding]:
    """A figure of a metric that has a unit shows one, and the metric's own where it is not converted."""
    with_unit = (one for one in used if one.unit and (isinstance(formula, Reference) or one.name not in COUNTS))
    metric = next(with_unit, None)
    if metric is None or definition.custom_unit or _is_count(formula, parsed):
        return
    place = definition.title or definition.type
    shown = entry.number_format.unit if entry.number_format else None
    if shown is None and request.response_format == "scalar":
        yield Finding(Rule.UNIT, place, f"{metric.name} is in {metric.unit}s: set number_format or custom_unit")
    elif shown is None and metric.name not in COUNTS and metric.unit in _UNIT_WORDS:
        words = (*_UNIT_WORDS[metric.unit], "%")
        text = f" {definition.title} {entry.alias or ''}".lower()
        if not any(word in text for word in words):
            yield Finding(Rule.UNIT, place, f"{metric.name} is in {metric.unit}s: name the unit in the title")
    elif shown is not None and isinstance(formula, Reference) and shown.unit_name in _UNIT_WORDS.keys() - {metric.unit}:
        yield Finding(Rule.UNIT, place, f"{metric.name} is in {metric.unit}s, and shown in {shown.unit_name}s")


def _is_count(formula: Formula, parsed: Mapping[str, MetricQuery]) -> bool:
    """Whether the result has another unit than its queries: a count, or a quotient of two of them."""
    for part in walk(formula):
        match part:
            case Call(function, _, _) if function in COUNTING:
                return True
            case Operation("/", left, right) if references(left) and references(right):
                return True
            case Reference(name) if name in parsed and parsed[name].aggregator == "count":
                return True
    return False


def _length_findings(
    request: WidgetRequest,
    formulas: Sequence[tuple[FormulaEntry, Formula]],
    parsed: Mapping[str, MetricQuery],
    place: str,
) -> Iterator[Finding]:
    """A list of exceptions, or of states in the order of their severity, hides none."""
    counts = [request.sort.count] if request.sort and request.sort.count is not None else []
    counts += [entry.limit.count for entry, _ in formulas if entry.limit and entry.limit.count is not None]
    listing = any(query.metric in states() and query.aggregator in {"max", "min"} for query in parsed.values())
    for _, formula in formulas:
        for part in walk(formula):
            if not isinstance(part, Call):
                continue
            listing = listing or part.function in EXCEPTIONS
            if part.function in {"top", "top_offset"} and part.options and isinstance(part.options[0], int | float):
                counts.append(int(part.options[0]))
    for order in request.sort.order_by if request.sort else ():
        if order.type == "formula" and order.index >= len(request.formulas):
            yield Finding(
                Rule.LIST, place, f"is sorted by formula {order.index}, and there are {len(request.formulas)}"
            )
        if order.type == "group" and not any(order.name in query.by for query in parsed.values()):
            yield Finding(Rule.LIST, place, f"is sorted by the tag {order.name!r}, and no query groups by it")
    if listing and (not counts or min(counts) < LONGEST):
        shown = f"only {min(counts)}" if counts else "the default number of"
        yield Finding(
            Rule.LIST, place, f"shows {shown} exceptions, and hides the rest: set sort.count to {LONGEST} or more"
        )


def _verdict_findings(parsed: Mapping[str, MetricQuery], contract: Contract, place: str) -> Iterator[Finding]:
    for query in parsed.values():
        metric = contract.find(query.metric) if query.metric in _OF_VERDICTS else None
        if metric is None:
            continue
        fixed = {leaf.key for leaf in leaves(query.filter) if isinstance(leaf, Match) and "*" not in leaf.value}
        matching = metric.matching(query.filter)
        for key in _IDENTITY:
            if key not in fixed and key not in query.by and any(key in shape.values for shape in matching):
                yield Finding(
                    Rule.VARIABLE, place, f"without {key!r} in `by` one row mixes {query.metric} of several verdicts"
                )


def _name_findings(
    request: WidgetRequest, parsed: Mapping[str, MetricQuery], metrics: Mapping[str, Emitted], place: str
) -> Iterator[Finding]:
    """Text formats of a table: each renames a value that there is, and no two values to the same text."""
    first = next(iter(parsed), "")
    if first not in metrics:
        return
    for key, rules in zip(parsed[first].by, request.text_formats, strict=False):
        named: dict[str, str] = {}
        for rule in rules:
            if rule.match.type != "is" or rule.replace is None:
                continue
            if not metrics[first].can_be(Match(key, normalised(rule.match.value))):
                yield Finding(Rule.VALUE, place, f"a text format renames {rule.match.value!r}, which {key!r} never is")
            other = named.setdefault(rule.replace.text, rule.match.value)
            if rule.replace.type == "all" and other != rule.match.value:
                yield Finding(
                    Rule.VALUE, place, f"{other!r} and {rule.match.value!r} get the same name {rule.replace.text!r}"
                )
