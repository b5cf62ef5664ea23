"""Random changes of a demo repository, one at a time: pushes, completions, re-runs, deletions and merges."""

from __future__ import annotations

from collections.abc import Callable

from metta_checks.simulator.github_activity import RepositoryActivity
from metta_checks.simulator.github_records import WorkflowState
from metta_checks.simulator.github_sample import OUTCOMES
from simulator_support.github_edge_cases import LABEL_SETS


class RandomChanges(RepositoryActivity):
    """Changes a repository at random, the same way for the same seed; every change has the clock's time."""

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

    def delete(self) -> str:
        """A recent run is deleted; mostly a cancelled one, as clean-up workflows do."""
        recent = self.repository.runs[: max(50, self.runs_per_day)]
        cancelled = [run for run in recent if run.conclusion == "cancelled"]
        run = self._rng.choice(cancelled if cancelled and self._rng.random() < 0.7 else recent)
        self.repository.delete_run(run.id)
        return f"run {run.id} deleted: it was {run.conclusion or run.status}"

    def merge(self) -> str:
        """A pull request is merged, with labels of every kind, into `main` or elsewhere."""
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
