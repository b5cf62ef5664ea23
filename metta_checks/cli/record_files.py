"""Files of health records, as `validate` sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

from metta_checks.cli.findings import Finding
from metta_checks.core import SourceError
from metta_checks.core.clock import utcnow
from metta_checks.health.document import Entry, EntryFault, Limits
from metta_checks.health.local import read_file
from metta_checks.health.metrics import MetricOptions, judge_entries, remarks, split_by_time
from metta_checks.health.origin import ORIGINS, TRAINING, problem_of


def record_findings(path: Path, suite: str | None = None) -> Iterator[Finding]:
    """A fault for each record that the check would leave out, a warning for what it would remark upon.

    `suite` is whose records they are; where that is not known, a name that one of the checks refuses is a fault.
    """
    now = utcnow()
    try:
        document = read_file(path, Limits())
    except SourceError as error:
        yield Finding("fault", path, f"{error.came_back}. {error.remedy}")
        return
    usable, late = split_by_time(document.entries, now)
    forged = list(_forged(document.entries, suite))
    for fault in sorted((*document.faults, *late, *forged), key=lambda fault: fault.position):
        yield Finding("fault", path, f"record {fault.position}: {fault.problem}")
    # Whose records they are changes their metrics' names, and nothing that is remarked upon.
    options = MetricOptions(TRAINING, max_age=timedelta.max)
    for remark in remarks(judge_entries(usable, options, now)):
        yield Finding("warning", path, remark.partition(", ")[2])


def _forged(entries: Iterable[Entry], suite: str | None) -> Iterator[EntryFault]:
    for entry in entries:
        metric = entry.record.metric
        problem = problem_of(metric, suite)
        if suite is None and problem is None:
            refused = ((name, said) for name, origin in ORIGINS.items() if (said := origin.problem_of(metric)))
            problem = next((f"for metta_{name} {said}; --check says whose it is" for name, said in refused), None)
        if problem is not None:
            yield EntryFault(entry.document, entry.position, f"metric: {problem}")
