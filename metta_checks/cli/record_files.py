"""Files of health records, as `validate` sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from metta_checks.cli.findings import Finding
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.health.document import Limits
from metta_checks.health.local import read_file
from metta_checks.health.metrics import MetricOptions, judge_entries, remarks
from metta_checks.health.publishing import document_faults
from metta_checks.training.check import TrainingCheck


def record_findings(path: Path, *, lenient: bool) -> Iterator[Finding]:
    """A fault for what `publish` would refuse, a warning for what the check would remark upon."""
    now = utcnow()
    try:
        document = read_file(path, Limits())
    except SourceError as error:
        yield Finding("fault", path, f"{error.came_back}. {error.remedy}")
        return
    faults = document_faults(document, now, lenient=lenient)
    for fault in faults:
        yield Finding("fault", path, f"record {fault.position}: {fault.problem}")
    faulty = {fault.position for fault in faults}
    usable = [entry for entry in document.entries if entry.position not in faulty]
    # Whose records they are changes their metrics' names, and nothing that is remarked upon.
    options = MetricOptions(TrainingCheck.ORIGIN, max_age=timedelta.max)
    for remark in remarks(judge_entries(usable, options, now)):
        yield Finding("warning", path, remark.partition(", ")[2])
