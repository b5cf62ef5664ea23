"""The tags under which each check emits its metrics, as queries match them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from metta_checks.board.filters import Match
from metta_checks.board.names import matches, normalised
from metta_checks.core.definition import CheckDefinition, TagSet
from metta_checks.core.tag_sets import telemetry_tags
from metta_checks.core.telemetry import PREFIX as TELEMETRY

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


def shapes_of(definition: CheckDefinition, metric: str) -> tuple[Shape, ...]:
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
