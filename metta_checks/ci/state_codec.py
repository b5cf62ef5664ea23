"""The ledger as a compact text for the Agent's persistent cache, and back."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated, Any, Final, get_type_hints

from pydantic import AwareDatetime, BaseModel, PlainSerializer, TypeAdapter

from metta_checks.ci.ledger import Ledger
from metta_checks.ci.models import WorkflowRun
from metta_checks.ci.runs import TrackedRun

VERSION: Final = 3
"""To be raised with every change of the form but a new field with a default: what an older version wrote is then a
fresh start."""

LONGEST: Final = 64 * 1024 * 1024
"""Bytes of the unpacked text; far more than any ledger has."""

Moment = Annotated[AwareDatetime, PlainSerializer(lambda moment: int(moment.timestamp()))]
"""Kept as whole seconds, which is what GitHub gives."""

RUN: Final = tuple(field.name for field in fields(WorkflowRun))
TRACKED: Final = tuple(field.name for field in fields(TrackedRun) if field.name != "run")


def to_text(ledger: Ledger) -> str:
    """Columns rather than rows, since the ids and times of neighbours are alike, then packed: some 25 bytes a run."""
    document = _Document(runs=_columns(ledger.runs), rest=replace(ledger, runs={}))
    return base64.b85encode(zlib.compress(document.model_dump_json().encode(), 6)).decode("ascii")


def from_text(text: object) -> Ledger | None:
    """The ledger that `to_text` wrote; None for anything else: a first collection finds everything out again."""
    if not isinstance(text, str):
        return None
    try:
        document = _Document.model_validate_json(_unpacked(text))
        return replace(document.rest, runs={known.run.id: known for known in _runs(document.runs)})
    except (ValueError, zlib.error):
        return None


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b85decode(text), LONGEST)
    if not unpacker.eof:
        raise ValueError("it is cut short, or too long")
    return data


def _adapters() -> dict[str, TypeAdapter[list[Any]]]:
    """By field of a run: a list of its values. The fields stand in the records themselves, and nowhere else."""
    hints = {**get_type_hints(TrackedRun, include_extras=True), **get_type_hints(WorkflowRun, include_extras=True)}
    types = {name: Moment if hints[name] is datetime else hints[name] for name in (*RUN, *TRACKED)}
    return {name: TypeAdapter(list[type_]) for name, type_ in types.items()}  # type: ignore[valid-type]


COLUMNS: Final = _adapters()
"""The runs: the same place in every list is the same run."""


class _Document(BaseModel):
    runs: dict[str, list[Any]]
    rest: Ledger


def _columns(runs: Mapping[int, TrackedRun]) -> dict[str, list[Any]]:
    known = [runs[run_id] for run_id in sorted(runs)]
    columns = {name: [getattr(one.run, name) for one in known] for name in RUN}
    columns |= {name: [getattr(one, name) for one in known] for name in TRACKED}
    return {name: COLUMNS[name].dump_python(values, mode="json") for name, values in columns.items()}


def _runs(columns: Mapping[str, list[Any]]) -> Iterator[TrackedRun]:
    """Raises ValueError for columns of another form, or not of one length."""
    lists = {name: column.validate_python(columns.get(name)) for name, column in COLUMNS.items()}
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns of {sorted(lengths)} entries")
    runs = map(WorkflowRun, *(lists[name] for name in RUN))
    yield from map(TrackedRun, runs, *(lists[name] for name in TRACKED))
