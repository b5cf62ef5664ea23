"""The sources that faults befall: for each the world before and after, and the check that watches it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from hostile_support import several
from simulator_support.github_changes import RandomChanges
from simulator_support.github_edge_cases import edge_case_repository
from simulator_support.wandb_projects import edge_case_project

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.eval.check import EvalCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import LoopbackServer, Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

BEGIN = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
"""The good collection before the fault; the world does not change until `THEN`."""
FAULTY = BEGIN + timedelta(minutes=8)
THEN = BEGIN + timedelta(minutes=20)
"""The good collection after it."""

PATIENT = 60.0
MOST_BYTES = 2 * 1024 * 1024

# They look like regular expressions, and like broken ones.
API_KEY = "k(a|b)+[x-z]*$." + 20 * "w"
TOKEN = "ghp_(?P<a>.*)+[x" + 20 * "y"
PASSWORD = "pass.*word(42"
SIGNATURE = "sig+signature"
AWS_SECRET = "aws[secret]+access(key"
AWS_SESSION = "aws(session)*token$"

Kind = Literal["wandb", "github", "http", "s3", "file", "entity", "organisation", "app"]


@dataclass(frozen=True)
class Stage:
    """One kind of source. `before` and `after` are the ports of its two worlds, 0 for files; `during`, where set, that
    of the world which the faulty collection finds."""

    kind: Kind
    before: int
    after: int
    certificate: Path
    during: int = 0

    def check(self, url: str) -> MettaCheck:
        """A check of the source that stands at `url`, with time enough."""
        common = {"collection_timeout": PATIENT, "tls_ca_cert": str(self.certificate), "tags": ["team:rl"]}
        check = _check_of(self.kind, url, common)
        check.check_id = f"{check.name}:hostile"
        check.clock = lambda: BEGIN
        check.load_options()
        if self.kind != "file":
            # Retries shall not take a test's time.
            check.transport.pause = 0.001
        return check

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be said: credentials, and the headers that are made of them."""
        given = {
            "wandb": (API_KEY, _basic("api", API_KEY)),
            "github": (TOKEN,),
            "http": (PASSWORD, _basic("reader", PASSWORD), SIGNATURE),
            "s3": (AWS_SECRET, AWS_SESSION),
            "file": (),
            "entity": (API_KEY, _basic("api", API_KEY)),
            "organisation": (TOKEN,),
            "app": (several.KEY_TEXT.split()[8], several.TOKEN_BEGINS),
        }
        return given[self.kind]


def set_timeout(check: MettaCheck, seconds: float) -> None:
    """As if `collection_timeout` had always been this: a first collection may be slow for reasons of the machine's."""
    check._config_model_instance = check.config.model_copy(update={"collection_timeout": seconds})


@contextmanager
def stages(certificate: Path) -> Iterator[Mapping[Kind, Stage]]:
    """Servers for both worlds of every kind, for as long as the block lasts."""
    with ExitStack() as stack:

        def served(kind: Kind, before: LoopbackServer, after: LoopbackServer) -> Stage:
            return Stage(kind, stack.enter_context(before).port, stack.enter_context(after).port, certificate)

        yield {
            "wandb": served(
                "wandb",
                WandbServer(project(), api_key=API_KEY),
                WandbServer(later_project(), api_key=API_KEY),
            ),
            "github": served("github", of_github(repository()), of_github(later_repository())),
            "http": served("http", Shelf(document(0.91)), Shelf(document(0.42))),
            "s3": served("s3", Shelf(document(0.91)), Shelf(document(0.42))),
            "file": Stage("file", 0, 0, certificate),
            **dict(_of_several(stack, certificate)),
        }


def _of_several(stack: ExitStack, certificate: Path) -> Iterator[tuple[Kind, Stage]]:
    makes: dict[Kind, Callable[[datetime], LoopbackServer]] = {
        "entity": lambda now: several.entity(now, API_KEY),
        "organisation": lambda now: several.organisation(now, TOKEN),
        "app": several.organisation_of_an_app,
    }
    for kind, make in makes.items():
        before, during, after = (stack.enter_context(make(now)).port for now in (BEGIN, FAULTY, THEN))
        yield kind, Stage(kind, before, after, certificate, during)


def of_github(of: DemoRepository) -> GitHubServer:
    """Without a quota: hundreds of cases share it."""
    server = GitHubServer(of, token=TOKEN)
    server.limits.core = server.limits.graphql = 10**9
    return server


def project() -> DemoProject:
    """Runs with every name and value that a check would not wish for."""
    return edge_case_project(BEGIN, runs=110)


def later_project() -> DemoProject:
    later = project()
    running = [run.name for run in later.runs if run.state == "running"]
    for name in running[:4]:
        later.finish(name, FAULTY)
    later.crash(running[4])
    later.start("born-later", FAULTY, heartbeat_at=THEN - timedelta(minutes=1))
    return later


def repository() -> DemoRepository:
    return edge_case_repository(BEGIN, workflows=10, runs_per_day=20, days=2, seed=7)


def later_repository() -> DemoRepository:
    later = repository()
    activity = RandomChanges(later, runs_per_day=600)
    assert isinstance(later.clock, ManualClock)
    later.clock.advance(THEN - BEGIN)
    activity.catch_up()
    return later


def document(hearts: float) -> bytes:
    """Health records, one of them failing."""
    record = {
        "metric": "hearts",
        "workflow_name": "arena",
        "task": "learns",
        "check": "reward_threshold",
        "condition": "> 0.5",
        "value": hearts,
        "status": "pass" if hearts > 0.5 else "fail",
        "timestamp": "2026-03-01T11:00:00Z",
        "tags": {"commit": "abc123"},
    }
    others = [{**record, "task": f"task {n}", "value": n / 10, "status": None} for n in range(5)]
    return json.dumps([record, *others]).encode()


class Shelf(LoopbackServer):
    """One document under every path, as web servers and S3 give it."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content

    def answer(self, request: Request) -> Reply:
        etag = f'"{hash(self.content):x}"'
        headers = {"ETag": etag, "Last-Modified": "Sun, 01 Mar 2026 11:00:00 GMT", "Content-Type": "application/json"}
        if request.headers.get("if-none-match") == etag:
            return Reply(304, headers=headers)
        return Reply(200, self.content, headers)


def _check_of(kind: Kind, url: str, common: dict[str, Any]) -> MettaCheck:
    if kind in {"entity", "organisation", "app"}:
        return several.check_of(kind, url, {"max_response_bytes": MOST_BYTES, **common}, API_KEY, TOKEN)
    if kind == "wandb":
        own = {"entity": "metta-research", "project": "metta", "base_url": url, "api_key": API_KEY}
        small = {"page_size": 40, "max_pages": 8, "full_refresh": "1m", "events": True}
        return WandbCheck("metta_wandb", {}, [{**own, **small, "max_response_bytes": MOST_BYTES, **common}])
    if kind == "github":
        lists = {"tests_blocking_merge_workflows": list(TESTS_BLOCKING_MERGE), "benchmarks_workflows": list(BENCHMARKS)}
        own = {"repo": "demo-org/arena", "api_url": url, "token": TOKEN, "max_pages": 12, "events": True}
        return CiCheck("metta_ci", {}, [{**own, **lists, "max_response_bytes": MOST_BYTES, **common}])
    limits = {"max_bytes": MOST_BYTES, "max_records": 1_000, **common}
    if kind == "http":
        own = {"source": f"{url}/results.json?token={SIGNATURE}", "username": "reader", "password": PASSWORD}
        return TrainingCheck("metta_training", {}, [{**own, **limits}])
    source = url if kind == "file" else "s3://results/eval.json"
    return EvalCheck("metta_eval", {}, [{"source": source, **limits}])


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
