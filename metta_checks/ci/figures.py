"""What a snapshot comes to: one number for each figure that is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from metta_checks.ci.models import CANCELLED, TIMED, Workflow, WorkflowRun
from metta_checks.ci.runs import TrackedRun
from metta_checks.ci.workflows import Selection
from metta_checks.core.target import Unknown

WINDOW_METRICS: Final = ("ci.workflow.success", "ci.workflow.cancelled", "ci.workflow.duration.p90")
"""The judged figures that need every run of the window, beside the flaky ones."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one collection saw. `runs` are those in the window, `latest` the latest decisive run of each workflow by
    its id, `lists` the workflows that decide a metric, `counts` the merged pull requests by metric. `problems` say what
    could not be read, and what is unknown for it. `default_branch` is the repository's, where the watched branch does
    not exist; the rest is then worth nothing. `existing` are the workflows that are active and whose file is there;
    where `files_problem` says that the files could not be read, every active one.

    `progress` says how far a reading got that is not complete, and why; `unread` is the same where not all runs are
    known, so that `latest` has only what no run can change that is still to be read. `lists_problem` says why the list
    of workflows is not known, `flaky_problem` why the flaky runs are not, `unread_histories` by workflow why its
    latest decisive run is not, and `invalid` what is wrong with runs that are left out."""

    now: datetime
    runs: tuple[TrackedRun, ...]
    workflows: Mapping[int, Workflow]
    latest: Mapping[int, WorkflowRun]
    lists: Mapping[str, Selection]
    counts: Mapping[str, int]
    completed: tuple[WorkflowRun, ...]
    problems: tuple[str, ...]
    repo: str
    web_url: str
    existing: frozenset[int] = frozenset()
    files_problem: str | None = None
    default_branch: str | None = None
    progress: str = ""
    unread: str | None = None
    lists_problem: str | None = None
    flaky_problem: str | None = None
    unread_histories: Mapping[int, str] = field(default_factory=dict)
    invalid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """`judged` is by metric, without those that cannot be told; `unknown` says of some why. `notes` are listed
    workflows of which nothing is known beside one that failed.

    `outcomes` counts runs in the window by workflow file and conclusion, `latest` has the latest decisive run
    by workflow file. The others are None where nothing was measured.
    """

    judged: Mapping[str, float]
    success_ratio: float | None
    p50: float | None
    outcomes: Mapping[tuple[str, str], int]
    latest: Mapping[str, WorkflowRun]
    unknown: tuple[Unknown, ...]
    notes: tuple[str, ...] = ()


def figures_of(snapshot: Snapshot, max_age: timedelta | None = None) -> Figures:
    """All figures of a snapshot. Whoever adds one here gives it a rule, or a sample of its own.

    There are none of a branch that does not exist: that it has no failed run says nothing.
    """
    if snapshot.default_branch is not None:
        return Figures({}, None, None, {}, {}, unknown=())
    unknown, notes = [], []
    known_runs = snapshot.runs
    if snapshot.unread is not None:
        known_runs = ()
    runs = [known.run for known in known_runs]
    decisive = [run for run in runs if run.decisive]
    minutes = sorted(run.duration_minutes for run in runs if run.conclusion in TIMED)
    judged: dict[str, float] = {**snapshot.counts}
    if snapshot.unread is None:
        judged["ci.workflow.cancelled"] = sum(run.conclusion == CANCELLED for run in runs)
    else:
        unknown += [Unknown(metric, snapshot.unread) for metric in WINDOW_METRICS]
    flaky_problem = snapshot.unread or snapshot.flaky_problem
    if flaky_problem is None:
        judged["ci.workflow.flaky_tests"] = sum(known.flaky for known in known_runs)
    else:
        unknown.append(Unknown("ci.workflow.flaky_tests", flaky_problem))
    if decisive:
        judged["ci.workflow.success"] = all(run.succeeded for run in decisive)
    if minutes:
        judged["ci.workflow.duration.p90"] = percentile(minutes, 0.9)
    others_problem = snapshot.unread or snapshot.lists_problem or snapshot.files_problem or _others_unread(snapshot)
    if others_problem is None:
        judged["ci.workflow.other_failing"] = len(other_failing(snapshot))
    else:
        unknown.append(Unknown("ci.workflow.other_failing", others_problem))
    for metric in snapshot.lists:
        selection, problem = snapshot.lists[metric], _list_problem(snapshot, metric, max_age)
        failed = any(one in snapshot.latest and not snapshot.latest[one].succeeded for one in selection.ids)
        # One failure decides, whatever is unknown of the others.
        if failed or (selection.ids and not problem):
            judged[metric] = not failed
        if problem and failed:
            notes.append(problem)
        elif problem:
            unknown.append(Unknown(metric, problem))
    return Figures(
        judged=judged,
        success_ratio=sum(run.succeeded for run in decisive) / len(decisive) if decisive else None,
        p50=percentile(minutes, 0.5) if minutes else None,
        outcomes=_outcomes(snapshot, runs) if snapshot.unread is None else {},
        latest=_latest_by_file(snapshot),
        unknown=tuple(unknown),
        notes=tuple(notes),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the closest ranks of `ordered`, which is not empty."""
    rank = share * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def other_failing(snapshot: Snapshot) -> list[WorkflowRun]:
    """The failed latest decisive runs of the existing workflows that no option lists."""
    listed = frozenset[int]().union(*(selection.ids for selection in snapshot.lists.values()))
    return [
        run
        for workflow_id, run in snapshot.latest.items()
        if not run.succeeded and workflow_id not in listed and workflow_id in snapshot.existing
    ]


def _others_unread(snapshot: Snapshot) -> str | None:
    """Why it is not known of every workflow that no option lists whether its latest decisive run failed."""
    unread = [one for one in sorted(snapshot.unread_histories) if one in snapshot.existing]
    if not unread:
        return None
    files = ", ".join(snapshot.workflows[one].file for one in unread)
    return f"the runs of {files} could not be read: {snapshot.unread_histories[unread[0]]}"


def _list_problem(snapshot: Snapshot, metric: str, max_age: timedelta | None) -> str | None:
    """Why it is not known whether every listed workflow succeeded; None where it is, and where none is listed."""
    selection = snapshot.lists[metric]
    option = f"{metric.rpartition('.')[2]}_workflows"
    if snapshot.lists_problem is not None:
        return snapshot.lists_problem
    if selection.unknown:
        return f"`{option}` lists {', '.join(selection.unknown)}, which {snapshot.repo} does not have"
    if selection.excluded:
        return f"`{option}` lists {', '.join(selection.excluded)}, which `exclude_workflows` leaves out"
    silent = [snapshot.workflows[one].file for one in sorted(selection.ids) if one not in snapshot.latest]
    if silent and snapshot.unread is not None:
        return snapshot.unread
    unread = [one for one in sorted(selection.ids) if one in snapshot.unread_histories]
    if unread:
        files = ", ".join(snapshot.workflows[one].file for one in unread)
        return f"`{option}` lists {files}, whose runs could not be read: {snapshot.unread_histories[unread[0]]}"
    if silent:
        return f"`{option}` lists {', '.join(silent)}, without a run on the branch that succeeded or failed"
    off = [snapshot.workflows[one].file for one in sorted(selection.ids) if one not in snapshot.existing]
    if off:
        return f"`{option}` lists {', '.join(off)}, which is disabled, or whose file is gone"
    ids = sorted(selection.ids)
    old = [one for one in ids if max_age is not None and snapshot.now - snapshot.latest[one].ended_at > max_age]
    if old:
        files = ", ".join(snapshot.workflows[one].file for one in old)
        return f"`{option}` lists {files}, whose latest run that succeeded or failed is older than `max_age`"
    return None


def _outcomes(snapshot: Snapshot, runs: Sequence[WorkflowRun]) -> dict[tuple[str, str], int]:
    existing = {snapshot.workflows[one].file for one in snapshot.existing}
    zeros = {(file, conclusion): 0 for file in existing for conclusion in ("success", "failure", CANCELLED)}
    return {**zeros, **Counter((run.file, run.conclusion) for run in runs if run.conclusion is not None)}


def _latest_by_file(snapshot: Snapshot) -> dict[str, WorkflowRun]:
    return {
        workflow.file: snapshot.latest[workflow.id]
        for workflow in snapshot.workflows.values()
        if workflow.id in snapshot.existing and workflow.id in snapshot.latest
    }
