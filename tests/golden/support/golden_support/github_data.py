"""A repository through the month: workflows, runs with all their attempts, merged pull requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from golden_support.lot import START, between, chance, day, pick

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)

OWNER: Final = "golden-org"
FULL_NAMES: Final = (f"{OWNER}/arena", f"{OWNER}/arena-two")
"""What the repository is called before and after `RENAMED_AT`."""
RENAMED_AT: Final = day(17.6)

REPOSITORY_ID: Final = 77_000
FORK: Final = "somebody/arena"
FORK_ID: Final = 88_000


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow. `file` says from when to when its file is in the tree, `states` from when it has which state."""

    id: int
    name: str
    path: str
    created: datetime
    states: tuple[tuple[datetime, str], ...]
    in_tree_until: datetime | None = None

    def state(self, now: datetime) -> str:
        return [state for since, state in self.states if since <= now][-1]

    def in_tree(self, now: datetime) -> bool:
        begins = self.path.startswith(".github/workflows/") and self.created <= now
        return begins and (self.in_tree_until is None or now < self.in_tree_until)


@dataclass(frozen=True, slots=True)
class Attempt:
    started: datetime
    ended: datetime
    conclusion: str


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run with all attempts it will ever have. `touched` is a late change of `updated_at` alone."""

    id: int
    workflow: Workflow
    number: int
    branch: str
    event: str
    created: datetime
    attempts: tuple[Attempt, ...]
    own: bool = True
    deleted_at: datetime | None = None
    touched: datetime | None = None

    def exists(self, now: datetime) -> bool:
        return self.created <= now and (self.deleted_at is None or now < self.deleted_at)

    def begun(self, now: datetime) -> tuple[Attempt, ...]:
        """The attempts that have begun; the first begins with the run."""
        return tuple(attempt for attempt in self.attempts if attempt.started <= now)

    def updated(self, now: datetime) -> datetime:
        last = self.begun(now)[-1]
        moments = [last.started, last.ended, self.touched or last.started]
        return max(moment for moment in moments if moment <= now)

    def status(self, now: datetime) -> tuple[str, str | None]:
        last = self.begun(now)[-1]
        if last.ended <= now:
            return "completed", last.conclusion
        return ("queued" if now - last.started < 40 * timedelta(seconds=1) else "in_progress"), None


@dataclass(frozen=True, slots=True)
class PullRequest:
    number: int
    created: datetime
    merged: datetime | None
    labels: tuple[str, ...]
    base: str

    def updated(self, now: datetime) -> datetime:
        return self.merged if self.merged and self.merged <= now else self.created


LABELS: Final = ("Hotfix", "force-merge", "force_merge", "revert", "enhancement", "docs")


def _workflow(number: int, name: str, path: str, *states: tuple[datetime, str], **more: datetime) -> Workflow:
    whole = path if "/" in path else f".github/workflows/{path}"
    return Workflow(
        1_000 + number, name, whole, more.pop("created", day(-200)), states or ((day(-200), "active"),), **more
    )


WORKFLOWS: Final[Mapping[str, Workflow]] = {
    "unit": _workflow(1, "Unit tests", "unit-tests.yml"),
    "lint": _workflow(2, "Lint", "lint.yml"),
    "bench": _workflow(3, "Benchmarks", "benchmarks.yml"),
    "nightly": _workflow(4, "Nightly", "nightly.yml"),
    "docs": _workflow(5, "Docs", "docs.yml"),
    "release": _workflow(6, "Release", "release.yml"),
    "old": _workflow(7, "Old deploy", "old-deploy.yml", (day(-200), "active"), (day(10.2), "disabled_manually")),
    "gone": _workflow(8, "Gone", "gone.yml", in_tree_until=day(-40)),
    "inactive": _workflow(9, "Inactive", "inactive.yml", (day(-200), "active"), (day(-10), "disabled_inactivity")),
    "codeql": _workflow(10, "CodeQL", "dynamic/github-code-scanning/codeql"),
    "quality": _workflow(11, "Code quality", "dynamic/github-code-quality/codeql"),
    "late": _workflow(12, "Late", "late.yml", created=day(13.4)),
    "leaving": _workflow(
        13, "Leaving", "leaving.yml", (day(-200), "active"), (day(23.0), "deleted"), in_tree_until=day(22.9)
    ),
    "twin": _workflow(14, "Lint", "lint-docs.yml"),
}


def _bad(key: str, when: datetime) -> float:
    """How likely a run fails: there are bad days."""
    spells = {"unit": (5.0, 6.2), "bench": (9.0, 10.5), "docs": (14.0, 15.0), "lint": (19.5, 20.0)}
    since, until = spells.get(key, (0.0, 0.0))
    return 0.7 if day(since) <= when < day(until) else 0.06


def _conclusion(key: str, when: datetime, *names: object) -> str:
    lot = chance(key, *names, "conclusion")
    if lot < _bad(key, when):
        return pick(("failure", "failure", "failure", "timed_out", "startup_failure"), key, *names, "how")
    cancelled = 0.4 if key == "unit" and day(11) <= when < day(12) else 0.04
    return "cancelled" if lot > 1 - cancelled else "skipped" if lot > 0.95 - cancelled else "success"


def _attempts(key: str, created: datetime, number: int) -> tuple[Attempt, ...]:
    minutes = {"unit": 4, "lint": 1, "bench": 25, "nightly": 50}.get(key, 3)
    attempts: list[Attempt] = []
    started = created
    while True:
        nth = len(attempts)
        seconds = minutes * between(40, 110, key, number, nth, "length")
        conclusion = _conclusion(key, started, number, nth)
        attempts.append(Attempt(started, started + timedelta(seconds=seconds), conclusion))
        again = 0.5 if conclusion != "success" else 0.01
        if nth == 3 or chance(key, number, nth, "again") > again:
            return tuple(attempts)
        # Most are run again at once; some so late that the run has left the window.
        wait = (
            between(2, 90, key, number, nth, "wait")
            if chance(key, number, nth, "late") < 0.8
            else between(900, 2_600, key, number, nth)
        )
        started = attempts[-1].ended + wait * MINUTE


@lru_cache(maxsize=1)
def all_runs() -> tuple[Run, ...]:
    """Every run, in the order of creation."""
    plans = sorted(_plans(), key=lambda plan: (plan[1], plan[0]))
    numbers: Counter[str] = Counter()
    runs = []
    for place, (key, created, more) in enumerate(plans):
        numbers[key] += 1
        number = numbers[key]
        lot = chance(key, number, "kind")
        attempts = more.pop("attempts", None) or _attempts(key, created, number)
        # Some repositories delete what was cancelled.
        cancelled = attempts[-1].conclusion == "cancelled" and lot < 0.4
        touched = attempts[-1].ended + 2 * HOUR if lot > 0.98 else None
        runs.append(
            Run(
                id=9_000_000_000 + place * 7,
                workflow=WORKFLOWS[key],
                number=number,
                branch=str(more.get("branch", "main")),
                event=str(more.get("event", "push")),
                created=created,
                attempts=attempts,
                own=bool(more.get("own", True)),
                deleted_at=attempts[-1].ended + 50 * MINUTE if cancelled else None,
                touched=touched,
            )
        )
    return tuple(runs)


Plan = tuple[str, datetime, dict[str, object]]


def _plans() -> Iterator[Plan]:
    """Which workflow runs when. The busy ones begin four days before the start, the quiet ones long before."""
    for key, per_day, first, last in (
        ("unit", 32, -4, 31),
        ("lint", 20, -4, 31),
        ("codeql", 2, -4, 31),
        ("quality", 1, -4, 31),
    ):
        for number in range(per_day * (last - first)):
            created = day(first + number / per_day) + between(0, 1_500, key, number, "created") * timedelta(seconds=1)
            yield key, created, {"event": "schedule" if key == "codeql" else "push"}
    for number in range(-30, 31):
        yield "nightly", day(number) - 6 * HOUR, {"event": "schedule"}
        if number >= -4:
            yield "bench", day(number) + 4 * HOUR, {}
        if number >= 14 and number % 2 == 0:
            yield "late", day(number) + 1 * HOUR, {}
    yield from (("docs", day(when), {}) for when in (-21.0, -12.5, 14.3, 14.9, 20.0))
    yield from (("release", day(when), {"branch": "release", "event": "release"}) for when in (-9.0, 3.3, 16.2))
    yield from (("twin", day(when), {}) for when in (-6.0, 7.0, 21.0))
    # Failing when they were switched off, or when their files went.
    for key, when in (
        ("old", -8.0),
        ("old", 8.0),
        ("gone", -41.0),
        ("inactive", -70.0),
        ("leaving", 2.0),
        ("leaving", 12.0),
    ):
        started = day(when)
        yield key, started, {"attempts": (Attempt(started, started + 3 * MINUTE, "failure"),)}
    yield from _of_others()
    # A run that waits for a machine for ten days.
    yield "bench", day(18.2), {"attempts": (Attempt(day(18.2), day(28.0), "cancelled"),), "branch": "main"}


def _of_others() -> Iterator[Plan]:
    """Runs of pull requests, on other branches, and those of a fork whose branch is called `main` too."""
    for number in range(31 * 4):
        created = day(number / 4) + between(0, 300, "others", number) * MINUTE
        if number % 3 == 0:
            yield "unit", created, {"own": False, "event": "pull_request"}
        else:
            yield "unit", created, {"branch": f"feature-{number}", "event": "pull_request"}


@lru_cache(maxsize=1)
def all_pull_requests() -> tuple[PullRequest, ...]:
    """Six a day from twelve days before the start; on some days many with a label."""
    found = []
    for number in range(43 * 6):
        created = START - timedelta(days=12) + number * 4 * HOUR + between(0, 200, "pr", number) * MINUTE
        merged = created + between(30, 4_000, "merge", number) * MINUTE if chance("merged", number) < 0.8 else None
        if number in (3, 90):
            # Old ones, merged long after.
            merged = created + timedelta(days=15)
        stormy = merged is not None and day(6) <= merged < day(9)
        labels = [label for label in LABELS if chance(label, number) < (0.35 if stormy else 0.05)]
        found.append(
            PullRequest(100 + number, created, merged, tuple(labels), pick(("main", "main", "release"), number))
        )
    return tuple(found)


def files_in_tree(now: datetime) -> list[str]:
    return sorted(flow.path.rpartition("/")[2] for flow in WORKFLOWS.values() if flow.in_tree(now))
