"""The jobs of completed runs: how long each took, and how long it waited for a runner.

A run's attempt is noted when its end is first seen, and its jobs are read once, in this collection or a later one. What
is still to be read is part of the state, so that each job is submitted at most once, also across a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from metta_checks.ci.api_models import JobPage, job_page
from metta_checks.ci.client import FATAL_KINDS, THREADS, GitHub, run_concurrently
from metta_checks.ci.ledger import AnsweredSize, Ledger
from metta_checks.ci.models import WaitingJobs, WorkflowJob, WorkflowRun
from metta_checks.ci.pages import MAY_BE_TOO_LARGE, SIZES
from metta_checks.ci.runs import TrackedRun
from metta_checks.ci.settings import Settings
from metta_checks.ci.workflows import Exclusion
from metta_checks.core.errors import Kind, SourceError

MOST_WAITING: Final = 2_000
"""Attempts that are kept for later collections; those that come on top are left out."""

MOST_TRIES: Final = 3
"""Collections in which the jobs of an attempt are asked for in vain before they are given up."""

MOST_FAILURES: Final = 8
"""Attempts without an answer after which a collection asks for no more: the server has a fault."""

WITHOUT_JOBS: Final = frozenset({"action_required", "skipped", "startup_failure"})
"""Conclusions of runs of which no job ever began."""


class EndedJob(NamedTuple):
    """A job of a workflow that did its work."""

    workflow: str
    job: WorkflowJob


@dataclass(slots=True)
class JobsReading:
    """What one collection read. `waiting` are the attempts that are still to be read, and `page_size` how many jobs a
    page may have for the server to answer it. `over_limit` and `unreadable` name the attempts whose jobs are lost, and
    `problem` is why the others are still to be read. `left` is how many requests are left for other repositories."""

    waiting: tuple[WaitingJobs, ...]
    page_size: AnsweredSize
    left: int
    jobs: list[EndedJob] = field(default_factory=list)
    over_limit: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    problem: SourceError | None = None


def ended_since(settings: Settings, before: Ledger, ledger: Ledger, now: datetime) -> list[WaitingJobs]:
    """The attempts that have ended since `before`, the ledger of the last collection, the oldest run first. In the
    first collection ever that is none: what had ended before belongs to another time.

    They are to be noted whenever `ledger` is kept, also where the rest of a collection failed: the next one compares
    with it.
    """
    if before.started_at is None or ledger.was_set_back:
        return []
    exclusion = Exclusion(settings.exclude_workflows)
    ended: list[WaitingJobs] = []
    for run_id, known in sorted(ledger.runs.items()):
        run, last = known.run, before.runs.get(run_id)
        first, latest = _last_ended(last.run if last else None) + 1, _last_ended(run)
        if first > latest or not _may_count(known, ledger, now - settings.lookback):
            continue
        if exclusion.excludes_run(run, ledger.workflows.by_id):
            continue
        ended += [WaitingJobs(run.id, attempt, run.file) for attempt in range(first, min(latest + 1, run.attempt))]
        if latest == run.attempt and run.conclusion not in WITHOUT_JOBS:
            ended.append(WaitingJobs(run.id, latest, run.file, started_at=run.started_at))
    return ended


class JobsReader:
    """Reads the jobs of one repository that `ledger` notes, with at most `left` of the `budget` of requests that its
    instance has."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime, *, budget: int, left: int | None = None) -> None:
        self._github = github
        self._ledger = ledger
        self._now = now
        self._budget = budget
        size = ledger.job_page_size.at(now, SIZES)
        self._reading = JobsReading(ledger.jobs, size, budget if left is None else left)
        self._failures = 0
        self._may_shrink = True
        self._is_probing = False
        self._size_before = size
        self._at_once: list[WaitingJobs] = []

    def read(self) -> JobsReading:
        """The jobs of the attempts that have waited longest. Raises no SourceError: this part fails alone."""
        reading, waiting = self._reading, list(self._ledger.jobs)
        # Those with more pages than there may be requests would be in the way of the others for ever.
        too_long = [one for one in waiting if one.pages > self._budget]
        waiting = [one for one in waiting if one.pages <= self._budget]
        self._leave_out([*too_long, *waiting[MOST_WAITING:]])
        del waiting[MOST_WAITING:]
        again: list[WaitingJobs] = []
        while waiting and self._may_go_on():
            batch = self._affordable(waiting)
            if not batch:
                break
            again += self._read_batch(batch, reading.page_size.size)
            waiting = [*self._at_once, *waiting[len(batch) :]]
            self._at_once = []
        reading.waiting = (*again, *waiting)
        return reading

    def _may_go_on(self) -> bool:
        return self._reading.problem is None and self._failures < MOST_FAILURES and not self._github.out_of_time

    def _affordable(self, waiting: list[WaitingJobs]) -> list[WaitingJobs]:
        """The first of those that wait, as many as may be asked for at once, each with its pages as far as known."""
        chosen: list[WaitingJobs] = []
        for one in waiting[: 1 if self._is_probing else THREADS]:
            if one.pages > self._reading.left:
                break
            self._reading.left -= one.pages
            chosen.append(one)
        return chosen

    def _read_batch(self, batch: list[WaitingJobs], size: int) -> list[WaitingJobs]:
        """Submit what can be read; returns what the next collection is to read again."""
        again = []
        firsts = run_concurrently([partial(self._page, one, 1, size) for one in batch])
        for one, page in zip(batch, firsts, strict=True):
            if isinstance(page, SourceError):
                again += self._after_failure(one, page, size)
                continue
            self._is_probing = False
            pages = max(1, -(-page.total // size))
            if pages > self._budget:
                self._leave_out([one])
                continue
            if pages - one.pages > self._reading.left:
                # The first in the next collection, where all its pages are affordable.
                again.append(one._replace(pages=pages))
                continue
            self._reading.left -= max(0, pages - one.pages)
            again += self._read_others(one, page, pages, size)
        return again

    def _read_others(self, one: WaitingJobs, first: JobPage, pages: int, size: int) -> list[WaitingJobs]:
        """The pages behind the first; returns what the next collection is to read again."""
        jobs, total = list(first.jobs), first.total
        for page in run_concurrently([partial(self._page, one, number, size) for number in range(2, pages + 1)]):
            if isinstance(page, SourceError):
                return self._after_failure(one, page, size)
            jobs += page.jobs
        found = {job.id: job for job in jobs}
        # GitHub's listing may be behind the end of the run.
        is_whole = len(found) >= total and all(job.ended for job in found.values())
        if not is_whole and one.tries + 1 < MOST_TRIES:
            return [one._replace(tries=one.tries + 1)]
        if len(found) < total:
            self._reading.unreadable.append(_name(one))
        self._reading.jobs += [EndedJob(one.workflow, job) for job in found.values() if self._counts(job, one)]
        return []

    def _counts(self, job: WorkflowJob, one: WaitingJobs) -> bool:
        """Whether a job did its work in this attempt, and since the first collection."""
        since = _watched_since(self._ledger)
        if not job.ran or job.completed_at is None or since is None or job.completed_at < since:
            return False
        return one.attempt == 1 or not _is_carried_over(job, one)

    def _page(self, one: WaitingJobs, number: int, size: int) -> JobPage | SourceError:
        parameters = {"per_page": str(size), **({"page": str(number)} if number > 1 else {})}
        path = f"/actions/runs/{one.run_id}/attempts/{one.attempt}/jobs"
        about = f"the jobs of attempt {one.attempt} of workflow run {one.run_id}"
        try:
            return job_page(self._github.get_of_repo(path, about=about, params=parameters), one.run_id)
        except SourceError as error:
            return error

    def _after_failure(self, one: WaitingJobs, error: SourceError, size: int) -> list[WaitingJobs]:
        """What the next collection is to read again. An attempt that is gone is given up, and so is one that fails time
        and again."""
        if error.kind in FATAL_KINDS or error.kind is Kind.FORBIDDEN or self._github.out_of_time:
            self._reading.problem = self._reading.problem or error
            return [one]
        if error.kind is Kind.NOT_FOUND or error.status == 410:
            self._reading.unreadable.append(_name(one))
            return []
        self._failures += 1
        if self._shrink(error, size):
            self._at_once.append(one)
            return []
        if one.tries + 1 >= MOST_TRIES:
            self._reading.unreadable.append(_name(one))
            return []
        if self._failures >= MOST_FAILURES:
            self._reading.problem = self._reading.problem or error
        return [one._replace(tries=one.tries + 1)]

    def _shrink(self, error: SourceError, size: int) -> bool:
        """Whether a page of `size` jobs that ended in `error` is worth another request with fewer, which is then the
        size of all. One attempt shows whether a smaller size is answered; where the smallest fails too, the size was
        not the reason, and is left as it is from then on."""
        if error.kind not in MAY_BE_TOO_LARGE or not self._may_shrink or not self._github.has_time:
            return False
        if self._reading.page_size.size < size:
            return True
        smaller = next((one for one in SIZES if one < size), None)
        self._may_shrink = self._is_probing = smaller is not None
        self._reading.page_size = AnsweredSize(smaller, self._now) if smaller else self._size_before
        return self._may_shrink

    def _leave_out(self, some: Iterable[WaitingJobs]) -> None:
        self._reading.over_limit += [_name(one) for one in some]


def _may_count(known: TrackedRun, ledger: Ledger, created_since: datetime) -> bool:
    run, since = known.run, _watched_since(ledger)
    ended_before = since is None or (run.conclusion is not None and run.ended_at < since)
    return run.from_this_repo and run.created_at >= created_since and not known.gone and not ended_before


def _watched_since(ledger: Ledger) -> datetime | None:
    """The first collection ever; None before it is over."""
    return ledger.started_at.replace(microsecond=0) if ledger.started_at else None


def _last_ended(run: WorkflowRun | None) -> int:
    """The number of the latest attempt that has ended; 0 without one."""
    if run is None:
        return 0
    return run.attempt - (run.conclusion is None)


def _is_carried_over(job: WorkflowJob, one: WaitingJobs) -> bool:
    """Where only the failed jobs are run again, the attempt lists the others as they were in the one before, with times
    from before it (tt-metal#12010, gha-new-relic-exporter#38)."""
    if job.completed_at is None:
        return False
    began = max(filter(None, (one.started_at, job.created_at)))
    return job.completed_at < began


def _name(one: WaitingJobs) -> str:
    return f"jobs of {one.workflow}, run {one.run_id}, attempt {one.attempt}"


LONGEST_NAME: Final = 200
"""Characters of a job's name that count: Datadog keeps as many of a tag."""


def job_name(name: str) -> str:
    """The name without what a matrix appends in parentheses, in each part of a called workflow's `caller / job`."""
    name = name[:LONGEST_NAME]
    if " (" not in name:
        return name
    kept: list[str] = []
    position = 0
    while position < len(name):
        end = _end_of_suffix(name, position)
        if end is None:
            kept.append(name[position])
            position += 1
        else:
            position = end
    return "".join(kept).strip() or name


def _end_of_suffix(name: str, start: int) -> int | None:
    """Where a blank and parentheses that begin at `start` end, when they are the last of a part of the name."""
    if start == 0 or not name.startswith(" (", start):
        return None
    depth = 0
    for position in range(start + 1, len(name)):
        depth += (name[position] == "(") - (name[position] == ")")
        if depth == 0:
            rest = name[position + 1 :]
            return position + 1 if not rest or rest.startswith(" / ") else None
    return None


def runner_name(job: WorkflowJob) -> str:
    """The labels of the runner that a job asked for, in one order."""
    return ",".join(sorted({label.lower() for label in job.labels})) or "none"
