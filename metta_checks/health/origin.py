"""Whose health records there are, and which names their metrics may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metta_checks.core.collection import PREFIX

ROOT: Final = "metta."
"""How a name begins that has its namespace already."""

OWN_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "the checks' own metrics": (PREFIX, "metta.infra.health."),
    "the metrics of metta_ci": ("metta.infra.cron.ci.", "metta.infra.cron.github."),
}
"""What names begin with that no record may have, since it would pass for a figure of a check. A test compares them with
the metadata of all checks."""

_SEPARATOR: Final = "[._]*[.][._]*"
"""What Datadog makes a single dot of, between two words of a name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where records come from: the namespace of their metrics, and the tags that tell suites apart."""

    namespace: str
    source: str
    workflow_category: str

    def metric_name(self, metric: str) -> str:
        """The full name of a record's metric: under the namespace, unless it has one."""
        return metric if metric.startswith(ROOT) else f"{self.namespace}.{metric}"

    def problem_of(self, metric: str) -> str | None:
        """Why a record of this origin must not have `metric`; None where it may."""
        if _FOREIGN.match(metric) and not metric.startswith(f"{self.namespace}."):
            return f"a name with `{ROOT}` has to begin with {self.namespace}."
        name = self.metric_name(metric)
        if _OWN.match(name):
            return f"it would become {name}, but {owner_of(name)}"
        return None


TRAINING: Final = Origin(namespace="metta.infra.stablesuite", source="stable_suite", workflow_category="training")
EVAL: Final = Origin(namespace="metta.infra.cron", source="cron", workflow_category="evaluation")

ORIGINS: Final[Mapping[str, Origin]] = {"training": TRAINING, "eval": EVAL}
"""By the name of the suite."""


def problem_of(metric: str, suite: str | None = None) -> str | None:
    """Why records of `suite` must not have `metric`; without a suite, why those of no suite may have it."""
    if suite is not None:
        return ORIGINS[suite].problem_of(metric)
    problems = [origin.problem_of(metric) for origin in ORIGINS.values()]
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
