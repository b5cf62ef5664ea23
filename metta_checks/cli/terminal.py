"""What the command writes for a person: text without escape sequences of others, tables, colour, a status line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Final, Literal

import click

from metta_checks.core.printable import printable, printable_lines

Colour = Literal["auto", "always", "never"]

NARROWEST: Final = 40
"""Columns that a table has at least."""

_COLOURS: Final = {
    "ok": "green",
    "FAILED": "red",
    "fault": "red",
    "warning": "yellow",
    "Error": "red",
}
"""The words that have a colour at the beginning of a line, or after a name and a colon."""

_CLEAR: Final = "\r\x1b[K"


class OutputError(OSError):
    """Standard output or standard error did not take what was written."""


class _Setting:
    colour: Colour = "auto"


def set_colour(colour: Colour) -> None:
    """Decide for the rest of the process whether output is coloured."""
    _Setting.colour = colour


def is_coloured(*, err: bool = False) -> bool:
    """Whether output has colour: by `--color`, else on a terminal without NO_COLOR (https://no-color.org)."""
    if _Setting.colour != "auto":
        return _Setting.colour == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return (sys.stderr if err else sys.stdout).isatty()


def columns(*, err: bool = False) -> int | None:
    """The width of the terminal; None where output goes elsewhere, so that lines are as long as they are."""
    if not (sys.stderr if err else sys.stdout).isatty():
        return None
    return max(shutil.get_terminal_size().columns, NARROWEST)


def echo(text: object = "", *, err: bool = False) -> None:
    """Write `text` and a line break, without the characters that a terminal would obey; its verdicts have a colour."""
    clean = printable_lines(str(text))
    coloured = is_coloured(err=err)
    try:
        click.echo("\n".join(map(_coloured, clean.split("\n"))) if coloured else clean, err=err, color=coloured or None)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from None


def _coloured(line: str) -> str:
    for word, colour in _COLOURS.items():
        start = line.lstrip()
        indent = line[: len(line) - len(start)]
        if start == word or start.startswith((f"{word}:", f"{word} ", f"{word},")):
            return indent + click.style(word, fg=colour, bold=True) + start[len(word) :]
        head, found, rest = line.partition(f": {word}")
        if found and (not rest or rest[0] in ", ") and " " not in head.strip().rpartition("/")[2].partition(",")[0]:
            return f"{head}: {click.style(word, fg=colour, bold=True)}{rest}"
    return line


def wrapped(text: str, *, indent: str = "", err: bool = False) -> Iterator[str]:
    """`text` in lines that fit the terminal, the first flush, the others indented by two more; in a pipe one line."""
    width = columns(err=err)
    line = indent
    for word in text.split():
        if width is not None and line.strip() and len(line) + 1 + len(word) > width:
            yield line
            line = indent + "  "
        line += word if not line.strip() else f" {word}"
    if line.strip():
        yield line


def echo_wrapped(text: str, *, indent: str = "", err: bool = False) -> None:
    """Write `text` in lines that fit the terminal."""
    for line in wrapped(text, indent=indent, err=err):
        echo(line, err=err)


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """A table: drawn by rich on a terminal where the extra `terminal` is installed, else in aligned columns.

    The columns in `right` are numbers. The last column may be long; on a terminal it goes on in the next line.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    terminal = columns()
    if terminal is not None and sum(widths[:-1]) + 3 * len(widths) + NARROWEST // 2 <= terminal and find_spec("rich"):
        _show_rich_table(headers, cells, right)
        return
    for row in (headers, *cells):
        padded = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for line in wrapped_row(padded):
            echo(line)


def in_columns(name: str, cells: Sequence[tuple[str, str]], *, width: int, indent: str = "  ") -> Iterator[str]:
    """A name of `width` columns and cells, each with its format such as `>10`; on a narrower terminal in two lines."""
    line = f"{indent}{name:<{width}} {' '.join(format(cell, form) for cell, form in cells)}".rstrip()
    limit = columns()
    if limit is None or len(line) <= limit:
        yield line
        return
    yield f"{indent}{name}"
    below = " ".join(format(cell, form) for cell, form in cells).strip()
    yield f"{indent}  {below if len(below) + len(indent) + 2 <= limit else ' '.join(below.split())}".rstrip()


def wrapped_row(padded: Sequence[str]) -> Iterator[str]:
    """One row of aligned cells; what does not fit of the last cell is indented below it."""
    start = "".join(f"{cell}  " for cell in padded[:-1])
    width, last = columns(), padded[-1].rstrip()
    if width is None or len(start) + len(last) <= width:
        yield (start + last).rstrip()
        return
    indent = " " * len(start) if len(start) + 20 < width else "    "
    lines = list(wrapped(last, indent=indent))
    yield (start + lines[0].strip()).rstrip() if len(indent) == len(start) else start.rstrip()
    yield from lines[1:] if len(indent) == len(start) else lines


def _show_rich_table(headers: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    coloured = is_coloured()
    console = Console(file=sys.stdout, width=columns(), no_color=not coloured, force_terminal=coloured, highlight=False)
    console.print(table)


@contextmanager
def printable_faults() -> Iterator[None]:
    """The errors that click shows by itself, without the characters that a terminal would obey."""
    try:
        yield
    except click.ClickException as error:
        setattr(error, "message", printable_lines(error.message))  # noqa: B010 (declared as final)
        raise


class Progress:
    """A status line on standard error while a command works, gone when it is done. It is silent where standard error is
    no terminal or a dumb one, or where `quiet` asks for that."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not quiet

    def show(self, text: str) -> None:
        """Replace the line."""
        self._write(_CLEAR + printable(text)[: (columns(err=True) or NARROWEST) - 1])

    def clear(self) -> None:
        """Remove the line, before something else is written."""
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._shown:
            click.echo(text, nl=False, err=True)
