"""`metta-checks install` and `uninstall`: the files that the Agent needs in its own folders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from metta_checks.checks import CHECKS
from metta_checks.cli.arguments import completed, listed_checks
from metta_checks.cli.installation import (
    CONFIGURATIONS,
    SHIMS,
    AgentFile,
    Change,
    Installation,
    MissingFilesError,
    example_of,
    shim_of,
)
from metta_checks.cli.safe_files import safe_folder
from metta_checks.cli.terminal import OutputError, echo, echo_wrapped
from metta_checks.core.definition import CheckDefinition

AGENT_DIR: Final = Path("/etc/datadog-agent")

EMBEDDED: Final = Path("/opt/datadog-agent/embedded")
"""Where the Agent's own Python is on Linux hosts and in its images."""


def _existing_folder(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """A callback for click: refuses a folder that does not exist, with what makes it."""
    if not value.exists():
        raise click.BadParameter(f"{value} does not exist: create it with `mkdir -p {value}`", context, parameter)
    return value


def _common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--dry-run", is_flag=True, help="Show what would change, change nothing."),
        click.option(
            "--checks",
            callback=listed_checks,
            metavar="NAMES",
            shell_complete=completed,
            help=f"Only these, comma-separated: {', '.join(one.slug for one in CHECKS)}, or all. Without it, those "
            "that are installed or configured, and all where none is.",
        ),
        click.option(
            "--agent-dir",
            type=click.Path(path_type=Path, file_okay=False),
            callback=_existing_folder,
            default=AGENT_DIR,
            show_default=True,
            help="The Agent's configuration folder.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@_common_options
@click.option("--check", is_flag=True, help="Change nothing; fail unless everything is in place and can be imported.")
@click.pass_context
def install(
    context: click.Context, agent_dir: Path, checks: tuple[CheckDefinition, ...], dry_run: bool, check: bool
) -> None:
    """Put the checks where the Agent looks for them.

    Writes checks.d/<check>.py, a few lines that import the check, and conf.d/<check>.d/conf.yaml.example, which
    explains every option. A conf.yaml is yours: it is never written. Doing it again changes nothing; after an
    upgrade of the package it renews what is old, but not what was changed by hand. Without --checks it keeps to the
    checks that are installed or configured; `--checks all` adds the others.

    With --check, for the build of an image: run it with the Agent's own Python after `install`.

    Files are 0644 and folders 0755; run as root, they get the owner of the Agent's folder. On the way to that folder
    links are followed that belong to root or to the user who runs this, below it none. Root writes to no folder that
    every user may write to.

    \b
    Exit status:
      0  everything is in place, or would be
      1  a file cannot be written; with --check, something is missing, old, or cannot be imported
      2  the command line is wrong

    \b
    Examples:
      metta-checks install --dry-run
      sudo metta-checks install --checks wandb,ci
      metta-checks install --agent-dir ./agent
      metta-checks install --check --agent-dir ./agent
    """
    is_named = context.get_parameter_source("checks") is not ParameterSource.DEFAULT
    checks = checks if is_named else _present(agent_dir, checks)
    if check:
        context.exit(1 if list(_show_faults(agent_dir, checks)) else 0)
    with _installation(agent_dir, checks, dry_run=dry_run) as installation:
        for definition in checks:
            for file in _files(definition):
                echo(str(installation.put(file)))
            for own in _configurations(installation, definition):
                echo(str(Change("keep", own, "yours")))
        bare = [definition for definition in checks if not _configurations(installation, definition)]
    _show_next_step(agent_dir, bare, dry_run=dry_run)


@click.command()
@_common_options
def uninstall(agent_dir: Path, checks: tuple[CheckDefinition, ...], dry_run: bool) -> None:
    """Remove what `install` wrote.

    What was changed by hand stays, and so does every conf.yaml: as long as one is there, the Agent tries to load
    its check and reports in its status that it cannot.

    \b
    Exit status:
      0  done, or would be
      1  a file cannot be removed
      2  the command line is wrong

    \b
    Examples:
      metta-checks uninstall --dry-run
      sudo metta-checks uninstall --checks eval
    """
    with _installation(agent_dir, checks, dry_run=dry_run) as installation:
        for definition in checks:
            for file in _files(definition):
                change = installation.remove(file)
                if change is not None:
                    echo(str(change))
            for own in _configurations(installation, definition):
                echo(str(Change("keep", own, "yours; the Agent reports an error until you delete it")))
    if dry_run:
        echo("Nothing was changed: --dry-run.")


def _present(agent_dir: Path, checks: tuple[CheckDefinition, ...]) -> tuple[CheckDefinition, ...]:
    """Those of the checks that are installed or configured; all where none is."""
    with _installation(agent_dir, checks, dry_run=True) as installation:
        shims = installation.names(SHIMS)
        return tuple(one for one in checks if f"{one.name}.py" in shims or _configurations(installation, one)) or checks


def _show_faults(agent_dir: Path, checks: Iterable[CheckDefinition]) -> Iterator[str]:
    """What keeps the Agent from loading the checks, each shown as it is found."""
    with _installation(agent_dir, checks, dry_run=True) as installation:
        for definition in checks:
            faults = [_fault_of(installation.put(file)) for file in _files(definition)]
            faults.append(_import_fault(definition))
            for fault in filter(None, faults):
                echo(f"{definition.name}: fault: {fault}")
                yield fault
            if not any(faults):
                echo(f"{definition.name}: ok")


def _fault_of(change: Change) -> str:
    match change.verb:
        case "create":
            return f"{change.target} is missing: run `metta-checks install`"
        case "update" | "keep":
            return (
                f"{change.target} is not of this version: move it away if it is yours, and run `metta-checks install`"
            )
        case "repair":
            return f"{change.target}: {change.why}: run `metta-checks install`"
        case _:
            return ""


def _import_fault(definition: CheckDefinition) -> str:
    try:
        definition.check_class()
    except ImportError as error:
        return f"cannot be imported by {sys.executable}: {error}"
    return ""


@contextmanager
def _installation(agent_dir: Path, checks: Iterable[CheckDefinition], *, dry_run: bool) -> Iterator[Installation]:
    try:
        with safe_folder(agent_dir) as folder:
            installation = Installation(folder, dry_run=dry_run)
            installation.require_safe(file for definition in checks for file in _files(definition))
            yield installation
            installation.close()
    except MissingFilesError as error:
        raise click.ClickException(str(error)) from None
    except (OutputError, BrokenPipeError):
        raise
    except PermissionError as error:
        remedy = "run it as root, or as the user that owns the folder"
        raise click.ClickException(f"{error.filename}: {error.strerror}; {remedy}") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or agent_dir}: {error.strerror}") from None


def _files(definition: CheckDefinition) -> tuple[AgentFile, ...]:
    return shim_of(definition), example_of(definition)


def _configurations(installation: Installation, definition: CheckDefinition) -> list[str]:
    """The check's own configuration files, below the Agent's folder."""
    folder = f"{CONFIGURATIONS}/{definition.name}.d"
    return [f"{folder}/{name}" for name in installation.names(folder) if name.endswith((".yaml", ".yml"))]


def _show_next_step(agent_dir: Path, bare: list[CheckDefinition], *, dry_run: bool) -> None:
    if dry_run:
        echo("Nothing was changed: --dry-run.")
        return
    if bare:
        folder = agent_dir / CONFIGURATIONS / f"{bare[0].name}.d"
        echo_wrapped(f"Next: copy {folder}/conf.yaml.example to conf.yaml beside it and edit that, then")
        echo(f"  metta-checks validate {agent_dir / CONFIGURATIONS}")
    if EMBEDDED.is_dir() and not Path(sys.prefix).is_relative_to(EMBEDDED):
        echo_wrapped("This Python is not the Agent's. The Agent needs the package in its own:")
        echo(f"  {EMBEDDED}/bin/pip install --no-deps metta_checks-<version>-py3-none-any.whl")
