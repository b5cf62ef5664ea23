"""A real Agent runs the checks against the simulator: `hatch run e2e:test`, on a machine with Docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from metta_checks.checks import CHECKS

COMPOSE = Path(__file__).with_name("compose.yaml")

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def docker() -> str:
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "info"], capture_output=True, check=False).returncode != 0:
        pytest.skip("Docker does not run here")
    return found


@pytest.fixture(scope="module")
def demo(docker: str) -> Iterator[None]:
    """The image is built, and the simulator serves."""
    try:
        compose(docker, "up", "--build", "--detach", "--wait", "demo")
        yield
    finally:
        compose(docker, "down", "--volumes", "--timeout", "1")


@pytest.mark.parametrize("check", [definition.name for definition in CHECKS])
def test_a_real_agent_collects(docker: str, demo: None, check: str) -> None:
    (outcome,) = json.loads(compose(docker, "run", "--rm", "--no-TTY", "agent", check))
    assert outcome["runner"]["LastError"] in ("", None)
    series = outcome["aggregator"]["metrics"]
    assert {one["host"] for one in series} == {""}
    assert [one["metric"] for one in series if not {"env:demo", "team:research"} <= set(one["tags"])] == []
    assert [one for one in series if not one["metric"].startswith("metta.check.")]
    (up,) = (one["points"] for one in series if one["metric"] == "metta.check.up")
    assert [value for _, value in up] == [1]


def compose(docker: str, *arguments: str) -> str:
    done = subprocess.run(
        [docker, "compose", "--file", str(COMPOSE), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
