"""A GitHub repository in memory that changes the way a real one does: runs, re-runs, deletions, merges."""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from metta_checks.core.clock import Clock, utcnow
from metta_checks.simulator.github_jobs import DemoJobs
from metta_checks.simulator.github_records import (
    Conclusion,
    DemoAttempt,
    DemoIssue,
    DemoPullRequest,
    DemoWorkflow,
    DemoWorkflowRun,
    Status,
    WorkflowState,
)

FIRST_REPOSITORY_ID = 558_000_000
FIRST_RUN_ID = 9_000_000_000
FIRST_WORKFLOW_ID = 41_000_000


class DemoRepository:
    """A repository's workflows, runs, pull requests and issues; every method may be called from any thread.

    `clock` says what time it is: it stamps what a method does not give a time for. The properties are
    snapshots of frozen records, so that what a reader holds never changes under its hands. It computes no figures.
    """

    def __init__(
        self,
        full_name: str,
        *,
        repository_id: int = FIRST_REPOSITORY_ID,
        default_branch: str = "main",
        private: bool = False,
        archived: bool = False,
        created_at: datetime = datetime(2023, 1, 10, 9, tzinfo=UTC),
        clock: Clock = utcnow,
    ) -> None:
        self.full_name = full_name
        self.id = repository_id
        self.default_branch = default_branch
        self.private = private
        self.archived = archived
        self.created_at = created_at
        self.clock = clock
        self._lock = threading.RLock()
        self._workflows: dict[int, DemoWorkflow] = {}
        self._runs: dict[int, DemoWorkflowRun] = {}
        # By creation, of the whole repository (under None) and of each workflow.
        self._order: dict[int | None, list[tuple[datetime, int]]] = {None: []}
        self._run_numbers: Counter[int] = Counter()
        # Ids are unique over all repositories of a server.
        self._first_workflow_id = FIRST_WORKFLOW_ID + 1_000 * (repository_id - FIRST_REPOSITORY_ID)
        self._last_run_id = FIRST_RUN_ID + 1_000_000 * (repository_id - FIRST_REPOSITORY_ID)
        self._pull_requests: dict[int, DemoPullRequest] = {}
        self._issues: dict[int, DemoIssue] = {}
        self._last_number = 0
        self._labels: dict[str, str] = {}
        self._former_names: set[str] = set()
        self._deleted_branches: set[str] = set()
        self._deleted_files: set[str] = set()
        self.jobs = DemoJobs()
        # Runs that the listings do not show yet: GitHub's are minutes behind at times.
        self.unlisted: set[int] = set()

    @property
    def branches(self) -> set[str]:
        """The default branch, and every branch that had a run and was not deleted; a fork's are its own."""
        with self._lock:
            used = {run.branch for run in self._runs.values() if run.head_repository == self.full_name}
            return {self.default_branch, *used} - self._deleted_branches

    @property
    def workflow_files(self) -> list[str]:
        """The names of the files in `.github/workflows` of every branch."""
        with self._lock:
            paths = {workflow.path for workflow in self._workflows.values()} - self._deleted_files
            folder = ".github/workflows/"
            return sorted(path.removeprefix(folder) for path in paths if path.startswith(folder))

    @property
    def workflows(self) -> list[DemoWorkflow]:
        """By id, deleted and disabled ones included."""
        with self._lock:
            return list(self._workflows.values())

    @property
    def runs(self) -> list[DemoWorkflowRun]:
        """Newest first by creation, whatever the branch."""
        return self.runs_created(None, None)

    @property
    def pull_requests(self) -> list[DemoPullRequest]:
        with self._lock:
            return list(self._pull_requests.values())

    @property
    def issues(self) -> list[DemoIssue]:
        with self._lock:
            return list(self._issues.values())

    @property
    def items(self) -> list[DemoIssue | DemoPullRequest]:
        """Issues and pull requests together, as the search sees them."""
        with self._lock:
            return [*self._pull_requests.values(), *self._issues.values()]

    @property
    def labels(self) -> list[str]:
        """In the order of their creation; there are no two that differ in case alone."""
        with self._lock:
            return list(self._labels.values())

    def had_name(self, full_name: str) -> bool:
        """Whether it was called so before it was renamed."""
        with self._lock:
            return full_name.lower() in self._former_names

    def rename(self, full_name: str) -> None:
        """Its old name leads to it from now on. Runs that were made of its own commits stay its own."""
        with self._lock:
            self._former_names.add(self.full_name.lower())
            for run in list(self._runs.values()):
                if run.head_repository == self.full_name:
                    self._keep(replace(run, head_repository=full_name))
            self.full_name = full_name

    def add_label(self, name: str) -> None:
        """Raises ValueError where there is one of that name, in whatever case."""
        with self._lock:
            if name.casefold() in self._labels:
                raise ValueError(f"{self.full_name} already has the label {self._labels[name.casefold()]}")
            self._labels[name.casefold()] = name

    def rename_label(self, old: str, new: str) -> None:
        """The pull requests that have it keep it."""
        with self._lock:
            labels = [new if name == old else name for name in self._labels.values()]
            self._labels = {name.casefold(): name for name in labels}
            self._pull_requests = {
                number: replace(item, labels=self._attached(new if name == old else name for name in item.labels))
                for number, item in self._pull_requests.items()
            }

    def runs_created(
        self, since: datetime | None, until: datetime | None, workflow_id: int | None = None
    ) -> list[DemoWorkflowRun]:
        """The runs created from `since` to `until`, both included, newest first; `None` leaves an end open.

        `workflow_id`, where given, narrows them to one workflow.
        """
        with self._lock:
            order = self._order.get(workflow_id, [])
            first = 0 if since is None else bisect_left(order, (since, 0))
            end = len(order) if until is None else bisect_right(order, until, key=lambda entry: entry[0])
            return [self._runs[run_id] for _, run_id in reversed(order[first:end])]

    def run(self, run_id: int) -> DemoWorkflowRun | None:
        with self._lock:
            return self._runs.get(run_id)

    def workflow(self, workflow_id: int) -> DemoWorkflow | None:
        with self._lock:
            return self._workflows.get(workflow_id)

    def pull_request(self, number: int) -> DemoPullRequest | None:
        with self._lock:
            return self._pull_requests.get(number)

    def add_workflow(self, name: str, path: str, state: WorkflowState = "active") -> DemoWorkflow:
        """Add a workflow file, such as `.github/workflows/ci.yml`. Raises ValueError when the path is taken."""
        with self._lock:
            if any(workflow.path == path for workflow in self._workflows.values()):
                raise ValueError(f"{self.full_name} already has a workflow at {path}")
            workflow = DemoWorkflow(
                id=self._first_workflow_id + 7 * len(self._workflows),
                name=name,
                path=path,
                state=state,
                created_at=self.created_at,
                updated_at=self.created_at,
            )
            self._workflows[workflow.id] = workflow
            return workflow

    def disable_workflow(self, workflow_id: int, state: WorkflowState = "disabled_manually") -> DemoWorkflow:
        """Give a workflow another state; `active` switches it on again. Its runs stay."""
        with self._lock:
            workflow = replace(self._workflows[workflow_id], state=state, updated_at=self._at(None))
            self._workflows[workflow_id] = workflow
            return workflow

    def new_run(
        self,
        workflow_id: int,
        *,
        branch: str | None = None,
        head_repository: str | None = None,
        event: str = "push",
        actor: str = "mira",
        display_title: str | None = None,
        head_sha: str | None = None,
        pull_request: int | None = None,
        created_at: datetime | None = None,
        status: Status = "in_progress",
        conclusion: Conclusion | None = None,
        duration: timedelta = timedelta(minutes=4),
    ) -> DemoWorkflowRun:
        """A run created now, or at `created_at`: under way, or with a `conclusion` reached after `duration`."""
        with self._lock:
            created = self._at(created_at)
            workflow = self._workflows[workflow_id]
            self._run_numbers[workflow_id] += 1
            self._last_run_id += 3
            run = DemoWorkflowRun(
                id=self._last_run_id,
                number=self._run_numbers[workflow_id],
                workflow_id=workflow_id,
                branch=branch or self.default_branch,
                head_repository=head_repository or self.full_name,
                head_sha=head_sha or _sha(f"{self.full_name}/{self._last_run_id}"),
                event=event,
                actor=actor,
                display_title=display_title or workflow.name,
                created_at=created,
                attempts=(_attempt(1, created, status, conclusion, duration),),
                pull_request=pull_request,
            )
            self._runs[run.id] = run
            for order in (self._order[None], self._order.setdefault(workflow_id, [])):
                insort(order, (run.created_at, run.id))
            return run

    def start(self, run_id: int, at: datetime | None = None) -> DemoWorkflowRun:
        """A queued run gets its runner."""
        return self._update_last(run_id, updated_at=self._at(at), status="in_progress", conclusion=None)

    def complete(
        self, run_id: int, conclusion: Conclusion = "success", *, at: datetime | None = None
    ) -> DemoWorkflowRun:
        """The last attempt ends, now or at `at`."""
        return self._update_last(run_id, updated_at=self._at(at), status="completed", conclusion=conclusion)

    def rerun(
        self,
        run_id: int,
        *,
        at: datetime | None = None,
        conclusion: Conclusion | None = None,
        duration: timedelta = timedelta(minutes=4),
    ) -> DemoWorkflowRun:
        """One more attempt; the run keeps its place and `created_at`. Raises ValueError while one is under way."""
        with self._lock:
            run = self._runs[run_id]
            if run.status != "completed":
                raise ValueError(f"workflow run {run_id} is {run.status}: only a completed run can be run again")
            attempt = _attempt(run.run_attempt + 1, self._at(at), "in_progress", conclusion, duration)
            return self._keep(replace(run, attempts=(*run.attempts, attempt)))

    def delete_run(self, run_id: int) -> None:
        """The run is gone from every listing; its number is not given again."""
        with self._lock:
            run = self._runs.pop(run_id)
            for order in (self._order[None], self._order[run.workflow_id]):
                del order[bisect_left(order, (run.created_at, run.id))]

    def delete_workflow_file(self, path: str) -> None:
        """The file is gone from every branch; its workflow stays listed as it was, as on GitHub for months."""
        with self._lock:
            self._deleted_files.add(path)

    def restore_workflow_file(self, path: str) -> None:
        with self._lock:
            self._deleted_files.discard(path)

    def delete_branch(self, name: str) -> None:
        """The branch is gone; its runs stay listed, as on GitHub."""
        with self._lock:
            self._deleted_branches.add(name)

    def open_pull_request(
        self,
        title: str,
        *,
        labels: Iterable[str] = (),
        base: str | None = None,
        author: str = "mira",
        created_at: datetime | None = None,
    ) -> DemoPullRequest:
        with self._lock:
            pull_request = DemoPullRequest(
                number=self._next_number(),
                title=title,
                author=author,
                labels=self._attached(labels),
                base=base or self.default_branch,
                created_at=self._at(created_at),
            )
            self._pull_requests[pull_request.number] = pull_request
            return pull_request

    def merge_pull_request(
        self, number: int, *, labels: Iterable[str] | None = None, at: datetime | None = None
    ) -> DemoPullRequest:
        """Merge an open pull request, now or at `at`; `labels`, where given, replace its own."""
        with self._lock:
            merged_at = self._at(at)
            pull_request = replace(self._pull_requests[number], merged_at=merged_at, closed_at=merged_at)
            if labels is not None:
                pull_request = replace(pull_request, labels=self._attached(labels))
            self._pull_requests[number] = pull_request
            return pull_request

    def touch_pull_request(
        self, number: int, *, labels: Iterable[str] | None = None, at: datetime | None = None
    ) -> DemoPullRequest:
        """Somebody comments on it, or gives it other `labels`, now or at `at`."""
        with self._lock:
            pull_request = replace(self._pull_requests[number], touched_at=self._at(at))
            if labels is not None:
                pull_request = replace(pull_request, labels=self._attached(labels))
            self._pull_requests[number] = pull_request
            return pull_request

    def close_pull_request(self, number: int, *, at: datetime | None = None) -> DemoPullRequest:
        """Close an open pull request without merging it."""
        with self._lock:
            pull_request = replace(self._pull_requests[number], closed_at=self._at(at))
            self._pull_requests[number] = pull_request
            return pull_request

    def open_issue(
        self, title: str, *, labels: Iterable[str] = (), author: str = "mira", created_at: datetime | None = None
    ) -> DemoIssue:
        with self._lock:
            issue = DemoIssue(self._next_number(), title, author, self._attached(labels), self._at(created_at))
            self._issues[issue.number] = issue
            return issue

    def _update_last(
        self, run_id: int, *, updated_at: datetime, status: Status, conclusion: Conclusion | None
    ) -> DemoWorkflowRun:
        with self._lock:
            run = self._runs[run_id]
            last = replace(run.last_attempt, updated_at=updated_at, status=status, conclusion=conclusion)
            return self._keep(replace(run, attempts=(*run.attempts[:-1], last)))

    def _keep(self, run: DemoWorkflowRun) -> DemoWorkflowRun:
        self._runs[run.id] = run
        return run

    def _attached(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The labels as the repository has them; a new one comes to be."""
        return tuple(self._labels.setdefault(name.casefold(), name) for name in labels)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _at(self, at: datetime | None) -> datetime:
        """GitHub tells times in whole seconds."""
        return (at or self.clock()).astimezone(UTC).replace(microsecond=0)


def _attempt(
    number: int, started_at: datetime, status: Status, conclusion: Conclusion | None, duration: timedelta
) -> DemoAttempt:
    if conclusion is None:
        return DemoAttempt(number, started_at, started_at, status, None)
    ended_at = (started_at + duration).replace(microsecond=0)
    return DemoAttempt(number, started_at, ended_at, "completed", conclusion)


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
