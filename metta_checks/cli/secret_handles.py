"""`ENC[…]` outside of the Agent, which alone resolves it: the environment's value in its place, or what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import click

from metta_checks.cli.agent_config import AgentConfig
from metta_checks.cli.terminal import echo_wrapped
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.option_errors import OptionError, handles_in

CREDENTIALS: Final[Mapping[str, tuple[str, ...]]] = {
    "api_key": ("WANDB_API_KEY",),
    "token": ("GITHUB_DASHBOARD_TOKEN", "GITHUB_TOKEN"),
    "app_private_key": ("GITHUB_APP_PRIVATE_KEY",),
}
"""The variables from which the checks take a credential whose option is not set, in their order."""


def unresolved(definition: CheckDefinition, given: Mapping[str, Any]) -> Iterator[OptionError]:
    """An error for each option of an instance that holds a handle, and that the environment does not have."""
    for option, value in given.items():
        variables = _variables(definition, str(option))
        if next(handles_in(value), None) is None or _set(variables):
            continue
        agent = f"run `datadog-agent check {definition.name}` as the Agent's user"
        cure = f"{agent}, or set {' or '.join(variables)} for this command" if variables else agent
        yield OptionError(str(option), f"holds ENC[…], which only the Agent resolves: {cure}")


def without_handles(definition: CheckDefinition, given: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The options of instance `number`, where the check reads the environment in place of a handle, with a note.

    Raises OptionError for a handle that the environment has no value for.
    """
    for error in unresolved(definition, given):
        raise error
    kept = {option: value for option, value in given.items() if next(handles_in(value), None) is None}
    for option in given:
        if option not in kept:
            used = _set(_variables(definition, option))
            text = f"`{option}` holds ENC[…], which only the Agent resolves: this command uses {used}"
            echo_wrapped(f"{definition.name}, instance {number}: {text}", err=True)
    return kept


def _variables(definition: CheckDefinition, option: str) -> tuple[str, ...]:
    variable = definition.check_class().VARIABLES.get(option)
    return CREDENTIALS.get(option, ()) if variable is None else (variable.name,)


def _set(variables: tuple[str, ...]) -> str:
    """The first of the variables that has a value; empty where none has."""
    return next((name for name in variables if os.environ.get(name, "").strip()), "")


def config_without_handles(definition: CheckDefinition, config: AgentConfig, numbers: Iterable[int]) -> AgentConfig:
    """The configuration with `without_handles` of the instances in `numbers`, from 1. Raises UsageError."""
    instances = list(config.instances)
    for number in numbers:
        try:
            instances[number - 1] = without_handles(definition, instances[number - 1], number)
        except OptionError as error:
            raise click.UsageError(f"instance {number}: {error}") from None
    return replace(config, instances=tuple(instances))
