"""A real Agent runs the checks against the demo's servers: `hatch run e2e:test`, on a machine with Docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """The image is built, and the demo's servers answer."""
    try:
        compose(docker, "up", "--build", "--detach", "--wait", "demo")
        yield
    finally:
        compose(docker, "down", "--timeout", "1")


@pytest.mark.parametrize(
    ("check", "metric"), [("metta_wandb", "wandb.runs"), ("metta_ci", "metta.infra.cron.ci.workflow.success_ratio")]
)
def test_a_real_agent_collects(docker: str, demo: None, check: str, metric: str) -> None:
    (outcome,) = json.loads(compose(docker, "run", "--rm", "--no-TTY", "agent", check))
    assert outcome["runner"]["LastError"] in ("", None)
    series = [one for one in outcome["aggregator"]["metrics"] if one["metric"].startswith((metric, "metta.check.up"))]
    assert {one["metric"] for one in series} == {metric, "metta.check.up"}
    for one in series:
        assert one["host"] == ""
        assert {"env:e2e", "team:research"} <= set(one["tags"])
    (up,) = (one["points"] for one in series if one["metric"] == "metta.check.up")
    assert [value for _, value in up] == [1]


def compose(docker: str, *arguments: str) -> str:
    done = subprocess.run(
        [docker, "compose", "--file", str(COMPOSE), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
