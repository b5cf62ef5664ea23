"""Documents of health records: bytes in, records and the faults of the others out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from metta_checks.core.decode import MAX_VALUES, TooManyValuesError, parse_json
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.printable import printable
from metta_checks.health.forms import LIST_OF_RECORDS, Malformed, malformed_text, malformed_value
from metta_checks.health.record import InvalidRecordError, Record, parse_record

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_RECORDS: Final = 10_000

VALUES_PER_RECORD: Final = 50
"""Values that a record has room for on average: itself, its nine fields, and forty tags."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Limits(NamedTuple):
    """How large one document may be, in bytes and in records."""

    max_bytes: int = MAX_BYTES
    max_records: int = MAX_RECORDS

    @property
    def max_values(self) -> int:
        """How many JSON values a document may have, records included: tags and fields count one each."""
        return max(MAX_VALUES, VALUES_PER_RECORD * self.max_records)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record and where it stands: `document` is the name to show, `position` counts from 1.

    `at` is its timestamp, or the document's own time where it has none (aware, UTC); None where neither is known.
    """

    document: str
    position: int
    record: Record
    at: datetime | None


@dataclass(frozen=True, slots=True)
class EntryFault:
    """Why the record at `position` of `document` was left out; position 0 is the document itself."""

    document: str
    position: int
    problem: str

    def __str__(self) -> str:
        where = f"{self.document}, record {self.position}" if self.position else self.document
        return printable(f"{where}: {self.problem}")


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was parsed; `fingerprint` tells whether the source still has the same one. `modified` is its
    own time (aware, UTC), None where the source tells none. `warning` is what to report beside its content."""

    name: str
    fingerprint: Hashable
    entries: tuple[Entry, ...]
    faults: tuple[EntryFault, ...]
    modified: datetime | None = None
    warning: str = ""

    @property
    def has_undated_records(self) -> bool:
        """Whether it has records without a time of their own."""
        return any(entry.record.timestamp is None for entry in self.entries)

    def with_time(self, modified: datetime | None) -> Document:
        """The same content with a new time of its own, which stands in for that of records without one."""
        if modified is None or modified == self.modified:
            return self
        entries = tuple(entry if entry.record.timestamp else replace(entry, at=modified) for entry in self.entries)
        return replace(self, entries=entries, modified=modified)


def parse_document(
    name: str, data: bytes, limits: Limits, *, fingerprint: Hashable = None, modified: datetime | None = None
) -> Document:
    """The document that `data` holds: a JSON list of records, or an object with such a list as `records`.

    Bad records become faults, the others count. `modified` is the document's own time (aware, UTC). Raises SourceError
    when the document as a whole cannot be used: empty, too large, not JSON, too deep, NaN or Infinity, another shape.
    """
    if len(data) > limits.max_bytes:
        raise oversized(name, limits)
    items = _items(name, data.removeprefix(_BYTE_ORDER_MARK), limits)
    if len(items) > limits.max_records:
        detail = f"{len(items):,} records where {limits.max_records:,} are allowed"
        raise _error(Kind.OVERSIZED, name, detail, "Publish fewer records, or raise `max_records`.")
    entries: list[Entry] = []
    faults: list[EntryFault] = []
    for position, item in enumerate(items, 1):
        try:
            record = parse_record(item)
        except InvalidRecordError as error:
            faults.append(EntryFault(name, position, str(error)))
            continue
        entries.append(Entry(name, position, record, record.timestamp or modified))
    return Document(name, fingerprint, tuple(entries), tuple(faults), modified)


def oversized(name: str, limits: Limits) -> SourceError:
    """The error for a document over `limits.max_bytes`, which is known before all of it is read."""
    detail = f"more than {limits.max_bytes:,} bytes"
    return _error(Kind.OVERSIZED, name, detail, "Publish fewer records, or raise `max_bytes`.")


def _error(kind: Kind, name: str, detail: str, remedy: str) -> SourceError:
    operation = f"reading health records from {name}"
    return SourceError(kind, operation, detail, remedy, from_file="://" not in name)


def _items(name: str, data: bytes, limits: Limits) -> Sequence[Any]:
    def malformed(cause: Malformed) -> SourceError:
        return _error(Kind.MALFORMED, name, *cause)

    if not data.strip():
        raise malformed(Malformed("it is empty", LIST_OF_RECORDS))
    try:
        content = parse_json(data, max_values=limits.max_values)
    except TooManyValuesError as error:
        remedy = "Publish fewer records, or fewer fields and tags in each; a higher `max_records` allows more."
        raise _error(Kind.OVERSIZED, name, str(error), remedy) from None
    except ValueError as error:
        raise malformed(malformed_text(data, error, limits.max_values)) from None
    items = content.get("records") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise malformed(malformed_value(content))
    return items
