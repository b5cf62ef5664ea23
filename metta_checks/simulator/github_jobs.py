"""The jobs of the demo repository's runs: records, and the JSON that GitHub's REST API sends of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from metta_checks.simulator.github_records import Conclusion, DemoAttempt, DemoWorkflowRun, Status

JOB_OFFSET = 30_000_000_000
HOSTED = ("ubuntu-latest",)
NOT_BEGUN = ("startup_failure", "action_required")
"""Conclusions of attempts without jobs."""


@dataclass(frozen=True, slots=True)
class DemoJob:
    """One job of an attempt: it waits from `created_at` to `started_at`. `labels` are those of its runner; without a
    `runner_name` it has none. Times are UTC, in whole seconds."""

    id: int
    name: str
    status: Status
    conclusion: Conclusion | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    labels: tuple[str, ...] = HOSTED
    runner_name: str | None = "GitHub Actions 2"


class DemoJobs:
    """The jobs by run and attempt. An attempt that was given none has one job, `build`."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[int, int], list[DemoJob]] = {}
        self._last_id = JOB_OFFSET

    def add(
        self,
        run: DemoWorkflowRun,
        name: str,
        *,
        attempt: int | None = None,
        queued: timedelta = timedelta(seconds=10),
        duration: timedelta = timedelta(minutes=2),
        conclusion: Conclusion | None = "success",
        **more: Any,
    ) -> DemoJob:
        """A job that was created with its attempt, the latest unless `attempt` says which, waited for `queued` and took
        `duration`; `more` are fields of it."""
        number = attempt or run.run_attempt
        created_at = run.attempts[number - 1].started_at
        started_at = created_at + queued
        self._last_id += 1
        job = DemoJob(
            id=self._last_id,
            name=name,
            status="completed" if conclusion else "in_progress",
            conclusion=conclusion,
            created_at=created_at,
            started_at=started_at,
            completed_at=started_at + duration if conclusion else None,
        )
        job = replace(job, **more)
        self._jobs.setdefault((run.id, number), []).append(job)
        return job

    def clear(self, run: DemoWorkflowRun, attempt: int | None = None) -> None:
        """The attempt has no job, not even the one that it has by default."""
        self._jobs[run.id, attempt or run.run_attempt] = []

    def of(self, run: DemoWorkflowRun, attempt: DemoAttempt) -> Sequence[DemoJob]:
        added = self._jobs.get((run.id, attempt.number))
        if added is not None:
            return list(added)
        return [] if attempt.conclusion in NOT_BEGUN else [_default(run, attempt)]


def _default(run: DemoWorkflowRun, attempt: DemoAttempt) -> DemoJob:
    has_ended = attempt.conclusion is not None
    return DemoJob(
        id=JOB_OFFSET + run.id * 10 + attempt.number,
        name="build",
        status=attempt.status,
        conclusion=attempt.conclusion,
        created_at=attempt.started_at,
        started_at=attempt.started_at,
        completed_at=attempt.updated_at if has_ended else None,
    )


def job_fields(job: DemoJob, run: DemoWorkflowRun, attempt: int, urls: Mapping[str, str]) -> dict[str, Any]:
    """A job as REST sends it. `urls` has `api` and `html` of the repository; times are still datetimes."""
    has_runner = job.runner_name is not None
    return {
        "id": job.id,
        "run_id": run.id,
        "workflow_name": run.display_title,
        "head_branch": run.branch,
        "run_url": f"{urls['api']}/actions/runs/{run.id}",
        "run_attempt": attempt,
        "node_id": f"CR_{job.id}",
        "head_sha": run.head_sha,
        "url": f"{urls['api']}/actions/jobs/{job.id}",
        "html_url": f"{urls['html']}/actions/runs/{run.id}/job/{job.id}",
        "status": job.status,
        "conclusion": job.conclusion,
        "created_at": job.created_at,
        "started_at": job.started_at or job.created_at,
        "completed_at": job.completed_at,
        "name": job.name,
        "steps": [],
        "check_run_url": f"{urls['api']}/check-runs/{job.id}",
        "labels": list(job.labels),
        "runner_id": 2 if has_runner else None,
        "runner_name": job.runner_name,
        "runner_group_id": 0 if has_runner else None,
        "runner_group_name": "GitHub Actions" if has_runner else None,
    }
