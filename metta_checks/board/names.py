"""Tags as Datadog keeps them, so that what is asked and what is sent can be compared."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from metta_checks.core.tags import MAX_TAG_LENGTH

_FOLDED: Final = re.compile(r"[^\w\-.:/*]")


def normalised(text: str) -> str:
    """A tag, a key or a value as Datadog stores it: lower case, `_` for what it does not keep, 200 characters.

    A `*` stays, since a query means something by it.
    """
    return _FOLDED.sub("_", text.strip().lower())[:MAX_TAG_LENGTH]


def key_and_value(text: str) -> tuple[str, str]:
    """The two parts of a tag, normalised. A tag without a colon is all key."""
    key, _, value = normalised(text).partition(":")
    return key, value


def matches(pattern: str, value: str) -> bool:
    """Whether `value` is what a query's `pattern` asks for; only `*` stands for something else."""
    return fnmatchcase(value, pattern.replace("[", "[[]").replace("?", "[?]"))
