"""What all sources of health records share: documents that are kept while unchanged, within bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from metta_checks.core.collection import Collection
from metta_checks.core.errors import Kind, SourceError
from metta_checks.health.document import Document, Limits

MAX_DOCUMENTS: Final = 1000
"""Documents that one source may have; of more, the newest count."""

MAX_TOTAL: Final = 4
"""All documents of a source may have this many times the records of one, and together the bytes of one; of more, the
newest count. All of them stay in memory."""

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
"""Stands in for a time that is not known."""

Kept = MutableMapping[str, Document]
"""Documents by name, as they were last parsed: what is unchanged is not read again.

No state but a saving, since the same content gives the same records: it may change in a collection that fails.
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave: its documents, why others (`unread`, by name) could not be read, and the names of older ones
    that were too many (`over_limit`)."""

    documents: tuple[Document, ...]
    unreadable: tuple[SourceError, ...] = ()
    over_limit: frozenset[str] = frozenset()
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
    names = frozenset(candidate.name for candidate in candidates)
    over_limit = names - unreadable.keys() - {document.name for document in documents}
    return Reading(tuple(documents), tuple(unreadable.values()), over_limit, frozenset(unreadable))


def newest_within(documents: Iterable[Document], limits: Limits) -> dict[str, Document]:
    """Of documents that cannot be read now, by name, as many as a source may have records; of more, the newest."""
    chosen: dict[str, Document] = {}
    room = MAX_TOTAL * limits.max_records
    for document in sorted(documents, key=lambda one: one.modified or LONG_AGO, reverse=True):
        room -= len(document.entries)
        if room < 0:
            break
        chosen[document.name] = document
    return chosen


def is_published(name: str) -> bool:
    """Whether a file or object of this name counts in a source that has several: visible `*.json`.

    Logs, checkpoints and markers of other tools (`_SUCCESS`, `x_$folder$`) are left alone.
    """
    return name.endswith(".json") and not name.startswith(".")


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
