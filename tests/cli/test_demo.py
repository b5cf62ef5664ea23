"""`metta-checks demo`: every check, on sample data, without an account or a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from metta_checks.checks import CHECKS
from metta_checks.simulator.wandb_server import DEMO_API_KEY

METRICS = (
    "wandb.runs",
    "wandb.run.duration_hours",
    "wandb.run.sps",
    "wandb.run.metric",
    "wandb.run.system",
    "wandb.run.log_age_seconds",
    "metta.check.up",
    "metta.check.requests",
)


def test_every_check_has_a_table(command: Callable[..., Result]) -> None:
    result = command("demo")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    for entry in CHECKS:
        (headline,) = (line for line in lines if line.startswith(f"{entry.name}, instance 1, collection 1: ok, "))
        assert " series, " in headline
        assert " request" in headline
        assert headline.endswith(" s")
    counted = {line.split()[0]: line.split()[2:4] for line in lines if line.startswith("  ") and " gauge " in line}
    assert set(METRICS) <= set(counted)
    assert counted["wandb.runs"] == ["9", "series"]
    assert max(map(len, lines)) <= 100
    assert DEMO_API_KEY not in result.stdout


def test_verbose_shows_every_series(command: Callable[..., Result]) -> None:
    lines = command("demo", "--verbose").stdout.splitlines()
    assert sum("run_type:" in line and "timeframe:7d" in line for line in lines) == 9


def test_it_ends_well_on_any_machine() -> None:
    own = {
        # What an operator's machine may have set for real.
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_API_KEY": "another",
        "WANDB_ENTITY": "another",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        # Runs have names that this cannot write.
        "PYTHONIOENCODING": "latin-1",
    }
    program = Path(sys.executable).with_name("metta-checks")
    ran = subprocess.run(
        [program, "demo", "--verbose"], capture_output=True, check=False, timeout=60, env={**os.environ, **own}
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == b""
    assert b"metta_wandb, instance 1, collection 1: ok, " in ran.stdout
