"""A sample GitHub repository with edge cases: rare workflow runs and pull requests, each at an edge of some rule."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, product

from metta_checks.core.clock import Clock
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_records import Conclusion, DemoWorkflow, Status
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import (
    PlannedAttempt,
    PlannedRun,
    a_day,
    add_runs,
    disable,
    new_repository,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
A_FORK = "another-contributor/arena"


@dataclass(frozen=True, slots=True)
class EdgeCase:
    """One run, told from now: per attempt, how long ago it started and how it ended (`None`: it has not)."""

    attempts: tuple[tuple[timedelta, Conclusion | None], ...]
    branch: str = "main"
    fork: bool = False
    status: Status = "in_progress"
    times: int = field(default=1, kw_only=True)


WINDOW_CASES: tuple[EdgeCase, ...] = (
    # Re-run inside the last day, first attempt the day before: in the window, and flaky or not by the first outcome.
    EdgeCase(((30 * HOUR, "failure"), (2 * HOUR, "success"))),
    EdgeCase(((31 * HOUR, "timed_out"), (3 * HOUR, "success"))),
    EdgeCase(((32 * HOUR, "startup_failure"), (4 * HOUR, "success"))),
    EdgeCase(((33 * HOUR, "cancelled"), (5 * HOUR, "success"))),
    EdgeCase(((34 * HOUR, "success"), (6 * HOUR, "success"))),
    EdgeCase(((35 * HOUR, "success"), (7 * HOUR, "failure"))),
    EdgeCase(((36 * HOUR, "failure"), (7 * HOUR, "failure"))),
    # Three attempts: an early failure is easily missed behind a success or a cancellation.
    EdgeCase(((20 * HOUR, "failure"), (18 * HOUR, "success"), (9 * HOUR, "success"))),
    EdgeCase(((21 * HOUR, "failure"), (17 * HOUR, "cancelled"), (10 * HOUR, "success"))),
    EdgeCase(((22 * HOUR, "failure"), (8 * HOUR, None))),
    # Both edges of the window, and of what counts as recently created.
    EdgeCase(((24 * HOUR, "success"),)),
    EdgeCase(((24 * HOUR + SECOND, "failure"),)),
    EdgeCase(((48 * HOUR, "failure"), (HOUR, "success"))),
    EdgeCase(((48 * HOUR + SECOND, "failure"), (HOUR, "success"))),
    EdgeCase(((60 * HOUR, "failure"), (HOUR, "success"))),
    # A fork's branch may be called main as well.
    EdgeCase(((11 * HOUR, "failure"),), fork=True),
    EdgeCase(((12 * HOUR, "failure"), (2 * HOUR, "success")), fork=True),
    # Not ended: stuck for days, waiting for an approval, queued.
    EdgeCase(((40 * HOUR, None),)),
    EdgeCase(((13 * HOUR, None),), status="waiting"),
    EdgeCase(((SECOND, None),), status="queued"),
)

QUIET_CASES: tuple[tuple[EdgeCase, ...], ...] = (
    (EdgeCase(((21 * DAY, "success"),)),),
    (EdgeCase(((35 * DAY, "failure"),)), EdgeCase(((22 * DAY, "skipped"),)), EdgeCase(((19 * DAY, "cancelled"),))),
    # A short list of the newest runs of this one holds nothing that counts on main.
    (
        EdgeCase(((40 * DAY, "failure"),)),
        EdgeCase(((20 * DAY, "success"),), branch="release/1.4", times=14),
        EdgeCase(((15 * DAY, "success"),), fork=True),
    ),
    (EdgeCase(((20 * DAY, "failure"), (19 * DAY, "success"))),),
    (EdgeCase(((60 * DAY, "timed_out"),)), EdgeCase(((16 * DAY, None),), status="waiting")),
)

FRUITLESS: tuple[Conclusion, ...] = ("skipped", "cancelled")
FRUITLESS_CASES: tuple[tuple[EdgeCase, ...], ...] = (
    tuple(EdgeCase(((hours * HOUR, conclusion),)) for hours, conclusion in product((3, 27, 150), FRUITLESS)),
)

DISABLED_CASES: tuple[tuple[EdgeCase, ...], ...] = (
    (EdgeCase(((30 * HOUR, "success"),)), EdgeCase(((3 * HOUR, "failure"),))),
    (EdgeCase(((9 * DAY, "failure"),)),),
    (EdgeCase(((70 * DAY, "success"),)),),
)

LABEL_SETS: tuple[tuple[str, ...], ...] = (
    ("hotfix",),
    ("force-merge",),
    ("force_merge",),
    ("force-merge", "force_merge"),
    ("revert",),
    ("hotfix", "force-merge", "ready"),
    ("Hotfix",),
    ("hotfix-candidate",),
    ("ready",),
    (),
)
MERGED_AGO = (2 * HOUR, 3 * DAY, WEEK - SECOND, WEEK, WEEK + SECOND, WEEK + 10 * HOUR, 20 * DAY)


def edge_case_repository(
    now: datetime,
    *,
    workflows: int = 40,
    runs_per_day: int = 600,
    days: int = 10,
    seed: int = 7,
    full_name: str = "demo-org/arena",
    clock: Clock | None = None,
) -> DemoRepository:
    """A repository that has lived for `days` up to `now`, the same for the same arguments.

    `runs_per_day` is what a listing of `branch=main` holds for each 24 hours before `now`, forks included;
    runs on other branches (a quarter as many) and a few dozen edge cases come on top. The clock
    stands at `now` unless one is given. Raises ValueError for fewer than 10 workflows.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    rng = random.Random(f"{seed}/{workflows}/{runs_per_day}/{days}")
    repository, roles = new_repository(full_name, workflows, clock or ManualClock(now))
    runs = [*_one_each(WINDOW_CASES, roles.busy, now)]
    for day in range(days):
        runs += a_day(rng, now - timedelta(days=day), now, roles.busy, runs_per_day)
    for groups, workflows_of in (
        (QUIET_CASES, roles.quiet),
        (FRUITLESS_CASES, roles.fruitless),
        (DISABLED_CASES, roles.disabled),
    ):
        runs += _a_group_each(groups, workflows_of, now)
    add_runs(repository, runs)
    disable(repository, roles)
    _add_pull_requests(repository, now, rng)
    return repository


def _one_each(cases: Sequence[EdgeCase], workflows: Sequence[DemoWorkflow], now: datetime) -> Iterator[PlannedRun]:
    """Every case once, handed out over the workflows in turn."""
    for case, workflow in zip(cases, cycle(workflows), strict=False):
        yield from _runs(case, workflow, now)


def _a_group_each(
    groups: Sequence[tuple[EdgeCase, ...]], workflows: Sequence[DemoWorkflow], now: datetime
) -> Iterator[PlannedRun]:
    """One group for every workflow, the groups in turn."""
    for workflow, group in zip(workflows, cycle(groups), strict=False):
        for case in group:
            yield from _runs(case, workflow, now)


def _runs(case: EdgeCase, workflow: DemoWorkflow, now: datetime) -> Iterator[PlannedRun]:
    for number in range(case.times):
        yield PlannedRun(
            workflow_id=workflow.id,
            branch=case.branch,
            head_repository=A_FORK if case.fork else None,
            event="pull_request" if case.fork else "push",
            unfinished_status=case.status,
            attempts=tuple(PlannedAttempt(now - ago + number * HOUR, conclusion) for ago, conclusion in case.attempts),
        )


def _add_pull_requests(repository: DemoRepository, now: datetime, rng: random.Random) -> None:
    """Labelled pull requests around the seven-day edge into main and elsewhere, a stream of plain ones, and issues."""
    for position, (labels, ago) in enumerate(product(LABEL_SETS, MERGED_AGO)):
        if ago < WEEK - SECOND and rng.random() < 0.5:
            continue
        base = "main" if position % 3 else "release/1.4"
        opened = repository.open_pull_request(
            f"Change {position}", labels=labels, base=base, created_at=now - ago - 5 * HOUR
        )
        repository.merge_pull_request(opened.number, at=now - ago)
    for hours in range(5, 24 * 14, 3):
        opened = repository.open_pull_request(f"Step {hours}", created_at=now - hours * HOUR)
        repository.merge_pull_request(opened.number, at=now - hours * HOUR + 2 * HOUR)
    for labels in LABEL_SETS[:6]:
        repository.open_pull_request("Not merged yet", labels=labels, created_at=now - 2 * DAY)
        closed = repository.open_pull_request("Never merged", labels=labels, created_at=now - 3 * DAY)
        repository.close_pull_request(closed.number, at=now - DAY)
        repository.open_issue("An issue with the label", labels=labels, created_at=now - DAY)
