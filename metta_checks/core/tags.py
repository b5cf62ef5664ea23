"""Tags that Datadog keeps as they were meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_TAG_LENGTH: Final = 200
"""Datadog cuts a tag, key included, after 200 characters."""

GENERIC_TAGS: Final = frozenset(
    {
        "cluster_name",
        "clustername",
        "cluster",
        "clusterid",
        "cluster_id",
        "env",
        "host_name",
        "hostname",
        "host",
        "service",
        "version",
    }
)
"""Tag names that the Agent and its platform own; a tag made from source data never takes one of them."""

# Control characters (a NUL cuts the tag in the Agent's C layer), the Unicode line breaks, and lone surrogates
# (which cannot be encoded, so that the Agent drops the tag).
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def tag(key: str, value: object) -> str:
    """`key:value`, safe to submit: no control characters, line breaks or surrogates, comma → `_`, 200 characters.

    Characters that Datadog itself folds (`<`, space, upper case …) are left to it, so that what is submitted can
    still be read.
    """
    text = f"{key}:{value}"
    if not text.isprintable() or "," in text:
        text = _UNSAFE.sub("_", text).replace(",", "_")
    return text[:MAX_TAG_LENGTH]


def keys_of(tags: Iterable[str]) -> set[str]:
    """The keys of `tags`, lower-cased as Datadog has them."""
    return {text.partition(":")[0].strip().lower() for text in tags}
