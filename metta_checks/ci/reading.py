"""One collection's reading: brings a ledger up to date with as few requests as there can be."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from metta_checks.ci import workflows
from metta_checks.ci.client import OF_ALL_REQUESTS, GitHub
from metta_checks.ci.figures import Snapshot
from metta_checks.ci.graphql_batch import Batch, BatchReply, BatchSender, RunStatus
from metta_checks.ci.history import Histories, resolve_flakiness
from metta_checks.ci.labels import LabelCounts
from metta_checks.ci.ledger import Ledger, TrackedRun
from metta_checks.ci.listing import Listing
from metta_checks.ci.models import Run, Workflow
from metta_checks.ci.settings import Settings
from metta_checks.ci.workflows import Exclusion, Selection, WorkflowFiles
from metta_checks.core.errors import Kind, SourceError

UNSETTLED: Final = timedelta(seconds=5)
"""GitHub tells changes by the second: a run that had just changed when it was read may have changed once more since."""

ANNOUNCED: Final = timedelta(hours=1)
"""How long REST is waited for to show a change."""

WATCH_PAUSE: Final = timedelta(hours=1)
"""How long the batch goes without the watched runs after they were too much for the server."""

ANSWERS_LESS: Final = frozenset({Kind.SERVER_ERROR, Kind.REJECTED, Kind.MALFORMED, Kind.FORBIDDEN, Kind.NOT_FOUND})
"""What went wrong with a batch that GitHub may answer when it is smaller."""

SPARE: Final = 20
"""Requests of the quota that an anonymous caller leaves for what cannot wait."""


class WatchShare(NamedTuple):
    """How many of the runs that have ended are asked for at a time, and whose turn it is; all come round."""

    most: int
    turn: int

    def of(self, ids: Sequence[int]) -> Sequence[int]:
        """Those of `ids` whose turn it is."""
        turns = max(1, -(-len(ids) // self.most))
        return ids[self.turn % turns :: turns]


class Reading:
    """Reads GitHub into `ledger`, a copy that is saved whatever comes; one object per collection."""

    def __init__(
        self, github: GitHub, ledger: Ledger, now: datetime, *, max_pages: int, watch: WatchShare | None = None
    ) -> None:
        self._github = github
        self._settings: Settings = github.settings
        self._ledger = ledger
        self._now = now
        self._since = now.replace(microsecond=0) - self._settings.lookback
        ledger.begin(now, self._since)
        self._listing = Listing(github, ledger, now, self._since, max_pages=max_pages)
        self._sender = BatchSender(github, ledger, now)
        self._histories = Histories(github, ledger, self._since, self._sender)
        self._exclusion = Exclusion(self._settings.exclude_workflows)
        self._files = WorkflowFiles(github, ledger, now)
        self._labels = LabelCounts(github, ledger, now)
        self._watch = watch
        self._graphql_answers = not github.anonymous
        self._graphql_has_histories = True
        self._default_branch: str | None = None
        self._problems: list[str] = []
        self._interrupted: SourceError | None = None
        self._hidden = 0

    def fetch(self) -> Snapshot:
        """Everything that the figures need, or what there is of it where the time is up in a first reading.

        Raises SourceError; the ledger then has what was read until then.
        """
        steps = self.steps()
        try:
            while True:
                next(steps)
        except StopIteration as end:
            snapshot: Snapshot = end.value
            return snapshot

    def steps(self) -> Generator[Batch, BatchReply | SourceError | None, Snapshot]:
        """The same, for somebody who puts the GraphQL question together with those of other repositories: the batch
        that is yielded is answered by its reply, by the error that it ended in, or by None to have it asked here."""
        try:
            yield from self._read()
        except SourceError as error:
            if self._ledger.is_whole or not self._github.out_of_time:
                raise
            self._labels.fail(error)
            self._note_interruption(error)
        return self._snapshot()

    def _read(self) -> Generator[Batch, BatchReply | SourceError | None, None]:
        self._catch_up()
        self._listing.refresh()
        # A branch with runs of its own in the window is there, or was a moment ago, as is one that GitHub names.
        if not self._coming_into_question() and not self._settings.is_default_branch:
            self._default_branch = workflows.default_in_place_of_missing(self._github, self._ledger)
            if self._default_branch is not None:
                return
        if workflows.list_is_due(self._ledger, self._listing.read, self._now):
            self._refresh_workflows()
        # A first reading has no time to lose; what it read lately is watched by the batch.
        if self._ledger.is_whole and not self._ledger.gaps and self._can_afford_care():
            self._look_behind()
        if self._graphql_answers:
            yield from self._ask()
        if not self._graphql_answers:
            self._files.read_by_rest()
        if not self._ledger.gaps:
            self._search_the_past()
        late = resolve_flakiness(self._github, self._ledger, self._coming_into_question())
        if late is not None and not self._ledger.is_whole:
            self._note_interruption(late)
        # Last, since it may take long and fails alone.
        self._labels.finish()

    def _catch_up(self) -> None:
        """What the last collection of a first reading had no time for comes first: behind the requests of every
        collection a slow server would never get to it. Every other one begins with the listing all the same, in case
        that the rest is never answered. Raises SourceError."""
        is_due, self._ledger.catch_up_is_due = self._ledger.catch_up_is_due, False
        if not is_due or self._ledger.gaps:
            return
        late = resolve_flakiness(self._github, self._ledger, self._coming_into_question())
        if late is not None:
            raise late
        wanted = [one.id for one in self._included_workflows().values() if self._files.existed(one)]
        self._histories.search(wanted, by_graphql=False)

    def _note_interruption(self, error: SourceError) -> None:
        """The time of a first reading was up."""
        self._interrupted = error
        self._ledger.catch_up_is_due = self._ledger.collected_at == self._now
        self._problems.append(f"the collection ended before everything was read: {error}")

    def _refresh_workflows(self) -> None:
        """The list of workflows; where one is known already, it does for as long as GitHub does not give another."""
        try:
            workflows.refresh(self._github, self._ledger, self._now)
        except SourceError as error:
            if self._ledger.workflows_at is None or self._ends_all(error):
                raise
            self._problems.append(f"the list of workflows is that of {self._ledger.workflows_at:%H:%M} UTC: {error}")

    def _look_behind(self) -> None:
        """Older runs that changed, or that GitHub lists late; they can wait for the next collection."""
        try:
            self._listing.maintain()
        except SourceError as error:
            if self._ends_all(error):
                raise
            self._problems.append(f"changes to older workflow runs show late: {error}")

    def _ends_all(self, error: SourceError) -> bool:
        """Whether every other request would end in this error too."""
        return error.kind in OF_ALL_REQUESTS or self._github.out_of_time

    def _can_afford_care(self) -> bool:
        github = self._github
        return not github.anonymous or github.remaining is None or github.remaining > SPARE

    def _ask(self) -> Generator[Batch, BatchReply | SourceError | None, None]:
        """The one GraphQL batch, and what its answer calls for."""
        watched = self._in_turn(list(self._watched()))
        unsettled = [known.run for known in watched if self._is_unsettled(known)]
        reply = yield from self._send(
            Batch(
                labels=self._labels.fields(),
                states=list(self._ledger.workflows.values()),
                histories=() if self._ledger.gaps else self._histories.quiet(self._wanted()),
                watched=[known.run for known in watched if not self._is_unsettled(known)],
                closely_watched=unsettled,
                files=self._files.fields(),
            )
        )
        if reply is None:
            self._go_on_by_rest()
            return
        self._files.read_answer(reply.data)
        self._ledger.workflows |= reply.states
        self._histories.read_answer(reply)
        self._read_changed(reply, unsettled)

    def _send(self, batch: Batch) -> Generator[Batch, BatchReply | SourceError | None, BatchReply | None]:
        """The reply; where the whole batch is refused, the one to its parts, and None where GraphQL has no answer.

        What watching the runs would have shown, the buckets show, only later. The labels are then asked for alone.
        """
        reply = (yield batch) or self._sender.attempt(batch)
        if isinstance(reply, SourceError):
            return self._send_less(batch, reply)
        self._labels.read_answer(reply.data)
        return reply

    def _send_less(self, batch: Batch, refused: SourceError) -> BatchReply | None:
        if refused.kind is Kind.SERVER_ERROR:
            without_watched = replace(batch, watched=(), closely_watched=())
            for less in (without_watched, replace(without_watched, histories=())):
                if less.weight == batch.weight:
                    continue
                with suppress(SourceError):
                    reply = self._sender.send(less)
                    if batch.watched or batch.closely_watched:
                        self._ledger.watch_again_at = self._now + WATCH_PAUSE
                    self._graphql_has_histories = bool(less.histories) or not batch.histories
                    self._labels.read_answer(reply.data)
                    return reply
        if refused.kind in ANSWERS_LESS and batch.labels and self._github.has_time:
            with suppress(SourceError):
                return self._sender.send(replace(batch, labels=()))
        self._labels.fail(refused)
        self._problems.append(f"changes to older workflow runs appear late, because GitHub's GraphQL fails: {refused}")
        return None

    def _go_on_by_rest(self) -> None:
        """Without GraphQL: the states of the workflows are those of REST's list, and pasts are looked up there."""
        self._graphql_answers = False
        if self._ledger.workflows_at != self._now:
            self._refresh_workflows()

    def _watched(self) -> Iterator[TrackedRun]:
        """The runs of which no answer of this collection has spoken yet."""
        again_at = self._ledger.watch_again_at
        if again_at is not None and self._now < again_at:
            return
        for run_id, known in self._ledger.runs.items():
            if not known.gone and run_id not in self._listing.read:
                yield known

    def _in_turn(self, watched: list[TrackedRun]) -> list[TrackedRun]:
        """Those that are asked for in this collection: all, or with many repositories a share of the settled ones."""
        if self._watch is None:
            return watched
        # A listing that lacks a run is asked for again until it is known whether the run is deleted.
        urgent = self._listing.lacking.union(self._listing.missing)
        settled = [one.run.id for one in watched if not self._is_unsettled(one) and one.run.id not in urgent]
        left_out = set(settled) - set(self._watch.of(sorted(settled)))
        return [known for known in watched if known.run.id not in left_out]

    def _is_unsettled(self, known: TrackedRun) -> bool:
        return known.run.conclusion is None or known.last_updated >= self._now - UNSETTLED

    def _read_changed(self, reply: BatchReply, unsettled: Iterable[Run]) -> None:
        """Read again what has changed since it was read, and what may have where the reply has no outcomes."""
        known = self._ledger.runs
        changed = {run_id: pulse for run_id, pulse in reply.statuses.items() if _has_changed(known[run_id], pulse)}
        unsure = {run.id for run in unsettled if self._is_unsure(run, reply)}
        before = {run_id: known[run_id].run for run_id in changed}
        faults = self._listing.reread(known[run_id].run for run_id in changed.keys() | unsure)
        for error in faults:
            if self._ends_all(error):
                raise error
        if faults:
            self._problems.append(f"runs that changed are read again by the next collection: {faults[0]}")
        self._note_hidden(reply)
        for run_id, pulse in changed.items():
            if self._is_shown(before[run_id], known[run_id].run, pulse):
                self._ledger.record_change(run_id, pulse.updated_at)
        for run_id in reply.gone:
            self._ledger.record_deletion(run_id)

    def _note_hidden(self, reply: BatchReply) -> None:
        """Whether the first page of the listing lacked most of the runs that it should have, and that do exist: newer
        ones may be missing too."""
        missing = [run_id for run_id in self._listing.missing if run_id in reply.statuses]
        if len(missing) > len(self._listing.read):
            self._hidden = len(missing)

    def _is_shown(self, before: Run, now_read: Run, pulse: RunStatus) -> bool:
        """Whether REST shows the change that GraphQL announced; until then the run is asked for again. The two need not
        agree on the time, so that an announcement counts no longer than an hour."""
        moved = now_read != before or now_read.updated_at >= pulse.updated_at
        return moved or pulse.updated_at < self._now - ANNOUNCED

    def _is_unsure(self, run: Run, reply: BatchReply) -> bool:
        """A run that has been under way since before the look-back has no other to share a request with; the second of
        its last change is long over."""
        pulse = reply.statuses.get(run.id)
        recent = run.created_at >= self._since or run.updated_at >= self._since
        return pulse is not None and not pulse.asked_outcome and recent

    def _wanted(self) -> frozenset[int]:
        """The workflows whose latest decisive run matters: the existing ones and those that an option lists."""
        return self._existing().union(*(selection.ids for selection in self._lists().values()))

    def _included_workflows(self) -> dict[int, Workflow]:
        known = self._ledger.workflows
        return {one: workflow for one, workflow in known.items() if not self._exclusion.excludes(workflow)}

    def _existing(self) -> frozenset[int]:
        included = self._included_workflows().values()
        return frozenset(workflow.id for workflow in included if self._files.exists(workflow))

    def _counts(self, run: Run) -> bool:
        """Whether the run is one of the repository's own branch, of a workflow that is not excluded."""
        return run.from_this_repo and not self._exclusion.excludes_run(run, self._ledger.workflows)

    def _lists(self) -> dict[str, Selection]:
        known = self._ledger.workflows
        lists = self._settings.lists
        return {metric: workflows.select(known, entries, self._exclusion) for metric, entries in lists.items()}

    def _search_the_past(self) -> None:
        """Find the latest decisive run of the workflows of which none is known. A workflow may have come to be one of
        them in the course of this collection: its latest run is under way again, or it was switched on."""
        by_graphql = self._graphql_answers and self._graphql_has_histories and self._github.session.reads_check_suites
        self._histories.search(self._wanted(), by_graphql=by_graphql)

    def _coming_into_question(self) -> list[int]:
        """The branch's own runs that are in the window, or will be: by GitHub's clock one may have started after `now`.
        By the next collection it may be deleted."""
        opens = self._now - self._settings.window
        known_ones = self._ledger.runs.values()
        return [known.run.id for known in known_ones if known.run.started_at >= opens and self._counts(known.run)]

    def _in_window(self) -> Iterator[TrackedRun]:
        """Completed runs of the repository's own branch whose latest attempt started inside the window, and which are
        not older than the look-back."""
        opens, created = self._now - self._settings.window, self._now - self._settings.lookback
        for known in self._ledger.runs.values():
            run = known.run
            in_time = opens <= run.started_at < self._now and run.created_at >= created
            if in_time and run.conclusion is not None and self._counts(run):
                yield known

    def _snapshot(self) -> Snapshot:
        ledger = self._ledger
        progress = "" if self._default_branch is not None else self._progress()
        ledger.is_whole = ledger.is_whole or not progress
        # A first reading over several collections is the first collection ever.
        completed = tuple(ledger.newly_completed(self._now, self._since)) if ledger.is_whole else ()
        ledger.prune(self._since)
        lists_problem = progress if ledger.workflows_at is None else None
        is_all = not ledger.gaps and not self._hidden and ledger.collected_at == self._now and lists_problem is None
        read_from = max((gap.until for gap in ledger.gaps), default=self._since)
        latest = {one: run for one, run in ledger.latest_decisive().items() if self._counts(run)}
        return Snapshot(
            now=self._now,
            runs=tuple(self._in_window()),
            workflows=self._included_workflows(),
            latest={one: run for one, run in latest.items() if is_all or run.created_at > read_from},
            lists=self._lists(),
            counts=self._labels.counts,
            completed=tuple(run for run in completed if self._counts(run)),
            existing=self._existing(),
            files_problem=str(self._files.problem) if self._files.problem else None,
            problems=(*self._problems, *self._labels.problems),
            repo=ledger.full_name or self._settings.repo,
            web_url=ledger.web_url or f"https://github.com/{self._settings.repo}",
            default_branch=self._default_branch,
            progress=progress,
            unread=None if is_all else progress,
            lists_problem=lists_problem,
            flaky_problem=progress if self._interrupted else None,
            unread_histories=self._histories.unread,
        )

    def _progress(self) -> str:
        """How far the reading got, and why no further; empty where it is complete."""
        ledger, short = self._ledger, self._listing.short
        known = sum(known.run.created_at >= self._since for known in ledger.runs.values())
        remaining = sum(gap.remaining for gap in ledger.gaps)
        read = f"{known:,} of {known + remaining:,} runs" if remaining else f"{known:,} runs"
        if short:
            listed = sum(gap.listed or 0 for gap in short)
            return (
                f"{read} are read: GitHub listed {listed:,} runs of a period that has more, which happens for some "
                "minutes; the next collection reads it again"
            )
        if self._hidden:
            return f"GitHub's list of runs lacks {self._hidden:,} that exist; the next collection reads it again"
        if self._interrupted is not None or ledger.gaps:
            return f"the first reading has {read} so far; the next collection continues it"
        return ""


def _has_changed(known: TrackedRun, pulse: RunStatus) -> bool:
    return pulse.updated_at != known.last_updated or (pulse.asked_outcome and pulse.outcome != known.run.conclusion)
