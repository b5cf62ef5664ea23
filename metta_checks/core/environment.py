"""Options that may come from the environment: instance first, then variable, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Shape = Literal["text", "list", "map"]


class Variable(NamedTuple):
    """The environment variable that stands in for an option.

    A `list` is comma-separated; the entries of a `map` are `key: value`, separated by semicolons. It counts for nothing
    where the instance has the option `unless`.
    """

    name: str
    shape: Shape = "text"
    unless: str = ""


Variables = Mapping[str, Variable]

NO_VARIABLES: Final[Variables] = {}


def with_environment(instance: Mapping[str, Any], variables: Variables) -> dict[str, Any]:
    """`instance`, and for each option that it does not set the value of its variable, where that is not empty.

    An option that is there but null counts as not set: `project:` with nothing behind it is an empty line, not a wish.
    """
    resolved = {option: value for option, value in instance.items() if value is not None}
    for option, variable in variables.items():
        text = os.environ.get(variable.name, "").strip()
        if not text or option in resolved or instance.get(variable.unless) is not None:
            continue
        resolved[option] = _shaped(text, variable.shape)
    return resolved


def _shaped(text: str, shape: Shape) -> str | list[str] | dict[str, str]:
    if shape == "text":
        return text
    if shape == "list":
        return _split(text, ",")
    entries = (entry.partition(":") for entry in _split(text, ";"))
    return {key.strip(): value.strip() for key, _, value in entries}


def _split(text: str, separator: str) -> list[str]:
    return [part for item in text.split(separator) if (part := item.strip())]
