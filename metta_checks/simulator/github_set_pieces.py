"""The rare cases of a sample repository, written out: each stands at an edge of some rule about workflow runs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle, product

from metta_checks.simulator.github_records import Conclusion, DemoWorkflow, Status
from metta_checks.simulator.github_repository import DemoRepository

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
A_FORK = "another-contributor/arena"


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    started_at: datetime
    conclusion: Conclusion | None
    duration: timedelta = timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    workflow_id: int
    attempts: tuple[PlannedAttempt, ...]
    branch: str = "main"
    head_repository: str | None = None
    event: str = "push"
    actor: str = "mira"
    display_title: str | None = None
    head_sha: str | None = None
    unfinished_status: Status = "in_progress"

    @property
    def created_at(self) -> datetime:
        return self.attempts[0].started_at


@dataclass(frozen=True, slots=True)
class Piece:
    """One run, told from now: per attempt, how long ago it started and how it ended (`None`: it has not)."""

    attempts: tuple[tuple[timedelta, Conclusion | None], ...]
    branch: str = "main"
    fork: bool = False
    status: Status = "in_progress"
    times: int = field(default=1, kw_only=True)


WINDOW_PIECES: tuple[Piece, ...] = (
    # Re-run inside the last day, first attempt the day before: in the window, and flaky or not by the first outcome.
    Piece(((30 * HOUR, "failure"), (2 * HOUR, "success"))),
    Piece(((31 * HOUR, "timed_out"), (3 * HOUR, "success"))),
    Piece(((32 * HOUR, "startup_failure"), (4 * HOUR, "success"))),
    Piece(((33 * HOUR, "cancelled"), (5 * HOUR, "success"))),
    Piece(((34 * HOUR, "success"), (6 * HOUR, "success"))),
    Piece(((35 * HOUR, "success"), (7 * HOUR, "failure"))),
    Piece(((36 * HOUR, "failure"), (7 * HOUR, "failure"))),
    # Three attempts: an early failure is easily missed behind a success or a cancellation.
    Piece(((20 * HOUR, "failure"), (18 * HOUR, "success"), (9 * HOUR, "success"))),
    Piece(((21 * HOUR, "failure"), (17 * HOUR, "cancelled"), (10 * HOUR, "success"))),
    Piece(((22 * HOUR, "failure"), (8 * HOUR, None))),
    # Both edges of the window, and of what counts as recently created.
    Piece(((24 * HOUR, "success"),)),
    Piece(((24 * HOUR + SECOND, "failure"),)),
    Piece(((48 * HOUR, "failure"), (HOUR, "success"))),
    Piece(((48 * HOUR + SECOND, "failure"), (HOUR, "success"))),
    Piece(((60 * HOUR, "failure"), (HOUR, "success"))),
    # A fork's branch may be called main as well.
    Piece(((11 * HOUR, "failure"),), fork=True),
    Piece(((12 * HOUR, "failure"), (2 * HOUR, "success")), fork=True),
    # Not ended: stuck for days, waiting for an approval, queued.
    Piece(((40 * HOUR, None),)),
    Piece(((13 * HOUR, None),), status="waiting"),
    Piece(((SECOND, None),), status="queued"),
)

QUIET_PIECES: tuple[tuple[Piece, ...], ...] = (
    (Piece(((21 * DAY, "success"),)),),
    (Piece(((35 * DAY, "failure"),)), Piece(((22 * DAY, "skipped"),)), Piece(((19 * DAY, "cancelled"),))),
    # A short list of the newest runs of this one holds nothing that counts on main.
    (
        Piece(((40 * DAY, "failure"),)),
        Piece(((20 * DAY, "success"),), branch="release/1.4", times=14),
        Piece(((15 * DAY, "success"),), fork=True),
    ),
    (Piece(((20 * DAY, "failure"), (19 * DAY, "success"))),),
    (Piece(((60 * DAY, "timed_out"),)), Piece(((16 * DAY, None),), status="waiting")),
)

FRUITLESS: tuple[Conclusion, ...] = ("skipped", "cancelled")
FRUITLESS_PIECES: tuple[tuple[Piece, ...], ...] = (
    tuple(Piece(((hours * HOUR, conclusion),)) for hours, conclusion in product((3, 27, 150), FRUITLESS)),
)

DISABLED_PIECES: tuple[tuple[Piece, ...], ...] = (
    (Piece(((30 * HOUR, "success"),)), Piece(((3 * HOUR, "failure"),))),
    (Piece(((9 * DAY, "failure"),)),),
    (Piece(((70 * DAY, "success"),)),),
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


def one_each(pieces: Sequence[Piece], workflows: Sequence[DemoWorkflow], now: datetime) -> Iterator[PlannedRun]:
    """Every piece once, handed out over the workflows in turn."""
    for piece, workflow in zip(pieces, cycle(workflows), strict=False):
        yield from _runs(piece, workflow, now)


def a_group_each(
    groups: Sequence[tuple[Piece, ...]], workflows: Sequence[DemoWorkflow], now: datetime
) -> Iterator[PlannedRun]:
    """One group for every workflow, the groups in turn."""
    for workflow, group in zip(workflows, cycle(groups), strict=False):
        for piece in group:
            yield from _runs(piece, workflow, now)


def _runs(piece: Piece, workflow: DemoWorkflow, now: datetime) -> Iterator[PlannedRun]:
    for number in range(piece.times):
        yield PlannedRun(
            workflow_id=workflow.id,
            branch=piece.branch,
            head_repository=A_FORK if piece.fork else None,
            event="pull_request" if piece.fork else "push",
            unfinished_status=piece.status,
            attempts=tuple(PlannedAttempt(now - ago + number * HOUR, conclusion) for ago, conclusion in piece.attempts),
        )


def add_pull_requests(repository: DemoRepository, now: datetime, rng: random.Random) -> None:
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
