"""A W&B project on loopback, configuration files for it, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer


@pytest.fixture
def project() -> DemoProject:
    """One run that ended an hour ago, after six hours."""
    project = DemoProject("metta-research", "metta")
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    project.start(
        "r1",
        end - timedelta(hours=6),
        heartbeat_at=end,
        state="finished",
        display_name="github.sky.main",
        summary={"overview/reward": 4.5},
    )
    return project


@pytest.fixture
def server(project: DemoProject) -> Iterator[WandbServer]:
    with WandbServer(project) as server:
        yield server


@pytest.fixture
def instance(server: WandbServer) -> dict[str, Any]:
    """The options with which the check reads the project."""
    return {
        "entity": "metta-research",
        "project": "metta",
        "base_url": server.url,
        "api_key": DEMO_API_KEY,
        # Loading the machine's certificates takes longer than a whole collection.
        "tls_verify": False,
    }


@pytest.fixture
def conf(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration file with these instances."""

    def write(*instances: Any, **more: Any) -> Path:
        path = tmp_path / "conf.yaml"
        path.write_text(yaml.safe_dump({"init_config": None, "instances": list(instances), **more}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def command() -> Callable[..., Result]:
    """Runs `metta-checks` with these arguments; a traceback instead of an exit status fails the test."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        return result

    return run


@pytest.fixture
def validated(command: Callable[..., Result], tmp_path: Path) -> Callable[..., list[str]]:
    """Validates a text as the configuration of a check; returns the faults as lines."""

    def run(text: str, folder: str = "metta_wandb.d") -> list[str]:
        path = tmp_path / folder / "conf.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        result = command("validate", path, "--format", "json")
        faults = [one for one in json.loads(result.stdout)["findings"] if one["level"] == "fault"]
        assert result.exit_code == (1 if faults else 0)
        return [f"{one['option']} {one['line']}: {one['text']}" for one in faults]

    return run
