"""One collection's reading: brings a ledger up to date with as few requests as there can be."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci import history, workflows
from metta_checks.ci.client import GitHub, together
from metta_checks.ci.labels import LabelCounts
from metta_checks.ci.ledger import Known, Ledger
from metta_checks.ci.listing import Listing
from metta_checks.ci.models import Run, Workflow
from metta_checks.ci.question import Question, Questioner
from metta_checks.ci.reply import Pulse, Reply
from metta_checks.ci.settings import Settings
from metta_checks.ci.workflows import Exclusion, Selection, WorkflowFiles
from metta_checks.core.errors import Kind, SourceError

UNSETTLED: Final = timedelta(seconds=5)
"""GitHub tells changes by the second: a run that had just changed when it was read may have changed once more since."""

ANNOUNCED: Final = timedelta(hours=1)
"""How long REST is waited for to show a change."""

WATCH_PAUSE: Final = timedelta(hours=1)
"""How long the question goes without the watched runs after they were too much for the server."""

ANSWERS_LESS: Final = frozenset({Kind.SERVER_ERROR, Kind.REJECTED, Kind.MALFORMED, Kind.FORBIDDEN, Kind.NOT_FOUND})
"""What went wrong with a question that GitHub may answer when it is smaller."""

SPARE: Final = 20
"""Requests of the quota that an anonymous caller leaves for what cannot wait."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one collection saw. `runs` are those in the window, `latest` the latest decisive run of each workflow by
    its id, `lists` the workflows that decide a metric, `counts` the merged pull requests by metric. `problems` say what
    could not be read, and what is unknown for it. `default_branch` is the repository's, where the watched branch does
    not exist; the rest is then worth nothing. `existing` are the workflows that are active and whose file is there;
    where `files_problem` says that the files could not be read, every active one.

    `progress` says how far a reading got that is not complete, and why; `unread` is the same where not all runs are
    known, so that `latest` has only what no run can change that is still to be read. `lists_problem` says why the list
    of workflows is not known, `flaky_problem` why the flaky runs are not, and `unread_histories` by workflow why its
    latest decisive run is not."""

    now: datetime
    runs: tuple[Known, ...]
    workflows: Mapping[int, Workflow]
    latest: Mapping[int, Run]
    lists: Mapping[str, Selection]
    counts: Mapping[str, int]
    completed: tuple[Run, ...]
    problems: tuple[str, ...]
    repo: str
    web_url: str
    existing: frozenset[int] = frozenset()
    files_problem: str | None = None
    default_branch: str | None = None
    progress: str = ""
    unread: str | None = None
    lists_problem: str | None = None
    flaky_problem: str | None = None
    unread_histories: Mapping[int, str] = field(default_factory=dict)


class Reading:
    """Reads GitHub into `ledger`, a copy that is saved whatever comes; one object per collection."""

    def __init__(
        self, github: GitHub, ledger: Ledger, now: datetime, questioner: Questioner, *, max_pages: int
    ) -> None:
        self.github = github
        self._settings: Settings = github.settings
        self.ledger = ledger
        self._asked: set[int] = set()
        self.now = now
        self._since = now.replace(microsecond=0) - self._settings.look_back
        ledger.begin(now, self._since)
        self._listing = Listing(github, ledger, now, self._since, max_pages=max_pages)
        self._questioner = questioner
        self._exclusion = Exclusion(self._settings.exclude_workflows)
        self._files = WorkflowFiles(github, ledger, now)
        self._labels = LabelCounts(github, ledger, now)
        self._graphql_answers = not github.anonymous
        self._graphql_has_histories = True
        self._default_branch: str | None = None
        self._problems: list[str] = []
        self._interrupted: SourceError | None = None
        self._unread_histories: dict[int, str] = {}
        self._hidden = 0

    def steps(self) -> Generator[Question, Reply, Snapshot]:
        """Everything that the figures need, or what there is of it where the time is up in a first reading.

        Yields the question, at most one, and goes on with the reply that is sent, or the SourceError that is thrown.
        Raises SourceError; the ledger then has what was read until then.
        """
        try:
            yield from self._read()
        except SourceError as error:
            if self.ledger.is_whole or not self.github.out_of_time:
                raise
            self._interrupted = error
            self._labels.fail(error)
            self._problems.append(f"the collection ended before everything was read: {error}")
        return self._snapshot()

    def _read(self) -> Generator[Question, Reply, None]:
        self._listing.refresh()
        # A branch with runs of its own in the window is there, or was a moment ago.
        if not self._coming_into_question() and not self._settings.is_default_branch:
            self._default_branch = workflows.default_in_place_of_missing(self.github, self.ledger)
            if self._default_branch is not None:
                return
        if workflows.list_is_due(self.ledger, self._listing.read, self.now):
            self._refresh_workflows()
        if not self._listing.cold and not self.ledger.gaps and self._can_afford_care():
            self._look_behind()
        if self._graphql_answers:
            yield from self._ask()
        if not self._graphql_answers:
            self._files.read_by_rest()
        if not self.ledger.gaps:
            self._search_the_past()
        late = history.resolve_flakiness(self.github, self.ledger, self._coming_into_question())
        if late is not None and not self.ledger.is_whole:
            self._interrupted = late
            self._problems.append(f"the collection ended before everything was read: {late}")
        # Last, since it may take long and fails alone.
        self._labels.finish()

    def _refresh_workflows(self) -> None:
        """The list of workflows; where one is known already, it does for as long as GitHub does not give another."""
        try:
            workflows.refresh(self.github, self.ledger, self.now)
        except SourceError as error:
            if self.ledger.workflows_at is None or self._ends_all(error):
                raise
            self._problems.append(f"the list of workflows is that of {self.ledger.workflows_at:%H:%M} UTC: {error}")

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
        return error.kind in history.OF_ALL_REQUESTS or self.github.out_of_time

    def _can_afford_care(self) -> bool:
        github = self.github
        return not github.anonymous or github.remaining is None or github.remaining > SPARE

    def _ask(self) -> Generator[Question, Reply, None]:
        """The one GraphQL question, and what its answer calls for."""
        watched = list(self._watched())
        unsettled = [known.run for known in watched if self._is_unsettled(known)]
        reply = yield from self._put(
            Question(
                labels=self._labels.fields(),
                states=list(self.ledger.workflows.values()),
                histories=() if self.ledger.gaps else self._quiet_workflows(),
                watched=[known.run for known in watched if not self._is_unsettled(known)],
                closely_watched=unsettled,
                tree=self._files.fields(),
                urgent=frozenset(run.id for run in unsettled).union(self._listing.missing, self._listing.lacking),
            )
        )
        if reply is None:
            self._go_on_by_rest()
            return
        self._files.take(reply.data)
        self.ledger.workflows |= reply.states
        self._take_histories(reply)
        self._read_changed(reply, unsettled)

    def _put(self, question: Question) -> Generator[Question, Reply, Reply | None]:
        """The reply; where the whole question is refused, the one to its parts, and None where GraphQL has no answer.

        What watching the runs would have shown, the buckets show, only later. The labels are then asked for alone.
        """
        try:
            reply = yield question
        except SourceError as error:
            return self._put_less(question, error)
        self._labels.take(reply.data)
        return reply

    def _put_less(self, question: Question, refused: SourceError) -> Reply | None:
        if refused.kind is Kind.SERVER_ERROR:
            without_watched = replace(question, watched=(), closely_watched=())
            for less in (without_watched, replace(without_watched, histories=())):
                if less.weight == question.weight:
                    continue
                with suppress(SourceError):
                    reply = self._questioner.put(less)
                    if question.watched or question.closely_watched:
                        self.ledger.watch_again_at = self.now + WATCH_PAUSE
                    self._graphql_has_histories = bool(less.histories) or not question.histories
                    self._labels.take(reply.data)
                    return reply
        if refused.kind in ANSWERS_LESS and question.labels and self.github.has_time:
            with suppress(SourceError):
                return self._questioner.put(replace(question, labels=()))
        self._labels.fail(refused)
        self._problems.append(
            f"changes to older workflow runs show late, since GitHub's GraphQL does not answer: {refused}"
        )
        return None

    def _go_on_by_rest(self) -> None:
        """Without GraphQL: the states of the workflows are those of REST's list, and pasts are looked up there."""
        self._graphql_answers = False
        if self.ledger.workflows_at != self.now:
            self._refresh_workflows()

    def _watched(self) -> Iterator[Known]:
        """The runs of which no answer of this collection has spoken yet."""
        again_at = self.ledger.watch_again_at
        if again_at is not None and self.now < again_at:
            return
        for run_id, known in self.ledger.runs.items():
            if not known.gone and run_id not in self._listing.read:
                yield known

    def _is_unsettled(self, known: Known) -> bool:
        return known.run.conclusion is None or known.stamp >= self.now - UNSETTLED

    def _read_changed(self, reply: Reply, unsettled: Iterable[Run]) -> None:
        """Read again what has changed since it was read, and what may have where the reply has no outcomes."""
        known = self.ledger.runs
        changed = {run_id: pulse for run_id, pulse in reply.pulses.items() if _has_changed(known[run_id], pulse)}
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
                self.ledger.note_change(run_id, pulse.updated_at)
        for run_id in reply.gone:
            self.ledger.note_deletion(run_id)

    def _note_hidden(self, reply: Reply) -> None:
        """Whether the first page of the listing lacked most of the runs that it should have, and that do exist: newer
        ones may be missing too."""
        missing = [run_id for run_id in self._listing.missing if run_id in reply.pulses]
        if len(missing) > len(self._listing.read):
            self._hidden = len(missing)

    def _is_shown(self, before: Run, now_read: Run, pulse: Pulse) -> bool:
        """Whether REST shows the change that GraphQL announced; until then the run is asked for again. The two need not
        agree on the time, so that an announcement counts no longer than an hour."""
        moved = now_read != before or now_read.updated_at >= pulse.updated_at
        return moved or pulse.updated_at < self.now - ANNOUNCED

    def _is_unsure(self, run: Run, reply: Reply) -> bool:
        """A run that has been under way since before the look-back has no other to share a request with; the second of
        its last change is long over."""
        pulse = reply.pulses.get(run.id)
        recent = run.created_at >= self._since or run.updated_at >= self._since
        return pulse is not None and not pulse.asked_outcome and recent

    def _quiet_workflows(self) -> list[Workflow]:
        """The workflows that count, of which no decisive run is known and the past was not searched yet."""
        latest = self.ledger.latest_decisive()
        return [
            self.ledger.workflows[workflow_id]
            for workflow_id in sorted(self._wanted())
            if workflow_id not in latest and workflow_id not in self.ledger.searched
        ]

    def _wanted(self) -> frozenset[int]:
        """The workflows whose latest decisive run matters: the existing ones and those that an option lists."""
        return self._existing().union(*(selection.ids for selection in self._lists().values()))

    def _included_workflows(self) -> dict[int, Workflow]:
        known = self.ledger.workflows
        return {one: workflow for one, workflow in known.items() if not self._exclusion.excludes(workflow)}

    def _existing(self) -> frozenset[int]:
        included = self._included_workflows().values()
        return frozenset(workflow.id for workflow in included if self._files.exists(workflow))

    def _counts(self, run: Run) -> bool:
        """Whether the run is one of the repository's own branch, of a workflow that is not excluded."""
        return run.own and not self._exclusion.excludes_run(run, self.ledger.workflows)

    def _lists(self) -> dict[str, Selection]:
        known = self.ledger.workflows
        lists = self._settings.lists
        return {metric: workflows.select(known, entries, self._exclusion) for metric, entries in lists.items()}

    def _search_the_past(self) -> None:
        """Find the latest decisive run of the workflows of which none is known. A workflow may have come to be one of
        them in the course of this collection: its latest run is under way again, or it was switched on."""
        quiet = [workflow for workflow in self._quiet_workflows() if workflow.id not in self._asked]
        by_graphql = self._graphql_answers and self._graphql_has_histories and self.github.reads_check_suites
        if quiet and by_graphql:
            # What GraphQL does not answer is asked of REST below.
            with suppress(SourceError):
                self._take_histories(self._questioner.put(Question(histories=quiet)))
        left = self._quiet_workflows()
        for start in range(0, len(left), history.MOST_UNREADABLE):
            batch = left[start : start + history.MOST_UNREADABLE]
            if len(self._unread_histories) >= history.MOST_UNREADABLE:
                reason = next(iter(self._unread_histories.values()))
                self._unread_histories |= {workflow.id: reason for workflow in left[start:]}
                return
            for workflow, past in zip(batch, together([partial(self._past, one) for one in batch]), strict=True):
                if isinstance(past, SourceError):
                    self._unread_histories[workflow.id] = str(past)
                else:
                    self._remember(workflow, past)

    def _past(self, workflow: Workflow) -> list[Run] | SourceError:
        """The runs of a quiet workflow, or why they could not be read."""
        try:
            return history.read_by_rest(self.github, workflow, self.ledger.page_size)
        except SourceError as error:
            if self._ends_all(error):
                raise
            return error

    def _take_histories(self, reply: Reply) -> None:
        self._asked.update(reply.histories)
        for workflow_id, past_runs in reply.histories.items():
            runs = history.settled_by_graphql(past_runs, self._settings.branch, self._since)
            if runs is not None:
                self._remember(self.ledger.workflows[workflow_id], runs)

    def _remember(self, workflow: Workflow, runs: list[Run]) -> None:
        for run in runs:
            self.ledger.admit(run)
        if not any(run.own and run.decisive for run in runs):
            self.ledger.searched.add(workflow.id)

    def _coming_into_question(self) -> list[int]:
        """The branch's own runs that are in the window, or will be: by GitHub's clock one may have started after `now`.
        By the next collection it may be deleted."""
        opens = self.now - self._settings.window
        known_ones = self.ledger.runs.values()
        return [known.run.id for known in known_ones if known.run.started_at >= opens and self._counts(known.run)]

    def _in_window(self) -> Iterator[Known]:
        """Completed runs of the repository's own branch whose latest attempt started inside the window, and which are
        not older than the look-back."""
        opens, created = self.now - self._settings.window, self.now - self._settings.look_back
        for known in self.ledger.runs.values():
            run = known.run
            in_time = opens <= run.started_at < self.now and run.created_at >= created
            if in_time and run.conclusion is not None and self._counts(run):
                yield known

    def _snapshot(self) -> Snapshot:
        ledger = self.ledger
        progress = "" if self._default_branch is not None else self._progress()
        ledger.is_whole = ledger.is_whole or not progress
        # A first reading over several collections is the first collection ever.
        completed = tuple(ledger.newly_completed(self.now, self._since)) if ledger.is_whole else ()
        ledger.prune(self._since)
        lists_problem = progress if ledger.workflows_at is None else None
        is_all = not ledger.gaps and not self._hidden and ledger.collected_at == self.now and lists_problem is None
        read_from = max((gap.until for gap in ledger.gaps), default=self._since)
        latest = {one: run for one, run in ledger.latest_decisive().items() if self._counts(run)}
        return Snapshot(
            now=self.now,
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
            unread_histories=self._unread_histories,
        )

    def _progress(self) -> str:
        """How far the reading got, and why no further; empty where it is complete."""
        ledger, short = self.ledger, self._listing.short
        known = sum(known.run.created_at >= self._since for known in ledger.runs.values())
        remaining = sum(gap.remaining for gap in ledger.gaps)
        read = f"{known:,} of {known + remaining:,} runs" if remaining else f"{known:,} runs"
        if short:
            listed = sum(gap.listed or 0 for gap in short)
            return (
                f"{read} are read: GitHub listed {listed:,} runs of a period that has more, which happens for some "
                "minutes; the next collection asks again"
            )
        if self._hidden:
            return f"GitHub's list of runs lacks {self._hidden:,} that exist; the next collection asks again"
        if self._interrupted is not None or ledger.gaps:
            return f"the first reading has {read} so far; the next collection continues it"
        return ""


def _has_changed(known: Known, pulse: Pulse) -> bool:
    return pulse.updated_at != known.stamp or (pulse.asked_outcome and pulse.outcome != known.run.conclusion)
