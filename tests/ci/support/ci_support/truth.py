"""The truth about a demo repository: every figure of the CI check, computed from its records in the plainest way."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE

Key = tuple[str, str, str]
"""Metric without the namespace, workflow, conclusion; the latter two are empty where the metric has none."""

DAY = timedelta(hours=24)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Expected:
    """What one collection has to submit: gauges, and points of the distribution with the minutes they say."""

    gauges: dict[Key, float]
    points: Counter[tuple[str, str, float]]


class Truth:
    """Looks at a repository whenever the check does; at the queue too unless `queue` is false. It remembers runs, since
    those deleted upstream keep counting."""

    def __init__(self, repository: DemoRepository, *, queue: bool = True) -> None:
        self.repository = repository
        self.queue = queue
        self.seen: dict[int, DemoWorkflowRun] = {}
        self.first_look: datetime | None = None
        self.ended: set[int] = set()

    def look(self, now: datetime) -> Expected:
        for run in self.listed_runs():
            self.seen[run.id] = run
        own = self.repository.full_name
        mine = [run for run in self.seen.values() if run.branch == "main" and run.head_repository == own]
        gauges = self.window_gauges(mine, now) | self.latest_gauges(mine, now) | self.label_gauges(now)
        if self.queue:
            gauges |= self.queue_gauges(now)
        return Expected({key: float(value) for key, value in gauges.items()}, self.points(mine, now))

    def listed_runs(self) -> list[DemoWorkflowRun]:
        """Those that GitHub lists by now."""
        return [run for run in self.repository.runs if run.id not in self.repository.unlisted]

    def window_gauges(self, mine: list[DemoWorkflowRun], now: datetime) -> dict[Key, float]:
        window = []
        for run in mine:
            started_inside = now - DAY <= run.run_started_at < now
            young_enough = run.created_at >= now - DAY - DAY
            if run.status == "completed" and started_inside and young_enough:
                window.append(run)

        succeeded = [run for run in window if run.conclusion == "success"]
        broken = [run for run in window if run.conclusion in ("failure", "timed_out", "startup_failure")]
        flaky = [
            run
            for run in succeeded
            if any(attempt.conclusion in ("failure", "timed_out", "startup_failure") for attempt in run.attempts[:-1])
        ]
        minutes = [
            (run.updated_at - run.run_started_at).total_seconds() / 60
            for run in window
            if run.conclusion in ("success", "failure", "timed_out")
        ]

        gauges: dict[Key, float] = {}
        gauges["ci.workflow.flaky_tests", "", ""] = len(flaky)
        gauges["ci.workflow.cancelled", "", ""] = len([run for run in window if run.conclusion == "cancelled"])
        if succeeded or broken:
            gauges["ci.workflow.success", "", ""] = 0 if broken else 1
            gauges["ci.workflow.success_ratio", "", ""] = len(succeeded) / (len(succeeded) + len(broken))
        if len(minutes) == 1:
            gauges["ci.workflow.duration.p90", "", ""] = gauges["ci.workflow.duration.p50", "", ""] = minutes[0]
        if len(minutes) > 1:
            gauges["ci.workflow.duration.p90", "", ""] = statistics.quantiles(minutes, n=10, method="inclusive")[8]
            gauges["ci.workflow.duration.p50", "", ""] = statistics.median(minutes)
        for workflow in self.repository.workflows:
            if workflow.state == "active":
                for conclusion in ("success", "failure", "cancelled"):
                    gauges["ci.workflow.runs", file_name(workflow.path), conclusion] = 0
        for run in window:
            key = "ci.workflow.runs", self.file_of(run), run.conclusion or ""
            gauges[key] = gauges.get(key, 0) + 1
        return gauges

    def latest_gauges(self, mine: list[DemoWorkflowRun], now: datetime) -> dict[Key, float]:
        verdicts, ended = {}, {}
        for workflow in self.repository.workflows:
            runs = [run for run in mine if run.workflow_id == workflow.id]
            decisive = [run for run in runs if run.conclusion in ("success", "failure", "timed_out", "startup_failure")]
            if decisive:
                latest = max(decisive, key=lambda run: run.number)
                verdicts[file_name(workflow.path)] = latest.conclusion == "success"
                ended[file_name(workflow.path)] = latest.updated_at

        gauges: dict[Key, float] = {}
        failing = 0
        for workflow in self.repository.workflows:
            file = file_name(workflow.path)
            if workflow.state == "active" and file in verdicts:
                gauges["ci.workflow.latest_success", file, ""] = verdicts[file]
                gauges["ci.workflow.latest_age_hours", file, ""] = max(0, (now - ended[file]).total_seconds() / 3600)
                if not verdicts[file] and file not in TESTS_BLOCKING_MERGE and file not in BENCHMARKS:
                    failing += 1
        gauges["ci.workflow.other_failing", "", ""] = failing
        for metric, files in (("tests_blocking_merge", TESTS_BLOCKING_MERGE), ("benchmarks", BENCHMARKS)):
            if all(file in verdicts for file in files):
                gauges[f"ci.workflow.{metric}", "", ""] = all(verdicts[file] for file in files)
        return gauges

    def label_gauges(self, now: datetime) -> dict[Key, float]:
        gauges: dict[Key, float] = {}
        for metric, wanted in (
            ("github.hotfix.count", {"hotfix"}),
            ("github.force_merge.count", {"force-merge", "force_merge"}),
            ("github.reverts.count", {"revert"}),
        ):
            counted = set()
            for pull_request in self.repository.pull_requests:
                if pull_request.merged_at is None or pull_request.merged_at < now - WEEK:
                    continue
                # Labels are the same in any case, on GitHub.
                if any(label.lower() in wanted for label in pull_request.labels):
                    counted.add(pull_request.number)
            gauges[metric, "", ""] = len(counted)
        return gauges

    def queue_gauges(self, now: datetime) -> dict[Key, float]:
        """What GitHub has at this moment, on all branches and of forks; a run that is deleted waits no longer."""
        young = [run for run in self.listed_runs() if run.created_at >= now - DAY - DAY]
        queued = [run for run in young if run.status == "queued"]
        gauges: dict[Key, float] = {}
        gauges["ci.runs.queued", "", ""] = len(queued)
        gauges["ci.runs.in_progress", "", ""] = len([run for run in young if run.status == "in_progress"])
        waits = [(now - run.run_started_at).total_seconds() / 60 for run in queued]
        gauges["ci.runs.oldest_queued_minutes", "", ""] = max([0.0, *waits])
        return gauges

    def points(self, mine: list[DemoWorkflowRun], now: datetime) -> Counter[tuple[str, str, float]]:
        first = self.first_look is None
        self.first_look = self.first_look or now
        points: Counter[tuple[str, str, float]] = Counter()
        for run in mine:
            if run.status != "completed" or run.id in self.ended:
                continue
            self.ended.add(run.id)
            if not first and run.updated_at >= self.first_look and run.created_at >= now - DAY - DAY:
                length = (run.updated_at - run.run_started_at).total_seconds() / 60
                points[self.file_of(run), run.conclusion or "", round(length, 6)] += 1
        return points

    def file_of(self, run: DemoWorkflowRun) -> str:
        for workflow in self.repository.workflows:
            if workflow.id == run.workflow_id:
                return file_name(workflow.path)
        raise LookupError(run)


def file_name(path: str) -> str:
    return path.removeprefix(".github/workflows/")
