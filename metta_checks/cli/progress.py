"""What a person at a terminal sees while a command works: one line on standard error, gone when it is done."""

from __future__ import annotations

import sys
from typing import Final

import click

from metta_checks.core.printable import printable

_CLEAR: Final = "\r\x1b[K"


class Progress:
    """A status line. It is silent where standard error is no terminal, or where `quiet` asks for that."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = sys.stderr.isatty() and not quiet

    def say(self, text: str) -> None:
        """Replace the line."""
        self._write(_CLEAR + printable(text))

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._shown:
            click.echo(text, nl=False, err=True)
