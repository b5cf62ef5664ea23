"""What the checks emit: every metric with its type, its interval, and the tags under which it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from metta_checks.board.filters import AllOf, AnyOf, Everything, Filter, Match, Not, Variable
from metta_checks.board.metadata import MetricRow, interval_of, metric_rows
from metta_checks.board.shapes import Shape, namespaces_of, shapes_of
from metta_checks.checks import CHECKS
from metta_checks.core.sample import SampleKind
from metta_checks.core.tag_sets import TELEMETRY_COUNTS, TELEMETRY_SHARES

COUNTS: Final = TELEMETRY_COUNTS.union(*(definition.counts for definition in CHECKS))
"""Gauges that count things, each in one series only: their sum means something, their mean over series does not."""

SHARES: Final = TELEMETRY_SHARES.union(*(definition.shares for definition in CHECKS))
"""Gauges whose mean over time means something: availability, pass rate, utilisation."""

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
            case Everything() | Variable() | Not():
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
    return Emitted(row.name, row.kind, interval_of(row.check), shapes_of(row.check, row.name))


def _joined(known: Emitted | None, other: Emitted) -> Emitted:
    """One metric of several checks: all their shapes, at the interval of the slowest."""
    if known is None:
        return other
    return replace(known, interval=max(known.interval, other.interval), shapes=(*known.shapes, *other.shapes))


def _with(metric: Emitted, extra: Mapping[str, None]) -> Emitted:
    return replace(metric, shapes=tuple(Shape({**extra, **shape.values}) for shape in metric.shapes))
