"""The command's frame: help, completion, the line that a terminal shows, and what was not foreseen."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from metta_checks.checks import CHECKS
from metta_checks.cli import main
from metta_checks.cli.group import LazyCommand

Command = Callable[..., Result]
Conf = Callable[..., Path]

PROGRAM = str(Path(sys.executable).with_name("metta-checks"))


def every_command(group: click.Group) -> Iterator[str]:
    for name, listed in group.commands.items():
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        if isinstance(command, click.Group):
            yield from (f"{name} {below}" for below in every_command(command))
        else:
            yield name


@pytest.mark.parametrize("name", every_command(main))
def test_help_reads_as_documentation(command: Command, name: str) -> None:
    result = command(*name.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert max(map(len, result.stdout.splitlines())) <= 100
    for heading in ("Exit status:", "Examples:", f"metta-checks {name}"):
        assert heading in result.stdout


def test_the_commands_stand_in_the_order_of_their_use(command: Command) -> None:
    lines = command("--help").stdout.partition("Commands:")[2].split("\n")
    assert [line.split()[0] for line in lines if line.strip()][:4] == ["demo", "list", "install", "uninstall"]


def start(*arguments: str, **environment: str) -> tuple[str, set[str]]:
    """Standard output of the command, and the top-level packages that it imported."""
    command = [sys.executable, "-X", "importtime", PROGRAM, *arguments]
    ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60)
    return ran.stdout, {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines()}


HEAVY = {"boto3", "datadog_checks", "jsonschema", "pydantic", "requests"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["-h"], ["collec"]], ids=lambda arguments: " ".join(arguments)
)
def test_the_command_starts_without_heavy_imports(arguments: list[str]) -> None:
    _, imported = start(*arguments)
    assert "metta_checks" in imported
    assert imported & HEAVY == set()


def test_names_complete_without_heavy_imports() -> None:
    completion = {"_METTA_CHECKS_COMPLETE": "bash_complete", "COMP_WORDS": "metta-checks ", "COMP_CWORD": "1"}
    stdout, imported = start(**completion)
    assert {line.partition(",")[2] for line in stdout.splitlines()} == set(main.commands)
    assert imported & HEAVY == set()


@pytest.mark.parametrize("module", ["metta_checks.core", "metta_checks.checks", "metta_checks.cli"])
def test_a_package_imports_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*{HEAVY} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == []


def test_the_list_of_commands_names_each_as_its_module_does() -> None:
    for name, listed in main.commands.items():
        assert isinstance(listed, LazyCommand)
        assert listed.load().name == name
        assert listed.short_help
        assert listed.short_help.endswith(".")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("metta-checks val", {"validate"}),
        ("metta-checks collect ", {entry.slug for entry in CHECKS}),
        ("metta-checks collect tr", {"training"}),
        ("metta-checks collect wandb --for", {"--format"}),
        ("metta-checks estimate --check e", {"eval"}),
    ],
)
def test_completion(words: str, offered: set[str]) -> None:
    environment = {
        **os.environ,
        "_METTA_CHECKS_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    ran = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert {line.partition(",")[2] for line in ran.stdout.splitlines()} == offered


def test_the_completion_scripts_are_there() -> None:
    for shell in ("zsh", "fish"):
        environment = {**os.environ, "_METTA_CHECKS_COMPLETE": f"{shell}_source"}
        ran = subprocess.run([PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60)
        assert "metta-checks" in ran.stdout


def on_a_terminal(*arguments: object) -> tuple[str, str]:
    """Standard output, and what a terminal as standard error was sent."""
    ours, theirs = pty.openpty()
    ran = subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60)
    os.close(theirs)
    told = b""
    try:
        while part := os.read(ours, 4096):
            told += part
    except OSError:
        # The end of a terminal is an error on Linux.
        pass
    os.close(ours)
    return ran.stdout, told.decode()


def test_a_terminal_shows_that_something_happens(conf: Conf, instance: dict[str, Any]) -> None:
    path = conf(instance, instance)
    stdout, told = on_a_terminal("collect", "wandb", "--config", path)
    assert "collecting instance 1 of 2" in told
    assert "collecting instance 2 of 2" in told
    assert told.endswith("\r\x1b[K")
    assert "collecting" not in stdout
    assert on_a_terminal("collect", "wandb", "--config", path, "--quiet") == ("", "")


def test_no_terminal_sees_none_of_it(command: Command, conf: Conf, instance: dict[str, Any]) -> None:
    result = command("collect", "wandb", "--config", conf(instance))
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "stdout", "stderr"),
    [
        (["--quiet"], False, False),
        (["--quiet", "--format", "json"], True, False),
        ([], True, False),
    ],
)
def test_quiet(
    command: Command, conf: Conf, instance: dict[str, Any], arguments: list[str], stdout: bool, stderr: bool
) -> None:
    result = command("collect", "wandb", "--config", conf(instance), *arguments)
    assert (result.exit_code, bool(result.stdout), bool(result.stderr)) == (0, stdout, stderr)


def test_quiet_still_tells_of_errors(command: Command, conf: Conf, instance: dict[str, Any]) -> None:
    result = command("collect", "wandb", "--quiet", "--config", conf({**instance, "project": "other"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "W&B has no such project" in result.stderr


def test_quiet_and_verbose_contradict_each_other(command: Command, conf: Conf, instance: dict[str, Any]) -> None:
    result = command("collect", "wandb", "-q", "-v", "--config", conf(instance))
    assert result.exit_code == 2
    assert "contradict each other" in result.stderr
