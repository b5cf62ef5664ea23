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


def are_finite(values: Iterable[float]) -> bool:
    """Whether Datadog takes all of them."""
    try:
        return all(map(isfinite, values))
    except OverflowError:
        return False
