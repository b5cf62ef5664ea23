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
from metta_checks.health.metrics import MetricOptions, judge_entries, remarks, split_by_time
from metta_checks.training.check import TrainingCheck


def record_findings(path: Path) -> Iterator[Finding]:
    """A fault for each record that the check would leave out, a warning for what it would remark upon."""
    now = utcnow()
    try:
        document = read_file(path, Limits())
    except SourceError as error:
        yield Finding("fault", path, f"{error.came_back}. {error.remedy}")
        return
    usable, late = split_by_time(document.entries, now)
    for fault in sorted((*document.faults, *late), key=lambda fault: fault.position):
        yield Finding("fault", path, f"record {fault.position}: {fault.problem}")
    # Whose records they are changes their metrics' names, and nothing that is remarked upon.
    options = MetricOptions(TrainingCheck.ORIGIN, max_age=timedelta.max)
    for remark in remarks(judge_entries(usable, options, now)):
        yield Finding("warning", path, remark.partition(", ")[2])
