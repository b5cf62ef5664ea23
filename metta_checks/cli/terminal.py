"""What the command writes for a person: names and messages come from files and sources, and a terminal obeys some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from metta_checks.core.printable import printable_lines


def echo(text: object = "", *, err: bool = False) -> None:
    """Write `text` and a line break, without the characters that a terminal would obey."""
    click.echo(printable_lines(str(text)), err=err)


@contextmanager
def printable_faults() -> Iterator[None]:
    """The same for the errors that click shows by itself."""
    try:
        yield
    except click.ClickException as error:
        setattr(error, "message", printable_lines(error.message))  # noqa: B010 (declared as final)
        raise
