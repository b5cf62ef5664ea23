"""Verdicts: values held against conditions, shown by the same gauges whatever their origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from metta_checks.core.sample import Sample
from metta_checks.core.tags import tag
from metta_checks.health.condition import Condition

PREFIX: Final = "metta.infra.health."

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_FOLDED = re.compile(r"[^\w\-.:/\n]")


class State(IntEnum):
    """What a verdict comes to; the numbers are those of `metta.infra.health.state`, so that `max:` is the composite."""

    PASS = 0
    UNKNOWN = 1
    FAIL = 2

    @property
    def label(self) -> str:
        """The value of the `status` tag: `pass`, `unknown` or `fail`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A value held against a condition.

    `target` is the condition's number, None where it has none; `at` is when the value was measured (aware, UTC), None
    where that is not known or does not matter; `scope` are further tags that tell verdicts apart (CI's `repo:` and
    `branch:`), each `key:value`. `was_failing` says of an unknown verdict that it failed when it was last known.
    """

    metric_name: str
    source: str
    workflow_category: str
    workflow_name: str
    task: str
    check: str
    state: State
    value: float | None
    target: float | None
    at: datetime | None = None
    scope: tuple[str, ...] = ()
    was_failing: bool = False


def judge(value: float | None, condition: Condition | None) -> State:
    """What `value` comes to under `condition`: unknown where either is missing."""
    if value is None or condition is None:
        return State.UNKNOWN
    return State.PASS if condition.holds(value) else State.FAIL


def named_tags(verdict: Verdict, condition: str) -> tuple[str, ...]:
    """The health tags of the named metric (`hearts`, `ci.workflow.flaky_tests`, …), `scope` among them.

    `condition` is the tag's value: `Condition.tag_value` or `condition_tag(text)`.
    """
    return (*_origin_tags(verdict), tag("condition", condition), tag("status", verdict.state.label), *verdict.scope)


def verdict_samples(verdicts: Iterable[Verdict], now: datetime) -> Iterator[Sample]:
    """The `metta.infra.health.*` gauges, one set for each group of verdicts that share the tags.

    The tags do not move when a verdict flips or a threshold is edited: each move would be a new series. Of a group a
    failing verdict wins, then one that was failing when it was last known, then the latest one.
    """
    chosen: dict[str, tuple[tuple[str, ...], Verdict]] = {}
    for verdict in verdicts:
        tags = _wall_tags(verdict)
        key = _as_datadog_has_it(tags)
        if key not in chosen or _rank(verdict) >= _rank(chosen[key][1]):
            chosen[key] = tags, verdict
    for tags, verdict in chosen.values():
        yield from _gauges(verdict, tags, now)


def data_missing_sample(*, source: str, workflow_category: str, missing: bool) -> Sample:
    """`metta.infra.health.data_missing`: 1 when the source holds no usable record, else 0."""
    tags = (tag("source", source), tag("workflow_category", workflow_category))
    return Sample(f"{PREFIX}data_missing", float(missing), tags)


def _gauges(verdict: Verdict, tags: tuple[str, ...], now: datetime) -> Iterator[Sample]:
    yield Sample(f"{PREFIX}state", float(verdict.state), tags)
    if verdict.state is not State.UNKNOWN:
        yield Sample(f"{PREFIX}status", float(verdict.state is State.PASS), tags)
    if verdict.value is not None:
        yield Sample(f"{PREFIX}value", verdict.value, tags)
    if verdict.target is not None:
        yield Sample(f"{PREFIX}target", verdict.target, tags)
    if verdict.at is not None:
        # Clocks differ by a little, and a negative age would read as a fault.
        yield Sample(f"{PREFIX}age_seconds", max(0.0, (now - verdict.at).total_seconds()), tags)


def _rank(verdict: Verdict) -> tuple[bool, bool, datetime]:
    return verdict.state is State.FAIL, verdict.was_failing, verdict.at or _NEVER


def _wall_tags(verdict: Verdict) -> tuple[str, ...]:
    return (*_origin_tags(verdict), tag("metric_name", verdict.metric_name), *verdict.scope)


def _origin_tags(verdict: Verdict) -> tuple[str, ...]:
    return (
        tag("source", verdict.source),
        tag("workflow_category", verdict.workflow_category),
        tag("workflow_name", verdict.workflow_name),
        tag("task", verdict.task),
        tag("check", verdict.check),
    )


def _as_datadog_has_it(tags: tuple[str, ...]) -> str:
    """One text for all tag sets that Datadog folds into one: lower case, `_` for what it does not keep."""
    return _FOLDED.sub("_", "\n".join(tags).lower())
