"""Publishing health records: all of them, valid, in one step."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, Final

from metta_checks.core.clock import utcnow
from metta_checks.core.decode import parse_json
from metta_checks.core.errors import SourceError
from metta_checks.core.printable import printable
from metta_checks.health.condition import condition_problem
from metta_checks.health.destination import Destination, destination_of
from metta_checks.health.document import Document, Entry, EntryFault, Limits, parse_document
from metta_checks.health.errors import (
    DestinationError,
    DestinationNameError,
    EmptyResultsError,
    InvalidResultsError,
    PublishOptionError,
)
from metta_checks.health.identity import ANNOTATION_TAGS, identity_of, newest
from metta_checks.health.metrics import split_by_time
from metta_checks.health.names import metric_name, problem_of
from metta_checks.health.record import FieldFault, InvalidRecordError, Record, near_misses, parse_record
from metta_checks.health.sources import MAX_TOTAL
from metta_checks.health.suites import ORIGINS

ALLOW_SLIPS: Final = "to allow it give --lenient, or in Python lenient=True"


def publish(
    records: Iterable[Record | Mapping[str, Any]],
    destination: str | PathLike[str],
    *,
    merge: bool = False,
    lenient: bool = False,
    allow_empty: bool = False,
    region: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 (immutable)
    now: datetime | None = None,
    suite: str | None = None,
    annotation_tags: Collection[str] = ANNOTATION_TAGS,
) -> int:
    """Write `records` to `destination`, a file or `s3://bucket/key`, and say how many the document now has.

    They are validated all together with the model that the checks read with; when one is bad, nothing is written. A
    record without a timestamp gets `now`. With `merge` the records that are there stay, and of those of one
    identity the newest: the same metric, workflow_name, task, check and tags without `annotation_tags`.

    A field that is a typo of a known one and a condition that does not parse are faults unless `lenient`; no records
    at all are one unless `allow_empty`. `limits` are those of the check that reads the document. With `suite`,
    `training` or `eval`, a name that this check refuses is a fault; without it, one that both refuse. Raises
    InvalidResultsError, which has the positions of the bad records, PublishOptionError, DestinationNameError, and
    DestinationError when it cannot be written, or read for a merge: each is a PublishError, and nothing was published.
    """
    require_options(suite, annotation_tags)
    target = named_destination(destination, region)
    fresh = validated(records, now or utcnow(), lenient=lenient, suite=suite)
    if not fresh and not allow_empty:
        raise EmptyResultsError(f"publishing to {printable(fspath(destination))}", "allow_empty=True")
    counts: list[int] = []

    def merged(existing: Document | None) -> str:
        together = _merged((*_records_of(existing), *fresh), annotation_tags, suite) if merge else fresh
        counts.append(len(together))
        return _document(together, limits)

    try:
        if merge:
            # What is there may be too much until the superseded records have left.
            target.update(merged, Limits(limits.max_bytes, limits.max_records * MAX_TOTAL))
        else:
            target.replace(merged(None))
    except SourceError as error:
        raise DestinationError.of(error) from None
    return counts[-1]


def require_options(suite: str | None, annotation_tags: Collection[str]) -> None:
    """Raises PublishOptionError for a suite that is none, and for one text in place of a list of names."""
    if suite is not None and suite not in ORIGINS:
        raise PublishOptionError(f"suite: {printable(str(suite))!r} is not a suite: use {' or '.join(ORIGINS)}")
    if isinstance(annotation_tags, str):
        raise PublishOptionError(f"annotation_tags: write a list of names, such as [{printable(annotation_tags)!r}]")


def named_destination(destination: str | PathLike[str], region: str | None = None) -> Destination:
    """The place that `destination` names. Raises DestinationNameError."""
    text = fspath(destination) if isinstance(destination, str | PathLike) else None
    if not isinstance(text, str):
        kind = type(destination).__name__
        raise DestinationNameError(f"a destination is a file's path or s3://bucket/key, not {kind}")
    try:
        return destination_of(text, region=region)
    except ValueError as error:
        raise DestinationNameError(str(error)) from None


def validated(
    records: Iterable[Record | Mapping[str, Any]],
    now: datetime,
    *,
    name: str = "results",
    first: int = 1,
    lenient: bool = False,
    suite: str | None = None,
) -> tuple[Record, ...]:
    """The records as they would be published at `now`. Raises InvalidResultsError, which names all that are bad.

    `first` is the position of the first of them. `suite` is whose records they are, None where that is not known.
    """
    entries: list[Entry] = []
    faults: list[EntryFault] = []
    for position, given in enumerate(_listed(records, name), first):
        try:
            record = parse_record(_as_json(given))
        except InvalidRecordError as error:
            faults.append(EntryFault(name, position, str(error)))
            continue
        entries.append(Entry(name, position, record, record.timestamp))
    return validated_document(Document(name, None, tuple(entries), tuple(faults)), now, lenient=lenient, suite=suite)


def _listed(records: object, name: str) -> Iterable[Any]:
    """`records`, unless it is one of the things that can be iterated over and are no records."""
    if isinstance(records, Mapping) and "records" in records:
        problem = "it is a whole document: publish the list that it has as `records`"
    elif isinstance(records, Mapping | Record):
        problem = "it is one record: put it into a list"
    elif isinstance(records, str | bytes | PathLike):
        problem = "it is text or a path: publish a list of records, such as `json.loads(text)`"
    elif not isinstance(records, Iterable):
        problem = f"it is {type(records).__name__}: publish a list of records"
    else:
        return records
    raise InvalidResultsError([EntryFault(name, 0, problem)])


def validated_document(
    document: Document, now: datetime, *, lenient: bool = False, suite: str | None = None
) -> tuple[Record, ...]:
    """The document's records as they would be published at `now`. Raises InvalidResultsError."""
    # The time of a file of results is not that of its records: it may have been copied.
    entries = [replace(entry, at=entry.record.timestamp or now) for entry in document.entries]
    if faults := document_faults(replace(document, entries=tuple(entries)), now, lenient=lenient, suite=suite):
        raise InvalidResultsError(faults)
    return tuple(entry.record.model_copy(update={"timestamp": entry.at}) for entry in entries)


def document_faults(
    document: Document, now: datetime, *, lenient: bool = False, suite: str | None = None
) -> list[EntryFault]:
    """What keeps a document from being published at `now`, by position.

    `suite` is whose records they are, None where that is not known.
    """
    _, late = split_by_time(document.entries, now)
    slips = () if lenient else (fault for entry in document.entries for fault in _slips(entry))
    named = ((entry, problem_of(entry.record.metric, suite)) for entry in document.entries)
    forged = [EntryFault(entry.document, entry.position, f"metric: {problem}") for entry, problem in named if problem]
    return sorted((*document.faults, *forged, *late, *slips), key=lambda fault: fault.position)


def _slips(entry: Entry) -> Iterator[EntryFault]:
    """What is valid and yet hardly meant: a reader would ignore the field, or find no verdict."""
    found = [*near_misses(entry.record.model_extra or {})]
    if problem := condition_problem(entry.record.condition):
        found.append(FieldFault("condition", problem))
    for slip in found:
        yield EntryFault(entry.document, entry.position, f"{slip}; {ALLOW_SLIPS}")


def _as_json(given: object) -> Any:
    """What a reader gets of `given`: so that a figure of numpy, say, is either a number there or refused here."""
    content = given.model_dump(exclude_unset=True) if isinstance(given, Record) else given
    if not isinstance(content, Mapping):
        return content
    try:
        return parse_json(json.dumps(dict(content), allow_nan=False, default=_plain))
    except (ValueError, TypeError, RecursionError) as error:
        # Where the culprit is a field of the model, the model names it.
        parse_record(content)
        raise InvalidRecordError.of(f"it cannot be written as JSON ({error})") from None


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real | Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no type of JSON")


def _records_of(existing: Document | None) -> list[Record]:
    """What is there, each with its time: the document's own changes when it is written anew."""
    if existing is None:
        return []
    if existing.faults:
        raise InvalidResultsError(existing.faults)
    return [entry.record.model_copy(update={"timestamp": entry.at}) for entry in existing.entries]


def _merged(records: Iterable[Record], annotations: Collection[str], suite: str | None) -> list[Record]:
    """Of the records of each identity the newest. Without a `suite` a full name and its short form differ."""

    def name(record: Record) -> str:
        return metric_name(record.metric, ORIGINS[suite]) if suite else record.metric

    return newest((identity_of(record, annotations, name(record)), record.timestamp, record) for record in records)[0]


def _document(records: Sequence[Record], limits: Limits) -> str:
    """One record per line, and as a last proof read back."""
    lines = (json.dumps(record.model_dump(mode="json", exclude_unset=True), allow_nan=False) for record in records)
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    if faults := parse_document("results", text.encode("utf-8"), limits).faults:
        raise InvalidResultsError(faults)
    return text
