"""What makes two health records the same one, of which the newer replaces the older."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

from metta_checks.core.tags import GENERIC_TAGS, tag
from metta_checks.health.record import Record

ANNOTATION_TAGS: Final = ("commit", "sha", "run_id", "run_url", "version")
"""Tags that describe one run of a pipeline, and so are no part of a record's identity; the default."""

HEALTH_TAGS: Final = frozenset({"source", "workflow_category", "workflow_name", "task", "check", "condition", "status"})
"""Tags of the named metric that those of a record never override."""

CLASH_PREFIX: Final = "record_"

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""Stands in for a time that is not known: of two records, one without a time is the older."""

_NOT_IN_A_KEY = re.compile(r"[^\w\-./]+")

Identity = tuple[str, str, str, str, frozenset[str]]
"""Metric, workflow_name, task, check, and the tags without the annotations."""

R = TypeVar("R")


class Superseded(NamedTuple):
    """The position of a record, from 1, and that of the one that replaces it."""

    position: int
    by: int


def identity_of(record: Record, annotations: Collection[str], metric: str | None = None) -> Identity:
    """The identity of `record`; `metric` is its full name, where that is known. Tag keys are compared in any case, as
    Datadog stores them."""
    left_out = {plain_key(name).lower() for name in annotations}
    kept = {name: value for name, value in (record.tags or {}).items() if plain_key(name).lower() not in left_out}
    tags = frozenset(text.lower() for text in tags_of(kept))
    return metric or record.metric, record.workflow_name, record.task, record.check, tags


def newest(records: Iterable[tuple[Identity, datetime | None, R]]) -> tuple[list[R], list[Superseded]]:
    """The newest of the records of each identity, in the order of their first appearance, and the others' positions.

    Of two with the same time the last one wins.
    """
    chosen: dict[Identity, tuple[int, datetime, R]] = {}
    losers: list[tuple[int, Identity]] = []
    for position, (identity, at, record) in enumerate(records, 1):
        candidate = position, at or NEVER, record
        known = chosen.get(identity)
        if known is None or candidate[1] >= known[1]:
            chosen[identity] = candidate
            if known is not None:
                losers.append((known[0], identity))
        else:
            losers.append((position, identity))
    superseded = sorted(Superseded(position, chosen[identity][0]) for position, identity in losers)
    return [record for _, _, record in chosen.values()], superseded


def record_tags(record: Record, taken: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The record's own tags. A key that is taken, a health tag or a generic name, gets the prefix `record_`."""
    return tags_of(record.tags or {}, taken)


def tags_of(tags: dict[str, object], taken: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """`tags` of a record as `key:value`; see `record_tags`."""
    return tuple(tag(_key(key, taken), _text(value)) for key, value in tags.items())


def plain_key(key: str) -> str:
    """A tag's key without what Datadog does not keep: it ends the key at the first colon."""
    return _NOT_IN_A_KEY.sub("_", key).strip("_")


def _key(key: str, taken: frozenset[str]) -> str:
    key = plain_key(key)
    clashes = key.lower() in HEALTH_TAGS or key.lower() in GENERIC_TAGS or key.lower() in taken
    # Datadog drops what stands before the first letter.
    return f"{CLASH_PREFIX}{key}" if clashes or not key[:1].isalpha() else key


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
