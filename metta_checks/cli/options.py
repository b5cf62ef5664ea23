"""What several commands ask of their options."""

from __future__ import annotations

from pathlib import Path

import click

from metta_checks.cli.agent_config import AgentConfig, ConfigFileError, read_agent_config


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
