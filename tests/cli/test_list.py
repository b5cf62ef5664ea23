"""`metta-checks list`, and the command as it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from metta_checks.__about__ import __version__

KEY = "0123456789abcdef0123456789abcdef01234567"

INSTALLED = ([str(Path(sys.executable).with_name("metta-checks"))], [sys.executable, "-m", "metta_checks"])


def test_each_check_has_a_line(command: Callable[..., Result]) -> None:
    result = command("list")
    assert result.exit_code == 0
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["SLUG", "CHECK", "WATCHES"]
    assert ["wandb", "metta_wandb", "Weights"] in [line.split()[:3] for line in lines]


NEITHER = (
    "neither `api_key` nor WANDB_API_KEY is set; the check would then read the AWS secret wandb/api-key "
    "(not tried here)"
)
GOOD = {"entity": "a", "project": "b", "min_collection_interval": 120}


@pytest.mark.parametrize(
    ("options", "environment", "interval", "credential"),
    [
        ({}, {}, 120, NEITHER),
        ({}, {}, 120, f"{NEITHER}; it is sent to https://api.wandb.ai"),
        ({"api_key_secret": "other"}, {"WANDB_API_KEY": KEY}, 120, "the AWS secret other (not tried here)"),
        ({"base_url": "http://w"}, {"WANDB_API_KEY": KEY}, 120, "`base_url` is http://w, and this instance has no W&B"),
        ({"base_url": "http://w", "api_key": KEY}, {}, 120, "the option `api_key`; it is sent to http://w"),
        ({}, {"WANDB_API_KEY": KEY}, 120, "the environment variable WANDB_API_KEY"),
        ({"api_key": KEY}, {"WANDB_API_KEY": KEY}, 120, "the option `api_key`"),
        ({"api_key": "ENC[a;b]"}, {}, 120, "the option `api_key`, which the Agent's secret backend resolves"),
        ({"api_key": "two\nlines"}, {}, 120, "W&B API key: the option `api_key` holds a line break"),
        ({"project": None, "api_key": KEY}, {}, 120, "the option `api_key`"),
        ({"min_collection_interval": "often"}, {}, None, "unknown, since the options have faults"),
        ({"min_collection_interval": None}, {}, None, NEITHER),
    ],
)
def test_what_a_configured_instance_shows(
    command: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    interval: int | None,
    credential: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "conf.d/metta_wandb.d/conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"instances": [{**GOOD, **options}]}))
    result = command("list", "--agent-dir", tmp_path, "--format", "json")
    (shown,) = json.loads(result.stdout)[0]["instances"]
    assert (shown["file"], shown["instance"], shown["interval"]) == (str(path), 1, interval)
    assert shown["credential"].startswith(credential)
    assert KEY not in result.output + command("list", "--agent-dir", tmp_path).output


def test_a_check_that_is_not_configured_shows_its_example(command: Callable[..., Result], tmp_path: Path) -> None:
    lines = " ".join(command("list", "--agent-dir", tmp_path).stdout.split())
    for interval in (120, 240):
        assert f"not installed; the example runs it every {interval} s" in lines
    assert "credential: none of its own is needed" in lines


def test_a_file_that_cannot_be_read_is_named(command: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "conf.d/metta_ci.d/conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("instances: 5")
    result = command("list", "--agent-dir", tmp_path)
    assert result.exit_code == 1
    assert f"{path}: line 1: `instances` has to be a list, and it is a number" in " ".join(result.stdout.split())


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


@pytest.mark.parametrize(
    ("check", "options", "target"),
    [
        ("metta_wandb", {"entity": "team", "project": "arena"}, "project team/arena"),
        ("metta_wandb", {"entity": "team", "projects": {"include": [".*"]}}, "wandb_entity:team, all that match"),
        ("metta_ci", {"repo": "team/arena"}, "team/arena, branch main"),
        ("metta_ci", {"organization": "team", "repos": {"include": ["a-.*"]}}, "github_organization:team, all that"),
        ("metta_training", {"source": "/data/results.json"}, "/data/results.json"),
        ("metta_wandb", {"entity": "team", "project": "arena", "timeframe": 5}, ""),
    ],
)
def test_what_an_instance_watches(
    command: Callable[..., Result], tmp_path: Path, check: str, options: dict[str, Any], target: str
) -> None:
    path = tmp_path / "conf.d" / f"{check}.d" / "conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"instances": [{**options, "min_collection_interval": 120}]}))
    listed = json.loads(command("list", "--agent-dir", tmp_path, "--format", "json").stdout)
    (instance,) = next(one for one in listed if one["check"] == check)["instances"]
    assert target in (instance["target"] or "")
    assert bool(instance["target"]) == bool(target)
    lines = command("list", "--agent-dir", tmp_path).stdout.splitlines()
    (line,) = [one for one in lines if str(path) in one]
    assert target in line
    assert line.endswith("every 120 s")
