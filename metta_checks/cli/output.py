"""Files that a command writes its output to."""

from __future__ import annotations

from pathlib import Path

import click

from metta_checks.core.atomic_write import STANDARD_OUTPUT, WriteError, resolved, write_output


def output_file(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """A callback for click: refuses a file that cannot be made before anything is collected for it."""
    if value is None or value == STANDARD_OUTPUT:
        return value
    try:
        is_folder = resolved(value).is_dir()
    except WriteError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if is_folder:
        raise click.BadParameter(f"{value} is a folder", context, parameter)
    return value


def require_written(path: Path, text: str) -> None:
    """Write `text` to `path`, `-` for standard output; what cannot be written is click's UsageError."""
    try:
        write_output(path, text)
    except WriteError as error:
        raise click.UsageError(f"writing {error}") from None
