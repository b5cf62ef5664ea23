"""The sample data as time passes: runs go on and end, CI keeps running, suites publish again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from metta_checks.simulator.github_activity import RepositoryActivity
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.health import write_sample_records
from metta_checks.simulator.scene import Scene, scene
from metta_checks.simulator.wandb_project import ACTIVE
from metta_checks.simulator.wandb_runs import DemoProject, DemoRun

STEP: Final = timedelta(minutes=10)
STEPS: Final = 12

_SEED: Final = 11
_ENDS: Final = {"finish": 0.03, "fail": 0.01}
"""How likely a run is to end in a step."""

_SILENT_FOR: Final = timedelta(minutes=30)
"""A run that has not been heard of for so long is a hung one, and stays so."""


class Course:
    """The stage, and a clock that moves it. The checks have to read the same clock."""

    def __init__(self, stage: Scene, clock: ManualClock) -> None:
        self.stage = stage
        self.clock = clock
        self._chance = random.Random(_SEED)
        self._activity = RepositoryActivity(stage.repository)

    def advance(self, by: timedelta = STEP) -> None:
        """Let time pass and what happens in it."""
        now = self.clock.advance(by)
        self._activity.catch_up()
        self._train(self.stage.project, now)
        if self._chance.random() < by / timedelta(hours=1):
            write_sample_records(self.stage.folder, now)

    def _train(self, project: DemoProject, now: datetime) -> None:
        chance = self._chance
        for run in project.runs:
            if run.state not in ACTIVE or run.heartbeat_at is None or now - run.heartbeat_at > _SILENT_FOR:
                continue
            project.beat(run.name, now - timedelta(seconds=chance.randrange(60)), _learnt(run, chance))
            if chance.random() < _ENDS["finish"]:
                project.finish(run.name, now)
            elif chance.random() < _ENDS["fail"]:
                project.fail(run.name, now)
        for kind in ("github.sky.main", "daphne.arena", "daphne.sweep"):
            if chance.random() < 0.8:
                self._start(project, f"{kind}.{chance.randrange(1_000)}", now)

    def _start(self, project: DemoProject, display_name: str, now: datetime) -> None:
        chance = self._chance
        like = chance.choice([run for run in project.runs if isinstance(run.summary, Mapping)])
        project.start(
            f"{chance.getrandbits(40):010x}",
            now,
            display_name=display_name,
            summary=dict(like.summary) if isinstance(like.summary, Mapping) else None,
            system_metrics=like.system_metrics,
            user=like.user,
        )


@contextmanager
def course(until: datetime, *, steps: int = STEPS) -> Iterator[Course]:
    """A stage whose clock stands `steps` steps before `until`."""
    clock = ManualClock(until - steps * STEP)
    with scene(clock) as stage:
        yield Course(stage, clock)


def _learnt(run: DemoRun, chance: random.Random) -> dict[str, float]:
    """What a step adds to the run's figures: a little reward, and a speed that wavers."""
    if not isinstance(run.summary, Mapping):
        return {}
    changed: dict[str, float] = {}
    for key, value in run.summary.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if key in {"overview/reward", "env_agent/heart.gained"}:
            changed[key] = value + abs(chance.gauss(0, 0.05))
        elif key in {"overview/steps_per_second", "overview/sps"}:
            changed[key] = value * chance.uniform(0.97, 1.03)
    return changed
