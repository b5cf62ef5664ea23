"""Eight instances of each check in one process, and some that discover, on threads that change between runs, as the
Agent has them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from datadog_checks.base.stubs import aggregator as agent
from datadog_checks.base.stubs import datadog_agent
from hostile_support.stages import BEGIN, document
from simulator_support.github_edge_cases import edge_case_repository
from simulator_support.wandb_projects import edge_case_project

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.eval.check import EvalCheck
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

pytestmark = pytest.mark.hostile

INSTANCES = 8
ROUNDS = 4
MAX_RUNS = 500
HALVES = ("[0-3]", "[4-7]")
"""Patterns of the instances that discover: two for each check."""

Figures = Mapping[str, Sequence[tuple[str, int, tuple[str, ...], float]]]
"""What each instance submitted, by its own tag: metric, type, tags, value."""


@pytest.fixture
def make_checks(tmp_path: Path, certificate: Path) -> Iterator[Callable[[], list[MettaCheck]]]:
    """Eight instances of each check, each of a source of its own with other figures."""
    with ExitStack() as stack:
        projects = [edge_case_project(BEGIN, seed=seed, runs=40, name=f"p{seed}") for seed in range(INSTANCES)]
        repositories = [
            edge_case_repository(BEGIN, workflows=10, runs_per_day=30, days=3, seed=seed, full_name=f"demo-org/r{seed}")
            for seed in range(INSTANCES)
        ]
        wandb, entity = (stack.enter_context(WandbServer(*projects)) for _ in range(2))
        github, organization = (stack.enter_context(GitHubServer(repositories)) for _ in range(2))
        for seed in range(INSTANCES):
            (tmp_path / f"{seed}.json").write_bytes(document(seed / 10))

        def new(kind: type[MettaCheck], name: str, number: object, own: Mapping[str, Any]) -> MettaCheck:
            tags = {"tags": [f"instance:{name}-{number}"], "tls_ca_cert": str(certificate)}
            check = kind(name=name, init_config={}, instances=[{**tags, **own}])
            check.clock = lambda: BEGIN
            return check

        def make() -> list[MettaCheck]:
            checks: list[MettaCheck] = []
            # On servers of their own: instances of one target would share its state.
            for half in HALVES:
                own: dict[str, Any] = {"entity": "metta-research", "base_url": entity.url, "api_key": DEMO_API_KEY}
                own |= {"page_size": 15, "projects": {"include": [f"p{half}"]}, "max_runs": 4 * MAX_RUNS}
                checks.append(new(WandbCheck, "metta_wandb", half, own))
                own = {"organization": "demo-org", "api_url": organization.url, "token": f"token-of-{half}"}
                checks.append(new(CiCheck, "metta_ci", half, {**own, "repos": {"include": [f"r{half}"]}}))
            for seed in range(INSTANCES):
                run = {"entity": "metta-research", "project": f"p{seed}", "base_url": wandb.url}
                repo = {"repo": f"demo-org/r{seed}", "api_url": github.url, "token": f"token-of-{seed}"}
                source = {"source": str(tmp_path / f"{seed}.json")}
                for kind, name, own in (
                    (
                        WandbCheck,
                        "metta_wandb",
                        {**run, "api_key": DEMO_API_KEY, "page_size": 15, "max_runs": MAX_RUNS},
                    ),
                    (CiCheck, "metta_ci", repo),
                    (TrainingCheck, "metta_training", source),
                    (EvalCheck, "metta_eval", source),
                ):
                    checks.append(new(kind, name, seed, own))
            return checks

        yield make


def submitted() -> Figures:
    figures: dict[str, list[tuple[str, int, tuple[str, ...], float]]] = {}
    for name in agent.metric_names:
        # Time passes, and the server counts what all runs together have asked.
        if name in {"metta.check.duration_seconds", "metta.check.quota_remaining"}:
            continue
        for stub in agent.metrics(name):
            (own,) = (tag for tag in stub.tags if tag.startswith("instance:"))
            figures.setdefault(own, []).append((name, stub.type, tuple(sorted(stub.tags)), float(stub.value)))
    return {own: sorted(found) for own, found in figures.items()}


def test_each_has_the_figures_that_it_has_alone(
    make_checks: Callable[[], list[MettaCheck]], figure: Callable[[str], None]
) -> None:
    alone = run_round(make_checks(), one_by_one)
    datadog_agent.reset()
    checks = make_checks()
    together = [run_round(checks, at_once) for _ in range(ROUNDS)]
    assert len(alone) == 4 * INSTANCES + 2 * len(HALVES)
    for own, found in alone.items():
        assert sorted(set(together[0][own]) ^ set(found)) == [], own
    # Later ones cost fewer requests, and give the same figures.
    for later in together[1:]:
        assert without_requests(later) == without_requests(alone)
    series = sum(map(len, alone.values()))
    figure(f"{len(checks)} instances at once, {ROUNDS} times: each of the {series:,} series as when they run alone")


def test_the_targets_of_a_discovery_have_the_figures_of_single_instances(
    make_checks: Callable[[], list[MettaCheck]], figure: Callable[[str], None]
) -> None:
    """All values, types and tags, except those of the instance itself."""
    figures = run_round(make_checks(), at_once)
    of_targets: dict[bool, set[Any]] = {True: set(), False: set()}
    for own, found in figures.items():
        for name, kind, tags, value in found:
            if name.startswith(("wandb.", "metta.infra.")) and own.startswith(
                ("instance:metta_wandb", "instance:metta_ci")
            ):
                rest = tuple(tag for tag in tags if not tag.startswith("instance:"))
                of_targets[own.endswith(HALVES)].add((name, kind, rest, value))
    assert len(of_targets[True]) > 50 * INSTANCES
    assert sorted(of_targets[True] ^ of_targets[False]) == []
    figure(f"{len(of_targets[True]):,} series of {2 * INSTANCES} targets: found by a list as when named one by one")


def run_round(checks: list[MettaCheck], run: Callable[[list[MettaCheck]], list[str]]) -> Figures:
    agent.reset()
    assert run(checks) == [""] * len(checks)
    return submitted()


def one_by_one(checks: list[MettaCheck]) -> list[str]:
    return [check.run() for check in checks]


def at_once(checks: list[MettaCheck]) -> list[str]:
    """All begin together; the threads are other ones each time."""
    barrier = threading.Barrier(len(checks))

    def run(check: MettaCheck) -> str:
        barrier.wait(30)
        return str(check.run())

    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(run, checks))


def without_requests(figures: Figures) -> Any:
    telling = {"metta.check.requests"}
    return {own: [entry for entry in found if entry[0] not in telling] for own, found in figures.items()}
