"""The ledger as a compact text for the Agent's persistent cache, and back."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, PlainSerializer, StringConstraints

from metta_checks.ci.ledger import Bucket, Gap, Ledger, ListPage, TrackedRun
from metta_checks.ci.models import QueuePage, Run, WaitingJobs, Workflow

VERSION: Final = 2
"""To be raised with every change of the form but a new field with a default: what an older version wrote is then a
fresh start."""

LONGEST: Final = 64 * 1024 * 1024
"""Bytes of the unpacked text; far more than any ledger has."""


def to_text(ledger: Ledger) -> str:
    """Columns rather than rows, since the ids and times of neighbours are alike, then packed: some 25 bytes a run."""
    document = _Document(
        started_at=ledger.started_at,
        collected_at=ledger.collected_at,
        full_name=ledger.full_name,
        web_url=ledger.web_url,
        runs=_columns(ledger),
        front_etag=ledger.front_etag,
        front_since=ledger.front_since,
        covered_until=ledger.covered_until,
        buckets=list(ledger.buckets.values()),
        workflows=list(ledger.workflows.values()),
        workflow_pages=ledger.workflow_pages,
        workflows_at=ledger.workflows_at,
        searched=sorted(ledger.searched),
        verdicts=ledger.verdicts,
        labels=ledger.labels,
        labels_at=ledger.labels_at,
        files=ledger.files,
        files_etag=ledger.files_etag,
        files_at=ledger.files_at,
        watch_again_at=ledger.watch_again_at,
        jobs=ledger.jobs,
        queue=[(*key, page) for key, page in ledger.queue.items()],
        was_set_back=ledger.was_set_back,
        gaps=ledger.gaps,
        is_whole=ledger.is_whole,
        page_size=ledger.page_size,
        job_page_size=ledger.job_page_size,
        question_size=ledger.batch_size,
        sizes_at=ledger.sizes_at,
        look_is_due=ledger.look_is_due,
        catch_up_is_due=ledger.catch_up_is_due,
        crowded_labels=ledger.crowded_labels,
    )
    return base64.b85encode(zlib.compress(document.model_dump_json().encode(), 6)).decode("ascii")


def from_text(text: object) -> Ledger | None:
    """The ledger that `to_text` wrote; None for anything else: a first collection finds everything out again."""
    if not isinstance(text, str):
        return None
    try:
        document = _Document.model_validate_json(_unpacked(text))
        return _ledger(document)
    except (ValueError, zlib.error):
        return None


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b85decode(text), LONGEST)
    if not unpacker.eof:
        raise ValueError("it is cut short, or too long")
    return data


Moment = Annotated[AwareDatetime, PlainSerializer(lambda moment: int(moment.timestamp()))]
"""Kept as whole seconds, which is what GitHub tells."""


class _Columns(BaseModel):
    """The runs: the same place in every list is the same run. The names are those of the saved form."""

    id: list[int]
    node_id: list[str]
    workflow_id: list[int]
    file: list[str]
    number: list[int]
    attempt: list[int]
    conclusion: list[str | None]
    created_at: list[Moment]
    started_at: list[Moment]
    updated_at: list[Moment]
    own: list[bool]
    ended_at: list[Moment]
    name: list[str]
    earlier: list[Annotated[str, StringConstraints(pattern=r"^[fo?12l]*$")]]
    measured: list[bool]
    stamp: list[Moment]
    gone: list[bool]


class _Document(BaseModel):
    started_at: AwareDatetime | None
    collected_at: AwareDatetime | None
    full_name: str | None
    web_url: str | None
    runs: _Columns
    front_etag: str | None
    front_since: AwareDatetime | None
    covered_until: AwareDatetime | None
    buckets: list[Bucket]
    workflows: list[Workflow]
    workflow_pages: tuple[ListPage, ...]
    workflows_at: AwareDatetime | None
    searched: list[int]
    verdicts: dict[str, tuple[bool, float]]
    labels: dict[str, str | None] = {}
    labels_at: AwareDatetime | None = None
    files: frozenset[str] | None = None
    files_etag: str | None = None
    files_at: AwareDatetime | None = None
    watch_again_at: AwareDatetime | None
    jobs: tuple[WaitingJobs, ...] = ()
    queue: list[tuple[str, int, QueuePage]] = []
    was_set_back: bool = False
    gaps: tuple[Gap, ...] = ()
    # Older versions saved complete readings only.
    is_whole: bool = True
    page_size: Literal[100, 50, 25, 10] = 100
    job_page_size: Literal[100, 50, 25, 10] = 100
    question_size: Literal[1500, 400, 100] = 1500
    sizes_at: AwareDatetime | None = None
    look_is_due: bool = False
    catch_up_is_due: bool = False
    crowded_labels: dict[str, AwareDatetime] = {}


def _columns(ledger: Ledger) -> _Columns:
    known = sorted(ledger.runs.values(), key=lambda known: known.run.id)
    runs = [one.run for one in known]
    return _Columns(
        id=[run.id for run in runs],
        node_id=[run.node_id for run in runs],
        workflow_id=[run.workflow_id for run in runs],
        file=[run.file for run in runs],
        number=[run.number for run in runs],
        attempt=[run.attempt for run in runs],
        conclusion=[run.conclusion for run in runs],
        created_at=[run.created_at for run in runs],
        started_at=[run.started_at for run in runs],
        updated_at=[run.updated_at for run in runs],
        own=[run.from_this_repo for run in runs],
        ended_at=[run.ended_at for run in runs],
        name=[run.name for run in runs],
        earlier=[one.previous_attempts for one in known],
        measured=[one.measured for one in known],
        stamp=[one.last_updated for one in known],
        gone=[one.gone for one in known],
    )


def _ledger(document: _Document) -> Ledger:
    return Ledger(
        started_at=document.started_at,
        collected_at=document.collected_at,
        full_name=document.full_name,
        web_url=document.web_url,
        runs={known.run.id: known for known in _runs(document.runs)},
        front_etag=document.front_etag,
        front_since=document.front_since,
        covered_until=document.covered_until,
        buckets={bucket.key: bucket for bucket in document.buckets},
        workflows={workflow.id: workflow for workflow in document.workflows},
        workflow_pages=document.workflow_pages,
        workflows_at=document.workflows_at,
        searched=set(document.searched),
        verdicts=document.verdicts,
        labels=document.labels,
        labels_at=document.labels_at,
        files=document.files,
        files_etag=document.files_etag,
        files_at=document.files_at,
        watch_again_at=document.watch_again_at,
        jobs=document.jobs,
        queue={(status, number): page for status, number, page in document.queue},
        was_set_back=document.was_set_back,
        gaps=document.gaps,
        is_whole=document.is_whole,
        page_size=document.page_size,
        job_page_size=document.job_page_size,
        batch_size=document.question_size,
        sizes_at=document.sizes_at,
        look_is_due=document.look_is_due,
        catch_up_is_due=document.catch_up_is_due,
        crowded_labels=document.crowded_labels,
    )


def _runs(columns: _Columns) -> Iterator[TrackedRun]:
    """Raises ValueError when the columns are not of one length."""
    runs = map(
        Run,
        columns.id,
        columns.node_id,
        columns.workflow_id,
        columns.file,
        columns.number,
        columns.attempt,
        columns.conclusion,
        columns.created_at,
        columns.started_at,
        columns.updated_at,
        columns.own,
        columns.ended_at,
        columns.name,
    )
    lengths = {len(values) for _, values in columns}
    if len(lengths) > 1:
        raise ValueError(f"columns of {sorted(lengths)} entries")
    yield from map(TrackedRun, runs, columns.earlier, columns.measured, columns.stamp, columns.gone)
