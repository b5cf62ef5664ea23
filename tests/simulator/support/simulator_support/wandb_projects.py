"""W&B projects for tests: one full of edge cases, one as large as benchmarks need."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from metta_checks.simulator.wandb_project import ACTIVE, DEMO_ENTITY, DEMO_PROJECT, ENDED, DemoProject, RunState
from simulator_support.wandb_values import (
    BROKEN_TEXTS,
    awkward_summaries,
    awkward_system_metrics,
    summary,
    system_metrics,
)

_STATE_WEIGHTS: dict[RunState, int] = {
    "finished": 44,
    "running": 22,
    "failed": 10,
    "crashed": 8,
    "killed": 5,
    "pending": 4,
    "preempted": 4,
    "preempting": 3,
}

_AWKWARD_NAMES: tuple[str | None, ...] = (
    "github.sky.sweep.7",
    "GitHub.Sky.main",
    "not.github.sky.main",
    "github.sky.",
    "resweep-the-floor",
    "SWEEP",
    "hyperSweeper.lr=3e-4",
    "commas, and, more",
    "two\nlines\r\nand a\ttab",
    "🚀 to the 🌙",
    "env:prod:colons:everywhere",
    "x" * 600,
    "github.sky." + "🔥" * 150,
    "half a pair: \ud83d",
    "a \x00 byte",
    'quoted "twice" \\ once',
    "日本語の実験 é́",
    "%s {0} ${HOME} <b>",
    "  spaces  ",
    "",
    None,
)
"""What people and launchers call their runs. `None` is a run without a display name."""

_WEEK = timedelta(days=7)


def edge_case_project(
    now: datetime,
    *,
    seed: int = 7,
    runs: int = 300,
    entity: str = DEMO_ENTITY,
    name: str = DEMO_PROJECT,
    broken: bool = True,
) -> DemoProject:
    """A project of `runs` runs around `now`: the same seed and time give the same project.

    The awkward runs come first (about a hundred, or as many as there is room for), ordinary ones fill up.
    `broken=False` leaves out the runs whose metrics the official SDK itself cannot read: with `lazy=False`
    one of them ends its whole loop.
    """
    maker = _Maker(random.Random(seed), now.replace(microsecond=0), DemoProject(entity, name))
    awkward = [*_awkward_names(), *_awkward_values(maker.rng), *_awkward_times(maker.now), *_repeated_names()]
    if broken:
        awkward += _broken_values()
    for fields in awkward[:runs]:
        maker.add(**fields)
    while len(maker.project) < runs:
        maker.add()
    return maker.project


def bulk_project(
    now: datetime,
    *,
    runs: int = 1000,
    keys: int = 60,
    seed: int = 7,
    entity: str = DEMO_ENTITY,
    name: str = DEMO_PROJECT,
) -> DemoProject:
    """`runs` runs active within a day, each with `keys` summary keys and two GPUs, for benchmarks.

    Half are running, the rest finished and failed. Values come from a small pool, so that ten thousand
    runs are made in about a second and stay small in memory.
    """
    rng = random.Random(seed)
    now = now.replace(microsecond=0)
    main = ("overview/steps_per_second", "overview/sps", "overview/reward", "env_agent/heart.gained")
    names = (*main, "skypilot/queue_latency_s", *(f"env_task/arena-{i}/score" for i in range(keys)))[:keys]
    pool = [rng.uniform(0, 1_000) for _ in range(4_096)]
    machines = [system_metrics(rng, 2) for _ in range(64)]
    project = DemoProject(entity, name)
    for i in range(runs):
        state: RunState = "running" if i % 2 == 0 else ("finished", "finished", "failed")[i % 3]
        beat = now - timedelta(seconds=rng.randrange(60) if state == "running" else rng.randrange(7_200, 86_000))
        start = rng.randrange(len(pool) - keys)
        project.start(
            f"b{i:07d}",
            now,
            display_name=f"{('github.sky.main', 'sweep.lr', 'ablation')[i % 3]}.{i}",
            state=state,
            created_at=beat - timedelta(seconds=rng.randrange(600, 400_000)),
            heartbeat_at=beat,
            summary=dict(zip(names, pool[start : start + keys], strict=True)),
            system_metrics=machines[i % len(machines)],
            host=f"node-{i % 16:02d}",
        )
    return project


class _Maker:
    """Adds runs to a project; what the caller leaves open is drawn by lot."""

    def __init__(self, rng: random.Random, now: datetime, project: DemoProject) -> None:
        self.rng = rng
        self.now = now
        self.project = project

    def add(self, **given: Any) -> None:
        rng = self.rng
        state: RunState = given.get("state") or rng.choices(list(_STATE_WEIGHTS), list(_STATE_WEIGHTS.values()))[0]
        created_at, heartbeat_at = self._life(state)
        gpus = rng.choice((0, 0, 1, 1, 2, 4, 8))
        user = rng.choice(("daphne", "relh", "github-ci", "nishad"))
        fields: dict[str, Any] = {
            "display_name": self._display_name(user),
            "state": state,
            "created_at": created_at,
            "heartbeat_at": heartbeat_at,
            "sweep_name": rng.choice(("lr5x2k9q", "cl0w7h3d")) if rng.random() < 0.08 else None,
            "group": rng.choice((None, None, "arena", "navigation")),
            "job_type": rng.choice((None, "train", "eval")),
            "user": user,
            "tags": tuple(rng.sample(("nightly", "baseline", "user:daphne", "gpu"), rng.randrange(3))),
            "config": {"seed": rng.randrange(100), "trainer": {"learning_rate": rng.choice((1e-3, 3e-4))}},
            "summary": {**summary(rng, rng.randrange(1, 10**8)), "_timestamp": heartbeat_at.timestamp()},
            "system_metrics": system_metrics(rng, gpus),
            "host": f"node-{rng.randrange(16):02d}" if rng.random() < 0.9 else None,
            "history_line_count": rng.randrange(10_000),
        }
        self.project.start(self._name(), self.now, **{**fields, **given})

    def _name(self) -> str:
        while (name := "".join(self.rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))) in self.project:
            pass
        return name

    def _display_name(self, user: str) -> str:
        number = self.rng.randrange(1_000)
        match self.rng.randrange(8):
            case 0 | 1 | 2:
                return f"github.sky.{self.rng.choice(('main', 'pr-812', 'release'))}.{self.rng.getrandbits(28):07x}"
            case 3:
                return f"{user}.{self.rng.choice(('sweep', 'Sweep', 'SWEEP'))}.lr.{number}"
            case _:
                return f"{user}.{self.rng.choice(('arena', 'navigation', 'memory'))}.{number}"

    def _life(self, state: RunState) -> tuple[datetime, datetime]:
        """Creation and last heartbeat: most of the ended ran within the week, a fifth before it."""
        lasted = timedelta(seconds=self.rng.randrange(60, 3 * 86_400))
        if state in ACTIVE:
            beat = self.now - timedelta(seconds=self.rng.randrange(90))
        elif self.rng.random() < 0.2:
            beat = self.now - _WEEK - timedelta(seconds=self.rng.randrange(600, 30 * 86_400))
        else:
            beat = self.now - timedelta(seconds=self.rng.randrange(7 * 86_400 - 600))
        return beat - lasted, beat


def _awkward_names() -> Iterator[dict[str, Any]]:
    states: tuple[RunState, ...] = ("running", "finished", "failed")
    for i, display_name in enumerate(_AWKWARD_NAMES):
        yield {"display_name": display_name, "state": states[i % 3], "sweep_name": None}


def _awkward_values(rng: random.Random) -> Iterator[dict[str, Any]]:
    for blob in awkward_summaries(rng):
        yield {"state": "running", "summary": blob}
    for blob in awkward_system_metrics(rng):
        yield {"state": "running", "system_metrics": blob}
    yield {"state": "crashed", "summary": None, "system_metrics": None, "tags": (), "host": None, "config": {}}


def _broken_values() -> Iterator[dict[str, Any]]:
    for i, text in enumerate(BROKEN_TEXTS):
        yield {"state": "crashed" if i % 2 else "running", "summary": text}
        yield {"state": "running", "system_metrics": text}


def _awkward_times(now: datetime) -> Iterator[dict[str, Any]]:
    second = timedelta(seconds=1)
    month_ago = now - timedelta(days=30)
    for state in (*ACTIVE, *ENDED):
        yield {"state": state, "created_at": now - timedelta(hours=5), "heartbeat_at": now - timedelta(minutes=20)}
        yield {"state": state, "created_at": now - timedelta(hours=2), "heartbeat_at": None}
    # Long runs, of which a window over the creation knows nothing.
    yield {"state": "running", "created_at": month_ago, "heartbeat_at": now - 20 * second}
    yield {"state": "finished", "created_at": month_ago, "heartbeat_at": now - timedelta(minutes=40)}
    yield {"state": "preempting", "created_at": month_ago, "heartbeat_at": now - timedelta(days=9)}
    # A hung run: it is said to run, and nothing has been heard of it for days.
    yield {"state": "running", "created_at": month_ago, "heartbeat_at": now - timedelta(days=12)}
    # On the edge of the week, on either side.
    yield {"state": "finished", "created_at": month_ago, "heartbeat_at": now - _WEEK}
    yield {"state": "finished", "created_at": month_ago, "heartbeat_at": now - _WEEK - second}
    # Clocks differ: a heartbeat from the future, and one from before the creation.
    yield {"state": "running", "created_at": now, "heartbeat_at": now + 90 * second}
    yield {"state": "failed", "created_at": now - second, "heartbeat_at": now - 60 * second}
    yield {"state": "killed", "created_at": now - timedelta(days=1), "heartbeat_at": now - timedelta(days=1)}


def _repeated_names() -> Iterator[dict[str, Any]]:
    for state in ("running", "running", "finished", "failed"):
        yield {"display_name": "github.sky.main.0ddba11", "state": state}
    for sweep in ("lr5x2k9q", "lr5x2k9q", "cl0w7h3d"):
        yield {"display_name": "daphne.navigation", "sweep_name": sweep, "state": "running"}
