"""Files of health records, as `validate` sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from metta_checks.cli.findings import Finding
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.health.document import Entry, EntryFault, Limits
from metta_checks.health.identity import Superseded
from metta_checks.health.local import read_file
from metta_checks.health.metrics import JudgeOptions, judge_newest, record_warnings, superseded_warnings
from metta_checks.health.names import problem_of, problem_with
from metta_checks.health.publishing import document_faults
from metta_checks.health.suites import ORIGINS
from metta_checks.training.definition import ORIGIN


def record_findings(path: Path, suite: str | None = None, *, lenient: bool) -> Iterator[Finding]:
    """A fault for what `publish` would refuse, a warning for what the check would remark upon.

    `suite` is whose records they are; where that is not known, a name that one of the checks refuses is a fault.
    """
    now = utcnow()
    try:
        document = read_file(path, Limits())
    except SourceError as error:
        yield Finding("fault", path, f"{error.detail}. {error.remedy}")
        return
    refused = list(_refused_by_one(document.entries)) if suite is None else []
    faults = sorted(
        (*document_faults(document, now, suite=suite, lenient=lenient), *refused), key=lambda fault: fault.position
    )
    for fault in faults:
        yield Finding("fault", path, f"record {fault.position}: {fault.problem}")
    faulty = {fault.position for fault in faults}
    usable = [entry for entry in document.entries if entry.position not in faulty]
    # Whose records they are changes their metrics' names, and nothing that is remarked upon.
    options = JudgeOptions(ORIGIN, max_age=timedelta.max)
    judged, superseded = judge_newest(usable, options, now)
    positions = [entry.position for entry in usable]
    for one in superseded:
        older, newer = positions[one.position - 1], positions[one.by - 1]
        yield Finding("warning", path, next(superseded_warnings([Superseded(older, newer)])))
    for remark in record_warnings(judged):
        yield Finding("warning", path, remark.partition(", ")[2])


def _refused_by_one(entries: Iterable[Entry]) -> Iterator[EntryFault]:
    """The names that one check refuses and the other does not: which of them reads the file is not known."""
    for entry in entries:
        metric = entry.record.metric
        if problem_of(metric, None) is not None:
            continue
        refused = ((name, said) for name, origin in ORIGINS.items() if (said := problem_with(metric, origin)))
        if problem := next((f"for metta_{name} {said}; --check says whose it is" for name, said in refused), None):
            yield EntryFault(entry.document, entry.position, f"metric: {problem}")
