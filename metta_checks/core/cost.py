"""What a configuration costs: billed custom metrics in an average hour, and requests to the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Any, Final, Literal

from metta_checks.core.names import NameSelection
from metta_checks.core.submission import PER_DISTRIBUTION
from metta_checks.core.target import DropReason, Status

PERCENTILES: Final = 5
"""What percentiles, once they are on at Datadog, add to each tag set of a distribution: p50, p75, p90, p95, p99."""

TELEMETRY: Final = 4 + len(DropReason)
"""`metta.check.up`, `.duration_seconds`, `.requests` and `.series`, and `.dropped` once for each reason."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What no configuration tells: how much happens at the source. Of `percentiles` Datadog decides.

    `workflows` and `runs_per_day` are those of an instance, of all its targets together. `projects` and `repositories`
    are how many an instance with patterns finds; None takes its `limit`.
    """

    runs_per_day: float
    mean_hours: float
    workflows: int
    records: int
    percentiles: bool = False
    projects: int | None = None
    repositories: int | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One metric: the distinct tag sets of an average hour."""

    metric: str
    tag_sets: float
    kind: Literal["gauge", "distribution"] = "gauge"

    def billed(self, *, percentiles: bool) -> float:
        """The custom metrics that Datadog bills for it: each tag set of a gauge is one, of a distribution five or ten.

        Source: Datadog's page on the billing of custom metrics. The bill is the average over the month's hours of
        the distinct metrics in each.
        """
        if self.kind == "gauge":
            return self.tag_sets
        return self.tag_sets * (PER_DISTRIBUTION + (PERCENTILES if percentiles else 0))


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to the source an hour, of how many that it allows, and who says so; None where nobody counts.

    `counted` are those that count against the quota, None where all do. `points` are what GraphQL queries cost of a
    quota of their own, which is as large.
    """

    hourly: float
    quota: float | None
    says: str
    counted: float | None = None
    points: float | None = None

    @property
    def of_quota(self) -> float:
        """The requests an hour that count against the quota."""
        return self.hourly if self.counted is None else self.counted


@dataclass(frozen=True, slots=True)
class Cost:
    """What one instance costs in an average hour."""

    items: tuple[Item, ...]
    requests: Requests
    assumed: str

    def billed(self, *, percentiles: bool) -> float:
        return sum(item.billed(percentiles=percentiles) for item in self.items)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Other options to compare with."""

    label: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Formula:
    """How the cost of one check follows from its validated options, and which other options are worth a look."""

    cost: Callable[[Any, Workload], Cost]
    what_ifs: tuple[WhatIf, ...]


def hours_touched(hours: float) -> float:
    """How many clock hours something touches on average that lasts `hours` and begins at any minute.

    Half an hour that begins at a quarter to is in two of them. Averaged over all beginnings it is one more than the
    duration.
    """
    return hours + 1


def kinds_seen(kinds: float, events: float) -> float:
    """How many of `kinds` turn up among `events` that each are of any of them: the expectation, for events that are
    independent of each other. It is highest when all kinds are equally likely, which is assumed."""
    return kinds * (1 - exp(-events / kinds)) if kinds else 0.0


def discovery_telemetry(targets: int) -> int:
    """`up`, `series` and `read_age_seconds` of each target, the rest of the telemetry once."""
    return TELEMETRY - 1 + 3 * targets + len(Status)


def targets_found(selection: NameSelection, given: int | None) -> int:
    """How many targets an instance with patterns has: `given` where it is, at most the `limit`."""
    return min(given, selection.limit) if selection.needs_list and given is not None else selection.most


def targets_assumed(selection: NameSelection, given: int | None, option: str, one: str, many: str) -> str:
    """What is assumed of the number of targets: `in 100 projects (the limit; --projects sets another number)`."""
    count = targets_found(selection, given)
    text = f"in {count:,} {one if count == 1 else many}"
    if not selection.needs_list:
        return f"{text} (named in `include`)"
    if given is None:
        return f"{text} (the `limit`, as if all of it were used; {option} sets another number)"
    return f"{text} (the `limit`; {given:,} were given)" if given > count else f"{text} (as given)"


def collections_an_hour(options: Any) -> float:
    """How often the Agent runs the check."""
    return 3600 / float(options.min_collection_interval)
