"""The sample W&B project: a week of a team's training runs, and how they go on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from metta_checks.simulator.wandb_project import ACTIVE, DEMO_ENTITY, DEMO_PROJECT, DemoProject, DemoRun, RunState

_HUNG_FOR: Final = timedelta(hours=5)
"""The hung run sends heartbeats, but has logged nothing for so long."""

_ENDED_EARLY: Final[dict[RunState, float]] = {"failed": 0.1, "crashed": 0.05, "killed": 0.05}
"""The shares of runs that do not finish."""

_STARTS_PER_HOUR: Final = 0.8
_GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class _Kind:
    """Runs that are started alike. `name` is the display name, with `{number}` in it."""

    name: str
    user: str
    group: str
    job_type: str
    gpus: int
    hours: float
    steps_per_second: float
    plateau: float
    sweep: str | None = None


_NIGHTLY: Final = _Kind("github.sky.main.{number:07x}", "github-ci", "nightly", "train", 8, 12.0, 180_000, 6.5)
_SWEEP: Final = _Kind("relh.sweep.lr.{number}", "relh", "learning-rate", "train", 1, 4.0, 42_000, 4.0, "lr5x2k9q")
_KINDS: Final = (
    _NIGHTLY,
    _SWEEP,
    _Kind("github.sky.pr-{number}", "github-ci", "pull-requests", "train", 4, 3.0, 95_000, 5.0),
    _Kind("daphne.navigation.{number}", "daphne", "navigation", "train", 2, 20.0, 64_000, 3.2),
    _Kind("nishad.memory.{number}", "nishad", "memory", "train", 4, 16.0, 88_000, 5.5),
    _Kind("nishad.arena.eval.{number}", "nishad", "arena", "eval", 1, 1.5, 30_000, 6.0),
)


def sample_project(now: datetime, *, seed: int = 7, entity: str = DEMO_ENTITY, name: str = DEMO_PROJECT) -> DemoProject:
    """A project with a week of runs up to `now`: the same seed and time give the same project.

    One run is hung: its process sends heartbeats, and it has logged nothing for hours.
    """
    now = now.replace(microsecond=0)
    project = DemoProject(entity, name)
    team = SampleTeam(project, seed=seed)
    for created_at, kind in team.planned(now - timedelta(days=7), now):
        team.start(kind, created_at, now)
    hung = team.start(_KINDS[3], now - timedelta(hours=9), now)
    hung.summary = team.summary(hung, now - _HUNG_FOR)
    hung.state, hung.heartbeat_at = "running", now - timedelta(seconds=25)
    waiting = team.start(_KINDS[4], now - timedelta(minutes=3), now)
    waiting.state, waiting.summary, waiting.system_metrics = "pending", None, None
    return project


class SampleTeam:
    """Those who train in a project. They start runs; the runs learn, and end after their time."""

    def __init__(self, project: DemoProject, *, seed: int = 7) -> None:
        self.project = project
        self._random = random.Random(seed)
        self._first_ends: dict[str, RunState] = {_NIGHTLY.group: "finished", "memory": "failed"}
        self._kind_of = {kind.group: kind for kind in _KINDS}

    def advance(self, since: datetime, now: datetime) -> None:
        """What happens in a project from `since` to `now`: heartbeats, ends, and new runs.

        The first call ends two runs, so that charts of ended runs have something to show however short the time is.
        """
        for run in self.project.runs:
            if run.state not in ACTIVE or run.group not in self._kind_of:
                continue
            if self._is_hung(run):
                self.project.beat(run.name, now - timedelta(seconds=self._random.randrange(60)))
            else:
                run.state = "running"
                self._go_on(run, now)
                group = run.group or ""
                if run.state == "running" and group in self._first_ends:
                    self.project.end(run.name, self._first_ends.pop(group), now)
        for created_at, kind in self.planned(since, now):
            self.start(kind, created_at, now)

    def planned(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, _Kind]]:
        """The starts between two moments, at random times."""
        at = since
        while True:
            at += timedelta(hours=self._random.expovariate(_STARTS_PER_HOUR))
            if at >= until:
                return
            yield at.replace(microsecond=0), self._random.choice(_KINDS)

    def start(self, kind: _Kind, created_at: datetime, now: datetime) -> DemoRun:
        """A run that began at `created_at`, as it stands at `now`."""
        chance = self._random
        name = f"{chance.getrandbits(40):08x}"
        number = chance.getrandbits(28) if "x}" in kind.name else chance.randrange(100, 1_000)
        run = self.project.start(
            name,
            created_at,
            display_name=kind.name.format(number=number),
            sweep_name=kind.sweep,
            group=kind.group,
            job_type=kind.job_type,
            user=kind.user,
            tags=("nightly",) if kind is _NIGHTLY else ("baseline",) if chance.random() < 0.2 else (),
            config={"seed": chance.randrange(100), "trainer": {"learning_rate": chance.choice((1e-3, 3e-4))}},
            host=f"node-{chance.randrange(12):02d}",
        )
        self._go_on(run, now)
        return run

    def summary(self, run: DemoRun, at: datetime) -> dict[str, Any]:
        """What a run has logged last at that time: rewards rise towards a plateau, the speed wavers around a value."""
        kind = self._kind_of[run.group or ""]
        own = random.Random(run.name)
        hours = max(0.0, (at - run.created_at) / timedelta(hours=1))
        learnt = 1 - math.exp(-hours / (0.35 * kind.hours))
        reward = kind.plateau * own.uniform(0.85, 1.1) * learnt
        speed = kind.steps_per_second * own.uniform(0.92, 1.05) * self._random.uniform(0.98, 1.02)
        return {
            "_step": int(hours * 3_600 * kind.steps_per_second / 100_000),
            "_runtime": hours * 3_600,
            "_timestamp": at.timestamp(),
            "overview/reward": round(reward + self._random.gauss(0, 0.03), 4),
            "overview/steps_per_second": round(speed, 1),
            "env_agent/heart.gained": round(1.6 * reward + abs(self._random.gauss(0, 0.05)), 4),
            "losses/policy_loss": round(0.02 + 0.1 * (1 - learnt), 5),
            "losses/entropy": round(1.8 - 0.9 * learnt, 4),
            "skypilot/queue_latency_s": own.randrange(20, 600),
        }

    def _go_on(self, run: DemoRun, now: datetime) -> None:
        """The run's state at `now`, while it trains or at its end."""
        own = random.Random(f"{run.name}/life")
        kind = self._kind_of[run.group or ""]
        state: RunState = "finished"
        lasts = timedelta(hours=kind.hours * own.uniform(0.8, 1.2))
        lot = own.random()
        for ended, share in _ENDED_EARLY.items():
            if lot < share:
                state, lasts = ended, lasts * own.uniform(0.1, 0.9)
                break
            lot -= share
        end = (run.created_at + lasts).replace(microsecond=0)
        beat = end if end <= now else max(run.created_at, now - timedelta(seconds=self._random.randrange(45)))
        self.project.beat(run.name, beat, self.summary(run, beat))
        run.system_metrics = self._machine(kind.gpus)
        if end <= now:
            self.project.end(run.name, state, beat)

    def _is_hung(self, run: DemoRun) -> bool:
        """Known from its data, so that another team can take over a project."""
        logged = run.summary.get("_timestamp") if isinstance(run.summary, dict) else None
        return logged is not None and (run.heartbeat_at or run.created_at).timestamp() - logged > 3_600

    def _machine(self, gpus: int) -> dict[str, Any]:
        """The last sample of the machine. The `process` keys are the run's own share of a GPU, not a device."""
        chance = self._random
        values: dict[str, Any] = {
            "system.cpu": chance.uniform(35, 65),
            "system.memory_percent": chance.uniform(40, 60),
            "system.disk./.usagePercent": chance.uniform(30, 70),
            "system.network.sent": chance.randrange(10**9),
            "system.network.recv": chance.randrange(10**9),
        }
        for gpu in range(gpus):
            load, memory, power = chance.uniform(82, 98), chance.uniform(62, 88), chance.uniform(420, 640)
            for prefix in (f"system.gpu.{gpu}", f"system.gpu.process.{gpu}"):
                values |= {
                    f"{prefix}.gpu": load,
                    f"{prefix}.memory": 0.7 * load,
                    f"{prefix}.memoryAllocated": memory,
                    f"{prefix}.memoryAllocatedBytes": int(memory / 100 * 80 * _GIB),
                    f"{prefix}.temp": 40 + load / 4,
                    f"{prefix}.powerWatts": power,
                    f"{prefix}.powerPercent": power / 7,
                }
        return values
