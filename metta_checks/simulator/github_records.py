"""What the demo GitHub repository is made of: frozen records of workflows, runs, attempts, pull requests and issues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Status = Literal["queued", "in_progress", "completed", "requested", "waiting", "pending"]
Conclusion = Literal[
    "success",
    "failure",
    "cancelled",
    "skipped",
    "neutral",
    "timed_out",
    "action_required",
    "stale",
    "startup_failure",
]
WorkflowState = Literal["active", "deleted", "disabled_fork", "disabled_inactivity", "disabled_manually"]

CHECK_SUITE_OFFSET = 40_000_000_000
"""A run's check suite has the run's id plus this: unique, and nothing more to store."""


@dataclass(frozen=True, slots=True)
class DemoWorkflow:
    """One workflow file. Names may repeat within a repository, paths may not."""

    id: int
    name: str
    path: str
    state: WorkflowState
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DemoAttempt:
    """One attempt of a workflow run; `conclusion` is there once `status` is completed. Times are UTC, whole seconds."""

    number: int
    started_at: datetime
    updated_at: datetime
    status: Status
    conclusion: Conclusion | None


@dataclass(frozen=True, slots=True)
class DemoWorkflowRun:
    """One workflow run with every attempt it had, oldest first; its outcome is that of the last one.

    `number` counts within the workflow, over all branches and forks. `head_repository` is `owner/name`:
    that of a fork when the run tests a fork's commit.
    """

    id: int
    number: int
    workflow_id: int
    branch: str
    head_repository: str
    head_sha: str
    event: str
    actor: str
    display_title: str
    created_at: datetime
    attempts: tuple[DemoAttempt, ...]
    pull_request: int | None = None

    @property
    def last_attempt(self) -> DemoAttempt:
        return self.attempts[-1]

    @property
    def run_attempt(self) -> int:
        return self.attempts[-1].number

    @property
    def run_started_at(self) -> datetime:
        return self.attempts[-1].started_at

    @property
    def updated_at(self) -> datetime:
        return self.attempts[-1].updated_at

    @property
    def status(self) -> Status:
        return self.attempts[-1].status

    @property
    def conclusion(self) -> Conclusion | None:
        return self.attempts[-1].conclusion

    @property
    def check_suite_id(self) -> int:
        return self.id + CHECK_SUITE_OFFSET


@dataclass(frozen=True, slots=True)
class DemoIssue:
    """One issue. Issues and pull requests share their numbers and labels."""

    number: int
    title: str
    author: str
    labels: tuple[str, ...]
    created_at: datetime
    closed_at: datetime | None = None

    @property
    def updated_at(self) -> datetime:
        return self.closed_at or self.created_at


@dataclass(frozen=True, slots=True)
class DemoPullRequest:
    """One pull request into the branch `base`: open, closed (`closed_at` alone) or merged. `touched_at`: somebody
    commented, or changed its labels."""

    number: int
    title: str
    author: str
    labels: tuple[str, ...]
    base: str
    created_at: datetime
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    touched_at: datetime | None = None

    @property
    def updated_at(self) -> datetime:
        """A merge is an update too."""
        return max(filter(None, (self.created_at, self.closed_at, self.merged_at, self.touched_at)))
