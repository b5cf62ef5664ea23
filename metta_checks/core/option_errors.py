"""Errors of options, and the two rules that every check has for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from datadog_checks.base import ConfigurationError

from metta_checks.core.environment import Variables
from metta_checks.core.printable import printable

CONTINUES: Final = ("is ", "in ", "holds ", "can ", "names ", "lists ")
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


def require_resolved(*sections: Mapping[str, Any]) -> None:
    """Raises OptionError for a value that is still the handle of a secret, which the Agent leaves where it fails."""
    for section in sections:
        for option, value in section.items():
            if (handle := next(handles_in(value), None)) is not None:
                # What stands behind a semicolon may be the secret's own key.
                shown = f"{handle.partition(';')[0].rstrip(']')}]"
                problem = f"holds {shown}, which the Agent's secret backend did not resolve"
                raise OptionError(str(option), f"{problem}: set up the backend, or write the value itself")


def handles_in(value: object) -> Iterator[str]:
    """The handles of secrets (`ENC[name]`) in the value of an option."""
    if isinstance(value, str):
        if (text := value.strip()).startswith("ENC[") and text.endswith("]"):
            yield printable(text)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from handles_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from handles_in(part)


def required(config: Any, option: str, variables: Variables) -> str:
    """The text of an option that has to be set, without blanks around it. Raises OptionError."""
    value: str | None = getattr(config, option)
    if value and value.strip():
        return value.strip()
    raise OptionError(option, f"is not set: give it in the instance or as {variables[option].name}")
