"""What the check remembers of a repository from one collection to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from metta_checks.ci.models import FAILED, QueuePage, Run, WaitingJobs, Workflow

CLOCK_SLACK: Final = timedelta(hours=1)
"""A clock that was set back by more than this makes what is remembered worthless."""


class Outcome(StrEnum):
    """What is known of an attempt before a run's latest one; the letters of `TrackedRun.previous_attempts`.

    GitHub answers 404 for attempts that it shows a moment later: one is lost when it was not found three times.
    """

    FAILED = "f"
    OTHER = "o"
    OPEN = "?"
    NOT_FOUND_ONCE = "1"
    NOT_FOUND_TWICE = "2"
    LOST = "l"

    @property
    def is_open(self) -> bool:
        """Whether it is worth another request."""
        return self in {Outcome.OPEN, Outcome.NOT_FOUND_ONCE, Outcome.NOT_FOUND_TWICE}

    @property
    def after_not_found(self) -> Outcome:
        """What it is after a 404."""
        return {Outcome.OPEN: Outcome.NOT_FOUND_ONCE, Outcome.NOT_FOUND_ONCE: Outcome.NOT_FOUND_TWICE}.get(
            self, Outcome.LOST
        )


PAGE_SIZE: Final = 100
"""Runs on a page of a listing, unless the server refuses as many."""

BATCH_SIZE: Final = 1_500
"""Runs that one GraphQL query asks for, unless the server refuses as many."""

SIZE_HOLDS: Final = timedelta(hours=6)
"""How long a smaller size is used before the usual one is tried again."""

KEPT_PER_WORKFLOW: Final = 20
"""Runs older than the look-back that are kept for a workflow at most."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run, and what was learnt about it over time.

    `previous_attempts` has a letter for each attempt before the latest. `measured` says that its duration was reported,
    or that it never will be. `last_updated` is its last change as REST or GraphQL last gave it; the two are not known
    to agree. `gone` says that it was deleted upstream.
    """

    run: Run
    previous_attempts: str
    measured: bool
    last_updated: datetime
    gone: bool = False

    @property
    def flaky(self) -> bool:
        """The last attempt succeeded after an earlier one of the same run failed."""
        return self.run.succeeded and Outcome.FAILED in self.previous_attempts

    @property
    def undecided(self) -> bool:
        """Whether it is flaky depends on an attempt that was not read."""
        unread = any(letter not in {Outcome.FAILED, Outcome.OTHER} for letter in self.previous_attempts)
        return self.run.succeeded and unread and Outcome.FAILED not in self.previous_attempts

    @property
    def open_attempts(self) -> list[int]:
        """The numbers of the attempts that can still decide whether it is flaky."""
        if not self.undecided:
            return []
        return [number for number, letter in enumerate(self.previous_attempts, 1) if Outcome(letter).is_open]

    def outcome_of(self, attempt: int) -> Outcome:
        """What is known of an earlier attempt."""
        return Outcome(self.previous_attempts[attempt - 1])


@dataclass(frozen=True, slots=True)
class Bucket:
    """A page of a listing between two fixed times of creation: its address never changes, so that an ETag answers
    for it. `newest` is the creation of its newest run; `stale` says that the ETag no longer holds, as a change there
    was seen elsewhere."""

    since: datetime
    until: datetime
    page: int
    etag: str | None
    newest: datetime
    checked_at: datetime
    stale: bool = False
    size: int = PAGE_SIZE

    @property
    def key(self) -> tuple[datetime, datetime, int]:
        return self.since, self.until, self.page


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of times of creation, both ends included, whose runs are not all read yet.

    `remaining` is how many runs GitHub counts in it, 0 where it was not read yet. `short_answers` counts the
    collections in which GitHub listed fewer runs than there are, `listed` how many it listed in the last of them.
    """

    since: datetime
    until: datetime
    remaining: int = 0
    short_answers: int = 0
    listed: int | None = None


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of the list of workflows: its ETag, and whom it holds."""

    etag: str | None
    ids: tuple[int, ...]


@dataclass(slots=True)
class Ledger:
    """All that is remembered. A collection works on a `copy`, which takes the original's place when it is complete.

    `started_at` is the first collection ever; `front_since` the creation of the oldest run on the listing's first
    page; `covered_until` that of the newest run in a bucket; `searched` are workflows without a decisive run on the
    branch; `verdicts` are the last decided ones with their values, by metric; `labels` are the names that the labels of
    the options have in the repository, None where there was none when its labels were listed, at `labels_at`.
    `files` are the names in the branch's folder of workflows, None while they are not known; `files_etag` and
    `files_at` are of REST's answer. `queue` has the pages of the queue by status and number. `jobs` are the attempts
    whose jobs are still to be read, the longest-waiting first. `was_set_back` says that the clock was, until the first
    reading after that is complete. `gaps` are the ranges that are not read yet, and `is_whole` says that the first
    reading was complete once.
    `page_size`, `job_page_size` and `batch_size` are what the server answered, since `sizes_at` where they are smaller
    than usual.
    `look_is_due` says that the last collection did not look at a bucket that it had, `catch_up_is_due` that the time of
    a first reading was up behind its listing. `crowded_labels` are those with
    more pull requests than are read, and when that was found.
    """

    started_at: datetime | None = None
    collected_at: datetime | None = None
    full_name: str | None = None
    web_url: str | None = None
    runs: dict[int, TrackedRun] = field(default_factory=dict)
    front_etag: str | None = None
    front_since: datetime | None = None
    covered_until: datetime | None = None
    buckets: dict[tuple[datetime, datetime, int], Bucket] = field(default_factory=dict)
    workflows: dict[int, Workflow] = field(default_factory=dict)
    workflow_pages: tuple[ListPage, ...] = ()
    workflows_at: datetime | None = None
    searched: set[int] = field(default_factory=set)
    verdicts: dict[str, tuple[bool, float]] = field(default_factory=dict)
    labels: dict[str, str | None] = field(default_factory=dict)
    labels_at: datetime | None = None
    files: frozenset[str] | None = None
    files_etag: str | None = None
    files_at: datetime | None = None
    watch_again_at: datetime | None = None
    jobs: tuple[WaitingJobs, ...] = ()
    queue: dict[tuple[str, int], QueuePage] = field(default_factory=dict)
    was_set_back: bool = False
    gaps: tuple[Gap, ...] = ()
    is_whole: bool = False
    page_size: int = PAGE_SIZE
    job_page_size: int = PAGE_SIZE
    batch_size: int = BATCH_SIZE
    sizes_at: datetime | None = None
    look_is_due: bool = False
    catch_up_is_due: bool = False
    crowded_labels: dict[str, datetime] = field(default_factory=dict)

    def copy(self) -> Ledger:
        """One that can be changed without changing this one; the records inside are frozen and shared."""
        return replace(
            self,
            runs=dict(self.runs),
            buckets=dict(self.buckets),
            workflows=dict(self.workflows),
            searched=set(self.searched),
            verdicts=dict(self.verdicts),
            labels=dict(self.labels),
            crowded_labels=dict(self.crowded_labels),
        )

    def begin(self, now: datetime, since: datetime) -> None:
        """Start a collection that looks back to `since`. What was remembered before a gap longer than that tells
        nothing about the runs in the gap, so that only the first collection's time and the verdicts survive it.

        Where the clock was set back, the runs that it had put out of sight are forgotten, and whether their durations
        were reported: it counts as the first collection ever, so that none is reported twice.
        """
        last = self.collected_at
        if last is None or not since <= last <= now + CLOCK_SLACK:
            set_back = last is not None and last > now
            fresh = Ledger(
                started_at=None if set_back else self.started_at, verdicts=self.verdicts, was_set_back=set_back
            )
            for name in Ledger.__slots__:
                setattr(self, name, getattr(fresh, name))
        if self.sizes_at is not None and not timedelta(0) <= now - self.sizes_at < SIZE_HOLDS:
            self.page_size, self.job_page_size, self.batch_size = PAGE_SIZE, PAGE_SIZE, BATCH_SIZE
            self.sizes_at = None
        clipped = (replace(gap, since=max(gap.since, since)) for gap in self.gaps)
        self.gaps = tuple(gap for gap in clipped if gap.since <= gap.until)

    def admit(self, run: Run) -> None:
        """Take note of a run as it was just read. An answer that is behind what is known already is left aside:
        GitHub answers from replicas."""
        known = self.runs.get(run.id)
        if known is None:
            self.runs[run.id] = TrackedRun(run, Outcome.OPEN * (run.attempt - 1), False, run.updated_at)
        elif known.gone or (replace(run, ended_at=known.run.ended_at) != known.run and _later(run, known.run)):
            previous_attempts = known.previous_attempts + _letters(known.run, run.attempt)
            if known.run.attempt == run.attempt and known.run.conclusion is not None:
                run = replace(run, ended_at=known.run.ended_at)
            self.runs[run.id] = TrackedRun(run, previous_attempts, known.measured, run.updated_at)

    def record_attempt(self, run_id: int, attempt: int, outcome: Outcome) -> None:
        """An earlier attempt was asked for."""
        known = self.runs[run_id]
        previous_attempts = known.previous_attempts[: attempt - 1] + outcome + known.previous_attempts[attempt:]
        self.runs[run_id] = replace(known, previous_attempts=previous_attempts)

    def record_change(self, run_id: int, last_updated: datetime) -> None:
        """The run was read again because of this change; the next question asks for later ones."""
        self.runs[run_id] = replace(self.runs[run_id], last_updated=last_updated)
        self._mark_stale(self.runs[run_id].run.created_at)

    def record_deletion(self, run_id: int) -> None:
        """The run is gone upstream; what it was keeps counting."""
        self.runs[run_id] = replace(self.runs[run_id], gone=True)
        self._mark_stale(self.runs[run_id].run.created_at)

    def _mark_stale(self, created_at: datetime) -> None:
        """Pages of one range change together: each tells how many runs there are in all."""
        for key, bucket in self.buckets.items():
            if bucket.since <= created_at <= bucket.until:
                self.buckets[key] = replace(bucket, stale=True)

    def newly_completed(self, now: datetime, since: datetime) -> Iterator[Run]:
        """The runs whose end is seen for the first time, each once. Those that had ended before the first collection
        ever are passed over: their durations belong to another time. So are those from before `since`: they are
        forgotten now and then, so that nobody can say whether they were reported."""
        first_ever = self.started_at is None
        started_at = self.started_at = self.started_at or self._beginning(now)
        for run_id, known in self.runs.items():
            reported_before = self.was_set_back and known.run.attempt > 1
            if known.measured or (known.run.conclusion is None and not reported_before):
                continue
            self.runs[run_id] = replace(known, measured=True)
            run, counts = known.run, known.run.from_this_repo and not first_ever
            if counts and run.created_at >= since and run.ended_at >= started_at.replace(microsecond=0):
                yield run
        self.was_set_back = False

    def _beginning(self, now: datetime) -> datetime:
        """`now`, unless runs have ended later than that by GitHub's clock: ours may have been set back."""
        ended = (known.run.ended_at for known in self.runs.values() if known.run.conclusion is not None)
        return max([now, *(moment + timedelta(seconds=1) for moment in ended)])

    def latest_decisive(self) -> dict[int, Run]:
        """By workflow: its run on the branch with the highest number that came to a decision."""
        latest: dict[int, Run] = {}
        for known in self.runs.values():
            run = known.run
            if (
                run.from_this_repo
                and run.decisive
                and (run.workflow_id not in latest or run.number > latest[run.workflow_id].number)
            ):
                latest[run.workflow_id] = run
        return latest

    def prune(self, since: datetime) -> None:
        """Forget what can no longer count: runs from before `since`, but for the latest decisive one of each workflow
        and those after it, which a re-run may make decisive. A workflow that is switched off may come back."""
        latest = self.latest_decisive()
        room = dict.fromkeys(self.workflows, KEPT_PER_WORKFLOW)
        old = [known.run for known in self.runs.values() if known.run.created_at < since]
        for run in sorted(old, key=lambda run: run.number, reverse=True):
            decided = latest.get(run.workflow_id)
            if not run.from_this_repo or run.workflow_id not in room or (decided and run.number < decided.number):
                del self.runs[run.id]
            elif run is not decided:
                room[run.workflow_id] -= 1
                if room[run.workflow_id] < 0:
                    del self.runs[run.id]
        self.searched &= self.workflows.keys()
        self.buckets = {key: bucket for key, bucket in self.buckets.items() if bucket.newest >= since}


def _later(run: Run, known: Run) -> bool:
    return (run.attempt, run.updated_at) >= (known.attempt, known.updated_at)


def _letters(known: Run, attempt: int) -> str:
    """The letters of the attempts from the known one up to `attempt`, which is the latest now."""
    if attempt <= known.attempt:
        return ""
    seen = Outcome.OPEN if known.conclusion is None else outcome_of(known.conclusion)
    return seen + Outcome.OPEN * (attempt - known.attempt - 1)


def outcome_of(conclusion: str | None) -> Outcome:
    """What an attempt that ended so is."""
    return Outcome.FAILED if conclusion in FAILED else Outcome.OTHER
