"""Errors of options, and the two rules that every check has for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from datadog_checks.base import ConfigurationError

from metta_checks.core.environment import Variables

CONTINUES: Final = ("is ", "in ", "can ", "names ", "lists ")
"""How a problem begins that goes on from the option's name."""

T = TypeVar("T")
V = TypeVar("V")


class OptionError(ConfigurationError):
    """An option that cannot be used: its name, and the `problem` with the cure.

    The text holds both, as one sentence where the problem goes on from the name.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"`{option}`{' ' if problem.startswith(CONTINUES) else ': '}{problem}")
        self.option = option
        self.problem = problem


def parsed(option: str, parse: Callable[[V], T], value: V) -> T:
    """What `parse` makes of an option's value. Raises OptionError for its ValueError."""
    try:
        return parse(value)
    except ValueError as error:
        raise OptionError(option, str(error)) from None


def required(config: Any, option: str, variables: Variables) -> str:
    """The text of an option that has to be set, without blanks around it. Raises OptionError."""
    value: str | None = getattr(config, option)
    if value and value.strip():
        return value.strip()
    raise OptionError(option, f"is not set: give it in the instance or as {variables[option].name}")
