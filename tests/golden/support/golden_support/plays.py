"""The scenarios: what happens to each check in the course of the month, and when it collects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from golden_support.lot import START, day
from golden_support.player import Play, Step
from golden_support.stages import FileStage, FolderStage, GitHubStage, WandbStage, WebStage

MINUTE: Final = timedelta(minutes=1)


class Course:
    """Collects steps. Each method goes on from the latest step; `interval` is the usual time between two."""

    def __init__(self, interval: timedelta) -> None:
        self.interval = interval
        self.steps: list[Step] = []
        self._now = START - interval

    def steady(self, times: int = 1, *, every: timedelta | None = None, name: str = "steady") -> None:
        for _ in range(times):
            self._next(Step(self._later(every), name))

    def until(self, moment: datetime, every: timedelta = timedelta(hours=25)) -> None:
        """The days until then, now and then a collection, and two in a row at the end."""
        while self._now + every < moment - self.interval:
            self.steady(1, every=every, name="later")
        self._now = moment - 2 * self.interval
        self.steady(2)

    def restart(self, after: timedelta | None = None, **options: Any) -> None:
        """A good collection and, at the same moment, one by a new check object. With a long `after`, much has ended in
        the meantime, so that there are points and events that must not come again."""
        if not options:
            self.steady(1, every=after, name="before a restart")
        self._next(
            Step(self._now, "restart with other options" if options else "restart", restart=True, options=options)
        )

    def lose_state(self, *, damage: bool = False) -> None:
        self.steady(1)
        name = "restart with torn state" if damage else "restart without state"
        self._next(Step(self._later(), name, restart=True, forget=not damage, damage=damage))

    def suffer(self, fault: str, *, times: int = 1, every: timedelta | None = None, racing: bool = False) -> None:
        """So many collections under the fault, and a good one after it."""
        for _ in range(times):
            self._next(Step(self._later(every), fault, fault=fault, racing=racing))
        self._next(Step(self._later(), f"after {fault}", racing=racing))

    def wrong_clock(self, off: timedelta) -> None:
        self._next(Step(self._later(), "a clock that is wrong", clock_off=off))
        self.steady(2, name="the clock is right again")

    def end(self) -> Sequence[Step]:
        assert self._now <= day(31), "the frozen data end here"
        return tuple(self.steps)

    def _later(self, every: timedelta | None = None) -> datetime:
        return self._now + (every or self.interval)

    def _next(self, step: Step) -> None:
        self._now = step.at
        self.steps.append(step)


def _month(
    interval: timedelta,
    faults: Sequence[str],
    racing: Sequence[str],
    outage: str,
    renamed_at: datetime,
    renamed: Mapping[str, Any],
) -> Sequence[Step]:
    """The month of a check with a source of its own: `faults` spread over it, an hour's `outage`, the rename, which the
    operator follows (with the options `renamed`) half a day later."""
    course = Course(interval)
    course.steady(4)
    course.restart()
    course.steady(2)
    pending = [(fault, False) for fault in faults] + [(fault, True) for fault in racing]
    spells = (0.6, 1.3, 2.2, 3.95, 5.4, 7.2, 8.7, 10.3, 11.8, 13.2, 14.4, 16.0)
    for number, spell in enumerate(spells):
        course.until(day(spell))
        for fault, race in pending[number :: len(spells)]:
            course.suffer(fault, racing=race)
        if number in (2, 5):
            course.restart(after=timedelta(hours=7))
        if number == 8:
            course.suffer(outage, times=6, every=10 * MINUTE)
            course.steady(1)
    course.until(renamed_at)
    course.steady(2, name="renamed")
    course.until(renamed_at + timedelta(hours=12))
    if renamed:
        course.restart(**renamed)
        course.steady(2)
    course.until(day(20.5))
    course.wrong_clock(-25 * MINUTE)
    course.until(day(21.9))
    course.steady(5, every=150 * MINUTE, name="through a night")
    course.wrong_clock(timedelta(hours=2))
    course.restart(after=timedelta(hours=11))
    course.until(day(24.6))
    course.lose_state()
    course.steady(2)
    course.lose_state(damage=True)
    course.steady(1)
    course.until(day(26.2))
    # The Agent is off for three days.
    course.steady(1, every=timedelta(days=3), name="after three days")
    course.steady(1)
    course.until(day(30.9))
    course.restart()
    return course.end()


SERVED: Final = (
    "500",
    "502 once",
    "hang-up",
    "hang-up once",
    "401",
    "malformed",
    "403",
    "a login page",
    "cut short",
    "another shape",
)

WANDB: Final = Play(
    "metta_wandb",
    WandbStage,
    _month(
        2 * MINUTE,
        [
            *SERVED,
            "429",
            "no viewer",
            "a slow database",
            "a refused key",
            "no permission",
            "no listing",
            "an unknown field",
        ],
        [],
        "503",
        day(18.3),
        {"project": "metta-two"},
    ),
    {
        "page_size": 16,
        "timeframe": "4d",
        "max_runs": 14,
        "events": True,
        "run_tags": ["user", "group", "job_type", "sweep", "host"],
        "metrics": ["overview/reward", "env_agent/heart.gained", "skypilot/queue_latency_s"],
        "system_metrics": [
            "gpu_utilization",
            "gpu_memory_utilization",
            "cpu_utilization",
            "memory_utilization",
            "disk_utilization",
        ],
        "tags": ["team:golden", "env:test"],
    },
)

CI: Final = Play(
    "metta_ci",
    GitHubStage,
    _month(
        4 * MINUTE,
        [*SERVED, "rate limit", "secondary limit", "single sign-on", "graphql too slow"],
        [
            "graphql 500",
            "listing empty",
            "attempts 404",
            "closed:checkSuite",
            "closed:search,pullRequests,labels",
            "closed:object",
        ],
        "503",
        day(17.6),
        {"repo": "golden-org/arena-two"},
    ),
    {
        "tests_blocking_merge_workflows": ["Unit tests", "lint.yml"],
        "benchmarks_workflows": ["benchmarks.yml"],
        "hotfix_labels": ["hotfix"],
        "conditions": {"ci.workflow.duration.p90": "< 6", "ci.workflow.cancelled": "in [0, 3]"},
        "events": True,
        "tags": ["team:golden", "env:test"],
    },
)


def _short_wandb() -> Sequence[Step]:
    course = Course(10 * MINUTE)
    course.until(day(2.5), timedelta(hours=17))
    course.restart()
    course.until(day(9.4), timedelta(hours=41))
    course.restart()
    return course.end()


def _short_ci() -> Sequence[Step]:
    course = Course(30 * MINUTE)
    course.steady(4)
    course.suffer("403")
    course.until(day(1.1), timedelta(hours=9))
    course.restart()
    return course.end()


def _misconfigured() -> Sequence[Step]:
    course = Course(10 * MINUTE)
    course.steady(2)
    for options in (
        {"branch": "mian"},
        {"branch": "main", "benchmarks_workflows": ["no-such.yml"]},
        {"benchmarks_workflows": ["unit tests"], "tests_blocking_merge_workflows": ["Inactive", "release.yml"]},
        {"conditions": {"ci.workflow.success": "about one"}},
        {"conditions": {}, "window": "a day"},
        {"window": "12h", "repo": "golden-org/nowhere"},
        {"repo": "golden-org/arena", "max_pages": 1},
    ):
        course.restart(**options)
        course.steady(1)
    course.restart()
    return course.end()


def _folder() -> Sequence[Step]:
    return _month(
        4 * MINUTE,
        ["no folder", "a dangling link", "a pipe", "all torn", "nothing in it"],
        [],
        "no folder",
        day(18.4),
        {},
    )


def _web() -> Sequence[Step]:
    return _month(4 * MINUTE, [*SERVED, "404"], [], "503", day(18.4), {})


def _file() -> Sequence[Step]:
    course = Course(4 * MINUTE)
    course.until(day(1.9), timedelta(hours=20))
    course.restart()
    course.suffer("no folder")
    course.until(day(6.5), timedelta(hours=20))
    course.restart()
    return course.end()


PLAYS: Final[Mapping[str, Play]] = {
    "wandb": WANDB,
    "wandb-patterns": Play(
        "metta_wandb",
        WandbStage,
        _short_wandb(),
        {
            "metrics": ["overview/*", "val/*", "stats*", "val/acc.max", "stats.reward", "losses/policy"],
            "system_metrics": [
                "gpu_utilization",
                "gpu_temperature",
                "gpu_power",
                "memory_utilization",
                "disk_utilization",
            ],
            "run_types": [{"name": "night", "pattern": "^github"}, {"name": "ablation", "pattern": "ablation"}],
            "timeframe": "36h",
            "completed_runs": "12h",
            "full_refresh": "10m",
            "max_runs": 1_000,
            "distributions": False,
        },
    ),
    "ci": CI,
    "ci-anonymous": Play("metta_ci", GitHubStage, _short_ci(), {"token": None, "benchmarks_workflows": ["Benchmarks"]}),
    "ci-misconfigured": Play("metta_ci", GitHubStage, _misconfigured()),
    "training": Play("metta_training", FolderStage, _folder(), {"max_records": 50, "tags": ["env:test", "own:tag"]}),
    "training-file": Play("metta_training", partial(FileStage, "torn.json"), _file(), {"max_age": "10h"}),
    "eval": Play("metta_eval", WebStage, _web(), {"tags": ["env:test"]}),
}
"""By name; each has a recording of that name."""
