"""Options that may come from the environment: instance first, then variable, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Shape = Literal["text", "list"]


class Variable(NamedTuple):
    """The environment variable that stands in for an option; a `list` is comma-separated."""

    name: str
    shape: Shape = "text"


Variables = Mapping[str, Variable]

NO_VARIABLES: Final[Variables] = {}


def with_environment(instance: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    """`instance`, and for each option that it does not set the value of its variable, where that is not empty.

    An option that is there but null counts as not set: `project:` with nothing behind it is an empty line, not a wish.
    """
    resolved = {option: value for option, value in instance.items() if value is not None}
    for option, variable in variables.items():
        text = os.environ.get(variable.name, "").strip()
        if option in resolved or not text:
            continue
        resolved[option] = _split(text) if variable.shape == "list" else text
    return resolved


def _split(text: str) -> list[str]:
    return [part for item in text.split(",") if (part := item.strip())]
