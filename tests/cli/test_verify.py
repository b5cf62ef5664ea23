"""`verify wandb`: equal or not, what changed meanwhile, and what to do when one of the two sides cannot be read."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from simulator_support.wandb_projects import edge_case_project

from metta_checks.simulator.server import Interceptor, Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

needs_sdk = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="the official SDK is not installed: pip install wandb"
)

Command = Callable[..., Result]
Conf = Callable[..., Path]


def is_the_sdks(request: Request) -> bool:
    """Whether the SDK asks for runs; the check has another way of asking."""
    return b"RunFragment" in request.body


def on_the_sdks(act: Callable[[], object]) -> Interceptor:
    """Does something whenever the SDK asks for runs, and lets the answer through."""

    def intercept(request: Request) -> None:
        if is_the_sdks(request):
            act()

    return intercept


@needs_sdk
@pytest.mark.parametrize("init_config", [None, {"service": "trainer"}])
def test_equal(
    command: Command, conf: Conf, instance: dict[str, Any], project: DemoProject, init_config: dict[str, str] | None
) -> None:
    result = command("verify", "wandb", "--config", conf(instance, init_config=init_config))
    assert result.exit_code == 0
    title, verdict = result.stdout.splitlines()
    assert title.startswith("metta_wandb, instance 1: metta-research/metta, 1 runs as the wandb SDK ")
    # Nine counts, and the run's duration and reward.
    assert verdict == "  equal: 14 series"


@needs_sdk
@pytest.mark.parametrize("module", ["metta_checks/__init__.py", "wandb.py", "json.py"])
def test_modules_of_the_working_directory_are_not_imported(
    command: Command, conf: Conf, instance: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """What reads with the SDK gets the key, and the command may be run in a folder of somebody else."""
    planted = tmp_path / "planted"
    (planted / module).parent.mkdir(parents=True)
    (planted / module).write_text("import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()")
    configuration = conf(instance)
    monkeypatch.chdir(planted)
    result = command("verify", "wandb", "--config", configuration)
    assert not list(planted.rglob("*.ran"))
    assert result.exit_code == 0


@needs_sdk
def test_a_project_as_awkward_as_real_ones(command: Command, conf: Conf, instance: dict[str, Any]) -> None:
    """With all options that change what is counted, and runs that the SDK itself cannot decode."""
    options = {
        "tags": ["env:prod"],
        "service": "trainer",
        "run_tags": ["user", "group", "job_type", "sweep", "host"],
        "metrics": ["overview/reward", "env_task/*"],
        "system_metrics": ["gpu_power", "disk_utilization"],
        "run_types": [{"name": "arena", "pattern": "arena"}],
        "timeframe": "3d",
        "max_runs": 5,
        "completed_runs": "1m",
    }
    awkward = edge_case_project(datetime.now(UTC), runs=150)
    with WandbServer(awkward) as server:
        result = command("verify", "wandb", "--config", conf({**instance, **options, "base_url": server.url}))
    assert "  equal: " in result.stdout
    assert "not compared, since the SDK cannot decode them: 14 runs: " in result.stdout
    assert result.exit_code == 0


@needs_sdk
def test_different(command: Command, conf: Conf, instance: dict[str, Any], server: WandbServer) -> None:
    """The SDK is told other values than the check, of each kind."""

    def otherwise(request: Request) -> Reply | None:
        if not is_the_sdks(request):
            return None
        told = server.answer(request).body.decode()
        return Reply(200, told.replace("4.5", "4.25").replace('"finished"', '"crashed"').encode())

    server.intercept = otherwise
    result = command("verify", "wandb", "--config", conf(instance))
    assert result.exit_code == 1
    title, verdict, *table = result.stdout.splitlines()
    assert title.startswith("metta_wandb, instance 1: metta-research/metta")
    assert verdict == "  DIFFERENT: 6 of 16 series"
    assert [line.split() for line in table] == [
        ["METRIC", "RUN", "OF", "CHECK", "SDK"],
        ["wandb.run.duration_hours", "r1", "failed", "none", "6"],
        ["wandb.run.duration_hours", "r1", "finished", "6", "none"],
        ["wandb.run.metric", "r1", "failed", "overview/reward", "none", "4.25"],
        ["wandb.run.metric", "r1", "finished", "overview/reward", "4.5", "none"],
        ["wandb.runs", "failed", "train", "0", "1"],
        ["wandb.runs", "finished", "train", "1", "0"],
    ]


@needs_sdk
def test_a_run_that_moves_while_it_is_read_is_no_difference(
    command: Command, conf: Conf, instance: dict[str, Any], project: DemoProject, server: WandbServer
) -> None:
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=50)
    minutes = itertools.count()

    def moves() -> None:
        minute = next(minutes)
        moment = first + timedelta(minutes=minute)
        project.resume("r1", moment)
        project["r1"].summary = {"overview/reward": float(minute), "_timestamp": moment.timestamp()}

    server.intercept = lambda request: None if request.path != "/graphql" else moves()
    result = command("verify", "wandb", "--config", conf(instance))
    assert result.exit_code == 0
    title, verdict, *more = result.stdout.splitlines()
    # Nine counts, and the GPUs of three types. The duration, the reward and the log's age that the SDK saw are those of
    # neither collection.
    assert verdict == "  equal: 12 series"
    assert more == [
        "  changed meanwhile: 1 run: r1",
        "  not compared, because what changed may be the reason: 3 series",
    ]


@needs_sdk
def test_each_project_of_a_discovery_is_compared(
    command: Command, conf: Conf, instance: dict[str, Any], project: DemoProject, server: WandbServer
) -> None:
    other = DemoProject(project.entity, "another")
    other.start("o1", project.runs[0].created_at, heartbeat_at=project.runs[0].created_at)
    server.projects[other.entity, other.name] = other
    found = {name: value for name, value in instance.items() if name != "project"}
    result = command("verify", "wandb", "--config", conf({**found, "projects": {"include": [".*"]}}))
    assert result.exit_code == 0
    assert f"{project.entity}/another" in result.stdout
    assert f"{project.entity}/{project.name}" in result.stdout
    assert result.stdout.count("  equal: ") == 2


@needs_sdk
def test_a_heartbeat_excuses_no_count(
    command: Command, conf: Conf, instance: dict[str, Any], project: DemoProject, server: WandbServer
) -> None:
    """One run goes on while the SDK is told that another one, which ended long ago, has another state."""
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    project.start("r2", begun, heartbeat_at=begun, display_name="navigation")

    def otherwise(request: Request) -> Reply | None:
        if not is_the_sdks(request):
            return None
        told = server.answer(request).body.decode()
        project.beat("r2", begun + timedelta(minutes=30))
        return Reply(200, told.replace('"finished"', '"crashed"').encode())

    server.intercept = otherwise
    result = command("verify", "wandb", "--config", conf(instance))
    assert result.exit_code == 1
    counts = [line.split() for line in result.stdout.splitlines() if "wandb.runs" in line]
    assert counts == [["wandb.runs", "failed", "train", "0", "1"], ["wandb.runs", "finished", "train", "1", "0"]]
    assert "  changed meanwhile: 1 run: r2" in result.stdout


@needs_sdk
def test_the_project_may_move_once_without_any_doubt(
    command: Command, conf: Conf, instance: dict[str, Any], project: DemoProject, server: WandbServer
) -> None:
    """A run that ends before the SDK reads it is as in the second collection."""
    now = datetime.now(UTC).replace(microsecond=0)
    project.start("r2", now, summary={"overview/reward": 1.0})
    server.intercept = on_the_sdks(lambda: project.fail("r2", now))
    result = command("verify", "wandb", "--config", conf(instance))
    assert result.exit_code == 0
    assert "  equal: " in result.stdout


@needs_sdk
def test_one_instance_of_several(command: Command, conf: Conf, instance: dict[str, Any]) -> None:
    path = conf(instance, {**instance, "project": "none"}, {**instance, "tags": ["env:prod"]})
    both = command("verify", "wandb", "--config", path)
    assert both.exit_code == 1
    assert [line[:24] for line in both.stdout.splitlines()[::2]] == [
        "metta_wandb, instance 1:",
        "metta_wandb, instance 3:",
    ]
    assert "metta_wandb, instance 2: W&B" in both.stderr
    assert "W&B has no such project" in both.stderr
    third = command("verify", "wandb", "--config", path, "--instance", 3)
    assert (third.exit_code, third.stderr) == (0, "")
    assert third.stdout.startswith("metta_wandb, instance 3:")


@needs_sdk
@pytest.mark.parametrize(
    ("options", "arguments", "said"),
    [
        ({"api_key": "0" * 40}, [], "unauthorized"),
        ({"api_key": None}, [], "no W&B API key found"),
        ({"base_url": "http://127.0.0.1:9"}, [], "refused the connection"),
        ({}, ["--timeout", 1], "the wandb SDK did not finish within 1 s"),
    ],
)
def test_a_side_that_cannot_be_read(
    command: Command,
    conf: Conf,
    instance: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    arguments: list[Any],
    said: str,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", instance["base_url"])
    result = command("verify", "wandb", "--config", conf({**instance, **options}), *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


@needs_sdk
def test_what_the_sdk_says_of_its_failure_holds_no_key(
    command: Command, conf: Conf, instance: dict[str, Any], server: WandbServer
) -> None:
    key = instance["api_key"]
    told = json.dumps({"errors": [{"message": f"no run for {key}"}]}).encode()
    server.intercept = lambda request: Reply(400, told) if is_the_sdks(request) else None
    result = command("verify", "wandb", "--config", conf(instance), "--verbose")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the wandb SDK failed: " in result.stderr
    assert key not in result.stderr


@pytest.mark.parametrize(
    ("instances", "arguments", "said"),
    [
        ([{}], ["--instance", 2], "the configuration has 1"),
        ([{"entity": None}], [], "`entity` is not set"),
        ([{"timeframe": "a week"}], [], "`timeframe`"),
        ([{"max_pages": 0}], [], "max_pages"),
        ([], [], "`instances` has to be a list"),
    ],
)
def test_what_is_wrong_without_any_request(
    command: Command, conf: Conf, instance: dict[str, Any], instances: list[Any], arguments: list[Any], said: str
) -> None:
    pytest.importorskip("wandb", reason="the official SDK is not installed")
    result = command("verify", "wandb", "--config", conf(*({**instance, **more} for more in instances)), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_without_the_sdk(
    command: Command, conf: Conf, instance: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metta_checks.cli.verify.is_installed", lambda: False)
    result = command("verify", "wandb", "--config", conf(instance))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "-m pip install 'wandb>=" in " ".join(result.stderr.split())
