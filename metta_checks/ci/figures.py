"""What a snapshot comes to: one number for each figure that is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metta_checks.ci.reading import Snapshot
from metta_checks.ci.records import CANCELLED, TIMED, Run
from metta_checks.core.target import Unknown


@dataclass(frozen=True, slots=True)
class Figures:
    """`judged` is by metric, without those that cannot be told; `unknown` says of some why.

    `outcomes` counts runs in the window by workflow file and conclusion, `latest` says by workflow file whether its
    latest decisive run succeeded. The others are None where nothing was measured.
    """

    judged: Mapping[str, float]
    success_ratio: float | None
    p50: float | None
    outcomes: Mapping[tuple[str, str], int]
    latest: Mapping[str, bool]
    unknown: tuple[Unknown, ...]


def figures_of(snapshot: Snapshot) -> Figures:
    """All figures of a snapshot. Whoever adds one here gives it a rule, or a sample of its own.

    There are none of a branch that does not exist: that it has no failed run says nothing.
    """
    if snapshot.default_branch is not None:
        return Figures({}, None, None, {}, {}, unknown=())
    runs = [known.run for known in snapshot.runs]
    decisive = [run for run in runs if run.decisive]
    minutes = sorted(run.duration_minutes for run in runs if run.conclusion in TIMED)
    judged: dict[str, float] = {
        "ci.workflow.flaky_tests": sum(known.flaky for known in snapshot.runs),
        "ci.workflow.cancelled": sum(run.conclusion == CANCELLED for run in runs),
        "ci.workflow.other_failing": len(other_failing(snapshot)),
        **snapshot.counts,
    }
    if decisive:
        judged["ci.workflow.success"] = all(run.succeeded for run in decisive)
    if minutes:
        judged["ci.workflow.duration.p90"] = percentile(minutes, 0.9)
    unknown = []
    for metric in snapshot.lists:
        passing, problem = _list_passes(snapshot, metric)
        if passing is not None:
            judged[metric] = passing
        if problem:
            unknown.append(Unknown(metric, problem))
    return Figures(
        judged=judged,
        success_ratio=sum(run.succeeded for run in decisive) / len(decisive) if decisive else None,
        p50=percentile(minutes, 0.5) if minutes else None,
        outcomes=_outcomes(snapshot, runs),
        latest=_latest_by_file(snapshot),
        unknown=tuple(unknown),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the closest ranks of `ordered`, which is not empty."""
    rank = share * (len(ordered) - 1)
    below = int(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def other_failing(snapshot: Snapshot) -> list[Run]:
    """The failed latest decisive runs of the active workflows that no option lists."""
    listed = frozenset[int]().union(*(selection.ids for selection in snapshot.lists.values()))
    return [
        run
        for workflow_id, run in snapshot.latest.items()
        if not run.succeeded and workflow_id not in listed and _is_active(snapshot, workflow_id)
    ]


def _is_active(snapshot: Snapshot, workflow_id: int) -> bool:
    workflow = snapshot.workflows.get(workflow_id)
    return workflow is not None and workflow.active


def _list_passes(snapshot: Snapshot, metric: str) -> tuple[bool | None, str | None]:
    """Whether the latest decisive run of every listed workflow succeeded; None, and why, where that cannot be told."""
    selection = snapshot.lists[metric]
    option = f"{metric.rpartition('.')[2]}_workflows"
    if selection.unknown:
        return None, f"`{option}` lists {', '.join(selection.unknown)}, which {snapshot.repo} does not have"
    if selection.excluded:
        return None, f"`{option}` lists {', '.join(selection.excluded)}, which `exclude_workflows` leaves out"
    silent = [snapshot.workflows[one].file for one in sorted(selection.ids) if one not in snapshot.latest]
    if silent:
        return None, f"`{option}` lists {', '.join(silent)}, without a run on the branch that succeeded or failed"
    if not selection.ids:
        return None, None
    return all(snapshot.latest[one].succeeded for one in selection.ids), None


def _outcomes(snapshot: Snapshot, runs: Sequence[Run]) -> dict[tuple[str, str], int]:
    active = {workflow.file for workflow in snapshot.workflows.values() if workflow.active}
    zeros = {(file, conclusion): 0 for file in active for conclusion in ("success", "failure", CANCELLED)}
    return {**zeros, **Counter((run.file, run.conclusion) for run in runs if run.conclusion is not None)}


def _latest_by_file(snapshot: Snapshot) -> dict[str, bool]:
    return {
        workflow.file: snapshot.latest[workflow.id].succeeded
        for workflow in snapshot.workflows.values()
        if workflow.active and workflow.id in snapshot.latest
    }
