"""Life in a demo repository: pushes, completions, re-runs, deletions and merges, one at a time or as time passes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from metta_checks.simulator.github_records import Conclusion, DemoWorkflowRun, WorkflowState
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import ACTORS, FORK, OTHER_BRANCHES, OUTCOMES, RERUN_OUTCOMES
from metta_checks.simulator.github_set_pieces import LABEL_SETS

STUCK_AFTER = timedelta(hours=6)
"""What has been under way for longer than this stays so."""
TYPICAL_DURATION = timedelta(minutes=6)


class RepositoryActivity:
    """Changes a repository at random, the same way for the same seed; every change is stamped by its clock."""

    def __init__(self, repository: DemoRepository, *, runs_per_day: int = 600, seed: int = 11) -> None:
        self.repository = repository
        self.runs_per_day = runs_per_day
        self._rng = random.Random(f"{seed}/{repository.full_name}")
        self._lived_until = repository.clock()
        self._ends: dict[int, datetime] = {}

    def mutate(self) -> str:
        """One random change at the clock's time. Says what it was."""
        changes: dict[Callable[[], str], int] = {
            self.push: 30,
            self.complete: 20,
            self.rerun: 20,
            self.delete: 10,
            self.merge: 15,
            self.switch_workflow: 5,
        }
        return self._rng.choices(tuple(changes), tuple(changes.values()))[0]()

    def catch_up(self) -> int:
        """Live through the time since the last call, or since the beginning. Says how many pushes that brought."""
        now, rng = self.repository.clock(), self._rng
        pushes, per_second = 0, self.runs_per_day / 86_400
        moment = self._lived_until + timedelta(seconds=rng.expovariate(per_second))
        while moment <= now:
            self._start_run(moment)
            pushes += 1
            moment += timedelta(seconds=rng.expovariate(per_second))
        for run in self._under_way():
            end = self._ends.setdefault(run.id, run.run_started_at + self._duration())
            if end <= now:
                self.repository.complete(run.id, self._outcome(OUTCOMES), at=max(end, run.run_started_at))
                del self._ends[run.id]
        if rng.random() < (now - self._lived_until) / timedelta(hours=1):
            self.merge()
        if rng.random() < (now - self._lived_until) / timedelta(hours=1):
            self.rerun()
        self._lived_until = now
        return pushes

    def push(self) -> str:
        """A new run: under way, or already at its end when that takes less than a minute."""
        run = self._start_run(self.repository.clock())
        if self._rng.random() < 0.4:
            run = self.repository.complete(run.id, self._outcome(OUTCOMES))
        return f"new run {run.id} on {run.branch} of {run.head_repository}: {run.conclusion or run.status}"

    def complete(self) -> str:
        """Something that is under way ends; a push where nothing is."""
        under_way = self._under_way()
        if not under_way:
            return self.push()
        run = self._rng.choice(under_way)
        conclusion = self._outcome(OUTCOMES)
        self.repository.complete(run.id, conclusion)
        return f"run {run.id} completed: {conclusion}"

    def rerun(self) -> str:
        """A completed run of any age gets one more attempt; failed and recent ones more often."""
        completed = [run for run in self.repository.runs if run.status == "completed"]
        weights = [_rerun_weight(run, position) for position, run in enumerate(completed)]
        run = self.repository.rerun(self._rng.choices(completed, weights)[0].id)
        if self._rng.random() < 0.7:
            run = self.repository.complete(run.id, self._outcome(RERUN_OUTCOMES))
        return f"attempt {run.run_attempt} of run {run.id} from {run.created_at}: {run.conclusion or run.status}"

    def delete(self) -> str:
        """A recent run is deleted; mostly a cancelled one, as clean-up workflows do."""
        recent = self.repository.runs[: max(50, self.runs_per_day)]
        cancelled = [run for run in recent if run.conclusion == "cancelled"]
        run = self._rng.choice(cancelled if cancelled and self._rng.random() < 0.7 else recent)
        self.repository.delete_run(run.id)
        return f"run {run.id} deleted: it was {run.conclusion or run.status}"

    def merge(self) -> str:
        labels = self._rng.choice(LABEL_SETS)
        base = self._rng.choice((None, None, "release/1.4"))
        opened = self.repository.open_pull_request("A merged change", labels=labels, base=base)
        self.repository.merge_pull_request(opened.number)
        return f"pull request {opened.number} merged into {opened.base} with labels {labels}"

    def switch_workflow(self) -> str:
        """A workflow is disabled, or switched on again."""
        workflow = self._rng.choice(self.repository.workflows[4:])
        state: WorkflowState = "disabled_manually" if workflow.state == "active" else "active"
        self.repository.disable_workflow(workflow.id, state)
        return f"workflow {workflow.path} is {state}"

    def _start_run(self, at: datetime) -> DemoWorkflowRun:
        rng = self._rng
        workflow = rng.choice([workflow for workflow in self.repository.workflows if workflow.state == "active"])
        on_main, from_fork = rng.random() < 0.8, rng.random() < 0.05
        return self.repository.new_run(
            workflow.id,
            branch="main" if on_main else rng.choice(OTHER_BRANCHES),
            head_repository=FORK if from_fork else None,
            event="pull_request" if from_fork or not on_main else "push",
            actor=rng.choice(ACTORS),
            created_at=at,
        )

    def _under_way(self) -> list[DemoWorkflowRun]:
        """Stuck runs left out."""
        horizon = self.repository.clock() - STUCK_AFTER
        return [run for run in self.repository.runs if run.status != "completed" and run.run_started_at > horizon]

    def _duration(self) -> timedelta:
        return timedelta(seconds=int(5 + self._rng.expovariate(1 / TYPICAL_DURATION.total_seconds())))

    def _outcome(self, outcomes: dict[Conclusion, float]) -> Conclusion:
        return self._rng.choices(tuple(outcomes), tuple(outcomes.values()))[0]


def _rerun_weight(run: DemoWorkflowRun, position: int) -> float:
    return (5.0 if run.conclusion != "success" else 1.0) / (50 + position)
