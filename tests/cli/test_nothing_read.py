"""`metta-checks collect` where the list of an entity or organization leaves nothing to read: a failure, and why."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

Command = Callable[..., Result]
Conf = Callable[..., Path]
Instance = dict[str, Any]

TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def entity(instance: Instance) -> Instance:
    return {option: value for option, value in instance.items() if option != "project"}


@pytest.fixture
def github() -> Iterator[GitHubServer]:
    repositories = [DemoRepository("demo-org/arena", repository_id=1), DemoRepository("demo-org/maze", repository_id=2)]
    with GitHubServer(repositories, token=TOKEN) as server:
        yield server


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"entity": "metta-reserch", "projects": {"include": [".*"]}},
            "Entity metta-reserch has no project that this key can see: check `entity` and the key's team",
        ),
        (
            {"projects": {"include": ["arena.*"]}},
            "Entity metta-research has 2 projects (metta, zoo); none matches `include`",
        ),
        (
            {"projects": {"include": ["met|zo", "z"], "exclude": ["z"]}},
            "Entity metta-research has 2 projects (metta, zoo); none matches `include`",
        ),
        (
            {"projects": {"include": [".*"], "exclude": [".*o", "m.*"]}},
            "Entity metta-research has 2 projects (metta, zoo); none matches `include`",
        ),
    ],
)
@pytest.mark.parametrize("quiet", [True, False])
def test_no_project(
    command: Command,
    conf: Conf,
    entity: Instance,
    server: WandbServer,
    options: Instance,
    error: str,
    quiet: bool,
) -> None:
    server.projects["metta-research", "zoo"] = DemoProject("metta-research", "zoo")
    path = conf({**entity, **options})
    result = command("collect", "wandb", "--config", path, *(["-q"] if quiet else []))
    assert result.exit_code == 1
    assert f"metta_wandb, instance 1: nothing was read: {error}" in " ".join(result.stderr.split())
    assert result.stdout.startswith("" if quiet else "metta_wandb, instance 1, collection 1: FAILED")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"repos": {"include": ["zoo.*"]}}, "Organization demo-org has 2 repositories (arena, maze); none matches"),
        ({"organization": "demo-orgs"}, "GitHub answers 404"),
        ({"repos": {"include": ["gone"]}}, "gone is not read, since its default branch is not known"),
    ],
)
def test_no_repository(command: Command, conf: Conf, github: GitHubServer, options: Instance, error: str) -> None:
    instance = {"organization": "demo-org", "repos": {"include": [".*"]}, "api_url": github.url, "token": TOKEN}
    result = command("collect", "ci", "--config", conf({**instance, **options}), "--format", "json")
    assert result.exit_code == 1
    (collection,) = json.loads(result.stdout)["collections"]
    assert collection["ok"] is False
    if error != "GitHub answers 404":
        assert error in collection["error"]
    assert [one["value"] for one in collection["metrics"] if one["metric"] == "metta.check.up"] == [0.0]


def test_one_match_is_enough(command: Command, conf: Conf, entity: Instance) -> None:
    result = command("collect", "wandb", "--config", conf({**entity, "projects": {"include": ["met.*", "zoo.*"]}}))
    assert (result.exit_code, result.stderr) == (0, "")
