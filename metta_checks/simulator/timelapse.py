"""The sample data over time: runs learn and end, CI keeps running, suites publish again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from metta_checks.simulator.github_activity import RepositoryActivity
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.health import write_sample_records
from metta_checks.simulator.sandbox import DemoSandbox, sandbox
from metta_checks.simulator.wandb_sample import SampleTeam

STEP: Final = timedelta(minutes=10)
STEPS: Final = 12

_SEED: Final = 11


class Timelapse:
    """A sandbox, and the clock that moves its data. The checks must read the same clock."""

    def __init__(self, demo: DemoSandbox, clock: ManualClock) -> None:
        self.sandbox = demo
        self.clock = clock
        self._random = random.Random(_SEED)
        self._activity = RepositoryActivity(demo.repository)
        self._team = SampleTeam(demo.project, seed=_SEED)

    def advance(self, by: timedelta = STEP) -> None:
        """Let time pass, and what happens in it."""
        since, now = self.clock(), self.clock.advance(by)
        self._activity.catch_up()
        self._team.advance(since, now)
        if self._random.random() < by / timedelta(hours=1):
            write_sample_records(self.sandbox.folder, now)


@contextmanager
def timelapse(until: datetime, *, steps: int = STEPS) -> Iterator[Timelapse]:
    """A sandbox whose clock stands `steps` steps before `until`."""
    clock = ManualClock(until - steps * STEP)
    with sandbox(clock) as demo:
        yield Timelapse(demo, clock)
