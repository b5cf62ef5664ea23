"""What a check hands to the Agent."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Literal, NamedTuple

SampleKind = Literal["gauge", "distribution"]


class Sample(NamedTuple):
    """One point of one series.

    `tags` are the sample's own, each `key:value`; the base adds the instance's tags when it submits.
    A name is either a gauge or a distribution, never both: Datadog fixes the type at the first point.
    """

    name: str
    value: float
    tags: tuple[str, ...]
    kind: SampleKind = "gauge"


class Event(NamedTuple):
    """Something that happened once, for the Datadog event stream.

    `aggregation_key` groups events about the same object; `text` is Markdown.
    """

    title: str
    text: str
    tags: tuple[str, ...]
    aggregation_key: str
    alert_type: Literal["error", "warning", "success", "info"] = "info"


def is_finite(value: float) -> bool:
    """Whether Datadog takes `value`: it refuses NaN and infinities."""
    try:
        return isfinite(value)
    except OverflowError:
        # A whole number from JSON can be larger than any float.
        return False


def distinct_series(samples: Iterable[Sample]) -> int:
    """The number of gauge series among `samples`: a name and its tags."""
    # A set per name: a pair per sample would be a fifth of what it costs to submit them all.
    tag_sets: dict[str, set[frozenset[str]]] = {}
    for sample in samples:
        if sample.kind == "gauge":
            tag_sets.setdefault(sample.name, set()).add(frozenset(sample.tags))
    return sum(map(len, tag_sets.values()))
