"""The little Markdown that notes and messages use, as HTML."""

from __future__ import annotations

import re
from html import escape

_STRONG = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")


def html_of(text: str) -> str:
    """Paragraphs, headings, bold and code; everything else stands as it is."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    return "".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    marks = len(block) - len(block.lstrip("#"))
    if marks:
        return f"<h3>{_inline(block[marks:].strip())}</h3>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", _STRONG.sub(r"<b>\1</b>", escape(text))).replace("\n", "<br>")
