"""Runs that end at random moments, and what of their ends arrives at the intake."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from agent_support.intake import Intake
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import LoopbackServer, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

TOKEN: Final = "token-for-the-stops"
COUNT: Final = 60
"""Runs of each sort: more than end in one test."""

_COLLECTION = timedelta(seconds=1.5)
"""Requests that are closer together belong to one collection."""

_COMMON: Final = {"min_collection_interval": 5, "empty_default_hostname": True, "skip_proxy": True}


@dataclass
class Source:
    """A server, when it was asked, and when which run ended. A run's name is the value of a tag of its point."""

    server: LoopbackServer
    metric: str
    tag: str
    ended: dict[str, datetime] = field(default_factory=dict)
    asked: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.intercept = self._note

    def _note(self, request: Request) -> None:
        self.asked.append(now())

    def submitted(self, name: str) -> datetime | None:
        """When its point was submitted at the latest: after the last request of the first collection that began after
        the end. None when there was none since."""
        later = [moment for moment in list(self.asked) if moment > self.ended[name]]
        begun = [one for one in later if not any(one - _COLLECTION < other < one for other in list(self.asked))]
        if not begun:
            return None
        last = begun[0]
        for moment in later:
            if last < moment < last + _COLLECTION:
                last = moment
        return last

    def arrived(self, intake: Intake) -> Counter[str]:
        """How many points of each run the intake has."""
        tags = (point.tags for point in list(intake.points) if point.metric == self.metric)
        return Counter(tag.partition(":")[2] for own in tags for tag in own if tag.startswith(f"{self.tag}:"))


class Endings:
    """W&B runs and workflow runs that are under way and end one by one, on a thread, while the context lasts."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        moment = now()
        self._project = DemoProject("team", "stops")
        self._repository = DemoRepository("team/stops")
        self._workflow_runs: dict[str, int] = {}
        for number in range(COUNT):
            created = moment - timedelta(minutes=10 + number)
            name = f"r{number:02}"
            self._project.start(name, created, group=name, summary={"world_size": 4})
            workflow = self._repository.add_workflow(name, f".github/workflows/{name}.yml")
            self._workflow_runs[f"{name}.yml"] = self._repository.new_run(workflow.id, created_at=created).id
        self._wandb_server = WandbServer(self._project)
        self._github_server = GitHubServer(self._repository, token=TOKEN)
        self.wandb = Source(self._wandb_server, "wandb.run.completed.gpu_hours", "group")
        self.ci = Source(self._github_server, "metta.infra.cron.ci.run.duration_minutes", "workflow")
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._go_on, args=(end,)) for end in (self._end_run, self._end_workflow)
        ]

    @property
    def instances(self) -> Mapping[str, dict[str, Any]]:
        """An instance for each check, by its name."""
        wandb = {"entity": "team", "project": "stops", "base_url": self._wandb_server.url, "api_key": DEMO_API_KEY}
        ci = {"repo": "team/stops", "api_url": self._github_server.url, "token": TOKEN}
        return {
            "metta_wandb": {**_COMMON, **wandb, "gpus_key": "world_size", "completed_tags": ["group"]},
            "metta_ci": {**_COMMON, **ci},
        }

    def start(self) -> None:
        """From now on runs end."""
        for thread in self._threads:
            thread.start()

    def cease(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Endings:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._wandb_server.close()
        self._github_server.close()

    def _go_on(self, end: Any) -> None:
        names = iter(range(COUNT))
        while not self._over.wait(self._random.uniform(2, 8)):
            number = next(names, None)
            if number is None:
                return
            end(f"r{number:02}")

    def _end_run(self, name: str) -> None:
        self._project.finish(name, now())
        self.wandb.ended[name] = now()

    def _end_workflow(self, name: str) -> None:
        name = f"{name}.yml"
        self._repository.complete(self._workflow_runs[name])
        self.ci.ended[name] = now()


def now() -> datetime:
    return datetime.now(UTC)
