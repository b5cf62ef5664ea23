"""`metta-checks list`, and the command as it is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from metta_checks.__about__ import __version__

INSTALLED = ([str(Path(sys.executable).with_name("metta-checks"))], [sys.executable, "-m", "metta_checks"])


def test_each_check_has_a_line(command: Callable[..., Result]) -> None:
    result = command("list")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["SLUG", "CHECK", "WATCHES"]
    assert ["wandb", "metta_wandb", "Weights"] in [line.split()[:3] for line in lines]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("program", INSTALLED, ids=["entry point", "module"])
def test_the_command_is_installed_under_its_name(program: list[str]) -> None:
    for arguments, words in (["--version"], f"metta-checks, version {__version__}"), (["list"], "metta_wandb"):
        ran = subprocess.run([*program, *arguments], capture_output=True, text=True, check=True, timeout=60)
        assert words in ran.stdout
        assert ran.stderr == ""
    ran = subprocess.run([*program, "nonsense"], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    assert ran.stderr.startswith("Usage: metta-checks ")


@pytest.mark.parametrize("arguments", [[], ["collect"], ["list"], ["demo"]])
def test_help_is_there(command: Callable[..., Result], arguments: list[str]) -> None:
    for flag in ("-h", "--help"):
        result = command(*arguments, flag)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: ")
        assert max(map(len, result.stdout.splitlines())) <= 100
