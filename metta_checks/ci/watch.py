"""Which of the known runs have changed since they were read: GraphQL answers that for many in one question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from metta_checks.ci.graphql_batch import BatchReply, RunStatus
from metta_checks.ci.listing import Listing
from metta_checks.ci.models import WorkflowRun
from metta_checks.ci.runs import RunTable, TrackedRun
from metta_checks.core.errors import SourceError

MIN_AGE_TO_TRUST: Final = timedelta(seconds=5)
"""GitHub gives times by the second: a run that had just changed when it was read may have changed once more since."""

MAX_REST_LAG: Final = timedelta(hours=1)
"""How long REST is waited for to show a change."""

PAUSE: Final = timedelta(hours=1)
"""How long the batch goes without the watched runs after they were too much for the server."""


class WatchShare(NamedTuple):
    """How many of the runs that have ended are asked for at a time, and whose turn it is; all come round."""

    most: int
    turn: int

    def of(self, ids: Sequence[int]) -> Sequence[int]:
        """Those of `ids` whose turn it is."""
        turns = max(1, -(-len(ids) // self.most))
        return ids[self.turn % turns :: turns]


class Watch:
    """Watches the runs of which no answer of this collection has spoken yet; one object per collection.

    `again_at`: nothing is watched before. `hidden` is how many runs the first page of the listing lacks, where it lacks
    most: newer ones may be missing too.
    """

    def __init__(
        self,
        listing: Listing,
        runs: RunTable,
        now: datetime,
        since: datetime,
        *,
        again_at: datetime | None,
        share: WatchShare | None,
    ) -> None:
        self.again_at = again_at
        self.hidden = 0
        self._listing = listing
        self._runs = runs
        self._now = now
        self._since = since
        self._share = share
        self._unsettled: list[WorkflowRun] = []

    def runs(self) -> tuple[list[WorkflowRun], list[WorkflowRun]]:
        """The runs to ask for, and those of which the outcome is asked too."""
        watched = self._in_turn(list(self._watched()))
        self._unsettled = [known.run for known in watched if self._is_unsettled(known)]
        return [known.run for known in watched if not self._is_unsettled(known)], self._unsettled

    def pause(self) -> None:
        """The server could not answer for the watched runs. What watching them would have shown, the buckets show, only
        later."""
        self.again_at = self._now + PAUSE

    def read_changed(self, reply: BatchReply) -> list[SourceError]:
        """Read again what has changed since it was read, and what may have where the reply has no outcomes. Returns why
        some could not be read."""
        known = self._runs.known
        changed = {run_id: status for run_id, status in reply.statuses.items() if _has_changed(known[run_id], status)}
        unsure = {run.id for run in self._unsettled if self._is_unsure(run, reply)}
        before = {run_id: known[run_id].run for run_id in changed}
        faults = self._listing.reread(known[run_id].run for run_id in changed.keys() | unsure)
        missing = [run_id for run_id in self._listing.missing if run_id in reply.statuses]
        if len(missing) > len(self._listing.read) or (missing and self._listing.is_front_short):
            self.hidden = len(missing)
        for run_id, status in changed.items():
            if self._is_shown(before[run_id], known[run_id].run, status):
                self._runs.record_change(run_id, status.updated_at)
                self._listing.mark_stale(known[run_id].run.created_at)
        for run_id in reply.gone:
            self._runs.record_deletion(run_id)
            self._listing.mark_stale(known[run_id].run.created_at)
        return faults

    def _watched(self) -> Iterator[TrackedRun]:
        if self.again_at is not None and self._now < self.again_at:
            return
        for run_id, known in self._runs.known.items():
            if not known.gone and run_id not in self._listing.read:
                yield known

    def _in_turn(self, watched: list[TrackedRun]) -> list[TrackedRun]:
        """Those that are asked for in this collection: all, or with many repositories a share of the settled ones."""
        if self._share is None:
            return watched
        # A listing that lacks a run is asked for again until it is known whether the run is deleted.
        urgent = self._listing.lacking.union(self._listing.missing)
        settled = [one.run.id for one in watched if not self._is_unsettled(one) and one.run.id not in urgent]
        left_out = set(settled) - set(self._share.of(sorted(settled)))
        return [known for known in watched if known.run.id not in left_out]

    def _is_unsettled(self, known: TrackedRun) -> bool:
        return known.run.conclusion is None or known.last_updated >= self._now - MIN_AGE_TO_TRUST

    def _is_shown(self, before: WorkflowRun, now_read: WorkflowRun, status: RunStatus) -> bool:
        """Whether REST shows the change that GraphQL announced; until then the run is asked for again. The two need not
        agree on the time, so that an announcement counts no longer than an hour."""
        moved = now_read != before or now_read.updated_at >= status.updated_at
        return moved or status.updated_at < self._now - MAX_REST_LAG

    def _is_unsure(self, run: WorkflowRun, reply: BatchReply) -> bool:
        """A run that has been under way since before the look-back has no other to share a request with; the second of
        its last change is long over."""
        status = reply.statuses.get(run.id)
        recent = run.created_at >= self._since or run.updated_at >= self._since
        return status is not None and not status.asked_outcome and recent


def _has_changed(known: TrackedRun, status: RunStatus) -> bool:
    return status.updated_at != known.last_updated or (status.asked_outcome and status.outcome != known.run.conclusion)
