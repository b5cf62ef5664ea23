"""Reading one branch, and reading several at once, whose GraphQL questions go together."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci.client import FATAL_KINDS, THREADS, GitHub, Session, run_concurrently
from metta_checks.ci.figures import Snapshot
from metta_checks.ci.graphql import Data
from metta_checks.ci.graphql_batch import Batch, BatchReply, parse_reply
from metta_checks.ci.ledger import BATCH_SIZE, REDUCED_SIZE_LIFETIME, Ledger
from metta_checks.ci.pages import MAY_BE_TOO_LARGE
from metta_checks.ci.queue import Queue, QueueReader
from metta_checks.ci.reading import Reading
from metta_checks.ci.watch import WatchShare
from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.target import Target

REPOSITORIES_PER_QUERY: Final = 25
"""Repositories that share a query at most."""


@dataclass(frozen=True, slots=True)
class TargetRead:
    """What came of a target's reading, and what is to be remembered of it; `queue` is None where it is not asked for,
    or why it is not known."""

    snapshot: Snapshot
    ledger: Ledger
    queue: Queue | SourceError | None


class TargetReading:
    """One collection's reading of a target, which begins with the ledger `before`."""

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
        self._now = now
        self._reading = Reading(github, before, now, max_pages=max_pages, watch=watch)
        self._steps: Generator[Batch, BatchReply | SourceError | None, Snapshot] | None = None

    @property
    def ledger(self) -> Ledger:
        """What was read by now, where the reading failed."""
        return self._reading.ledger()

    def fetch(self, *, with_queue: bool) -> TargetRead:
        """The whole reading. Raises SourceError; `ledger` then has what was read until then."""
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
        ledger = self._reading.ledger()
        if not wanted or self.github.anonymous:
            return TargetRead(snapshot, ledger, None)
        try:
            queue = QueueReader(self.github, ledger, self._now).read()
        except SourceError as error:
            return TargetRead(snapshot, ledger, error)
        return TargetRead(snapshot, replace(ledger, queue=queue.pages), queue)


class BatchPool:
    """Sends the batches of several repositories in as few requests as the server answers; one object per instance."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._most = REPOSITORIES_PER_QUERY
        self._since = datetime.min.replace(tzinfo=UTC)

    def send(self, asked: Sequence[tuple[GitHub, Batch]]) -> list[BatchReply | SourceError | None]:
        """A reply to each batch, or the error that it ended in; None where the repository is to be asked alone."""
        if not timedelta(0) <= self._session.now - self._since < REDUCED_SIZE_LIFETIME:
            self._most = REPOSITORIES_PER_QUERY
        replies: list[BatchReply | SourceError | None] = []
        for pack in self._packs(asked):
            replies += self._send_pack(pack)
        return replies

    def _packs(self, asked: Sequence[tuple[GitHub, Batch]]) -> Iterator[list[tuple[GitHub, Batch]]]:
        pack: list[tuple[GitHub, Batch]] = []
        for github, batch in asked:
            weight = sum(one.weight for _, one in pack) + batch.weight
            if pack and (weight > BATCH_SIZE or len(pack) >= self._most):
                yield pack
                pack = []
            pack.append((github, batch))
        if pack:
            yield pack

    def _send_pack(self, pack: list[tuple[GitHub, Batch]]) -> list[BatchReply | SourceError | None]:
        if len(pack) == 1:
            return [None]
        if not self._session.reads_check_suites:
            pack = [(github, batch.without_check_suites()) for github, batch in pack]
        github = pack[0][0]
        fields = [one.prefixed(f"r{number}_") for number, (_, batch) in enumerate(pack) for one in batch.fields]
        about = f"labels and runs of {len(pack)} repositories"
        try:
            apart = frozenset(one.alias for one in fields)
            data = self._session.query(github.settings.graphql_url, fields, about=about, apart=apart)
        except SourceError as error:
            if error.kind not in MAY_BE_TOO_LARGE or not github.has_time:
                return [error if error.kind in FATAL_KINDS else None] * len(pack)
            half = len(pack) // 2
            self._most, self._since = half, self._session.now
            return [*self._send_pack(pack[:half]), *self._send_pack(pack[half:])]
        return [self._reply_of(number, *one, data) for number, one in enumerate(pack)]

    def _reply_of(self, number: int, github: GitHub, batch: Batch, data: Data) -> BatchReply | SourceError | None:
        prefix = f"r{number}_"
        values = {alias.removeprefix(prefix): value for alias, value in data.values.items() if alias.startswith(prefix)}
        faults = {
            alias.removeprefix(prefix): github.explained(fault)
            for alias, fault in data.faults.items()
            if alias.startswith(prefix)
        }
        apart = batch.apart
        if any(alias not in apart and fault.kind is not Kind.NOT_FOUND for alias, fault in faults.items()):
            # What its own request says decides: it may be about the check suites, or too much.
            return None
        own = Data(values, {alias: fault for alias, fault in faults.items() if alias in apart})
        try:
            return parse_reply(own, batch, operation=f"{github.source}: POST {github.settings.graphql_url}")
        except SourceError as error:
            return error


def read_together(
    readings: Sequence[TargetReading], pool: BatchPool, deadline: Deadline, *, with_queue: bool
) -> Iterator[tuple[TargetReading, TargetRead | Exception]]:
    """Each reading with what came of it, or what it failed with.

    Questions are put together once all readings have come to theirs. Those which have not after half of the time that
    is left do not keep the others waiting: they go on beside them, and follow.
    """
    with ThreadPoolExecutor(THREADS, thread_name_prefix="metta-github") as threads:
        futures = {threads.submit(one.begin): one for one in readings}
        while futures:
            if not wait(futures, deadline.remaining / 2).done:
                wait(futures, return_when=FIRST_COMPLETED)
            begun = {one: future.result() for future, one in futures.items() if future.done()}
            futures = {future: one for future, one in futures.items() if one not in begun}
            yield from _finished(begun, pool, with_queue=with_queue)


def _finished(
    begun: Mapping[TargetReading, Batch | Snapshot | Exception], pool: BatchPool, *, with_queue: bool
) -> Iterator[tuple[TargetReading, TargetRead | Exception]]:
    asking = [(one, step) for one, step in begun.items() if isinstance(step, Batch)]
    replies = pool.send([(one.github, batch) for one, batch in asking])
    by_target = {one.target.key: reply for (one, _), reply in zip(asking, replies, strict=True)}
    ends = run_concurrently(
        [partial(one.finish, step, by_target.get(one.target.key), with_queue) for one, step in begun.items()]
    )
    yield from zip(begun, ends, strict=True)
