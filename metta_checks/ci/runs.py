"""The runs that are remembered: each with what was learnt about it over time, and the rules by which that changes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import StringConstraints

from metta_checks.ci.models import FAILED, WorkflowRun

KEPT_PER_WORKFLOW: Final = 20
"""Runs older than the look-back that are kept for a workflow at most."""


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

    @classmethod
    def of(cls, conclusion: str | None) -> Outcome:
        """What an attempt that ended so is."""
        return cls.FAILED if conclusion in FAILED else cls.OTHER

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


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run, and what was learnt about it over time.

    `previous_attempts` has a letter for each attempt before the latest. `measured` says that its duration was reported,
    or that it never will be. `last_updated` is its last change as REST or GraphQL last gave it; the two are not known
    to agree. `gone` says that it was deleted upstream.
    """

    run: WorkflowRun
    previous_attempts: Annotated[str, StringConstraints(pattern=r"^[fo?12l]*$")]
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

    def as_read(self, run: WorkflowRun) -> TrackedRun:
        """The same after `run` was just read. An answer that is behind what is known already is left aside: GitHub
        answers from replicas."""
        known = self.run
        if not self.gone and (replace(run, ended_at=known.ended_at) == known or not _is_later(run, known)):
            return self
        previous_attempts = self.previous_attempts + _letters(known, run.attempt)
        if known.attempt == run.attempt and known.conclusion is not None:
            run = replace(run, ended_at=known.ended_at)
        return TrackedRun(run, previous_attempts, self.measured, run.updated_at)


class RunTable:
    """The runs of one collection. It begins with a copy of those of the last one, and alone changes it."""

    def __init__(self, before: Mapping[int, TrackedRun]) -> None:
        self._runs = dict(before)

    @property
    def known(self) -> Mapping[int, TrackedRun]:
        """All runs by id; it follows every change."""
        return self._runs

    def admit(self, run: WorkflowRun) -> None:
        """Take note of a run as it was just read."""
        known = self._runs.get(run.id)
        if known is not None:
            self._runs[run.id] = known.as_read(run)
        else:
            self._runs[run.id] = TrackedRun(run, Outcome.OPEN * (run.attempt - 1), False, run.updated_at)

    def record_attempt(self, run_id: int, attempt: int, outcome: Outcome) -> None:
        """An earlier attempt was asked for."""
        letters = self._runs[run_id].previous_attempts
        self._change(run_id, previous_attempts=letters[: attempt - 1] + outcome + letters[attempt:])

    def record_change(self, run_id: int, last_updated: datetime) -> None:
        """The run was read again because of this change; the next question asks for later ones."""
        self._change(run_id, last_updated=last_updated)

    def record_deletion(self, run_id: int) -> None:
        """The run is gone upstream; what it was keeps counting."""
        self._change(run_id, gone=True)

    def lacking(self, since: datetime, until: datetime, listed: Collection[int]) -> set[int]:
        """The runs of this range that are known, and not known to be deleted, and were not listed."""
        return {
            run_id
            for run_id, known in self._runs.items()
            if since <= known.run.created_at <= until and run_id not in listed and not known.gone
        }

    def end_of_known(self, now: datetime) -> datetime:
        """`now`, unless runs have ended later than that by GitHub's clock: ours may have been set back."""
        ended = (known.run.ended_at for known in self._runs.values() if known.run.conclusion is not None)
        return max([now, *(moment + timedelta(seconds=1) for moment in ended)])

    def newly_completed(self, *, reported_before: bool) -> list[WorkflowRun]:
        """The runs whose end is seen for the first time, each once. With `reported_before`, those with several attempts
        count as reported."""
        completed = []
        for run_id, known in self._runs.items():
            if known.measured or (known.run.conclusion is None and not (reported_before and known.run.attempt > 1)):
                continue
            completed.append(known.run)
            self._change(run_id, measured=True)
        return completed

    def latest_decisive(self) -> dict[int, WorkflowRun]:
        """By workflow: its run on the branch with the highest number that came to a decision."""
        latest: dict[int, WorkflowRun] = {}
        for known in self._runs.values():
            run = known.run
            if (
                run.from_this_repo
                and run.decisive
                and (run.workflow_id not in latest or run.number > latest[run.workflow_id].number)
            ):
                latest[run.workflow_id] = run
        return latest

    def prune(self, since: datetime, workflow_ids: Collection[int]) -> None:
        """Forget what can no longer count: runs from before `since`, but for the latest decisive one of each workflow
        and those after it, which a re-run may make decisive. A workflow that is switched off may come back."""
        latest = self.latest_decisive()
        room = dict.fromkeys(workflow_ids, KEPT_PER_WORKFLOW)
        for run in self._newest_before(since):
            decided = latest.get(run.workflow_id)
            if not run.from_this_repo or run.workflow_id not in room or (decided and run.number < decided.number):
                del self._runs[run.id]
            elif run is not decided:
                room[run.workflow_id] -= 1
                if room[run.workflow_id] < 0:
                    del self._runs[run.id]

    def _newest_before(self, since: datetime) -> Iterator[WorkflowRun]:
        old = [known.run for known in self._runs.values() if known.run.created_at < since]
        yield from sorted(old, key=lambda run: run.number, reverse=True)

    def _change(self, run_id: int, **changes: object) -> None:
        self._runs[run_id] = replace(self._runs[run_id], **changes)  # type: ignore[arg-type]


def _is_later(run: WorkflowRun, known: WorkflowRun) -> bool:
    return (run.attempt, run.updated_at) >= (known.attempt, known.updated_at)


def _letters(known: WorkflowRun, attempt: int) -> str:
    """The letters of the attempts from the known one up to `attempt`, which is the latest now."""
    if attempt <= known.attempt:
        return ""
    seen = Outcome.OPEN if known.conclusion is None else Outcome.of(known.conclusion)
    return seen + Outcome.OPEN * (attempt - known.attempt - 1)
