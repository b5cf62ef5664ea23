"""Activity in a demo repository as time passes: pushes, completions, re-runs and merges."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from metta_checks.simulator.github_records import Conclusion, DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import ACTORS, FORK, LABELS, OTHER_BRANCHES, OUTCOMES, RERUN_OUTCOMES, TITLES

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

    def rerun(self) -> str:
        """A completed run of any age gets one more attempt; failed and recent ones more often."""
        completed = [run for run in self.repository.runs if run.status == "completed"]
        weights = [_rerun_weight(run, position) for position, run in enumerate(completed)]
        run = self.repository.rerun(self._rng.choices(completed, weights)[0].id)
        if self._rng.random() < 0.7:
            run = self.repository.complete(run.id, self._outcome(RERUN_OUTCOMES))
        return f"attempt {run.run_attempt} of run {run.id} from {run.created_at}: {run.conclusion or run.status}"

    def merge(self) -> str:
        labels = self._rng.choices(tuple(LABELS), tuple(LABELS.values()))[0]
        opened = self.repository.open_pull_request(self._rng.choice(TITLES), labels=labels)
        self.repository.merge_pull_request(opened.number)
        return f"pull request {opened.number} merged into {opened.base} with labels {labels}"

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
