"""Checks that watch several targets in one instance: an entity of W&B, an organisation of GitHub, and one that an App
watches; each at any moment of the course."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hostile_support.outcome import Outcome, Series

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import FIRST_REPOSITORY_ID, DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer
from metta_checks.wandb.check import WandbCheck

NAMES: Final = ("arena", "maze", "pond", "zoo")
STRUCK: Final = "maze"
"""The target that a fault befalls where it befalls one of many."""

OWNER: Final = "demo-org"
START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)

ENDS: Final = (timedelta(minutes=6), timedelta(minutes=18))
"""When something ends in each target: before the faulty collection, and before the good one after it."""

KEY_TEXT: Final = (
    rsa.generate_private_key(65_537, 2_048)
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)
TOKEN_BEGINS: Final = "ghs_(installation)+[t"
TOKEN_LASTS: Final = timedelta(minutes=12)
"""So that the faulty collection, and the one after it, have to renew it."""


def entity(now: datetime, api_key: str) -> WandbServer:
    """Projects with so many runs each that no two have the same figures."""
    return WandbServer(*(_project(number, name, now) for number, name in enumerate(NAMES)), api_key=api_key)


def _project(number: int, name: str, now: datetime) -> DemoProject:
    project = DemoProject("team", name)
    for run in range(3 + number):
        begun = START - timedelta(hours=1 + number, minutes=run)
        end = ENDS[run] if run < len(ENDS) else None
        ended = end is not None and START + end <= now
        beat = START + end if ended and end is not None else now - timedelta(seconds=20)
        project.start(f"{name}-{run}", begun, state="finished" if ended else "running", heartbeat_at=beat)
        project.beat(f"{name}-{run}", beat, {"overview/reward": 100 * number + run})
        if ended:
            project.finish(f"{name}-{run}", beat)
    return project


def organisation(now: datetime, token: str | None) -> GitHubServer:
    """Repositories of which no two have the same figures; in each a run ended shortly before."""
    server = GitHubServer([_repository(number, name, now) for number, name in enumerate(NAMES)], token=token)
    server.limits.core = server.limits.graphql = 10**9
    return server


def _repository(number: int, name: str, now: datetime) -> DemoRepository:
    clock = ManualClock(START - timedelta(hours=3))
    repository = DemoRepository(f"{OWNER}/{name}", repository_id=FIRST_REPOSITORY_ID + 1 + number, clock=clock)
    workflow = repository.add_workflow("CI", ".github/workflows/ci.yml").id
    moments = [timedelta(minutes=-90 + run) for run in range(2 + number)] + list(ENDS)
    for run, moment in enumerate(moments):
        duration = timedelta(minutes=2 + number, seconds=run)
        if START + moment <= now:
            clock.now = START + moment
            conclusion: Any = "failure" if run == 0 and number % 2 else "success"
            repository.new_run(workflow, conclusion=conclusion, created_at=clock.now - duration, duration=duration)
    clock.now = now
    return repository


def organisation_of_an_app(now: datetime) -> GitHubServer:
    """One that gives tokens to an App and knows no others; the tokens of all moments are good."""
    server = organisation(now, None)
    token = f"{TOKEN_BEGINS}{now:%H%M}{'x' * 30}"

    def issue(request: Request) -> Reply | None:
        headers = {"Content-Type": "application/json"}
        if request.path == "/app/installations/42/access_tokens":
            body = {"token": token, "expires_at": f"{now + TOKEN_LASTS:%Y-%m-%dT%H:%M:%SZ}"}
            return Reply(201, json.dumps(body).encode(), headers)
        if TOKEN_BEGINS not in (request.headers.get("authorization") or ""):
            return Reply(401, b'{"message": "Bad credentials"}', headers)
        return None

    server.intercept = issue
    return server


def check_of(kind: str, url: str, common: Mapping[str, Any], api_key: str, token: str) -> MettaCheck:
    """The check of all targets; it looks at the list in every second collection or so."""
    names = {"include": [".*"], "interval": 300, "limit": 10}
    if kind == "entity":
        own: dict[str, Any] = {"entity": "team", "projects": names, "base_url": url, "api_key": api_key}
        return WandbCheck("metta_wandb", {}, [{**own, "full_refresh": "1m", **common}])
    credential: dict[str, Any] = {"token": token}
    if kind == "app":
        credential = {"app_id": 12345, "app_installation_id": 42, "app_private_key": KEY_TEXT}
    own = {"organization": OWNER, "repos": names, "api_url": url, "jobs": True, **credential}
    lists = {"tests_blocking_merge_workflows": ["ci.yml"], "benchmarks_workflows": []}
    return CiCheck("metta_ci", {}, [{**own, **lists, **common}])


def target_of(tags: Sequence[str]) -> str:
    """The target that a series belongs to; empty for those of the instance."""
    named = [tag for tag in tags if tag.startswith(("repo:", "wandb_project:"))]
    return named[0].partition(":")[2].rpartition("/")[2] if named else ""


def gauges_of(outcome: Outcome, name: str) -> dict[Series, float]:
    """One target's figures."""
    return {series: value for series, value in outcome.gauges.items() if target_of(series[1]) == name}


def points_of(outcome: Outcome, name: str) -> list[tuple[Series, float]]:
    return [point for point in outcome.points if target_of(point[0][1]) == name]


def ups(outcome: Outcome) -> dict[str, float]:
    """`metta.check.up` by target."""
    return {target_of(tags): value for (name, tags), value in outcome.telemetry.items() if name == "metta.check.up"}


def statuses(outcome: Outcome) -> dict[str, float]:
    """`metta.check.targets` by status, without the zeros."""
    found = {
        next(tag[7:] for tag in tags if tag.startswith("status:")): value
        for (name, tags), value in outcome.telemetry.items()
        if name == "metta.check.targets"
    }
    assert set(found) == {"read", "failed", "in_progress", "waiting", "over_limit"}
    return {status: count for status, count in found.items() if count}
