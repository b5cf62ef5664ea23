"""The tags under which metrics are submitted, for the linter of dashboards and monitors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from metta_checks.core.definition import CheckDefinition, TagSet
from metta_checks.core.target import DropReason, Status
from metta_checks.core.telemetry import PREFIX

TELEMETRY_COUNTS: Final = frozenset(f"{PREFIX}{name}" for name in ("dropped", "requests", "series", "targets"))
"""Telemetry that counts things, as `CheckDefinition.counts`."""

TELEMETRY_SHARES: Final = frozenset({f"{PREFIX}up"})
"""Telemetry whose mean over time has a meaning, as `CheckDefinition.shares`."""

_OWN_TAGS: Final[Mapping[str, TagSet]] = {
    f"{PREFIX}dropped": {"reason": frozenset(DropReason)},
    f"{PREFIX}targets": {"status": frozenset(Status)},
}


def any_value(keys: Iterable[str]) -> dict[str, frozenset[str] | None]:
    """The keys, each with whatever value the source has."""
    return dict.fromkeys(keys)


def telemetry_tags(definition: CheckDefinition, metric: str) -> TagSet:
    """The tags of one `metta.check.*` metric of a check."""
    return {
        "check_name": frozenset({definition.name}),
        "runner": None,
        **_OWN_TAGS.get(metric, {}),
        **any_value(definition.identity_tags),
    }
