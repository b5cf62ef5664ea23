"""`metta.check.*`: how each target and each instance fares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from metta_checks.core.collection import Collection
from metta_checks.core.sample import Sample
from metta_checks.core.tags import tag
from metta_checks.core.target import DropReason, Result, Status, Target

PREFIX: Final = "metta.check."

HEALTH_STATE: Final = "metta.infra.health.state"
"""The gauge of a verdict: 0 pass, 1 unknown, 2 fail."""

UNKNOWN_STATE: Final = 1.0

FORGOTTEN_AFTER: Final = 3
"""Intervals without a reading after which a target that waits no longer repeats its verdicts: they are unknown."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What was last submitted of a target: its `up`, its verdicts' states, when its last turn was, and when it was last
    read whole."""

    up: float
    states: tuple[Sample, ...]
    turn_at: datetime
    read_at: datetime | None


class Telemetry:
    """The telemetry of one check instance.

    `tags` are on every series; `interval` is the time between two collections. With discovery (`discovers`) a target
    has the age of its last reading, and the instance counts its targets by status.
    """

    def __init__(self, tags: tuple[str, ...], interval: timedelta, *, discovers: bool) -> None:
        self._tags = tags
        self._interval = interval
        self._discovers = discovers
        self._standings: dict[str, _Standing] = {}

    def note(self, result: Result, now: datetime) -> None:
        """Remember what was submitted of a target, for collections in which its turn does not come."""
        if result.status is Status.WAITING:
            return
        before = self._standings.get(result.target.key)
        read_at = now if result.status is Status.READ else before.read_at if before else None
        states = tuple(sample for sample in result.samples if sample.name == HEALTH_STATE)
        self._standings[result.target.key] = _Standing(float(result.status is Status.READ), states, now, read_at)

    def by_turn(self, targets: Iterable[Target]) -> list[Target]:
        """The targets in the order of their turns: those whose last one is longest ago come first."""
        return sorted(targets, key=self._last_turn)

    def _last_turn(self, target: Target) -> float:
        standing = self._standings.get(target.key)
        return standing.turn_at.timestamp() if standing else 0.0

    def retain(self, keys: Container[str]) -> None:
        """Forget the targets that are not among `keys`."""
        self._standings = {key: standing for key, standing in self._standings.items() if key in keys}

    def repeated(self, target: Target, now: datetime) -> list[Sample]:
        """The verdicts of a target that waits: as they were, unknown once it was not read for three intervals."""
        standing = self._standings.get(target.key)
        if standing is None:
            return []
        is_recent = standing.read_at is not None and now - standing.read_at <= FORGOTTEN_AFTER * self._interval
        return list(standing.states) if is_recent else [one._replace(value=UNKNOWN_STATE) for one in standing.states]

    def of_target(self, target: Target, series: int, now: datetime) -> Iterator[Sample]:
        """The samples of a target; `series` counts the distinct gauge series that were submitted of it."""
        tags = (*self._tags, *target.tags)
        standing = self._standings.get(target.key)
        yield Sample(f"{PREFIX}up", standing.up if standing else 0.0, tags)
        yield Sample(f"{PREFIX}series", float(series), tags)
        if self._discovers and standing is not None and standing.read_at is not None:
            yield Sample(f"{PREFIX}read_age_seconds", max(0.0, (now - standing.read_at).total_seconds()), tags)

    def of_instance(
        self, collection: Collection, results: Sequence[Result], identity_tags: Iterable[str]
    ) -> Iterator[Sample]:
        """The samples of the whole collection, which come whatever became of it.

        `identity_tags` are those of the only target, or what all targets of the discovery have in common.
        """
        tags = (*self._tags, *identity_tags)
        yield Sample(f"{PREFIX}duration_seconds", collection.deadline.elapsed, tags)
        yield Sample(f"{PREFIX}requests", float(collection.requests), tags)
        dropped = dropped_by_reason(results)
        for reason in DropReason:
            yield Sample(f"{PREFIX}dropped", float(dropped[reason]), (*tags, tag("reason", reason)))
        if collection.quota_remaining is not None:
            yield Sample(f"{PREFIX}quota_remaining", collection.quota_remaining, tags)
        if self._discovers:
            statuses = Counter(result.status for result in results)
            statuses[Status.OVER_LIMIT] = collection.target_list.over_limit
            for status in Status:
                yield Sample(f"{PREFIX}targets", float(statuses[status]), (*tags, tag("status", status)))

    def of_no_target(self, identity_tags: Iterable[str]) -> Iterator[Sample]:
        """`up` 0 of an instance whose targets could not be named."""
        tags = (*self._tags, *identity_tags)
        yield Sample(f"{PREFIX}up", 0.0, tags)
        yield Sample(f"{PREFIX}series", 0.0, tags)


def dropped_by_reason(results: Iterable[Result]) -> Counter[DropReason]:
    """How many items of all targets were left out for each reason."""
    counts: Counter[DropReason] = Counter()
    for result in results:
        for dropped in result.dropped:
            counts[dropped.reason] += dropped.count
    return counts
