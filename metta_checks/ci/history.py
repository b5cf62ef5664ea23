"""What lies behind the listing: earlier attempts of re-runs, and older runs of workflows without a recent one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from metta_checks.ci.api_models import attempt_conclusion, run_page
from metta_checks.ci.client import FATAL_KINDS, GitHub, run_concurrently
from metta_checks.ci.graphql_batch import HISTORY, Batch, BatchReply, BatchSender, PastRun
from metta_checks.ci.models import Workflow, WorkflowRun
from metta_checks.ci.pages import LISTED, MAY_BE_TOO_LARGE, SIZES, goes_on
from metta_checks.ci.runs import Outcome, RunTable
from metta_checks.ci.workflows import Workflows
from metta_checks.core.errors import Kind, SourceError

MOST_UNREADABLE: Final = 8
"""Attempts that could not be read after which a collection asks for no more of them: the server has a fault, and each
may take as long as its timeout."""

Place = tuple[int, int]
"""A run's id and the number of one of its attempts."""


def resolve_flakiness(github: GitHub, runs: RunTable, run_ids: Iterable[int]) -> SourceError | None:
    """Ask for the attempts that decide whether these runs are flaky, and remember them. The last but one comes first:
    a run is run again because that one failed, so that one request is nearly always enough.

    An attempt that cannot be read leaves its run undecided, unless an older one failed, and is asked for again by the
    next collection; one that does not exist, or has no conclusion, is three times in all. Returns why it stopped
    before all were asked for where the time was up. Raises SourceError for what every other request would end in.
    """
    open_ids = list(run_ids)
    done: set[Place] = set()
    unreadable: list[SourceError] = []
    while asked := [place for run_id in open_ids if (place := _next(runs, run_id, done))]:
        for start in range(0, len(asked), MOST_UNREADABLE):
            if len(unreadable) >= MOST_UNREADABLE:
                return unreadable[-1] if github.out_of_time else None
            batch = asked[start : start + MOST_UNREADABLE]
            for place, outcome in zip(
                batch, run_concurrently([partial(_outcome, github, *one) for one in batch]), strict=True
            ):
                done.add(place)
                if isinstance(outcome, Outcome):
                    runs.record_attempt(*place, outcome)
                elif outcome is None or outcome.kind is Kind.NOT_FOUND:
                    runs.record_attempt(*place, runs.known[place[0]].outcome_of(place[1]).after_not_found)
                else:
                    unreadable.append(outcome)
    return unreadable[-1] if unreadable and github.out_of_time else None


def _next(runs: RunTable, run_id: int, done: set[Place]) -> Place | None:
    """The latest attempt of a run that is to be asked for; None where there is none."""
    open_places = [(run_id, attempt) for attempt in runs.known[run_id].open_attempts]
    return max((place for place in open_places if place not in done), default=None)


def _outcome(github: GitHub, run_id: int, attempt: int) -> Outcome | SourceError | None:
    """How an attempt ended, None where GitHub does not say it, or why it could not be read. Raises SourceError for what
    every other would end in."""
    about = f"attempt {attempt} of workflow run {run_id}"
    parameters = {"exclude_pull_requests": "true"}
    path = f"/actions/runs/{run_id}/attempts/{attempt}"
    try:
        conclusion = attempt_conclusion(github.get_of_repo(path, about=about, params=parameters))
    except SourceError as error:
        if error.kind in FATAL_KINDS:
            raise
        return error
    # An earlier attempt has ended; where it has no conclusion, GitHub's answer is behind.
    return None if conclusion is None else Outcome.of(conclusion)


class Histories:
    """Finds the latest decisive run of workflows that have had none in the lookback; one object per collection.

    `searched` are the workflows that have none at all, `unread` says by workflow why that run is not known. Runs
    created from `since` on are the listing's.
    """

    def __init__(
        self,
        github: GitHub,
        runs: RunTable,
        workflows: Workflows,
        searched: frozenset[int],
        since: datetime,
        sender: BatchSender,
    ) -> None:
        self.searched = searched
        self.unread: dict[int, str] = {}
        self._github = github
        self._runs = runs
        self._workflows = workflows
        self._since = since
        self._sender = sender
        self._asked: set[int] = set()

    def quiet(self, wanted: Iterable[int]) -> list[Workflow]:
        """Those of the workflows of which no decisive run is known and the past was not searched yet."""
        answered = self._runs.latest_decisive().keys() | self.searched
        return [self._workflows.known[one] for one in sorted(wanted) if one not in answered]

    def read_answer(self, reply: BatchReply) -> None:
        """Take the histories of a GraphQL answer, as far as they decide."""
        self._asked.update(reply.histories)
        for workflow_id, past_runs in reply.histories.items():
            runs = settled_by_graphql(past_runs, self._github.settings.branch, self._since)
            if runs is not None:
                self._remember(self._workflows.known[workflow_id], runs)

    def search(self, wanted: Collection[int], *, by_graphql: bool, page_size: int) -> None:
        """Look up all that is quiet: by GraphQL where that answers and was not asked before, then by REST, in pages of
        at most `page_size`. Raises SourceError for what every other request would end in."""
        unasked = [workflow for workflow in self.quiet(wanted) if workflow.id not in self._asked]
        if unasked and by_graphql:
            # What GraphQL does not answer is asked of REST below.
            with suppress(SourceError):
                self.read_answer(self._sender.send(Batch(histories=unasked)))
        left = self.quiet(wanted)
        for start in range(0, len(left), MOST_UNREADABLE):
            batch = left[start : start + MOST_UNREADABLE]
            if len(self.unread) >= MOST_UNREADABLE:
                reason = next(iter(self.unread.values()))
                self.unread |= {workflow.id: reason for workflow in left[start:]}
                return
            pasts = run_concurrently([partial(self._past, one, page_size) for one in batch])
            for workflow, past in zip(batch, pasts, strict=True):
                if not isinstance(past, SourceError):
                    self._remember(workflow, past)
            # What was answered counts, also where the others have to wait for the next collection.
            faults = {one.id: past for one, past in zip(batch, pasts, strict=True) if isinstance(past, SourceError)}
            for error in faults.values():
                if error.kind in FATAL_KINDS or self._github.out_of_time:
                    raise error
            self.unread |= {workflow_id: str(error) for workflow_id, error in faults.items()}

    def _past(self, workflow: Workflow, page_size: int) -> list[WorkflowRun] | SourceError:
        """The runs of a quiet workflow, or why they could not be read."""
        try:
            return read_by_rest(self._github, workflow, page_size)
        except SourceError as error:
            return error

    def _remember(self, workflow: Workflow, runs: Iterable[WorkflowRun]) -> None:
        found = list(runs)
        for run in found:
            self._runs.admit(run)
        if not any(run.from_this_repo and run.decisive for run in found):
            self.searched |= {workflow.id}


def settled_by_graphql(past_runs: Sequence[PastRun], branch: str, since: datetime) -> list[WorkflowRun] | None:
    """The runs on the branch down to the latest decisive one, newest first, all of them where there is none; None
    where a list that short does not tell.

    GraphQL does not say whether a run is a fork's. A run that a pull request or another run set off may be, so that
    its verdict is not taken from here.
    """
    runs: list[WorkflowRun] = []
    for past in sorted(past_runs, key=lambda past: past.run.number, reverse=True):
        if past.branch != branch or past.run.created_at >= since:
            continue
        if past.event.startswith("pull_request") or past.event == "workflow_run":
            if past.run.decisive:
                return None
            continue
        runs.append(past.run)
        if past.run.decisive:
            return runs
    return runs if len(past_runs) < HISTORY else None


def read_by_rest(github: GitHub, workflow: Workflow, size: int) -> list[WorkflowRun]:
    """The runs on the branch down to the latest decisive one, newest first, as far as GitHub lists them: a request
    for each page of `size`, or of fewer where that is too much for the server. Raises SourceError."""
    for smaller in SIZES:
        if smaller <= size:
            try:
                return _read_in_pages(github, workflow, smaller)
            except SourceError as error:
                if error.kind not in MAY_BE_TOO_LARGE or not github.has_time or smaller == SIZES[-1]:
                    raise
    raise AssertionError(f"{size} is smaller than any page")


def _read_in_pages(github: GitHub, workflow: Workflow, size: int) -> list[WorkflowRun]:
    runs: list[WorkflowRun] = []
    for number in range(1, LISTED // size + 1):
        parameters = {
            "branch": github.settings.branch,
            "per_page": str(size),
            "page": str(number),
            "exclude_pull_requests": "true",
        }
        path = f"/actions/workflows/{workflow.id}/runs"
        page = run_page(github.get_of_repo(path, about=f"the runs of {workflow.file}", params=parameters))
        runs += page.runs
        if not goes_on(page, size, number) or any(run.from_this_repo and run.decisive for run in page.runs):
            return runs
    return runs
