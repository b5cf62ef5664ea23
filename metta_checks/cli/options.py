"""What several commands ask of their options."""

from __future__ import annotations

from pathlib import Path

import click

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration in the Agent's format (init_config, instances). Without it, the environment is enough.",
)
"""What `config_or_environment` reads."""


def config_or_environment(path: Path | None) -> AgentConfig:
    """The file's content; without a file one empty instance, whose options come from the environment.

    Raises click's UsageError for a file that cannot be used.
    """
    if path is None:
        return AgentConfig({}, ({},))
    try:
        return read_agent_config(path)
    except ConfigFileError as error:
        raise click.UsageError(str(error)) from None
