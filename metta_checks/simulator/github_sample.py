"""A seeded GitHub repository as of a given moment: workflows and the runs of the days before."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice, product
from typing import NamedTuple

from metta_checks.core.clock import Clock
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_records import Conclusion, DemoWorkflow, WorkflowState
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_set_pieces import (
    DISABLED_PIECES,
    FRUITLESS_PIECES,
    QUIET_PIECES,
    WINDOW_PIECES,
    PlannedAttempt,
    PlannedRun,
    a_group_each,
    add_pull_requests,
    one_each,
)

FORK = "a-contributor/arena"
TESTS_BLOCKING_MERGE = ("unit-tests.yml", "lint.yml")
"""File names for the option of that name; both are among the busiest workflows."""
BENCHMARKS = ("benchmarks.yml",)

ACTORS = ("mira", "jonas", "adaeze", "tomas", "dependabot[bot]")
OTHER_BRANCHES = ("feature/replay-viewer", "fix/reward-shaping", "release/1.4", "main-backup")
DISABLED_STATES: tuple[WorkflowState, ...] = ("disabled_manually", "deleted", "disabled_inactivity")

STEMS = (
    "unit-tests", "lint", "benchmarks", "type-check", "checks", "docker-image", "docs", "wheels", "arena-smoke",
    "integration-tests", "gpu-tests", "coverage", "replay-viewer", "protobuf", "code-scanning", "dependency-review",
    "eval-smoke", "training-smoke", "cluster-config", "cli", "notebooks", "policy-zoo", "dashboards", "agents",
)  # fmt: skip
VARIANTS = ("", "-nightly", "-macos", "-gpu", "-weekly")
SAME_NAME = frozenset({"-nightly"})
"""These variants carry the name of the plain workflow: names repeat, paths do not."""

OUTCOMES: dict[Conclusion, float] = {
    "success": 80.0,
    "failure": 9.0,
    "cancelled": 4.5,
    "skipped": 3.0,
    "timed_out": 0.6,
    "startup_failure": 0.6,
    "neutral": 0.8,
    "action_required": 0.8,
    "stale": 0.7,
}
RERUN_OUTCOMES: dict[Conclusion, float] = {"success": 75.0, "failure": 18.0, "cancelled": 5.0, "timed_out": 2.0}
RERUN_SHARE = {"failure": 0.15, "timed_out": 0.3, "startup_failure": 0.4, "cancelled": 0.08, "success": 0.002}
FORK_SHARE = 0.04
OTHER_BRANCH_SHARE = 0.25


def sample_repository(
    now: datetime,
    *,
    workflows: int = 40,
    runs_per_day: int = 600,
    days: int = 10,
    seed: int = 7,
    full_name: str = "demo-org/arena",
    clock: Clock | None = None,
) -> DemoRepository:
    """A repository that has lived for `days` up to `now`, the same for the same arguments.

    `runs_per_day` is what a listing of `branch=main` holds for each 24 hours before `now`, forks included;
    runs on other branches (a quarter as many) and a few dozen set pieces at the edges come on top. The clock
    stands at `now` unless one is given. Raises ValueError for fewer than 10 workflows.
    """
    if workflows < 10:
        raise ValueError(f"a sample repository needs at least 10 workflows, not {workflows}")
    now = now.astimezone(UTC).replace(microsecond=0)
    rng = random.Random(f"{seed}/{workflows}/{runs_per_day}/{days}")
    repository = DemoRepository(full_name, clock=clock or ManualClock(now))
    for name, path in _workflow_files(workflows):
        repository.add_workflow(name, path)
    roles = _roles(repository.workflows)

    runs = [*one_each(WINDOW_PIECES, roles.busy, now)]
    for day in range(days):
        runs += _day(rng, now - timedelta(days=day), now, roles.busy, runs_per_day)
    for groups, workflows_of in (
        (QUIET_PIECES, roles.quiet),
        (FRUITLESS_PIECES, roles.fruitless),
        (DISABLED_PIECES, roles.disabled),
    ):
        runs += a_group_each(groups, workflows_of, now)
    for run in sorted(runs, key=lambda run: run.created_at):
        _add(repository, run)
    for workflow, state in zip(roles.disabled, cycle(DISABLED_STATES), strict=False):
        repository.disable_workflow(workflow.id, state)
    add_pull_requests(repository, now, rng)
    return repository


class _Roles(NamedTuple):
    """What the workflows do; those in no list never ran."""

    busy: list[DemoWorkflow]
    quiet: list[DemoWorkflow]
    fruitless: list[DemoWorkflow]
    disabled: list[DemoWorkflow]


def _workflow_files(count: int) -> Iterator[tuple[str, str]]:
    variants = chain(VARIANTS, (f"-{number}" for number in range(2, count)))
    for variant, stem in islice(product(variants, STEMS), count):
        name = stem if variant in SAME_NAME else f"{stem}{variant}"
        yield name.replace("-", " ").capitalize(), f".github/workflows/{stem}{variant}.yml"


def _roles(workflows: Sequence[DemoWorkflow]) -> _Roles:
    count = len(workflows)
    sizes = (max(3, count // 8), max(1, count // 20), max(2, count // 10), max(1, count // 20))
    rest = iter(workflows)
    busy = [*islice(rest, count - sum(sizes))]
    quiet, fruitless, disabled, _never_ran = ([*islice(rest, size)] for size in sizes)
    return _Roles(busy, quiet, fruitless, disabled)


def _day(
    rng: random.Random, end: datetime, now: datetime, busy: Sequence[DemoWorkflow], runs_per_day: int
) -> Iterator[PlannedRun]:
    """One day's runs up to `end`. A push starts several workflows in the same second, as it does on GitHub."""
    weights = [1.0 / (1 + position) ** 0.6 for position in range(len(busy))]
    for on_main, count in ((True, runs_per_day), (False, round(runs_per_day * OTHER_BRANCH_SHARE))):
        left = count
        while left > 0:
            chosen = tuple(dict.fromkeys(rng.choices(busy, weights, k=rng.randint(1, 8))))[:left]
            left -= len(chosen)
            created_at = end - timedelta(seconds=rng.randint(1, 86_400))
            yield from _push(rng, created_at, now, chosen, on_main)


def _push(
    rng: random.Random, created_at: datetime, now: datetime, workflows: Sequence[DemoWorkflow], on_main: bool
) -> Iterator[PlannedRun]:
    sha = f"{rng.getrandbits(160):040x}"
    actor = rng.choice(ACTORS)
    from_fork = on_main and rng.random() < FORK_SHARE
    branch = "main" if on_main else rng.choice(OTHER_BRANCHES)
    event = rng.choices(("push", "schedule", "merge_group"), (8, 1, 1))[0]
    if from_fork or not on_main:
        event = "pull_request"
    verb, subject = rng.choice(("Tune", "Fix", "Rework", "Document")), rng.choice(STEMS).replace("-", " ")
    for workflow in workflows:
        yield PlannedRun(
            workflow_id=workflow.id,
            branch=branch,
            head_repository=FORK if from_fork else None,
            event=event,
            actor=actor,
            display_title=f"{verb} {subject}",
            head_sha=sha,
            attempts=tuple(_attempts(rng, created_at, now, workflow)),
        )


def _attempts(
    rng: random.Random, created_at: datetime, now: datetime, workflow: DemoWorkflow
) -> Iterator[PlannedAttempt]:
    started_at, outcomes = created_at, OUTCOMES
    for _ in range(3):
        conclusion = rng.choices(tuple(outcomes), tuple(outcomes.values()))[0]
        duration = _duration(rng, conclusion, workflow)
        if started_at + duration > now:
            yield PlannedAttempt(started_at, None)
            return
        yield PlannedAttempt(started_at, conclusion, duration)
        if rng.random() >= RERUN_SHARE.get(conclusion, 0.0):
            return
        started_at, outcomes = started_at + duration + _pause(rng), RERUN_OUTCOMES
        if started_at >= now:
            return


def _pause(rng: random.Random) -> timedelta:
    """Until somebody presses the button: mostly within the hour, sometimes the next day."""
    if rng.random() < 0.8:
        return timedelta(seconds=int(rng.expovariate(1 / 2_400)))
    return timedelta(hours=8, seconds=rng.randint(0, 22 * 3_600))


def _duration(rng: random.Random, conclusion: Conclusion, workflow: DemoWorkflow) -> timedelta:
    """Minutes differ between workflows by a factor of ten, and between the runs of one by a third."""
    typical_minutes = 0.8 * 1.25 ** (workflow.id % 11)
    match conclusion:
        case "success" | "failure" | "neutral":
            return timedelta(seconds=max(5, int(60 * typical_minutes * rng.lognormvariate(0.0, 0.3))))
        case "cancelled":
            return timedelta(seconds=int(60 * typical_minutes * rng.random()))
        case "timed_out" | "stale":
            return timedelta(hours=6)
        case _:
            return timedelta(seconds=rng.randint(0, 4))


def _add(repository: DemoRepository, plan: PlannedRun) -> None:
    first, *later = plan.attempts
    run = repository.new_run(
        plan.workflow_id,
        branch=plan.branch,
        head_repository=plan.head_repository,
        event=plan.event,
        actor=plan.actor,
        display_title=plan.display_title,
        head_sha=plan.head_sha,
        created_at=first.started_at,
        status=plan.unfinished_status,
        conclusion=first.conclusion,
        duration=first.duration,
    )
    for attempt in later:
        repository.rerun(run.id, at=attempt.started_at, conclusion=attempt.conclusion, duration=attempt.duration)
