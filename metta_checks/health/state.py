"""What a check knows of a source's documents, and the part of it that survives a restart of the Agent."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from metta_checks.core.state import StateFormat
from metta_checks.health.document import Document, Entry
from metta_checks.health.identity import NEVER
from metta_checks.health.metrics import JudgeOptions, verdict_of
from metta_checks.health.record import Record
from metta_checks.health.verdict import State

MAX_SAVED: Final = 5_000
"""Records that are saved; of more, those that fail, then the newest."""

MAX_SAVED_CHARACTERS: Final = 1024 * 1024
"""Characters of all saved records: the Agent writes them to its disk after each collection."""


@dataclass(frozen=True, slots=True)
class HealthState:
    """What is known of a source's documents, by name.

    `cache` are those that were read last: what is unchanged is not read again. `whole` is each as it was when all of it
    could be used: a red verdict must not vanish with a torn file.
    """

    cache: Mapping[str, Document] = field(default_factory=dict)
    whole: Mapping[str, Document] = field(default_factory=dict)


class _SavedRecord(BaseModel):
    """A record as its document had it, and its time as epoch seconds: that of the document where it has none."""

    model_config = ConfigDict(strict=True)

    record: Record
    at: float | None
    position: int


class _SavedDocument(BaseModel):
    model_config = ConfigDict(strict=True)

    modified: float | None
    records: list[_SavedRecord]


class _Saved(BaseModel):
    model_config = ConfigDict(strict=True)

    documents: dict[str, _SavedDocument]


def state_format(options: Callable[[], JudgeOptions]) -> StateFormat[HealthState]:
    """The saved form of `HealthState.whole`: what a document held that cannot be read after the restart either.

    `options` returns those that are loaded when a state is saved.
    """
    return StateFormat("documents", 1, lambda state, now: _encoded(state, options(), now), _decoded)


def _encoded(state: HealthState, options: JudgeOptions, now: datetime) -> dict[str, Any]:
    documents: dict[str, Any] = {}
    left = MAX_SAVED_CHARACTERS
    for entry in _most_important(state.whole.values(), options, now):
        saved = {
            "record": entry.record.model_dump(mode="json", exclude_unset=True, include=_FIELDS),
            "at": _epoch(entry.at),
            "position": entry.position,
        }
        left -= len(json.dumps(saved))
        if left < 0:
            break
        modified = _epoch(state.whole[entry.document].modified)
        documents.setdefault(entry.document, {"modified": modified, "records": []})["records"].append(saved)
    return {"documents": documents}


_FIELDS: Final = set(Record.model_fields)


def _most_important(documents: Iterable[Document], options: JudgeOptions, now: datetime) -> Iterator[Entry]:
    """At most `MAX_SAVED` records: those that fail, then the newest."""

    def importance(entry: Entry) -> tuple[bool, datetime]:
        return verdict_of(entry, options, now).state is State.FAIL, entry.at or NEVER

    entries = (entry for document in documents for entry in document.entries)
    # There may be tens of thousands: what is judged is not kept.
    yield from heapq.nlargest(MAX_SAVED, entries, key=importance)


def _decoded(document: Any) -> HealthState | None:
    try:
        saved = _Saved.model_validate(document)
        return HealthState(whole=dict(_documents(saved)))
    except (ValidationError, ValueError, OverflowError, OSError):
        return None


def _documents(saved: _Saved) -> Iterator[tuple[str, Document]]:
    for name, one in saved.documents.items():
        entries = tuple(Entry(name, item.position, item.record, _moment(item.at)) for item in one.records)
        yield name, Document(name, None, entries, (), _moment(one.modified))


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None or moment == NEVER else moment.timestamp()


def _moment(epoch: float | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
