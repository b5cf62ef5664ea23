"""A W&B project through the month: each run's course is fixed, and any moment of it can be computed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

from golden_support.lot import START, between, chance, day, pick, time_text

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
ACTIVE: Final = frozenset({"running", "preempting"})

RENAMED_AT: Final = day(18.3)
"""The project `metta` is called `metta-two` from here on."""

NAMES: Final = (
    "github.sky.main",
    "daphne.sweep.lr",
    "relh.ablation",
    "github.sky.pr-812",
    "HyperSWEEP",
    "nishad.arena",
)
OUTCOMES: Final = ("finished",) * 9 + ("failed", "failed", "crashed", "crashed", "killed", "preempted")
BLOBS: Final = ("plain",) * 14 + (
    "nan", "infinity", "doubled", "broken", "null", "control", "boolean", "text", "media", "nested"
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One run. `phases` are its states and when each begins, the first at its creation. Heartbeats come each minute of
    an active phase, until `silent_from`; logs come with them, until `logs_until`. `ahead` is by how much its clock is
    wrong. It is in the API from `seen_from` until `deleted_at`; `renamed` is a later display name and its time."""

    name: str
    display: str | None
    created: datetime
    phases: tuple[tuple[datetime, str], ...]
    blob: str = "plain"
    gpus: int = 1
    silent_from: datetime | None = None
    logs_until: datetime | None = None
    ahead: timedelta = timedelta()
    seen_from: datetime | None = None
    deleted_at: datetime | None = None
    renamed: tuple[datetime, str] | None = None

    def exists(self, now: datetime) -> bool:
        return (self.seen_from or self.created) <= now and (self.deleted_at is None or now < self.deleted_at)

    def state(self, now: datetime) -> str:
        return [state for begins, state in self.phases if begins <= now][-1]

    @property
    def ended(self) -> datetime | None:
        """From when on nothing changes any more."""
        last, state = self.phases[-1]
        return None if state in ACTIVE else last

    def heartbeat(self, now: datetime) -> datetime | None:
        """In whole minutes after the phase began; None before the first one."""
        if self.ended is not None and now > self.ended:
            return _last_heartbeat(self)
        beat: datetime | None = None
        for number, (begins, state) in enumerate(self.phases):
            if state not in ACTIVE or begins > now:
                continue
            ends = self.phases[number + 1][0] if number + 1 < len(self.phases) else now
            last = min(now, ends, self.silent_from or now)
            beat = max(beat or begins, begins + (last - begins) // MINUTE * MINUTE)
        return None if beat is None else beat + self.ahead

    def computing(self, now: datetime) -> int:
        """Seconds in active phases, the pauses of a resumed run left out."""
        if self.ended is not None and now > self.ended:
            return _all_computing(self)
        ends = [begins for begins, _ in self.phases[1:]] + [now]
        spans = (
            min(end, now) - begins for (begins, state), end in zip(self.phases, ends, strict=True) if state in ACTIVE
        )
        return int(sum((max(span, timedelta()) for span in spans), timedelta()).total_seconds())

    def node(self, now: datetime) -> dict[str, Any]:
        """The run as the API has it; the blobs are made only where they are asked for."""
        beat, computing = self.heartbeat(now), self.computing(now)
        renamed = self.renamed is not None and now >= self.renamed[0]
        return {
            **_fixed_fields(self),
            "displayName": self.renamed[1] if renamed and self.renamed else self.display,
            "state": self.state(now),
            "heartbeatAt": None if beat is None else time_text(beat),
            "computeSeconds": computing,
            "historyLineCount": computing // 60,
            "summaryMetrics": lambda keys=None: summary_text(self, now, keys),
            "systemMetrics": lambda: system_text(self, now),
        }


@cache
def _last_heartbeat(run: Run) -> datetime | None:
    return run.heartbeat(run.phases[-1][0])


@cache
def _all_computing(run: Run) -> int:
    return run.computing(run.phases[-1][0])


@cache
def _fixed_fields(run: Run) -> Mapping[str, Any]:
    """What of a run never changes."""
    name = run.name
    sweep = pick(("lr5x2k9q", "cl0w7h3d"), name, "sweep") if chance(name, "in sweep") < 0.12 else None
    user = pick(("daphne", "relh", "nishad"), name, "user")
    return {
        "id": f"UnVuOnYxOg{name}",
        "name": name,
        "createdAt": time_text(run.created),
        "sweepName": sweep,
        "sweep": None if sweep is None else {"name": sweep},
        "group": pick((None, None, "arena", "navigation"), name, "group"),
        "jobType": pick((None, "train", "eval"), name, "job"),
        "host": f"node-{between(0, 9, name, 'host')}",
        "tags": ["nightly"] if chance(name, "tags") < 0.3 else [],
        "user": {"id": user, "username": user, "name": user.title()},
        "username": user,
        "notes": None,
        "config": json.dumps({"seed": {"value": between(0, 99, name)}}),
    }


def summary_text(run: Run, now: datetime, keys: list[str] | None) -> str | None:
    """The summary, reduced to its top-level `keys`; text that is no object is the same whatever is asked for."""
    beat = run.heartbeat(now)
    if run.blob == "null" or beat is None:
        return None
    if run.blob == "broken":
        return '{"overview/reward": 3.5, "overview/s'
    logged = min(beat, run.logs_until or beat)
    values = _summary(run, logged)
    if keys is not None:
        values = {key: value for key, value in values.items() if key in keys}
    text = json.dumps(values)
    if run.blob == "control":
        text = text.replace("LINE", "line\n\tbreak")
    return json.dumps(text) if run.blob == "doubled" else text


def _summary(run: Run, logged: datetime) -> dict[str, Any]:
    hours = round((logged - run.created) / HOUR, 2)
    speed = between(80, 4_000, run.name, "speed") * 100 + int(hours)
    values: dict[str, Any] = {
        "_step": int(speed * hours * 36) * 100,
        "_timestamp": int(logged.timestamp()),
        "_runtime": int(hours * 3600),
        "overview/reward": round(between(0, 40, run.name, "reward") / 10 + hours / 20, 3),
        "env_agent/heart.gained": round(chance(run.name, "hearts") * 12, 3),
        "losses/policy": round(chance(run.name, "loss"), 3),
    }
    values |= {"overview/steps_per_second": speed} if chance(run.name, "which") < 0.6 else {"overview/sps": speed}
    if chance(run.name, "latency") < 0.6:
        values["skypilot/queue_latency_s"] = between(0, 3_600, run.name, "latency")
    return values | _oddities(run, hours)


def _oddities(run: Run, hours: float) -> Mapping[str, Any]:
    match run.blob:
        case "nan":
            return {"overview/reward": float("nan"), "env_agent/heart.gained": "NaN"}
        case "infinity":
            return {"overview/reward": float("inf"), "overview/steps_per_second": 1e308, "overview/sps": 10**400}
        case "boolean":
            return {"overview/reward": True, "env_agent/heart.gained": None}
        case "text" | "control":
            return {"env_agent/heart.gained": "LINE", "overview/note": "LINE"}
        case "media":
            histogram = {"_type": "histogram", "bins": [0.0, 1.0], "values": [3]}
            return {"overview/map": {"_type": "image-file", "size": 3}, "overview/histogram": histogram}
        case "nested":
            best = {"max": round(0.5 + hours / 1_000, 3), "last": 0.4}
            return {"val/acc": best, "stats": {"reward": 4.5, "deep": {"er": 2}}, "overview/reward": {"max": 9.5}}
        case _:
            return {}


def system_text(run: Run, now: datetime) -> str | None:
    """The last sample of the machines: devices, labels of nodes, old and new keys."""
    beat = run.heartbeat(now)
    if beat is None or run.blob == "null":
        return None
    if run.blob == "broken":
        return "[1, 2"
    hour = int((beat - run.created) / HOUR)
    flavour = between(0, 6, run.name, "system")
    values: dict[str, Any] = {"system.cpu": between(5, 95, run.name, hour, "cpu")}
    values |= {"system.memory": 44, "system.disk": 55} if flavour == 0 else {"system.memory_percent": 61.5}
    for gpu in range(run.gpus):
        busy = between(0, 100, run.name, hour, gpu)
        device = {
            "gpu": busy,
            "memoryAllocated": between(10, 99, run.name, gpu),
            "temp": 40 + busy // 3,
            "powerWatts": busy * 7,
        }
        for label in ("/l:rank-0", "/l:rank-1") if flavour == 1 else ("",):
            values |= {f"system.gpu.{gpu}.{key}{label}": value for key, value in device.items()}
        if flavour == 2 and gpu % 2 == 0:
            values |= {f"system.gpu.process.{gpu}.{key}": value for key, value in device.items()}
    if flavour == 3:
        values["system.gpu.0.gpu"] = float("nan")
    text = json.dumps(values)
    return json.dumps(text) if run.blob == "doubled" else text


@lru_cache(maxsize=1)
def all_runs() -> tuple[Run, ...]:
    """Every run of the month and of the days before it, in the order of creation."""
    return tuple(sorted([*_ordinary(), *_special()], key=lambda run: (run.created, run.name)))


def _ordinary() -> Iterator[Run]:
    """Five a day, from ten days before the start."""
    for number in range(41 * 5):
        name = f"r{number:03d}"
        created = START - timedelta(days=10) + number * 4.8 * HOUR + between(0, 150, name, "created") * MINUTE
        began = created + between(0, 25, name, "queue") * MINUTE
        lasted = between(40, 3_000, name, "lasted") * MINUTE
        ended = began + lasted + between(0, 59, name, "second") * timedelta(seconds=1)
        outcome = pick(OUTCOMES, name, "outcome")
        # W&B reports a crash some minutes after the last heartbeat, and without another one.
        silent = ended - 6 * MINUTE if outcome == "crashed" else None
        yield Run(
            name=name,
            display=f"{pick(NAMES, name, 'display')}.{number}",
            created=created,
            phases=((created, "pending"), (began, "running"), (ended, outcome)),
            blob=pick(BLOBS, name, "blob"),
            gpus=pick((0, 1, 1, 2, 4, 8), name, "gpus"),
            silent_from=silent,
        )


def _special() -> Iterator[Run]:
    def run(name: str, created: datetime, *then: tuple[float, str], display: str | None = "", **more: Any) -> Run:
        """`then` are days after the start of the month, and states."""
        phases = ((created, "running"), *((day(when), state) for when, state in then))
        return Run(name, name if display == "" else display, created, phases, **more)

    yield run("long", day(-20), display="github.sky.long", gpus=8)
    yield run("hung", day(1.2), logs_until=day(1.9), display="github.sky.hung", gpus=2)
    yield run("silent", day(-2), (9.5, "crashed"), silent_from=day(2.1))
    yield run(
        "resumed", day(0.3), (0.9, "finished"), (4.1, "running"), (4.9, "failed"), (13.0, "running"), (13.6, "finished")
    )
    yield run(
        "requeued", day(2.0), (2.4, "preempting"), (2.45, "preempted"), (3.2, "running"), (3.9, "finished"), gpus=4
    )
    yield run("deleted", day(5.0), deleted_at=day(5.6))
    yield run("deletedlate", day(5.1), (5.3, "finished"), deleted_at=day(7.0))
    yield run("renamed", day(6.0), (11.0, "finished"), renamed=(day(7.4), "github.sky.renamed"), display="before")
    yield run("strange", day(8.0), (8.2, "hibernating"), (8.9, "running"), (9.2, "finished"))
    yield run("ahead", day(10.0), (10.7, "finished"), ahead=timedelta(seconds=90))
    yield run("offline", day(-4), (-3.0, "finished"), seen_from=day(6.2))
    yield run("offlinelate", day(11.2), (11.4, "failed"), seen_from=day(14.1))
    yield run("nameless", day(12.0), (14.0, "finished"), display=None)
    yield run("awkward", day(3.0), (16.0, "killed"), display="commas, and\nlines: everywhere " + "x" * 300)
    yield run("ancient", day(-60), (-50, "finished"), (20.2, "running"), (20.9, "finished"))
    yield Run("neverbeat", "neverbeat", day(2.6), ((day(2.6), "pending"), (day(2.9), "failed")))
    yield Run("stuck", "stuck", day(15.0), ((day(15.0), "pending"), (day(27.0), "killed")))
    # A launcher that starts many at once: more than `max_runs`, and more pages.
    for number in range(12):
        end = (22.3 + number / 60, pick(("finished", "failed"), number))
        yield run(f"burst{number:02d}", day(21.9), end, display=f"sweep.burst.{number}", gpus=1)
