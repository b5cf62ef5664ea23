"""What all sources of health records share: documents that are kept while unchanged, within bounds."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from metta_checks.core.collection import Collection
from metta_checks.core.errors import Kind, SourceError
from metta_checks.health.document import Document, Limits

MAX_DOCUMENTS: Final = 1000
"""Documents that one source may have; of more, the newest count."""

MAX_TOTAL: Final = 4
"""All documents of a source may have this many times the records of one, and together the bytes of one; of more, the
newest count. All of them stay in memory."""

Kept = MutableMapping[str, Document]
"""Documents by name, as they were last parsed: what is unchanged is not read again.

No state but a saving, since the same content gives the same records: it may change in a collection that fails.
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave: its documents, why others (`unread`, by name) could not be read, and how many older ones were
    too many."""

    documents: tuple[Document, ...]
    unreadable: tuple[SourceError, ...] = ()
    over_limit: int = 0
    unread: frozenset[str] = frozenset()


class Reader(Protocol):
    """A source of health records."""

    @property
    def shown(self) -> str:
        """The source as messages name it, without anything secret."""

    def read(self, collection: Collection, limits: Limits, kept: Kept) -> Reading:
        """All documents of the source; those in `kept` that are unchanged are not read again.

        Raises SourceError when the source cannot be read: its only document, or all of several.
        """


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document of a source that has several, as a listing tells of it; `read` raises SourceError."""

    name: str
    size: int
    modified: datetime
    read: Callable[[Document | None], Document]


def read_candidates(
    shown: str, candidates: Sequence[Candidate], collection: Collection, limits: Limits, kept: Kept
) -> Reading:
    """Read every candidate that fits, the newest first. One that cannot be read does not stop the others.

    Raises SourceError when there are some and none can be read, or when the collection's time is up. What was read by
    then stays in `kept`, so that the next collection gets further.
    """
    chosen = _newest(candidates, limits)
    documents: list[Document] = []
    unreadable: dict[str, SourceError] = {}
    room = MAX_TOTAL * limits.max_records
    for candidate in chosen:
        if collection.deadline.expired:
            came_back = f"{len(documents)} of {len(chosen)} documents within {collection.deadline.seconds:g} s"
            remedy = "Keep fewer documents there, or raise `collection_timeout`; the next collection goes on from here."
            raise SourceError(Kind.TIMED_OUT, f"reading health records from {shown}", came_back, remedy)
        try:
            document = candidate.read(kept.get(candidate.name))
        except SourceError as error:
            # Its traceback would keep the document's bytes in memory.
            unreadable[candidate.name] = error.with_traceback(None)
            continue
        kept[candidate.name] = document
        room -= len(document.entries)
        if room < 0:
            break
        documents.append(document)
    if unreadable and not documents:
        raise _none_of(shown, list(unreadable.values()))
    documents.sort(key=lambda document: document.name)
    over_limit = len(candidates) - len(documents) - len(unreadable)
    return Reading(tuple(documents), tuple(unreadable.values()), over_limit, frozenset(unreadable))


def printable(text: str) -> str:
    """`text`, a foreign file's or object's name, such that it can stand in a message."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _newest(candidates: Sequence[Candidate], limits: Limits) -> list[Candidate]:
    chosen: list[Candidate] = []
    room = limits.max_bytes
    for candidate in sorted(candidates, key=lambda one: (one.modified, one.name), reverse=True)[:MAX_DOCUMENTS]:
        # One that is too large by itself is not read either; it shall be named, and take no room.
        room -= candidate.size if candidate.size <= limits.max_bytes else 0
        if room < 0:
            break
        chosen.append(candidate)
    return chosen


def _none_of(shown: str, unreadable: Sequence[SourceError]) -> SourceError:
    first = unreadable[0]
    if len(unreadable) == 1:
        return first
    came_back = f"none of its {len(unreadable)} documents can be read; the newest: {first.tried}: {first.came_back}"
    return SourceError(first.kind, f"reading health records from {shown}", came_back, first.remedy, status=first.status)
