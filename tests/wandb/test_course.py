"""Whatever a project does and befalls the Agent: deltas say what full listings say, and no end comes twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from simulator_support.wandb_projects import edge_case_project
from wandb_support.watch import START, Received, Watch, a_summary, asked_of

from metta_checks.cli.independent_wandb import SdkRun, independent_count
from metta_checks.simulator.wandb_project import ACTIVE, ENDED, DemoRun

Watches = Callable[..., Watch]

HOUR = timedelta(hours=1)

TIMEFRAME = 12 * HOUR

OPTIONS: dict[str, Any] = {
    "timeframe": "12h",
    "full_refresh": "1h",
    "completed_runs": "1h",
    "max_runs": 25,
    "page_size": 40,
    "events": True,
}


class Course:
    """A random course of a project and its Agent, and a plain account of what must be told of it.

    A run is known by its reward, which is its own and never changes: so a distribution point tells whose it is.
    """

    def __init__(self, watch: Watch, seed: int) -> None:
        self.watch = watch
        self.rng = random.Random(seed)
        self.story: list[str] = []
        self.rewards: dict[float, str] = {}
        self.told: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.ended_at_first: frozenset[str] = frozenset()
        # What follows is what a check can know that has not lost its state.
        self._never_again: set[str] | None = None
        self._ended_since: dict[str, Any] = {}
        self._seen: set[str] = set()
        self._alive: set[str] = set()
        self._resumed: dict[str, Any] = {}
        self._needs_refresh = False
        self._has_memory = False
        for run in watch.project.runs:
            self._give_reward(run)

    def step(self) -> None:
        """Some time passes, some things happen, and the check collects."""
        self.watch.now += timedelta(seconds=self.rng.randrange(30, 300))
        for _ in range(self.rng.randrange(4)):
            action = self.rng.choice(ACTIONS)
            self.story.append(f"{self.watch.now:%d %H:%M:%S} {action.__name__}{action(self) or ''}")
            if action is Course.state_is_lost:
                break
        if self._needs_refresh:
            self.watch.now += HOUR
            self._needs_refresh = False
        self.verify(self.watch.collect())

    def verify(self, received: Received) -> None:
        """Compare a collection with a full listing, with a plain count, and with the ends reported so far."""
        runs = self.watch.project.runs
        ended = {run.name for run in runs if run.state in ENDED}
        if self._never_again is None:
            self._never_again = set(ended)
        just_ended = {name for name in ended - self._never_again if name in self._seen or self._in_sight(name)}
        failed = {name for name in just_ended if self.watch.project[name].state != "finished"}
        alive = {run.name for run in runs} - ended
        again = (alive - self._alive) & self._never_again
        self._resumed = {name: seen for name, seen in self._resumed.items() if name in alive}
        self._resumed |= dict.fromkeys(again, self.watch.now)
        self._alive = alive
        self._never_again |= ended
        assert self._points(received) == just_ended
        assert {event["aggregation_key"].rpartition(":")[2] for event in received.events} == failed

        assert received.gauges == self._counted_again(runs)
        assert received.gauges == self.watch.fresh().gauges
        self.ended_at_first = self.ended_at_first or frozenset(ended)
        self._seen = {run.name for run in runs}
        self._has_memory = True

    def _points(self, received: Received) -> set[str]:
        names = [self.rewards[value] for value in received.point_values("metric")]
        self.told.update(names)
        self.events.update(event["aggregation_key"] for event in received.events)
        return set(names)

    def _counted_again(self, runs: list[DemoRun]) -> dict[Any, float]:
        watch = self.watch
        asked = asked_of(watch, watch.check)
        truth = [as_told(run) for run in runs]
        in_sight = [run for run in truth if run.ended and run.active(asked.since(watch.now))]
        self._ended_since = {run.id: self._ended_since.get(run.id, watch.now) for run in in_sight}
        silent = [run_id for run_id, since in self._ended_since.items() if watch.now - since > HOUR]
        return independent_count(truth, asked, watch.now, silent, self._resumed)

    def _in_sight(self, name: str) -> bool:
        """Whether a listing has the run. One that lived and left the timeframe between two collections is in none."""
        return as_told(self.watch.project[name]).active(self.watch.now - TIMEFRAME)

    def _give_reward(self, run: DemoRun) -> None:
        reward = float(len(self.rewards))
        self.rewards[reward] = run.name
        run.summary = a_summary(reward=reward, sps=self.rng.random())

    def _one(self, *, alive: bool) -> str | None:
        """A run that was there at the latest collection: one that runs, or one that has ended."""
        names = [
            run.name for run in self.watch.project.runs if run.name in self._seen and (run.state in ACTIVE) is alive
        ]
        return self.rng.choice(names) if names else None

    def _late(self) -> Any:
        """A moment of the last one and a half minutes: heartbeats do not arrive at once."""
        return self.watch.now - timedelta(seconds=self.rng.randrange(90))

    def nothing(self) -> None:
        pass

    def hours_pass(self) -> None:
        self.watch.now += self.rng.choice((1, 3, 13)) * HOUR

    def start(self) -> str:
        state = self.rng.choice((*ACTIVE, *ACTIVE, *ENDED))
        name = f"new{len(self.rewards)}"
        display_name = self.rng.choice((f"github.sky.{name}", f"{name}.sweep", name))
        self._give_reward(self.watch.project.start(name, self.watch.now, state=state, display_name=display_name))
        return f" {name} {state}"

    def start_unheard(self) -> str:
        name = f"new{len(self.rewards)}"
        self._give_reward(self.watch.project.start(name, self.watch.now, state="pending", heartbeat_at=None))
        return f" {name}"

    def beat(self) -> None:
        if name := self._one(alive=True):
            self.watch.project.beat(name, self._late(), a_summary(sps=self.rng.random()))

    def end(self) -> str | None:
        if name := self._one(alive=True):
            self.watch.project.end(name, self.rng.choice(ENDED), self._late())
        return f" {name}"

    def crash(self) -> str | None:
        if name := self._one(alive=True):
            self.watch.project.crash(name, self.rng.choice(ENDED))
        return f" {name}"

    def resume(self) -> str | None:
        if name := self._one(alive=False):
            self.watch.project.resume(name, self._late())
        return f" {name}"

    def resume_and_end(self) -> str | None:
        if name := self._one(alive=False):
            self.watch.project.end(name, self.rng.choice(ENDED), self._late())
        return f" {name}"

    def rename(self) -> str | None:
        alive = self.rng.random() < 0.5
        if name := self._one(alive=alive):
            self.watch.project.rename(name, self.rng.choice(("github.sky.renamed", "resweep", "renamed")))
            self._needs_refresh |= not alive
        return f" {name}"

    def delete(self) -> str | None:
        alive = self.rng.random() < 0.5
        if name := self._one(alive=alive):
            self.watch.project.delete(name)
            self._needs_refresh |= not alive
        return f" {name}"

    def move(self) -> str | None:
        """One that runs to any side, the future too; one that has ended further into the past."""
        alive = self.rng.random() < 0.5
        hours = self.rng.choice((-200, -13, -2, -0.1, 0.1, 2) if alive else (-200, -13, -2))
        if name := self._one(alive=alive):
            self.watch.project.move(name, hours * HOUR)
            self._needs_refresh |= not alive
        return f" {name} {hours}"

    def agent_restarts(self) -> None:
        # With the cache just lost this would be `state_is_lost`.
        if self.watch.cached:
            self.watch.restart()
            self._has_memory = False

    def state_is_lost(self) -> str:
        # A run that has been told and runs again would be told again: without memory nobody can know.
        for run in self.watch.project.runs:
            if run.state in ACTIVE and run.name in (self._never_again or ()):
                self.watch.project.finish(run.name, self.watch.now)
        whole = next(iter(self.watch.cached.values()), " ")
        losses = {
            "deleted": None,
            "truncated": whole[: self.rng.randrange(len(whole))],
            "foreign": '{"version": 1, "state": {"cursor": "abc", "seen": [1, 2]}}',
            "garbage": "\x00\ufffd",
        }
        kind = self.rng.choice(list(losses))
        text = losses[kind]
        if text is None:
            self.watch.cached.clear()
        for key in self.watch.cached:
            self.watch.cached[key] = text or ""
        self.watch.restart()
        self._has_memory = False
        self._never_again = None
        self._ended_since = {}
        self._resumed = {}
        return f" ({kind})"

    def cache_is_lost_under_a_running_agent(self) -> None:
        if self._has_memory:
            self.watch.cached.clear()


ACTIONS = (
    *(Course.start, Course.beat, Course.end, Course.crash, Course.resume) * 3,
    *(Course.start_unheard, Course.resume_and_end, Course.rename, Course.delete, Course.move) * 2,
    *(Course.agent_restarts,) * 2,
    Course.state_is_lost,
    Course.cache_is_lost_under_a_running_agent,
    Course.hours_pass,
    Course.nothing,
)


def as_told(run: DemoRun) -> SdkRun:
    """A run as anybody would be told of it who asked for everything."""
    assert isinstance(run.summary, dict)
    assert run.system_metrics is None or isinstance(run.system_metrics, dict)
    return SdkRun(
        id=run.name,
        name=run.display_name,
        state=run.state,
        created_at=run.created_at,
        heartbeat_at=run.heartbeat_at,
        sweep=run.sweep_name,
        group=run.group,
        job_type=run.job_type,
        user=run.user,
        summary=run.summary,
        system=run.system_metrics or {},
    )


@pytest.mark.parametrize(
    ("seed", "steps"), [(1, 30), *(pytest.param(seed, 200, marks=pytest.mark.slow) for seed in (1, 2))]
)
@pytest.mark.parametrize("options", [{}, {"projects": {"include": ["met.*"]}}], ids=["one project", "an entity"])
def test_any_course(watch: Watches, seed: int, steps: int, options: dict[str, Any]) -> None:
    project = edge_case_project(START, seed=seed, runs=60, broken=False)
    for run in project.runs:
        run.system_metrics = run.system_metrics if isinstance(run.system_metrics, dict) else None
        run.display_name = (run.display_name or "").replace("\ud83d", "") or None
    others = [edge_case_project(START, seed=seed, runs=5, name=f"metro{number}", broken=False) for number in range(3)]
    # All of them share the series that the one has to itself.
    shared = {"max_runs": 10_000} if options else {}
    course = Course(watch(project=project, others=others, **{**OPTIONS, **options, **shared}), seed)
    try:
        course.verify(course.watch.collect())
        for _ in range(steps):
            course.step()
    except AssertionError as error:
        error.add_note("\n".join(course.story[-50:]))
        raise
    assert course.told
    assert set(course.told.values()) == {1}
    assert set(course.events.values()) == {1}
    assert not course.ended_at_first & set(course.told)
