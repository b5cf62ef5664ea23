"""Queries and formulas evaluated over a recording, as Datadog evaluates them over what it stored."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

from metta_checks.board.document import QueryEntry, Span, TemplateVariable
from metta_checks.board.filters import (
    AnyOf,
    Everything,
    Filter,
    Match,
    QuerySyntaxError,
    Tags,
    VariableValue,
    filled,
    holds,
    normalised,
)
from metta_checks.board.query import Call, Formula, MetricQuery, Number, Operation, Reference, parse_query
from metta_checks.board.recording import Recording
from metta_checks.ci.figures import percentile
from metta_checks.core.sample import SampleKind

Group = tuple[tuple[str, str], ...]
"""The tags that a query groups by, key and value; empty where it does not group."""

Series = Mapping[datetime, float]
Frame = dict[Group, Series]
"""One series for each group."""

WHOLE: Final = datetime.max.replace(tzinfo=UTC)
"""The moment of a value that stands for a whole time window."""

NOT_THERE: Final = "N/A"
"""The value of a tag that a series does not have."""


class UnsupportedError(Exception):
    """Something that Datadog can do and this cannot; the text names it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found: by group and moment the values of all series (a gauge) or runs (a distribution).

    `moments` are those of the recording inside the query's time window, in order.
    """

    query: MetricQuery
    kind: SampleKind
    reducer: str
    found: Mapping[Group, Mapping[datetime, Sequence[float]]]
    moments: Sequence[datetime] = ()

    def series(self) -> Frame:
        """The course of each group."""
        over_series = self._over_series()
        return {
            group: {at: over_series(values) for at, values in course.items()} for group, course in self.found.items()
        }

    def reduced(self, frame: Frame | None = None) -> Frame:
        """One value for each group: of a distribution that over all its points, of a gauge by the reducer."""
        if not self.found and not frame:
            return {}
        if self.kind == "distribution" and frame is None:
            over_series = self._over_series()
            pooled = {
                group: [value for values in course.values() for value in values] for group, course in self.found.items()
            }
            return {group: {WHOLE: over_series(values)} for group, values in pooled.items()}
        reduce = _reducer(self.reducer)
        courses = self.series() if frame is None else frame
        return {
            group: {WHOLE: reduce([course[at] for at in sorted(course)])} for group, course in courses.items() if course
        }

    def _over_series(self) -> Callable[[Sequence[float]], float]:
        share = self.query.percentile
        if share is not None:
            return lambda values: percentile(sorted(values), share / 100)
        return _reducer(self.query.aggregator)


class Answers:
    """Answers queries from one recording. `values` are the template variables' by name, where they are not `*`."""

    def __init__(
        self, recording: Recording, variables: Iterable[TemplateVariable] = (), values: Mapping[str, str] | None = None
    ) -> None:
        self.recording = recording
        self._variables = {variable.name: variable for variable in variables}
        self._values = values or {}

    def to(self, entry: QueryEntry, span: Span | None) -> Answer:
        """The answer to one query of a widget. Raises QuerySyntaxError and UnsupportedError."""
        if entry.data_source != "metrics":
            raise UnsupportedError(f"the data source {entry.data_source}")
        query = parse_query(entry.query)
        for method in query.methods:
            if method.name not in _METHODS:
                raise UnsupportedError(f".{method.name}()")
        condition = filled(query.filter, self._value_of)
        since = self._since(span)
        by_series: dict[frozenset[tuple[str, frozenset[str]]], dict[datetime, list[float]]] = {}
        for point in self.recording.of(query.metric, since):
            if holds(condition, point.tags):
                by_series.setdefault(frozenset(point.tags.items()), {}).setdefault(point.at, []).append(point.value)
        moments = [at for at in self.recording.moments if since is None or at > since]
        found: dict[Group, dict[datetime, list[float]]] = {}
        for series, course in by_series.items():
            for group in _groups(query.by, dict(series)):
                for at, values in _over_time(course, query, moments).items():
                    found.setdefault(group, {}).setdefault(at, []).extend(values)
        kind = self.recording.kinds.get(query.metric, "gauge")
        return Answer(query, kind, entry.aggregator or "avg", found, moments)

    def _since(self, span: Span | None) -> datetime | None:
        if span is None:
            return None
        if span.length is None:
            raise UnsupportedError(f"the time span {span}")
        return self.recording.last - span.length

    def _value_of(self, variable: VariableValue) -> Filter:
        declared = self._variables.get(variable.name)
        if declared is None:
            raise QuerySyntaxError(f"the dashboard has no variable ${variable.name}")
        key = variable.key or declared.prefix or declared.name
        values = (self._values[variable.name],) if variable.name in self._values else declared.values
        if "*" in values:
            return Everything()
        return AnyOf(tuple(Match(normalised(key), normalised(value)) for value in values))


def _groups(by: tuple[str, ...], tags: Tags) -> Iterator[Group]:
    """The groups that a series belongs to: more than one where a key has several values."""
    for values in product(*(sorted(tags.get(key, (NOT_THERE,))) for key in by)):
        yield tuple(zip(by, values, strict=True))


_METHODS: Final = frozenset({"as_count", "fill", "rollup"})


def _over_time(
    course: Mapping[datetime, list[float]], query: MetricQuery, moments: Sequence[datetime]
) -> Mapping[datetime, list[float]]:
    """One series after the query's own time aggregation, which comes before the one over series."""
    rollup, fill = query.method("rollup"), query.method("fill")
    if rollup and rollup.seconds:
        course = _rolled_up(course, rollup.arguments[0], rollup.seconds)
    if fill and fill.arguments[:1] == ("last",):
        course = _filled(course, timedelta(seconds=fill.seconds or 300), moments)
    elif fill:
        raise UnsupportedError(f".fill({', '.join(fill.arguments)})")
    return course


def _rolled_up(course: Mapping[datetime, list[float]], function: str, seconds: int) -> dict[datetime, list[float]]:
    """One value for each bucket of so many seconds, at the beginning of the bucket."""
    buckets: dict[datetime, list[float]] = {}
    for at, values in sorted(course.items()):
        start = datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)
        buckets.setdefault(start, []).extend(values)
    if function.isdigit():
        return buckets
    reduce = _reducer(function)
    return {start: [reduce(values)] for start, values in buckets.items()}


def _filled(
    course: Mapping[datetime, list[float]], limit: timedelta, moments: Sequence[datetime]
) -> dict[datetime, list[float]]:
    """The last value stands for moments without one, for no longer than `limit`."""
    complete = dict(course)
    last: datetime | None = None
    for at in moments:
        if at in course:
            last = at
        elif last is not None and at - last <= limit:
            complete[at] = course[last]
    return complete


_REDUCERS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "avg": lambda values: sum(values) / len(values),
    "count": lambda values: float(len(values)),
    "last": lambda values: values[-1],
    "max": max,
    "min": min,
    "sum": sum,
}


def _reducer(name: str) -> Callable[[Sequence[float]], float]:
    if name not in _REDUCERS:
        raise UnsupportedError(f"the aggregator {name}")
    return _REDUCERS[name]


_OPERATORS: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def timeseries(formula: Formula, answers: Mapping[str, Answer]) -> Frame:
    """The course of the formula, group by group. Raises QuerySyntaxError and UnsupportedError."""
    return _frame(_computed(formula, answers, reduced=False))


def scalar(formula: Formula, answers: Mapping[str, Answer]) -> dict[Group, float]:
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
        case Call("count_nonzero" | "count_not_null" as function, argument, ()):
            return _counted(_frame(_computed(argument, answers, reduced=reduced)), function)
        case Call("default_zero", Reference(name), ()):
            answer = _answer(answers, name)
            course = _zeroed(answer.series(), answer.moments)
            return answer.reduced(course) if reduced else course
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


def _counted(frame: Frame, function: str) -> Frame:
    """How many groups have a value, or one that is not 0, at each moment; nothing where there is no group at all."""
    counts: dict[datetime, float] = {}
    for series in frame.values():
        for at, value in series.items():
            counts[at] = counts.get(at, 0.0) + float(function == "count_not_null" or value != 0)
    return {(): counts} if counts else {}


def _zeroed(frame: Frame, moments: Sequence[datetime]) -> Frame:
    """0 at every moment without a value."""
    return {group: {**dict.fromkeys(moments, 0.0), **series} for group, series in (frame or {(): {}}).items()}


def _applied(function: str, frame: Frame, options: tuple[float | str, ...]) -> Frame:
    if not frame:
        return frame
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
