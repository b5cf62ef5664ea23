"""The Markdown files of the repository, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[4]

HISTORY: Final = "CHANGELOG.md"
"""Names things that are no longer there."""

_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language, and its text without the indentation of a list."""

    language: str
    text: str


class Page(NamedTuple):
    """One file. `name` is its path in the repository."""

    name: str
    text: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    def blocks(self, language: str) -> list[str]:
        return [block.text for block in self._fenced() if block.language == language]

    def prose(self) -> str:
        """The text without fenced blocks."""
        return _FENCE.sub("", self.text)

    def spans(self) -> list[str]:
        """The text of every inline code span, on one line."""
        return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", self.prose())]

    def links(self) -> list[tuple[str, str]]:
        """The path and the anchor of every link into the repository; either can be empty."""
        found = re.findall(r"\]\(([^)\s]+)\)", self.prose())
        return [(path, anchor) for path, _, anchor in (link.partition("#") for link in found) if "://" not in path]

    def anchors(self) -> set[str]:
        """What links to the headings of this page end with."""
        headings = re.findall(r"^#+ (.+)$", self.prose(), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def commands(self) -> Iterator[str]:
        """Every `metta-checks …` of a console or shell block, without what is before it and continued on one line."""
        for block in self._fenced():
            if block.language in {"console", "sh", "yaml"}:
                text = block.text.replace("\\\n", " ")
                yield from re.findall(
                    r"^(?:\$ |\s*- )?.*?(?<![\w./-])(metta-checks [^#\n]+)", _prompts(block, text), re.M
                )

    def _fenced(self) -> Iterator[Block]:
        for language, text in _FENCE.findall(self.text):
            indent = len(text) - len(text.lstrip(" "))
            yield Block(language, re.sub(rf"(?m)^ {{{indent}}}", "", text))


def _prompts(block: Block, text: str) -> str:
    """Of a console only what is typed: its output may name commands in words."""
    if block.language != "console":
        return text
    return "\n".join(line.replace(".venv/bin/", "") for line in text.splitlines() if line.startswith("$ "))


@cache
def pages() -> dict[str, Page]:
    """Every Markdown file by its path, hidden folders aside."""
    found = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    visible = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    return {path.as_posix(): Page(path.as_posix(), (ROOT / path).read_text(encoding="utf-8")) for path in visible}


every_page = pytest.mark.parametrize("page", pages().values(), ids=pages())
current_page = pytest.mark.parametrize(
    "page",
    [page for page in pages().values() if page.name != HISTORY],
    ids=[name for name in pages() if name != HISTORY],
)
