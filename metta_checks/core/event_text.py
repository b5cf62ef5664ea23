"""The text of events: Markdown in Datadog's frame, with foreign words in it that stay words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlsplit

from metta_checks.core.printable import printable

MAX_TEXT: Final = 4_000
"""Characters that Datadog keeps of a text, the frame included."""

MAX_TITLE: Final = 500
"""Characters that Datadog keeps of a title."""

MAX_KEY: Final = 100
"""Characters that Datadog keeps of an aggregation key."""

MAX_WORD: Final = 100
"""Characters of a name from a source that a text shows."""

_HEAD: Final = "%%% \n"
_TAIL: Final = "\n %%%"

# An underscore between letters is a letter for Markdown.
_MARKUP = re.compile(r"[\\`*\[\]()<>|~]|(?<![^\W_])_|_(?![^\W_])")
_ADDRESS = re.compile(r"(?i)(?::(?=//))|(?<=\bwww)(?=\.)")
_SERVER = re.compile(r"[A-Za-z0-9.\-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")


def escaped(text: object, limit: int = MAX_WORD) -> str:
    """`text` from a source as plain text of Markdown: at most `limit` characters of it on one line, and neither a link
    nor markup nor an address that is shown as a link."""
    return _ADDRESS.sub(r"\\\g<0>", _MARKUP.sub(r"\\\g<0>", printable(str(text), limit)))


def code(text: str, limit: int = MAX_WORD) -> str:
    """`text` from a source as code, where nothing can be escaped: a link in it is taken apart."""
    return f"`{printable(text, limit).replace('`', '_').replace('](', '] (')}`"


def link(label: str, url: str) -> str:
    """A link to an http or https address without a user name; of any other address the label alone."""
    address = _web_address(url)
    return escaped(label) if address is None else f"[{escaped(label)}]({address})"


def framed(paragraphs: Iterable[str]) -> str:
    """The text of an event: `paragraphs` of Markdown, as many as Datadog keeps, in the frame that makes it Markdown.

    No paragraph mentions anybody or ends the frame.
    """
    body = ""
    for paragraph in map(_harmless, paragraphs):
        longer = f"{body}\n\n{paragraph}" if body else paragraph
        if len(_HEAD) + len(longer) + len(_TAIL) > MAX_TEXT:
            break
        body = longer
    return f"{_HEAD}{body}{_TAIL}"


def title_of(text: str) -> str:
    """The title of an event: plain text, which mentions nobody either."""
    return _harmless(printable(text, MAX_TITLE))


def aggregation_key_of(text: str) -> str:
    """`text` as an aggregation key: of a longer one the beginning and a hash, so that no two objects share it."""
    text = printable(text)
    return text if len(text) <= MAX_KEY else f"{text[: MAX_KEY - 33]}-{sha256(text.encode()).hexdigest()[:32]}"


def _harmless(text: str) -> str:
    # Datadog notifies whom `@name` mentions, in titles, in code and behind a backslash too. The full-width sign is read
    # as the same by people.
    return re.sub("%{3,}", lambda found: " ".join(found[0]), text.replace("@", "\uff20"))


def _web_address(url: str) -> str | None:
    try:
        split = urlsplit(url)
    except ValueError:
        return None
    if split.scheme not in {"http", "https"} or not _SERVER.fullmatch(split.netloc) or not url.isprintable():
        return None
    # A per cent sign is left alone: what is quoted already must not be quoted twice.
    path, query, fragment = (
        quote(part, safe="/%:;,=&+~$?-._!*'", errors="replace") for part in (split.path, split.query, split.fragment)
    )
    query, fragment = f"?{query}" if query else "", f"#{fragment}" if fragment else ""
    return f"{split.scheme}://{split.netloc}{path}{query}{fragment}"
