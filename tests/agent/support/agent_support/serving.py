"""W&B and GitHub servers with many small projects and repositories, in a process of their own."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from metta_checks.core.clock import utcnow
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.sandbox import DEMO_TOKEN
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

WORKFLOWS = 6
SUMMARY = dict.fromkeys(("overview/steps_per_second", "overview/reward", "env_agent/heart.gained"), 1.0)


@contextmanager
def serving(
    now: datetime, *, projects: int, runs: int, alive: int, repositories: int, workflow_runs: int
) -> Iterator[tuple[str, str]]:
    """The addresses of W&B and GitHub, for as long as the block lasts: `p0000` and `team/r0000` the first."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    numbers = (projects, runs, alive, repositories, workflow_runs)
    process = context.Process(target=_serve, args=(theirs, now, *numbers), daemon=True)
    process.start()
    try:
        if not ours.poll(300):
            raise TimeoutError("the servers did not come up")
        yield ours.recv()
    finally:
        process.terminate()
        process.join(10)


def _serve(
    pipe: Any, now: datetime, projects: int, runs: int, alive: int, repositories: int, workflow_runs: int
) -> None:
    wandb = WandbServer(*(_project(now, f"p{number:04}", runs, alive) for number in range(projects)))
    github = GitHubServer(
        [_repository(now, f"team/r{number:04}", workflow_runs) for number in range(repositories)],
        token=DEMO_TOKEN,
        clock=utcnow,
    )
    # Many more instances than a token is made for.
    github.limits.core = github.limits.graphql = 10_000_000
    pipe.send((wandb.url, github.url))
    threading.Event().wait()


def _project(now: datetime, name: str, runs: int, alive: int) -> DemoProject:
    project = DemoProject("team", name)
    for number in range(runs):
        age = timedelta(minutes=30 * number)
        state = "running" if number < alive else "finished"
        beat = now if number < alive else now - age
        project.start(
            f"{name}-{number}", now - age - timedelta(hours=2), state=state, heartbeat_at=beat, summary=SUMMARY
        )
    return project


def _repository(now: datetime, name: str, runs: int) -> DemoRepository:
    repository = DemoRepository(name, clock=utcnow)
    workflows = [repository.add_workflow(f"w{n}", f".github/workflows/w{n}.yml") for n in range(WORKFLOWS)]
    for number in range(runs, 0, -1):
        created = now - timedelta(minutes=30 * number)
        workflow = workflows[number % WORKFLOWS]
        repository.new_run(workflow.id, created_at=created, status="completed", conclusion="success")
    return repository
