"""Names of checks on the command line: read, refused with the names there are, and completed."""

from __future__ import annotations

from typing import Final

import click

from metta_checks.checks import CHECKS, find_check
from metta_checks.core.definition import CheckDefinition

METAVAR: Final = f"[{'|'.join(definition.slug for definition in CHECKS)}]"


def named_check(context: click.Context, parameter: click.Parameter, value: str) -> CheckDefinition:
    """A callback for click: the check behind a slug or a name."""
    try:
        return find_check(value)
    except KeyError as error:
        raise click.BadParameter(error.args[0], context, parameter) from None


def optional_check(context: click.Context, parameter: click.Parameter, value: str | None) -> CheckDefinition | None:
    """A callback for click: the check, if one is named."""
    return None if value is None else named_check(context, parameter, value)


def listed_checks(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[CheckDefinition, ...]:
    """A callback for click: the checks in a comma-separated list; all of them without one."""
    if value is None:
        return CHECKS
    names = filter(None, map(str.strip, value.split(",")))
    return tuple(dict.fromkeys(named_check(context, parameter, name) for name in names))


def completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """For the shell: the slugs that go on from what is typed."""
    return [definition.slug for definition in CHECKS if definition.slug.startswith(incomplete)]
