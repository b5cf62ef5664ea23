"""A demo repository on loopback, and the check that watches it; the parts live in `support`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from ci_support.scene import NOW, Scene
from datadog_checks.base.stubs.aggregator import AggregatorStub
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository

SceneMaker = Callable[..., Scene]


@pytest.fixture
def scene(aggregator: AggregatorStub) -> Iterator[SceneMaker]:
    """`scene(workflows, runs_per_day, **options)`: a sample repository of that size as of `NOW`, watched."""
    with ExitStack() as stack:

        def make(workflows: int = 28, runs_per_day: int = 60, *, days: int = 3, seed: int = 7, **options: Any) -> Scene:
            repository = edge_case_repository(NOW, workflows=workflows, runs_per_day=runs_per_day, days=days, seed=seed)
            return stack.enter_context(Scene(repository, aggregator, **options))

        yield make


@pytest.fixture
def empty_scene(aggregator: AggregatorStub) -> Iterator[SceneMaker]:
    """`empty_scene(**options)`: a repository as of `NOW` with one workflow, `ci.yml`, and no run yet, watched."""
    with ExitStack() as stack:

        def make(**options: Any) -> Scene:
            repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
            repository.add_workflow("CI", ".github/workflows/ci.yml")
            lists: dict[str, Any] = {"tests_blocking_merge_workflows": [], "benchmarks_workflows": []}
            return stack.enter_context(Scene(repository, aggregator, **{**lists, **options}))

        yield make
