"""Runs of a demo repository, and where GitHub lists them."""

from __future__ import annotations

from datetime import timedelta

from ci_support.scene import Scene

from metta_checks.simulator.github_records import DemoWorkflowRun

LISTING = "/repos/demo-org/arena/actions/runs"


def add_runs(scene: Scene, count: int, conclusion: str, *, youngest: timedelta) -> list[DemoWorkflowRun]:
    """Runs of `ci.yml`, ten seconds apart and back from `youngest` ago."""
    workflow = scene.repository.workflows[0].id
    times = [scene.clock() - youngest - timedelta(seconds=10 * number) for number in range(count)]
    brief = timedelta(minutes=2)
    return [
        scene.repository.new_run(workflow, conclusion=conclusion, created_at=moment, duration=brief) for moment in times
    ]
