"""`metta-checks demo`: every check, on sample data, without an account or a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
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


def test_one_screen(command: Callable[..., Result], tmp_path: Path) -> None:
    board = tmp_path / "board.html"
    result = command("demo", "--board", board)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) <= 24
    # The table of rich is for terminals.
    assert "─" not in result.stdout
    assert lines[0].split() == ["CHECK", "RESULT", "SERIES", "REQUESTS", "WATCHES"]
    for entry in CHECKS:
        (row,) = (line.split() for line in lines if line.startswith(f"{entry.name} "))
        assert row[1] == "ok"
        assert int(row[2].replace(",", "")) > 0
        (figures,) = (line.partition(": ")[2].split("; ") for line in lines if line.startswith(f"{entry.name}: "))
        assert len(figures) == 5
        assert all(re.search(r" [\d,.]+%?( h| min| steps/s)?$", text) for text in figures)
    assert lines[-1] == f"The dashboards, to open in a browser: {board}"
    assert 'data-widget="CI failing"' in board.read_text(encoding="utf-8")
    assert DEMO_API_KEY not in result.stdout


def test_the_screen_shows_the_last_moment_of_the_board(command: Callable[..., Result], tmp_path: Path) -> None:
    """The CI board has a tile `Running runs` too, before that of W&B."""
    board = tmp_path / "board.html"
    screen = command("demo", "--board", board).stdout
    page = board.read_text(encoding="utf-8")
    for figure, tile in (
        (r"running ([\d,]+);", "Running runs"),
        (r"failed in 7 days ([\d,]+);", "Failed runs"),
        (r"finished in 7 days ([\d,]+);", "Finished runs"),
        (r"successful runs ([\d.]+)%;", "Successful runs, 24 h"),
        (r"other failing workflows ([\d,]+);", "Other failing workflows"),
        (r"p90 of a run ([\d.]+) min;", "Run time p90, 24 h"),
    ):
        (shown,) = re.findall(figure, screen)
        *_, drawn = re.findall(rf'data-widget="{tile}".*?data-value="([^"]+)"', page, re.DOTALL)
        assert float(shown.replace(",", "")) == pytest.approx(float(drawn), abs=0.06), tile


def test_the_board_of_another_user_is_no_obstacle(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken = tmp_path / f"metta-checks-board-{os.getuid()}.html"
    taken.symlink_to("/dev/null")
    result = command("demo")
    path = Path(result.stdout.splitlines()[-1].rpartition(": ")[2])
    assert (result.exit_code, path.name) == (0, "board.html")
    assert "<html" in path.read_text()


def test_verbose_shows_every_metric_and_series(command: Callable[..., Result]) -> None:
    lines = command("demo", "--verbose").stdout.splitlines()
    counted = {line.split()[0]: line.split()[2:4] for line in lines if line.startswith("  ") and " gauge " in line}
    assert set(METRICS) <= set(counted)
    assert counted["wandb.runs"] == ["9", "series"]
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
    assert b"metta_wandb, instance 1, collection 13: ok, " in ran.stdout
