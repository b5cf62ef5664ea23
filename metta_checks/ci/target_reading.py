"""Reading one branch, and reading several at once, whose GraphQL questions go together."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.graphql_batch import Batch, BatchPool, BatchReply
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.queue import Queue, QueueReader
from metta_checks.ci.reading import Reading, Snapshot, WatchShare
from metta_checks.core.errors import SourceError
from metta_checks.core.target import Target


@dataclass(frozen=True, slots=True)
class TargetRead:
    """What came of a target's reading; `queue` is None where it is not asked for, or why it is not known."""

    snapshot: Snapshot
    queue: Queue | SourceError | None


class TargetReading:
    """One collection's reading of a target: its ledger `before`, and the copy that it changes."""

    def __init__(
        self,
        target: Target,
        github: GitHub,
        before: Ledger,
        now: datetime,
        max_pages: int,
        watch: WatchShare | None = None,
    ) -> None:
        self.target = target
        self.github = github
        self.before = before
        self.ledger = before.copy()
        self._now = now
        self._reading = Reading(github, self.ledger, now, max_pages=max_pages, watch=watch)
        self._steps: Generator[Batch, BatchReply | SourceError | None, Snapshot] | None = None

    def fetch(self, *, with_queue: bool) -> TargetRead:
        """The whole reading. Raises SourceError; the ledger then has what was read until then."""
        return self._with_queue(self._reading.fetch(), wanted=with_queue)

    def begin(self) -> Batch | Snapshot | Exception:
        """The reading up to its GraphQL question, or to its end where it has none, or what it failed with."""
        self._steps = self._reading.steps()
        try:
            return next(self._steps)
        except StopIteration as end:
            snapshot: Snapshot = end.value
            return snapshot
        except Exception as error:
            return error

    def finish(
        self, begun: Batch | Snapshot | Exception, reply: BatchReply | SourceError | None, with_queue: bool
    ) -> TargetRead | Exception:
        """The rest of it, after what `begin` returned; `reply` answers the question, None has it asked here."""
        try:
            if isinstance(begun, Exception):
                return begun
            if isinstance(begun, Snapshot):
                return self._with_queue(begun, wanted=with_queue)
            if self._steps is None:
                raise RuntimeError("it was not begun")
            self._steps.send(reply)
        except StopIteration as end:
            return self._with_queue(end.value, wanted=with_queue)
        except Exception as error:
            return error
        return RuntimeError("a reading asks once")

    def _with_queue(self, snapshot: Snapshot, *, wanted: bool) -> TargetRead:
        if not wanted or self.github.anonymous:
            return TargetRead(snapshot, None)
        try:
            return TargetRead(snapshot, QueueReader(self.github, self.ledger, self._now).read())
        except SourceError as error:
            return TargetRead(snapshot, error)


def read_together(
    readings: Sequence[TargetReading], pool: BatchPool, *, with_queue: bool
) -> Iterator[tuple[TargetReading, TargetRead | Exception]]:
    """Each reading with what came of it, or what it failed with."""
    begun = run_concurrently([one.begin for one in readings])
    asking = [(one, step) for one, step in zip(readings, begun, strict=True) if isinstance(step, Batch)]
    replies = pool.send([(one.github, batch) for one, batch in asking])
    by_target = {one.target.key: reply for (one, _), reply in zip(asking, replies, strict=True)}
    ends = run_concurrently(
        [
            partial(one.finish, step, by_target.get(one.target.key), with_queue)
            for one, step in zip(readings, begun, strict=True)
        ]
    )
    yield from zip(readings, ends, strict=True)
