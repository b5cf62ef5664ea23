"""The ledger as a compact text for the Agent's persistent cache, and back."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from metta_checks.ci.ledger import Bucket, Known, Ledger, ListPage
from metta_checks.ci.records import Run, Workflow
from metta_checks.core.decode import parse_json

VERSION: Final = 1
"""To be raised with every change of the form: what an older version wrote is then a fresh start."""

LONGEST: Final = 64 * 1024 * 1024
"""Bytes of the unpacked text; far more than any ledger has."""

T = TypeVar("T")


def to_text(ledger: Ledger) -> str:
    """Columns rather than rows, since node ids and times of neighbours are alike, then packed: some 25 bytes a run."""
    files = sorted({known.run.file for known in ledger.runs.values()})
    place = {file: number for number, file in enumerate(files)}
    runs = sorted(ledger.runs.values(), key=lambda known: known.run.id)
    columns = [
        [known.run.id for known in runs],
        [known.run.node_id for known in runs],
        [known.run.workflow_id for known in runs],
        [place[known.run.file] for known in runs],
        [known.run.number for known in runs],
        [known.run.attempt for known in runs],
        [known.run.conclusion for known in runs],
        [_seconds(known.run.created_at) for known in runs],
        [_seconds(known.run.started_at) for known in runs],
        [_seconds(known.run.updated_at) for known in runs],
        [int(known.run.own) for known in runs],
        [known.earlier for known in runs],
        [int(known.measured) for known in runs],
        [_seconds(known.stamp) for known in runs],
    ]
    document = {
        "started_at": _maybe(_seconds, ledger.started_at),
        "collected_at": _maybe(_seconds, ledger.collected_at),
        "full_name": ledger.full_name,
        "web_url": ledger.web_url,
        "files": files,
        "runs": columns,
        "front": [ledger.front_etag, _maybe(_seconds, ledger.front_since)],
        "covered_until": _maybe(_seconds, ledger.covered_until),
        "buckets": [
            [_seconds(b.since), _seconds(b.until), b.page, b.etag, _seconds(b.newest), _seconds(b.checked_at)]
            for b in ledger.buckets.values()
        ],
        "workflows": [[w.id, w.node_id, w.name, w.path, w.state] for w in ledger.workflows.values()],
        "pages": [[page.etag, page.ids] for page in ledger.workflow_pages],
        "workflows_at": _maybe(_seconds, ledger.workflows_at),
        "searched": sorted(ledger.searched),
        "verdicts": ledger.verdicts,
        "watch_again_at": _maybe(_seconds, ledger.watch_again_at),
    }
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode("utf-8", "surrogatepass"), 6)
    return base64.b85encode(packed).decode("ascii")


def from_text(text: object) -> Ledger | None:
    """The ledger that `to_text` wrote; None for anything else."""
    try:
        return _ledger(_unpacked(str(text)))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, zlib.error):
        # Torn or foreign state is a fresh start: the first collection finds everything out again.
        return None


def _unpacked(text: str) -> Any:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b85decode(text), LONGEST)
    if not unpacker.eof:
        raise ValueError("it is cut short, or too long")
    return parse_json(data)


def _ledger(document: Any) -> Ledger:
    files = document["files"]
    runs = {
        row[0]: Known(
            run=Run(
                id=row[0],
                node_id=row[1],
                workflow_id=row[2],
                file=files[row[3]],
                number=row[4],
                attempt=row[5],
                conclusion=row[6],
                created_at=_moment(row[7]),
                started_at=_moment(row[8]),
                updated_at=_moment(row[9]),
                own=bool(row[10]),
            ),
            earlier=row[11],
            measured=bool(row[12]),
            stamp=_moment(row[13]),
        )
        for row in zip(*document["runs"], strict=True)
    }
    buckets = [
        Bucket(_moment(since), _moment(until), page, etag, _moment(newest), _moment(checked_at))
        for since, until, page, etag, newest, checked_at in document["buckets"]
    ]
    front_etag, front_since = document["front"]
    return Ledger(
        started_at=_maybe(_moment, document["started_at"]),
        collected_at=_maybe(_moment, document["collected_at"]),
        full_name=document["full_name"],
        web_url=document["web_url"],
        runs=runs,
        front_etag=front_etag,
        front_since=_maybe(_moment, front_since),
        covered_until=_maybe(_moment, document["covered_until"]),
        buckets={bucket.key: bucket for bucket in buckets},
        workflows={one[0]: Workflow(*one) for one in document["workflows"]},
        workflow_pages=tuple(ListPage(etag, tuple(ids)) for etag, ids in document["pages"]),
        workflows_at=_maybe(_moment, document["workflows_at"]),
        searched=set(document["searched"]),
        verdicts={metric: (bool(passes), float(value)) for metric, (passes, value) in document["verdicts"].items()},
        watch_again_at=_maybe(_moment, document["watch_again_at"]),
    )


def _maybe(function: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else function(value)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
