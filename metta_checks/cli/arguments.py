"""What several commands take on the command line: names of checks, configurations, output files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from metta_checks.checks import CHECKS, find_check
from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config
from metta_checks.cli.group import ConfigurationFault
from metta_checks.core.atomic_write import STANDARD_OUTPUT, WriteError, resolved, write_output
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.unknown_options import did_you_mean

METAVAR: Final = f"[{'|'.join(definition.slug for definition in CHECKS)}]"

ALL: Final = "all"
"""The word for every check where several can be named."""

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration in the Agent's format (init_config, instances). Without it, the environment is enough.",
)
"""What `config_or_environment` reads."""


def named_check(context: click.Context, parameter: click.Parameter, value: str) -> CheckDefinition:
    """A callback for click: the check behind a slug or a name."""
    try:
        return find_check(value)
    except KeyError as error:
        meant = did_you_mean(value, [definition.slug for definition in CHECKS])
        raise click.BadParameter(f"{error.args[0]}{meant}", context, parameter) from None


def optional_check(context: click.Context, parameter: click.Parameter, value: str | None) -> CheckDefinition | None:
    """A callback for click: the check, if one is named."""
    return None if value is None else named_check(context, parameter, value)


def listed_checks(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[CheckDefinition, ...]:
    """A callback for click: the checks in a comma-separated list; all of them without one."""
    names = None if value is None else filter(None, map(str.strip, value.split(",")))
    return CHECKS if names is None else several_checks(context, parameter, names)


def several_checks(
    context: click.Context, parameter: click.Parameter, values: Iterable[str]
) -> tuple[CheckDefinition, ...]:
    """A callback for click: the named checks, each once; `all` for every one."""
    names = list(values)
    if ALL in names:
        return CHECKS
    return tuple(dict.fromkeys(named_check(context, parameter, name) for name in names))


def completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """For the shell: the slugs that begin with what is typed."""
    return [definition.slug for definition in CHECKS if definition.slug.startswith(incomplete)]


def config_or_environment(path: Path | None) -> AgentConfig:
    """The file's content; without a file one empty instance, whose options come from the environment.

    Raises ConfigurationFault for a file that cannot be used.
    """
    if path is None:
        return AgentConfig({}, ({},))
    try:
        return read_agent_config(path)
    except ConfigFileError as error:
        raise ConfigurationFault(str(error)) from None


def output_file(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """A callback for click: refuses a file that cannot be made before anything is collected for it."""
    if value is None or value == STANDARD_OUTPUT:
        return value
    try:
        is_folder = resolved(value).is_dir()
    except WriteError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    if is_folder:
        raise click.BadParameter(f"{value} is a folder", context, parameter)
    return value


def require_written(path: Path, text: str) -> None:
    """Write `text` to `path`, `-` for standard output; what cannot be written is a ClickException."""
    try:
        write_output(path, text)
    except WriteError as error:
        raise click.ClickException(f"writing {error}") from None
