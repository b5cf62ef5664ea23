"""Demo servers for a whole fleet of projects and repositories, in a process of their own: theirs is not our CPU."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from simulator_support.github_edge_cases import edge_case_repository
from simulator_support.wandb_projects import bulk_project

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.wandb_server import WandbServer


@contextmanager
def fleet(
    now: datetime, *, projects: int, runs: int, repositories: int, workflow_runs: int
) -> Iterator[tuple[str, str]]:
    """The addresses of W&B and GitHub, for as long as the block lasts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(theirs, now, projects, runs, repositories, workflow_runs), daemon=True
    )
    process.start()
    try:
        if not ours.poll(300):
            raise TimeoutError("the fleet did not come up")
        yield ours.recv()
    finally:
        process.terminate()
        process.join(10)


def _serve(pipe: Any, now: datetime, projects: int, runs: int, repositories: int, workflow_runs: int) -> None:
    wandb = WandbServer(*(bulk_project(now, runs=runs, keys=10, seed=n, name=f"p{n}") for n in range(projects)))
    github = GitHubServer([_repository(now, n, workflow_runs) for n in range(repositories)], clock=ManualClock(now))
    pipe.send((wandb.url, github.url))
    threading.Event().wait()


def _repository(now: datetime, number: int, runs: int) -> DemoRepository:
    """Runs of two days, which is as far as the check looks back."""
    return edge_case_repository(
        now, workflows=12, runs_per_day=runs // 2, days=2, seed=number, full_name=f"demo-org/r{number}"
    )
