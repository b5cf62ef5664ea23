"""What a collection reads, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from metta_checks.core.sample import Event, Sample, are_finite, is_finite

EXAMPLES: Final = 3
"""Items that a message names; the others are a count."""


class DropReason(StrEnum):
    """Why an item was left out; each is a series of `metta.check.dropped`, zeros too."""

    OVER_LIMIT = "over_limit"
    INVALID = "invalid"
    NOT_FINITE = "not_finite"
    UNREADABLE = "unreadable"


class Status(StrEnum):
    """How far the reading of a target got.

    `WAITING`: its turn did not come before the deadline. `IN_PROGRESS`: its first reading has begun and goes on in the
    next collection. `OVER_LIMIT`: it matches, but there are more than the `limit` of the discovery; it has no result.
    """

    READ = "read"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    OVER_LIMIT = "over_limit"


@dataclass(frozen=True)
class Target:
    """The unit that is read: a W&B project, a branch of a repository, a source of health records.

    `name` stands in messages. `identity` are the resolved values that say what is read; the state belongs to them.
    `tags` are the identity tags of its telemetry.
    """

    name: str
    identity: Mapping[str, str] = field(hash=False)
    tags: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """The identity as one text: equal for equal identities, whatever their order."""
        return json.dumps(sorted(self.identity.items()), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class TargetList:
    """The targets of one collection.

    `gone` are those that were on an earlier list, and since when they are missing; they are not read. `forgotten` are
    missing for so long that what is known of them is dropped. `over_limit` is how many targets match beyond the limit,
    `warnings` are about the list.
    """

    targets: Sequence[Target]
    gone: Sequence[tuple[Target, datetime]] = ()
    over_limit: int = 0
    warnings: Sequence[str] = ()
    forgotten: Sequence[Target] = ()


@dataclass(frozen=True, slots=True)
class Dropped:
    """`count` items that were left out for one `reason`; `examples` name the first of them, `note` says more."""

    reason: DropReason
    count: int
    examples: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, reason: DropReason, items: Iterable[str], count: int | None = None, note: str = "") -> Dropped:
        """The items by name; `count` says how many where not all of them have one."""
        names = list(items)
        return cls(reason, len(names) if count is None else count, tuple(names[:EXAMPLES]), note)

    def __str__(self) -> str:
        """`4 left out (invalid): a; b; c; 1 more: NOTE`."""
        named = list(self.examples)
        if named and self.count > len(named):
            named.append(f"{self.count - len(named):,} more")
        parts = [f"{self.count:,} left out ({self.reason})", "; ".join(named), self.note]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A verdict that this collection cannot give, and why."""

    verdict: str
    reason: str

    def __str__(self) -> str:
        return f"{self.verdict} is unknown: {self.reason}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one collection learnt of one target.

    `state` is what the check knows of the target from now on; None leaves it as it was. `unknown` are the verdicts that
    could not be given, `warnings` other findings for `agent status`. A result with an `error` failed: its samples say
    what is unknown. `progress` says how far a first reading got that is not complete.
    """

    target: Target
    samples: Sequence[Sample] = ()
    events: Sequence[Event] = ()
    state: Any = None
    dropped: Sequence[Dropped] = ()
    unknown: Sequence[Unknown] = ()
    warnings: Sequence[str] = ()
    error: Exception | None = None
    progress: str = ""
    waiting: bool = False

    @property
    def status(self) -> Status:
        if self.error is not None:
            return Status.FAILED
        if self.waiting:
            return Status.WAITING
        return Status.IN_PROGRESS if self.progress else Status.READ

    def finite(self) -> Result:
        """The result with the samples that Datadog takes; NaN and infinities are counted as dropped."""
        if are_finite(sample.value for sample in self.samples):
            return self
        samples = [sample for sample in self.samples if is_finite(sample.value)]
        refused = len(self.samples) - len(samples)
        names = dict.fromkeys(sample.name for sample in self.samples if not is_finite(sample.value))
        return replace(
            self, samples=samples, dropped=(*self.dropped, Dropped.of(DropReason.NOT_FINITE, names, refused))
        )

    def summary(self) -> Result:
        """The result without what was submitted and saved: what reports need of it."""
        return replace(self, samples=(), events=(), state=None)


def first_three(messages: Sequence[str]) -> list[str]:
    """The first three messages in full, and how many more there are."""
    shown = list(messages[:EXAMPLES])
    if len(messages) > EXAMPLES:
        shown.append(f"{len(messages) - EXAMPLES:,} more like these")
    return shown
