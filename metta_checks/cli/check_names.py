"""Names of checks on the command line: read, refused with the names there are, and completed."""

from __future__ import annotations

from typing import Final

import click

from metta_checks.cli.catalogue import CHECKS, CheckEntry, check_entry

METAVAR: Final = f"[{'|'.join(entry.slug for entry in CHECKS)}]"


def entry_of(context: click.Context, parameter: click.Parameter, value: str) -> CheckEntry:
    """A callback for click: the check behind a slug or a name."""
    try:
        return check_entry(value)
    except KeyError as error:
        raise click.BadParameter(error.args[0], context, parameter) from None


def optional_entry(context: click.Context, parameter: click.Parameter, value: str | None) -> CheckEntry | None:
    """A callback for click: the check, if one is named."""
    return None if value is None else entry_of(context, parameter, value)


def entries_of(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[CheckEntry, ...]:
    """A callback for click: the checks in a comma-separated list; all of them without one."""
    if value is None:
        return CHECKS
    return tuple(dict.fromkeys(entry_of(context, parameter, name.strip()) for name in value.split(",") if name.strip()))


def completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """For the shell: the slugs that go on from what is typed."""
    return [entry.slug for entry in CHECKS if entry.slug.startswith(incomplete)]
