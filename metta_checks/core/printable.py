"""Foreign text, such that it can stand in a message, in a log line and on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Scrub = Callable[[str], str]
"""Replaces the secrets in a text."""

_WINDOW: Final = 64 * 1024
"""Characters of a longer text that are looked at where only its beginning is shown."""

# One run from end to end: a pattern that looks for the line break in it takes the square of its length.
_RUN = re.compile("[\n ]+")


def unchanged(text: str) -> str:
    """The scrubber where there is no secret."""
    return text


def printable(text: str, limit: int | None = None, scrub: Scrub = unchanged) -> str:
    """`text` on one line, without secrets, in at most `limit` characters.

    Control characters, escape sequences, line breaks, bidirectional overrides, lone surrogates and whatever else Python
    does not count as printable become a space. Secrets are scrubbed before anything else: half a secret, or one with a
    space in it, would not be recognised any more.
    """
    if limit is not None and len(text) > _WINDOW:
        # Half of it, since the end of the window may be the beginning of a secret.
        return printable(scrub(text[:_WINDOW])[: -_WINDOW // 2], limit)
    clean = scrub(text)
    line = clean if clean.isprintable() else _spaced(clean).strip()
    return line if limit is None else line[:limit]


def printable_lines(text: str) -> str:
    """`text` with its line breaks, where these are our own, and without any other character that is not printable."""
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else _spaced(line).rstrip() for line in text.split("\n"))


def _spaced(text: str) -> str:
    marked = "".join(character if character.isprintable() else "\n" for character in text)
    return _RUN.sub(lambda run: " " if "\n" in run[0] else run[0], marked)
