"""The sandbox of the demo: an instance of each check, and the loopback servers and files that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from metta_checks.checks import CHECKS
from metta_checks.core.clock import Clock, utcnow
from metta_checks.core.definition import Sandbox, SimulatedServer
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE, sample_repository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.health import write_sample_records
from metta_checks.simulator.server import LoopbackServer, Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_sample import sample_project
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

DEMO_TOKEN: Final = "demo-token-for-loopback"  # noqa: S105 (opens nothing but the server beside it)

# A proxy of the environment does not know this machine's loopback.
_COMMON: Final = {"skip_proxy": True, "tags": ["env:demo", "team:research"]}


@dataclass(frozen=True, slots=True)
class DemoSandbox:
    """`instances` holds, by slug, the options with which a check runs against the sample data.

    The other fields are the data: the W&B project, the GitHub repository, the folder of the health records.
    """

    instances: Mapping[str, Mapping[str, Any]]
    project: DemoProject
    repository: DemoRepository
    folder: Path


@contextmanager
def sandbox(
    clock: Clock = utcnow, *, host: str = "127.0.0.1", wandb_port: int = 0, github_port: int = 0
) -> Iterator[DemoSandbox]:
    """Servers and files with sample data, as of the clock's time, for as long as the block lasts.

    A port that is 0 is any free one.
    """
    now = clock()
    project = sample_project(now)
    repository = sample_repository(now, clock=clock)
    with (
        WandbServer(project, address=(host, wandb_port)) as wandb,
        GitHubServer([repository], token=DEMO_TOKEN, address=(host, github_port)) as github,
        TemporaryDirectory(prefix="metta-checks-demo-") as folder,
        ExitStack() as further,
    ):
        write_sample_records(Path(folder), now)
        sources = Sandbox(
            servers={
                "wandb": SimulatedServer(wandb.url, DEMO_API_KEY, {"entity": project.entity, "project": project.name}),
                "github": SimulatedServer(
                    github.url,
                    DEMO_TOKEN,
                    {
                        "repo": repository.full_name,
                        "tests_blocking_merge": TESTS_BLOCKING_MERGE,
                        "benchmarks": BENCHMARKS,
                    },
                ),
            },
            folder=Path(folder),
            serve=lambda pages: further.enter_context(_Pages(pages)).url,
        )
        yield DemoSandbox(
            instances={definition.slug: {**definition.example(sources), **_COMMON} for definition in CHECKS},
            project=project,
            repository=repository,
            folder=Path(folder),
        )


class _Pages(LoopbackServer):
    """Answers with the same JSON document whenever its path is requested."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self._pages = pages
        super().__init__()

    def answer(self, request: Request) -> Reply:
        body = self._pages.get(request.path)
        return Reply(404) if body is None else Reply(200, body, {"Content-Type": "application/json"})
