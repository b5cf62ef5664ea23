"""One collection's reading: brings what is remembered up to date with as few requests as there can be."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from metta_checks.ci.client import FATAL_KINDS, GitHub
from metta_checks.ci.figures import Snapshot
from metta_checks.ci.graphql_batch import Batch, BatchReply, BatchSender
from metta_checks.ci.history import Histories, resolve_flakiness
from metta_checks.ci.labels import LabelCounts
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.listing import Listing
from metta_checks.ci.models import RepositoryName, WorkflowRun
from metta_checks.ci.runs import RunTable, TrackedRun
from metta_checks.ci.watch import Watch, WatchShare
from metta_checks.ci.workflows import WorkflowFiles, Workflows, default_in_place_of_missing
from metta_checks.core.errors import Kind, SourceError

OF_A_PART: Final = frozenset({Kind.REJECTED, Kind.MALFORMED, Kind.FORBIDDEN, Kind.NOT_FOUND})
"""What went wrong with a batch of which GitHub may answer another part."""

SPARE: Final = 20
"""Requests of the quota that an anonymous caller leaves for what cannot wait."""


class Reading:
    """Reads GitHub, beginning with what `before` remembers; one object per collection."""

    def __init__(
        self, github: GitHub, before: Ledger, now: datetime, *, max_pages: int, watch: WatchShare | None = None
    ) -> None:
        self._github = github
        self._settings = github.settings
        self._now = now
        self._since = now.replace(microsecond=0) - self._settings.lookback
        self._before = before = before.at(now, self._since)
        self._is_whole = before.is_whole
        self._catch_up_is_due = before.catch_up_is_due
        self._repository = before.repository
        self._runs = RunTable(before.runs)
        self._listing = Listing(
            github,
            self._runs,
            before.listing,
            now,
            self._since,
            max_pages=max_pages,
            workflows=len(before.workflows.by_id),
        )
        self._workflows = Workflows(github, before.workflows, now)
        self._files = WorkflowFiles(github, self._workflows, before.files, now)
        self._sender = BatchSender(github, before.batch_size, now)
        self._histories = Histories(github, self._runs, self._workflows, before.searched, self._since, self._sender)
        self._labels = LabelCounts(github, before.labels, now)
        self._watch = Watch(self._listing, self._runs, now, self._since, again_at=before.watch_again_at, share=watch)
        self._graphql_answers = not github.anonymous
        self._graphql_has_histories = True
        self._default_branch: str | None = None
        self._problems: list[str] = []
        self._interrupted: SourceError | None = None

    def ledger(self) -> Ledger:
        """What is remembered by now, also where the reading failed: the parts of their owners, put together."""
        return replace(
            self._before,
            collected_at=self._now if self._listing.is_front_read else self._before.collected_at,
            is_whole=self._is_whole,
            catch_up_is_due=self._catch_up_is_due,
            watch_again_at=self._watch.again_at,
            repository=self._name,
            runs=self._runs.known,
            listing=self._listing.state,
            workflows=self._workflows.state,
            files=self._files.state,
            searched=self._histories.searched.intersection(self._workflows.known),
            labels=self._labels.state,
            batch_size=self._sender.answered,
        )

    def fetch(self) -> Snapshot:
        """Everything that the figures need, or what there is of it where the time is up in a first reading.

        Raises SourceError.
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
            if self._is_whole or not self._github.out_of_time:
                raise
            self._labels.fail(error)
            self._note_interruption(error)
        return self._snapshot()

    def _read(self) -> Generator[Batch, BatchReply | SourceError | None, None]:
        self._catch_up()
        self._listing.refresh(with_buckets=not self._is_whole)
        # A branch with runs of its own in the window is there, or was a moment ago, as is one that GitHub names.
        if not self._runs_that_may_count() and not self._settings.is_default_branch:
            self._repository, self._default_branch = default_in_place_of_missing(self._github)
            if self._default_branch is not None:
                return
        if self._workflows.is_due(self._runs.known[run_id].run for run_id in self._listing.read):
            self._refresh_workflows()
        # A first reading has no time to lose; what it read lately is watched by the batch.
        if self._is_whole and not self._listing.gaps and self._has_spare_quota():
            self._refresh_older_runs()
        if self._graphql_answers:
            yield from self._ask()
        if not self._graphql_answers:
            self._files.read_by_rest()
        if not self._listing.gaps:
            self._find_latest_runs()
        late = resolve_flakiness(self._github, self._runs, self._runs_that_may_count())
        if late is not None and not self._is_whole:
            self._note_interruption(late)
        # Last, since it may take long and fails alone.
        self._labels.finish(self._name.full_name if self._name else self._settings.repo)

    def _catch_up(self) -> None:
        """What the last collection of a first reading had no time for comes first: behind the requests of every
        collection a slow server would never get to it. Every other one begins with the listing all the same, in case
        that the rest is never answered. Raises SourceError."""
        is_due, self._catch_up_is_due = self._catch_up_is_due, False
        if not is_due or self._listing.gaps:
            return
        late = resolve_flakiness(self._github, self._runs, self._runs_that_may_count())
        if late is not None:
            raise late
        wanted = [one.id for one in self._workflows.included.values() if self._files.existed(one)]
        self._histories.search(wanted, by_graphql=False, page_size=self._listing.page_size)

    def _note_interruption(self, error: SourceError) -> None:
        """The time of a first reading was up."""
        self._interrupted = error
        self._catch_up_is_due = self._listing.is_front_read
        self._problems.append(f"the collection ended before everything was read: {error}")

    def _refresh_workflows(self) -> None:
        """The list of workflows; where one is known already, it does for as long as GitHub does not give another."""
        listed_at = self._workflows.state.listed_at
        try:
            self._workflows.refresh()
        except SourceError as error:
            if listed_at is None or self._ends_all(error):
                raise
            self._problems.append(f"the list of workflows is that of {listed_at:%H:%M} UTC: {error}")

    def _refresh_older_runs(self) -> None:
        """Older runs that changed, or that GitHub lists late; they can wait for the next collection."""
        try:
            self._listing.maintain()
        except SourceError as error:
            if self._ends_all(error):
                raise
            self._problems.append(f"changes to older workflow runs show late: {error}")

    def _ends_all(self, error: SourceError) -> bool:
        """Whether every other request would end in this error too."""
        return error.kind in FATAL_KINDS or self._github.out_of_time

    def _has_spare_quota(self) -> bool:
        github = self._github
        return not github.anonymous or github.remaining is None or github.remaining > SPARE

    def _ask(self) -> Generator[Batch, BatchReply | SourceError | None, None]:
        """The one GraphQL batch, and what its answer calls for."""
        watched, closely_watched = self._watch.runs()
        reply = yield from self._send(
            Batch(
                labels=self._labels.fields(),
                states=list(self._workflows.known.values()),
                histories=() if self._listing.gaps else self._histories.quiet(self._wanted()),
                watched=watched,
                closely_watched=closely_watched,
                files=self._files.fields(),
            )
        )
        if reply is None:
            self._go_on_by_rest()
            return
        self._files.read_answer(reply.data)
        self._workflows.take_states(reply.states)
        self._histories.read_answer(reply)
        faults = self._watch.read_changed(reply)
        for error in faults:
            if self._ends_all(error):
                raise error
        if faults:
            self._problems.append(f"runs that changed are read again by the next collection: {faults[0]}")

    def _send(self, batch: Batch) -> Generator[Batch, BatchReply | SourceError | None, BatchReply | None]:
        """The reply; where the whole batch is refused, the one to its parts, and None where GraphQL has no answer."""
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
                        self._watch.pause()
                    self._graphql_has_histories = bool(less.histories) or not batch.histories
                    self._labels.read_answer(reply.data)
                    return reply
        if refused.kind in {*OF_A_PART, Kind.SERVER_ERROR} and batch.labels and self._github.has_time:
            with suppress(SourceError):
                return self._sender.send(replace(batch, labels=()))
        if refused.kind not in OF_A_PART:
            self._labels.fail(refused)
        self._problems.append(f"changes to older workflow runs appear late, because GitHub's GraphQL fails: {refused}")
        return None

    def _go_on_by_rest(self) -> None:
        """Without GraphQL: the states of the workflows are those of REST's list, and pasts are looked up there."""
        self._graphql_answers = False
        if self._workflows.state.listed_at != self._now:
            self._refresh_workflows()

    @property
    def _name(self) -> RepositoryName | None:
        """What the repository is called now, as far as an answer has it."""
        return self._labels.repository or self._listing.repository or self._repository

    def _wanted(self) -> frozenset[int]:
        """The workflows whose latest decisive run matters: the existing ones and those that an option lists."""
        return self._existing().union(*(selection.ids for selection in self._workflows.lists.values()))

    def _existing(self) -> frozenset[int]:
        included = self._workflows.included.values()
        return frozenset(workflow.id for workflow in included if self._files.exists(workflow))

    def _find_latest_runs(self) -> None:
        """Find the latest decisive run of the workflows of which none is known. A workflow may have come to be one of
        them in the course of this collection: its latest run is under way again, or it was switched on."""
        by_graphql = self._graphql_answers and self._graphql_has_histories and self._github.session.reads_check_suites
        self._histories.search(self._wanted(), by_graphql=by_graphql, page_size=self._listing.page_size)

    def _runs_that_may_count(self) -> list[int]:
        """The branch's own runs that are in the window, or will be: by GitHub's clock one may have started after `now`.
        By the next collection it may be deleted."""
        opens, counts = self._now - self._settings.window, self._workflows.counts
        known_ones = self._runs.known.values()
        return [known.run.id for known in known_ones if known.run.started_at >= opens and counts(known.run)]

    def _in_window(self) -> Iterator[TrackedRun]:
        """Completed runs of the repository's own branch whose latest attempt started inside the window, and which are
        not older than the look-back."""
        opens, created = self._now - self._settings.window, self._now - self._settings.lookback
        for known in self._runs.known.values():
            run = known.run
            in_time = opens <= run.started_at < self._now and run.created_at >= created
            if in_time and run.conclusion is not None and self._workflows.counts(run):
                yield known

    def _newly_completed(self) -> tuple[WorkflowRun, ...]:
        """The runs whose end is seen for the first time. Those that had ended before the first collection ever are
        passed over: their durations belong to another time. So are those from before the look-back: they are forgotten
        now and then, so that nobody can say whether they were reported. A first reading over several collections is the
        first collection ever."""
        if not self._is_whole:
            return ()
        before = self._before
        completed = self._runs.newly_completed(reported_before=before.was_set_back)
        started_at = before.started_at or self._runs.end_of_known(self._now)
        self._before = replace(before, started_at=started_at, was_set_back=False)
        if before.started_at is None:
            return ()
        ended_since = started_at.replace(microsecond=0)
        return tuple(
            run
            for run in completed
            if run.created_at >= self._since and run.ended_at >= ended_since and self._workflows.counts(run)
        )

    def _snapshot(self) -> Snapshot:
        progress = "" if self._default_branch is not None else self._progress()
        self._is_whole = self._is_whole or not progress
        completed = self._newly_completed()
        self._runs.prune(self._since, self._workflows.known.keys())
        gaps = self._listing.gaps
        lists_problem = progress if self._workflows.state.listed_at is None else None
        is_all = not gaps and not self._watch.hidden and self._listing.is_front_read and lists_problem is None
        read_from = max((gap.until for gap in gaps), default=self._since)
        latest = {one: run for one, run in self._runs.latest_decisive().items() if self._workflows.counts(run)}
        name = self._name
        return Snapshot(
            now=self._now,
            runs=tuple(self._in_window()),
            workflows=self._workflows.included,
            latest={one: run for one, run in latest.items() if is_all or run.created_at > read_from},
            lists=self._workflows.lists,
            counts=self._labels.counts,
            completed=completed,
            existing=self._existing(),
            files_problem=str(self._files.problem) if self._files.problem else None,
            problems=(*self._problems, *self._labels.problems),
            repo=name.full_name if name else self._settings.repo,
            web_url=name.web_url if name else f"https://github.com/{self._settings.repo}",
            default_branch=self._default_branch,
            progress=progress,
            unread=None if is_all else progress,
            lists_problem=lists_problem,
            flaky_problem=progress if self._interrupted else None,
            unread_histories=self._histories.unread,
            invalid=tuple(sorted(self._listing.invalid)),
        )

    def _progress(self) -> str:
        """How far the reading got, and why no further; empty where it is complete."""
        gaps, short, hidden = self._listing.gaps, self._listing.short, self._watch.hidden
        known = sum(known.run.created_at >= self._since for known in self._runs.known.values())
        remaining = sum(gap.remaining for gap in gaps)
        read = f"{known:,} of {known + remaining:,} runs" if remaining else f"{known:,} runs"
        if short:
            listed = sum(gap.listed or 0 for gap in short)
            return (
                f"{read} are read: GitHub listed {listed:,} runs of a period that has more, which happens for some "
                "minutes; the next collection reads it again"
            )
        if hidden:
            return f"GitHub's list of runs lacks {hidden:,} that exist; the next collection reads it again"
        if self._interrupted is not None or gaps:
            return f"the first reading has {read} so far; the next collection continues it"
        return ""
