"""The sample GitHub repository: workflows, a week of their runs, and pull requests."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle, islice, product
from typing import NamedTuple

from metta_checks.core.clock import Clock
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_records import Conclusion, DemoWorkflow, Status, WorkflowState
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository

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


LABELS: dict[tuple[str, ...], float] = {
    (): 70.0,
    ("documentation",): 10.0,
    ("dependencies",): 10.0,
    ("hotfix",): 4.0,
    ("force-merge",): 4.0,
    ("revert",): 2.0,
}
TITLES = (
    "Tune reward shaping",
    "Fix the replay viewer",
    "Rework the policy zoo",
    "Document the arena",
    "Update wheels",
)


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    """One attempt of a run that is going to be added. Without a `conclusion` it has not ended."""

    started_at: datetime
    conclusion: Conclusion | None
    duration: timedelta = timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that is going to be added, with all its attempts."""

    workflow_id: int
    attempts: tuple[PlannedAttempt, ...]
    branch: str = "main"
    head_repository: str | None = None
    event: str = "push"
    actor: str = "mira"
    display_title: str | None = None
    head_sha: str | None = None
    unfinished_status: Status = "in_progress"

    @property
    def created_at(self) -> datetime:
        return self.attempts[0].started_at


def sample_repository(
    now: datetime,
    *,
    workflows: int = 16,
    runs_per_day: int = 160,
    days: int = 8,
    seed: int = 7,
    clock: Clock | None = None,
) -> DemoRepository:
    """A repository with `days` of pushes, schedules and pull requests up to `now`, the same for the same arguments.

    `runs_per_day` is what a listing of `branch=main` holds for each 24 hours, forks included; a quarter as many runs on
    other branches come on top. The clock stands at `now` unless one is given.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    rng = random.Random(f"{seed}/{workflows}/{runs_per_day}/{days}")
    repository, roles = new_repository("demo-org/arena", workflows, clock or ManualClock(now))
    runs = [run for day in range(days) for run in a_day(rng, now - timedelta(days=day), now, roles.busy, runs_per_day)]
    for ago, workflow in zip(cycle((19, 26, 40)), (*roles.quiet, *roles.disabled), strict=False):
        runs.append(PlannedRun(workflow.id, (PlannedAttempt(now - timedelta(days=ago), "success"),)))
    for minutes, workflow in zip((1, 2, 4), roles.busy, strict=False):
        waiting = PlannedAttempt(now - timedelta(minutes=minutes), None)
        runs.append(PlannedRun(workflow.id, (waiting,), unfinished_status="queued"))
    add_runs(repository, runs)
    disable(repository, roles)
    for hours in range(3, 24 * 14, 4):
        title, labels = rng.choice(TITLES), rng.choices(tuple(LABELS), tuple(LABELS.values()))[0]
        opened = repository.open_pull_request(title, labels=labels, created_at=now - timedelta(hours=hours + 5))
        if rng.random() < 0.9:
            repository.merge_pull_request(opened.number, at=now - timedelta(hours=hours))
    return repository


class Roles(NamedTuple):
    """What the workflows do; those in no list never ran."""

    busy: list[DemoWorkflow]
    quiet: list[DemoWorkflow]
    fruitless: list[DemoWorkflow]
    disabled: list[DemoWorkflow]


def new_repository(
    full_name: str, workflows: int, clock: Clock, repository_id: int = FIRST_REPOSITORY_ID
) -> tuple[DemoRepository, Roles]:
    """A repository without runs, and the roles of its workflows. Raises ValueError for fewer than 10 workflows."""
    if workflows < 10:
        raise ValueError(f"a sample repository needs at least 10 workflows, not {workflows}")
    repository = DemoRepository(full_name, repository_id=repository_id, clock=clock)
    for name, path in _workflow_files(workflows):
        repository.add_workflow(name, path)
    return repository, _roles(repository.workflows)


def add_runs(repository: DemoRepository, runs: Sequence[PlannedRun]) -> None:
    """The runs, in the order of their creation."""
    for run in sorted(runs, key=lambda run: run.created_at):
        _add(repository, run)


def disable(repository: DemoRepository, roles: Roles) -> None:
    """Switch the workflows off that are to be, each for another reason."""
    for workflow, state in zip(roles.disabled, cycle(DISABLED_STATES), strict=False):
        repository.disable_workflow(workflow.id, state)


def _workflow_files(count: int) -> Iterator[tuple[str, str]]:
    variants = chain(VARIANTS, (f"-{number}" for number in range(2, count)))
    for variant, stem in islice(product(variants, STEMS), count):
        name = stem if variant in SAME_NAME else f"{stem}{variant}"
        yield name.replace("-", " ").capitalize(), f".github/workflows/{stem}{variant}.yml"


def _roles(workflows: Sequence[DemoWorkflow]) -> Roles:
    count = len(workflows)
    sizes = (max(3, count // 8), max(1, count // 20), max(2, count // 10), max(1, count // 20))
    rest = iter(workflows)
    busy = [*islice(rest, count - sum(sizes))]
    quiet, fruitless, disabled, _never_ran = ([*islice(rest, size)] for size in sizes)
    return Roles(busy, quiet, fruitless, disabled)


def a_day(
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
