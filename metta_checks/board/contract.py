"""What the checks emit: every metric with its type, its interval, and the tags under which it comes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Final, cast

from metta_checks.board.filters import AllOf, AnyOf, Everything, Filter, Match, Not, VariableValue, matches, normalised
from metta_checks.checks import CHECKS
from metta_checks.core.bounded_yaml import parse_yaml
from metta_checks.core.definition import CheckDefinition, TagSet
from metta_checks.core.sample import SampleKind
from metta_checks.core.tag_sets import TELEMETRY_COUNTS, TELEMETRY_SHARES, telemetry_tags
from metta_checks.core.telemetry import PREFIX as TELEMETRY

COUNTS: Final = TELEMETRY_COUNTS.union(*(definition.counts for definition in CHECKS))
"""Gauges that count things, each in one series only: their sum means something, their mean over series does not."""

SHARES: Final = TELEMETRY_SHARES.union(*(definition.shares for definition in CHECKS))
"""Gauges whose mean over time means something: availability, pass rate, utilisation."""

_STATE: Final = re.compile(r"(?:^|: )[01] (?:when|pass)\b")

ADDED_BY_BASE: Final = ("env", "service", "version")
"""Tags that the base or the Agent puts on every series, where the operator has set them."""

SOURCE_FREE: Final = "metta.check."
"""Metrics that tell of the check itself; all others are figures of a source."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """One metric. `interval` is in seconds; `open` metrics carry further tags, which nobody here can know."""

    name: str
    kind: SampleKind
    interval: int
    shapes: tuple[Shape, ...]
    open: bool = False
    unit: str = ""

    @property
    def of_source(self) -> bool:
        return not self.name.startswith(SOURCE_FREE)

    def keys(self) -> frozenset[str]:
        """Every tag that the metric comes with, whatever its shape."""
        return frozenset[str]().union(*(shape.values for shape in self.shapes))

    def can_carry(self, key: str) -> bool:
        return self.open or key in self.keys()

    def can_be(self, wanted: Match) -> bool:
        """Whether some series has a tag that `wanted` asks for."""
        return self._unknown(wanted.key) or any(shape.can_be(wanted) for shape in self.shapes)

    def can_match(self, condition: Filter) -> bool:
        """Whether some series can satisfy the whole filter."""
        return bool(self.matching(condition))

    def matching(self, condition: Filter) -> tuple[Shape, ...]:
        """The shapes of which a series can satisfy the whole filter."""
        return tuple(shape for shape in self.shapes if self._satisfies(shape, condition))

    def _satisfies(self, shape: Shape, condition: Filter) -> bool:
        match condition:
            case Match(key, _):
                return (key not in shape.values and self._unknown(key)) or shape.can_be(condition)
            case Not(Match() as excluded):
                return not shape.must_be(excluded)
            case AllOf(parts):
                return all(self._satisfies(shape, part) for part in parts)
            case AnyOf(parts):
                return any(self._satisfies(shape, part) for part in parts)
            case Everything() | VariableValue() | Not():
                return True

    def _unknown(self, key: str) -> bool:
        return self.open and key not in self.keys()


@dataclass(frozen=True, slots=True)
class Contract:
    """Every metric by name, and what is known of those that records bring."""

    metrics: Mapping[str, Emitted]
    records: tuple[Emitted, ...]

    def find(self, name: str) -> Emitted | None:
        """The metric called `name`, or what a record's metric of that name would be; None when nothing emits it."""
        if name in self.metrics:
            return self.metrics[name]
        if any(name.startswith(prefix) for prefix in self._own_prefixes()):
            return None
        for record in self.records:
            if name.startswith(record.name):
                return replace(record, name=name)
        return None

    def with_tags(self, keys: Iterable[str]) -> Contract:
        """The same, where the instances put further tags on everything."""
        extra = dict.fromkeys(keys)
        return Contract(
            {name: _with(metric, extra) for name, metric in self.metrics.items()},
            tuple(_with(record, extra) for record in self.records),
        )

    def _own_prefixes(self) -> set[str]:
        """`metta.infra.cron.ci.`: below a record namespace, but a check's own, so that no typo passes for a record."""
        return {
            f"{record.name}{name.removeprefix(record.name).partition('.')[0]}."
            for record in self.records
            for name in self.metrics
            if name.startswith(record.name)
        }


@cache
def states() -> frozenset[str]:
    """Gauges whose values are codes, such as 0 and 1, by their descriptions: a mean of codes is no code."""
    return frozenset(row.name for row in metric_rows() if _STATE.search(row.description))


@cache
def contract() -> Contract:
    """The contract of all checks in their example configuration."""
    metrics: dict[str, Emitted] = {}
    for row in metric_rows():
        metrics[row.name] = _joined(metrics.get(row.name), _emitted(row))
    records: dict[str, Emitted] = {}
    for definition in CHECKS:
        for namespace, shapes in namespaces_of(definition):
            record = Emitted(namespace, "gauge", interval_of(definition), shapes, open=True)
            records[namespace] = _joined(records.get(namespace), record)
    return Contract(metrics, tuple(records.values())).with_tags(ADDED_BY_BASE)


def _emitted(row: MetricRow) -> Emitted:
    return Emitted(row.name, row.kind, interval_of(row.check), tag_sets_of(row.check, row.name), unit=row.unit)


def _joined(known: Emitted | None, other: Emitted) -> Emitted:
    """One metric of several checks: all their shapes, at the interval of the slowest."""
    if known is None:
        return other
    return replace(known, interval=max(known.interval, other.interval), shapes=(*known.shapes, *other.shapes))


def _with(metric: Emitted, extra: Mapping[str, None]) -> Emitted:
    return replace(metric, shapes=tuple(Shape({**extra, **shape.values}) for shape in metric.shapes))


_INTERVAL_KEY: Final = "min_collection_interval.value.example"
_PACKAGE: Final = "metta_checks"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one check."""

    check: CheckDefinition
    name: str
    kind: SampleKind
    description: str
    unit: str = ""


@cache
def metric_rows() -> tuple[MetricRow, ...]:
    """Every row of every check; what all checks emit stands in each."""
    return tuple(row for definition in CHECKS for row in _rows(definition))


@cache
def interval_of(definition: CheckDefinition) -> int:
    """Seconds between collections, as the check's example configuration has it."""
    path = f"{definition.slug}/spec.yaml"
    for interval in _intervals_in(path):
        return interval
    raise LookupError(f"{path} does not give {_INTERVAL_KEY}")


def _intervals_in(path: str) -> Iterator[int]:
    """The interval that a specification gives, and those of the templates of this package that it includes."""
    document = parse_yaml(files(_PACKAGE).joinpath(path).read_text(encoding="utf-8"), path)
    for value in _values_of(_INTERVAL_KEY, document):
        yield int(cast(int, value))
    for template in _values_of("template", document):
        included = f"{template}.yaml"
        if files(_PACKAGE).joinpath(included).is_file():
            yield from _intervals_in(included)


def _rows(definition: CheckDefinition) -> Iterator[MetricRow]:
    text = files(_PACKAGE).joinpath(definition.slug, "metadata.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield MetricRow(
            check=definition,
            name=row["metric_name"],
            kind=cast(SampleKind, row["metric_type"]),
            description=row["description"],
            unit=row["unit_name"],
        )


def _values_of(key: str, node: object) -> Iterator[object]:
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for inner in node.values():
            yield from _values_of(key, inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _values_of(key, inner)


Values = frozenset[str] | None
"""The values that a tag can have; None: whatever the source says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One set of tags under which series of a metric come."""

    values: Mapping[str, Values]

    def can_be(self, wanted: Match) -> bool:
        """Whether a series of this shape can have the tag."""
        if wanted.key not in self.values:
            return False
        known = self.values[wanted.key]
        return known is None or any(matches(wanted.value, value) for value in known)

    def must_be(self, wanted: Match) -> bool:
        """Whether every series of this shape has the tag."""
        known = self.values.get(wanted.key)
        return known is not None and all(matches(wanted.value, value) for value in known)


def tag_sets_of(definition: CheckDefinition, metric: str) -> tuple[Shape, ...]:
    """The shapes of a metric that the check emits. Raises LookupError for one without tag sets in its definition."""
    if metric.startswith(TELEMETRY):
        return (_shape(telemetry_tags(definition, metric)),)
    try:
        return tuple(map(_shape, definition.metric_tags()[metric]))
    except KeyError:
        raise LookupError(
            f"{definition.name} emits {metric}, but {definition.tags_path} does not give its tags: add them there"
        ) from None


def namespaces_of(definition: CheckDefinition) -> Iterator[tuple[str, tuple[Shape, ...]]]:
    """What the check emits under names that only the source knows: each namespace, with a dot at its end."""
    for metric, tag_sets in definition.metric_tags().items():
        if metric.endswith("."):
            yield metric, tuple(map(_shape, tag_sets))


def _shape(tags: TagSet) -> Shape:
    return Shape({key: None if values is None else frozenset(map(normalised, values)) for key, values in tags.items()})
