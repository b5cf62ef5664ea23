"""Whose health records there are, and which names their metrics may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from metta_checks.core.definition import Origin
from metta_checks.core.telemetry import PREFIX
from metta_checks.health.suites import ORIGINS

ROOT: Final = "metta."
"""How a name begins that has its namespace already."""

OWN_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "the checks' own metrics": (PREFIX, "metta.infra.health."),
    "the metrics of metta_ci": ("metta.infra.cron.ci.", "metta.infra.cron.github."),
}
"""What names begin with that no record may have, since it would pass for a figure of a check. A test compares them with
the metadata of all checks."""

_SEPARATOR: Final = "_*[.][._]*"
"""What Datadog makes a single dot of, between two words of a name."""


def metric_name(metric: str, origin: Origin) -> str:
    """The full name of a record's metric: under the origin's namespace, unless it has one."""
    return metric if metric.startswith(ROOT) else f"{origin.namespace}.{metric}"


def problem_with(metric: str, origin: Origin) -> str | None:
    """Why a record of `origin` must not have `metric`; None where it may."""
    if _FOREIGN.match(metric) and not metric.startswith(f"{origin.namespace}."):
        return f"a name with `{ROOT}` has to begin with {origin.namespace}."
    name = metric_name(metric, origin)
    if _OWN.match(name):
        return f"it would become {name}, but {owner_of(name)}"
    return None


def problem_of(metric: str, suite: str | None = None) -> str | None:
    """Why records of `suite` must not have `metric`; without a suite, why those of no suite may have it."""
    if suite is not None:
        return problem_with(metric, ORIGINS[suite])
    problems = [problem_with(metric, origin) for origin in ORIGINS.values()]
    namespaces = " or ".join(f"{origin.namespace}." for origin in ORIGINS.values())
    return None if None in problems else f"a name with `{ROOT}` has to begin with {namespaces}"


def owner_of(name: str) -> str:
    """A sentence about whose name a full `name` is; empty for one that a record may have."""
    for owner, families in OWN_FAMILIES.items():
        if any(re.match(_pattern(family), name) for family in families):
            return f"{' and '.join(f'{family}*' for family in families)} are the names of {owner}"
    return ""


def _pattern(family: str) -> str:
    # JSON Schema, which repeats it, has no flag for "in any case".
    words = ("".join(f"[{letter}{letter.upper()}]" for letter in word) for word in family.split(".")[:-1])
    return "^" + "".join(f"{word}{_SEPARATOR}" for word in words)


OWN_PATTERN: Final = "|".join(_pattern(family) for families in OWN_FAMILIES.values() for family in families)
"""Matches full names that belong to the checks' own metrics, or that Datadog makes one of them of."""

_OWN = re.compile(OWN_PATTERN)
_FOREIGN = re.compile(_pattern(ROOT))
