"""The checks. A new one is a package with a `definition.py`, and one line here."""

from __future__ import annotations

from typing import Final

from metta_checks.core.definition import CheckDefinition, definition_in

CHECKS: Final[tuple[CheckDefinition, ...]] = (
    definition_in("wandb"),
    definition_in("ci"),
    definition_in("training"),
    definition_in("eval"),
)


def find_check(slug_or_name: str) -> CheckDefinition:
    """The check with this slug or name. Raises KeyError, whose text lists the checks, for an unknown one."""
    for definition in CHECKS:
        if slug_or_name in {definition.slug, definition.name}:
            return definition
    known = ", ".join(definition.slug for definition in CHECKS)
    raise KeyError(f"there is no check {slug_or_name!r}; the checks are {known}")
