"""What happens in an entity over weeks, and what an Agent that watches it has to report, counted plainly."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from datadog_checks.base.stubs import datadog_agent
from wandb_support.entity import Entity, project_of

from metta_checks.core.state import identity_hash
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject, DemoRun

TIMEFRAME = timedelta(days=7)
LIST_INTERVAL = timedelta(minutes=10)
GONE_FOR = timedelta(hours=24)
COMPLETED_RUNS = timedelta(hours=1)
ANCHOR = "anchor"
"""The project that is always there: a collection in which no project can be read is an error."""

STATES = {"running": "running", "finished": "finished", "failed": "failed", "crashed": "failed"}

Figures = Mapping[tuple[str, ...], float]
"""By metric and what tells its series apart within a project."""

Points = Counter[tuple[str, str, float]]
"""By project, state and hours."""


@dataclass
class _Seen:
    """What the Agent has seen of a project: which runs were alive the last time, their ends, and when it saw those."""

    alive: set[str] = field(default_factory=set)
    ended: dict[str, datetime] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)


class EntityTruth:
    """Looks at an entity whenever the check does. `listed` are the projects of the last list that it could read."""

    def __init__(self) -> None:
        self.listed: set[str] = set()
        self.listed_at: datetime | None = None
        self.gone: dict[str, datetime] = {}
        self.seen: dict[str, _Seen] = {}

    def look_at_list(self, names: set[str] | None, now: datetime) -> None:
        """`names` are what the list says, None while it cannot be read."""
        if names is None or (self.listed_at is not None and now - self.listed_at < LIST_INTERVAL):
            return
        self.gone = {name: self.gone.get(name, now) for name in {*self.gone, *self.listed} - names}
        self.listed, self.listed_at = names, now
        for name in [name for name, since in self.gone.items() if now - since >= TIMEFRAME]:
            # What it could still report would be outside the timeframe.
            del self.gone[name]
            self.seen.pop(name, None)

    def reported_gone(self, now: datetime) -> set[str]:
        return {name for name, since in self.gone.items() if now - since < GONE_FOR}

    def read(self, project: DemoProject, now: datetime) -> tuple[Figures, Points]:
        """What a reading of the project gives."""
        first = project.name not in self.seen
        seen = self.seen.setdefault(project.name, _Seen())
        points: Points = Counter()
        figures: dict[tuple[str, ...], float] = {}
        active = [run for run in project.runs if run.state == "running" or _last_sign(run) >= now - TIMEFRAME]
        # The end of a run that was alive the last time counts, whatever the age of its last sign.
        for run in project.runs if first else [run for run in project.runs if run in active or run.name in seen.alive]:
            if run.state == "running":
                seen.ended.pop(run.name, None)
                continue
            seen.ended.setdefault(run.name, now)
            if run.name not in seen.reported and not first:
                points[project.name, STATES[run.state], _hours(run)] += 1
            seen.reported.add(run.name)
        seen.alive = {run.name for run in active if run.state == "running"}
        seen.ended = {run.name: seen.ended[run.name] for run in active if run.state != "running"}
        if active:
            counts = Counter((_type(run), STATES[run.state]) for run in active)
            for run_type in ("train", "sweep", "all"):
                for state in ("running", "finished", "failed"):
                    figures["wandb.runs", run_type, state] = float(counts[run_type, state])
        for run in active:
            if run.state == "running" or now - seen.ended[run.name] <= COMPLETED_RUNS:
                figures["wandb.run.duration_hours", run.name, STATES[run.state]] = _hours(run)
        return figures, points

    def lose_state(self, name: str) -> None:
        """What the Agent kept of a project cannot be used any more."""
        self.seen.pop(name, None)


def _last_sign(run: DemoRun) -> datetime:
    return run.heartbeat_at or run.created_at


def _hours(run: DemoRun) -> float:
    return round((_last_sign(run) - run.created_at).total_seconds() / 3600, 6)


def _type(run: DemoRun) -> str:
    return "train" if run.display_name.startswith("github.sky.") else "all"


class EntityLife:
    """Changes an entity at random, the same way for the same seed."""

    def __init__(self, entity: Entity, truth: EntityTruth, seed: int, most: int) -> None:
        self.entity = entity
        self.truth = truth
        self.chance = random.Random(seed)
        self.most = most
        self.away: dict[str, DemoProject] = {}
        self.hidden: set[str] = set()
        self.forbidden: set[str] = set()
        self.list_fails = False
        self.made = 0
        self.damaged: Counter[str] = Counter()
        self._started: Counter[str] = Counter()
        self._resumed: set[tuple[str, str]] = set()
        self._runs = 0
        entity.server.intercept = self._intercept
        entity.add(project_of(ANCHOR))

    @property
    def names(self) -> list[str]:
        """The projects that come and go."""
        return [name for _, name in self.entity.server.projects if name != ANCHOR]

    def live(self) -> None:
        """What happens between two collections."""
        chance, names = self.chance, self.names
        self.entity.now += timedelta(minutes=chance.choice((2, 2, 10, 60, 240, 600)))
        for project in list(self.entity.server.projects.values()):
            self._train(project)
        self.list_fails = chance.random() < 0.1
        self.hidden = {name for name in names if chance.random() < 0.5} if chance.random() < 0.1 else set()
        self.forbidden = {name for name in sorted(self.forbidden) if chance.random() < 0.7}
        if chance.random() < 0.1 and names:
            self.forbidden.add(chance.choice(names))
        if chance.random() < 0.3 and len(names) < self.most:
            self._come()
        if chance.random() < 0.15 and names:
            self._go(chance.choice(names))
        if chance.random() < 0.05 and self.names:
            self._rename(chance.choice(self.names))
        if chance.random() < 0.3:
            self.entity.restart()
        if chance.random() < 0.1:
            self._damage()

    def listed(self) -> set[str] | None:
        """What the list says; None where it cannot be read."""
        return None if self.list_fails else {*self.names, ANCHOR} - self.hidden

    def readable(self) -> Iterator[DemoProject]:
        """The projects that the check finds and may read."""
        for (_, name), project in self.entity.server.projects.items():
            if name in self.truth.listed and name not in self.forbidden:
                yield project

    def _train(self, project: DemoProject) -> None:
        now, chance = self.entity.now, self.chance
        for run in project.runs:
            fate = chance.random()
            if run.state != "running":
                if now - _last_sign(run) > timedelta(days=9):
                    project.delete(run.name)
                elif fate < 0.01:
                    project.resume(run.name, now)
                    # One that had ended before and is deleted is found out by the next full listing only.
                    self._resumed.add((project.name, run.name))
            elif fate < 0.8:
                project.beat(run.name, now)
            elif fate < 0.9:
                project.finish(run.name, now)
            elif fate < 0.97 or (project.name, run.name) in self._resumed:
                project.crash(run.name)
            else:
                project.delete(run.name)
        if chance.random() < 0.5 and len(project) < 25:
            self._runs += 1
            self._started[project.name] += 1
            # The same ids in all projects; the duration tells their runs apart.
            name = f"run{self._started[project.name]}"
            kind = {"display_name": f"github.sky.{name}"} if chance.random() < 0.4 else {}
            project.start(name, now - timedelta(seconds=self._runs), heartbeat_at=now, **kind)

    def _come(self) -> None:
        """One that was away comes back, a new one takes the name of one that is gone, or it is new altogether."""
        name = self.chance.choice([*self.away, ""])
        if name and self.chance.random() < 0.7:
            self.entity.add(self.away.pop(name))
            return
        self.away.pop(name, None)
        self.made += 1
        self.entity.add(DemoProject("team", name or f"p{self.made:03}"))

    def _go(self, name: str) -> None:
        gone = self.entity.remove(name)
        if len(self.away) < 3:
            self.away[name] = gone

    def _rename(self, name: str) -> None:
        project = self.entity.remove(name)
        self.made += 1
        project.name = f"p{self.made:03}"
        self._started[project.name] = self._started[name]
        self._resumed |= {(project.name, run) for of, run in self._resumed if of == name}
        self.entity.add(project)

    def _damage(self) -> None:
        """The state of one project is unusable, and the Agent starts anew."""
        name = self.chance.choice([*self.names, ANCHOR])
        identity = {"base_url": self.entity.server.url, "entity": "team", "project": name}
        key = f"metta_wandb:{identity_hash('metta_wandb', identity)}_runs"
        text = datadog_agent._cache.get(key, "")
        if text:
            kind = self.chance.choice(list(DAMAGES))
            datadog_agent._cache[key] = DAMAGES[kind](text)
            self.damaged[kind] += 1
            self.truth.lose_state(name)
        self.entity.restart()

    def _intercept(self, request: Request) -> Reply | None:
        if request.path != "/graphql":
            return None
        if b"models(" in request.body:
            return self._list(request)
        variables = json.loads(request.body)["variables"]
        asked = {f"p{key[7:]}": name for key, name in variables.items() if key.startswith("project")}
        refused = [alias if len(asked) > 1 else "project" for alias, name in asked.items() if name in self.forbidden]
        if not refused:
            return None
        document = json.loads(self.entity.server.answer(request).body)
        if document["data"] is None:
            return None
        document["data"] |= dict.fromkeys(refused)
        document["errors"] = [{"message": "permission denied", "path": [alias]} for alias in refused]
        return _answer(document)

    def _list(self, request: Request) -> Reply | None:
        if self.list_fails:
            return _answer({"errors": [{"message": "the list is away"}], "data": None}, 400)
        document = json.loads(self.entity.server.answer(request).body)
        edges = document["data"]["models"]["edges"]
        document["data"]["models"]["edges"] = [edge for edge in edges if edge["node"]["name"] not in self.hidden]
        return _answer(document)


DAMAGES: Mapping[str, Callable[[str], str]] = {
    "lost": lambda _: "",
    "cut short": lambda text: text[: len(text) // 2],
    "foreign": lambda _: "\x00\xff not ours",
    "of a newer version": lambda text: text.replace('"version":1', '"version":2'),
    "deep": lambda _: "[" * 100_000,
    "a list": lambda _: '{"version":1,"state":[]}',
}


def _answer(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
