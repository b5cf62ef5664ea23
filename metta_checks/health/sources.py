"""What all sources of health records share, and the source behind an HTTP address.

A source has documents, which are kept while they are unchanged, within bounds and within the time of a collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

from metta_checks.core.collection import Collection
from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import display_url, http_date
from metta_checks.core.transport import Transport
from metta_checks.core.work import LateError, Work
from metta_checks.health.document import Document, Limits, oversized, parse_document

MAX_DOCUMENTS: Final = 1000
"""Documents that one source may have; of more, the newest count."""

MAX_TOTAL: Final = 4
"""All documents of a source may have this many times the records of one, and together the bytes of one; of more, the
newest count. All of them stay in memory."""

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
"""Stands in for a time that is not known."""

DocumentCache = MutableMapping[str, Document]
"""Documents by name, as they were last parsed: what is unchanged is not read again.

No state but a saving, since the same content gives the same records: it may change in a collection that fails.
"""


@dataclass(frozen=True, slots=True)
class SourceReading:
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

    def read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:
        """All documents of the source; those in `cache` that are unchanged are not read again.

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
    shown: str, candidates: Sequence[Candidate], collection: Collection, limits: Limits, cache: DocumentCache
) -> SourceReading:
    """Read every candidate that fits, the newest first. One that cannot be read does not stop the others.

    Raises SourceError when there are some and none can be read, or when the collection's time is up. What was read by
    then stays in `cache`, so that the next collection gets further.
    """
    chosen = _newest(candidates, limits)
    documents: list[Document] = []
    unreadable: dict[str, SourceError] = {}
    room = MAX_TOTAL * limits.max_records
    for candidate in chosen:
        if collection.deadline.expired:
            detail = f"{len(documents)} of {len(chosen)} documents within {collection.deadline.seconds:g} s"
            remedy = (
                "Keep fewer documents there, or raise `collection_timeout`; the next collection continues from here."
            )
            raise SourceError(Kind.TIMED_OUT, f"reading health records from {shown}", detail, remedy)
        try:
            document = candidate.read(cache.get(candidate.name))
        except SourceError as error:
            # Its traceback would keep the document's bytes in memory.
            unreadable[candidate.name] = error.with_traceback(None)
            continue
        cache[candidate.name] = document
        room -= len(document.entries)
        if room < 0:
            break
        documents.append(document)
    if unreadable and not documents:
        raise _none_of(shown, list(unreadable.values()))
    documents.sort(key=lambda document: document.name)
    names = frozenset(candidate.name for candidate in candidates)
    over_limit = names - unreadable.keys() - {document.name for document in documents}
    return SourceReading(tuple(documents), tuple(unreadable.values()), over_limit, frozenset(unreadable))


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
    detail = f"none of its {len(unreadable)} documents can be read; the newest: {first.operation}: {first.detail}"
    return SourceError(first.kind, f"reading health records from {shown}", detail, first.remedy, status=first.status)


T = TypeVar("T")

MAX_LEFT_BEHIND: Final = 2
"""Threads that may hang in the same source before no more are started."""


class Bounded(Generic[T]):
    """Runs work on a thread of its own, which is left behind when the deadline comes first.

    A read from a network file system that is away, or the AWS client's search for credentials, cannot be interrupted;
    a check that waited for it would hold one of the Agent's few workers.
    """

    def __init__(self, operation: str) -> None:
        self._tried = operation
        self._left_behind: list[Work[T]] = []

    def run(self, work: Callable[[], T], deadline: Deadline) -> T:
        """What `work()` returns or raises. Raises SourceError when the deadline comes first."""
        self._left_behind = [reading for reading in self._left_behind if reading.is_running]
        if len(self._left_behind) >= MAX_LEFT_BEHIND:
            raise self._timed_out("earlier reads of it still hang")
        reading = Work(work, "metta-health-read")
        try:
            return reading.result(deadline.remaining)
        except LateError:
            self._left_behind.append(reading)
        except Exception:
            # What broke off at the deadline did so because of it.
            if not deadline.expired:
                raise
        raise self._timed_out(f"not read within the collection's {deadline.seconds:g} s")

    def _timed_out(self, detail: str) -> SourceError:
        remedy = "Check the file system or the bucket; `collection_timeout` sets how long a collection may take."
        return SourceError(Kind.TIMED_OUT, self._tried, detail, remedy)


RESOLUTION: Final = timedelta(seconds=1)
"""How long after Last-Modified an answer must have been made for that date to identify its content."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies a document at its server: an ETag, and a Last-Modified that is a strong validator. Empty where
    there is none."""

    etag: str
    last_modified: str


class WebReader:
    """Reads one URL through the check's own HTTP (`transport` makes it on first use)."""

    def __init__(self, url: str, transport: Callable[[], Transport]) -> None:
        self._url = url
        self._transport = transport

    @property
    def shown(self) -> str:
        return display_url(self._url)

    def read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:  # noqa: ARG002 (the transport counts)
        """The document of the address; see `Reader.read`."""
        document = self._read(limits, cache.get(self.shown))
        cache[document.name] = document
        return SourceReading((document,))

    def _read(self, limits: Limits, previous: Document | None) -> Document:
        try:
            answer = self._transport().send("GET", self._url, about="health records", headers=_conditions(previous))
        except SourceError as error:
            # A 413 is the server's own limit.
            too_large = error.kind is Kind.OVERSIZED and error.status != 413
            raise oversized(self.shown, limits) if too_large else error from None
        if answer.status == 304 and previous is not None:
            return previous.with_time(http_date(answer.headers.get("last-modified", "")))
        modified = http_date(answer.headers.get("last-modified", ""))
        validators = _validators(answer.headers)
        return parse_document(self.shown, answer.body, limits, fingerprint=validators, modified=modified)


def _validators(headers: Mapping[str, str]) -> Validators:
    """A Last-Modified date is good to the second: of an answer made in that second the content may change once more
    without a new date (RFC 9110, 8.8.2.2). Without a Date nothing shows that it was not."""
    last_modified = headers.get("last-modified", "")
    modified, answered = http_date(last_modified), http_date(headers.get("date", ""))
    strong = modified is not None and answered is not None and answered - modified >= RESOLUTION
    return Validators(headers.get("etag", ""), last_modified if strong else "")


def _conditions(previous: Document | None) -> Mapping[str, str]:
    if previous is None or not isinstance(previous.fingerprint, Validators):
        return {}
    # A server that implements both ignores the date.
    said = {
        "If-None-Match": previous.fingerprint.etag,
        "If-Modified-Since": previous.fingerprint.last_modified,
    }
    return {name: value for name, value in said.items() if value}
