"""GitHub's primary rate limits: how much each caller may still ask of each resource."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from metta_checks.core.clock import Clock

Resource = Literal["core", "search", "graphql"]
RESOURCES: tuple[Resource, ...] = ("core", "search", "graphql")
PERIODS: Mapping[Resource, timedelta] = {
    "core": timedelta(hours=1),
    "search": timedelta(minutes=1),
    "graphql": timedelta(hours=1),
}
ANONYMOUS = ""


@dataclass(frozen=True, slots=True)
class Quota:
    """What one caller has left of one resource."""

    resource: Resource
    limit: int
    used: int
    resets_at: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(int(self.resets_at.timestamp())),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-resource": self.resource,
        }


@dataclass(slots=True)
class RateLimits:
    """Budgets per caller (a token, or `ANONYMOUS`) and resource, renewed a period after the first use.

    The limits are requests, points for GraphQL; set them small to run out. `spent` adds up over all callers.
    """

    clock: Clock
    core: int = 5_000
    search: int = 30
    graphql: int = 5_000
    anonymous_core: int = 60
    anonymous_search: int = 10
    spent: Counter[str] = field(default_factory=Counter)
    _quotas: dict[tuple[str, Resource], Quota] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def quota(self, caller: str, resource: Resource) -> Quota:
        with self._lock:
            return self._current(caller, resource)

    def spend(self, caller: str, resource: Resource, cost: int = 1) -> Quota:
        with self._lock:
            quota = self._current(caller, resource)
            quota = Quota(resource, quota.limit, quota.used + cost, quota.resets_at)
            self._quotas[caller, resource] = quota
            self.spent[resource] += cost
            return quota

    def reset(self) -> None:
        """Everybody starts afresh; `spent` goes on counting."""
        with self._lock:
            self._quotas.clear()

    def _current(self, caller: str, resource: Resource) -> Quota:
        now = self.clock()
        quota = self._quotas.get((caller, resource))
        if quota is None or quota.resets_at <= now:
            return Quota(resource, self._limit(caller, resource), 0, now + PERIODS[resource])
        return Quota(resource, self._limit(caller, resource), quota.used, quota.resets_at)

    def _limit(self, caller: str, resource: Resource) -> int:
        if caller != ANONYMOUS:
            return {"core": self.core, "search": self.search, "graphql": self.graphql}[resource]
        return {"core": self.anonymous_core, "search": self.anonymous_search, "graphql": 0}[resource]
