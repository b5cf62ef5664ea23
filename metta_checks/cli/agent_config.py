"""Configuration files as the Agent reads them: `init_config` and `instances`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metta_checks.core.bounded_yaml import YamlFileError, read_yaml
from metta_checks.core.printable import printable


class ConfigFileError(Exception):
    """A configuration file cannot be used; the text, one printable line, names the file and the place in it."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One file's content. Each instance is a mapping; `init_config` is empty where the file has none.

    `more` is what else stands at the top of the file, such as `cluster_check`.
    """

    init_config: Mapping[str, Any]
    instances: tuple[Mapping[str, Any], ...]
    more: Mapping[str, Any] = field(default_factory=dict)


def read_agent_config(path: Path) -> AgentConfig:
    """Read and take apart a file. Raises ConfigFileError."""
    try:
        document = read_yaml(path)
    except YamlFileError as error:
        raise ConfigFileError(str(error)) from None
    if not isinstance(document, dict):
        raise ConfigFileError(f"{path}: expected a mapping with `init_config` and `instances`")
    instances = document.get("instances")
    if not isinstance(instances, list) or not instances:
        raise ConfigFileError(f"{path}: `instances` has to be a list with at least one entry")
    for number, instance in enumerate(instances, 1):
        if not isinstance(instance, dict):
            raise ConfigFileError(f"{path}: instance {number} is not a mapping of options")
    init_config = document.get("init_config") or {}
    if not isinstance(init_config, dict):
        raise ConfigFileError(f"{path}: `init_config` is not a mapping of options")
    more = {key: value for key, value in document.items() if key not in {"init_config", "instances"}}
    return AgentConfig(init_config, tuple(instances), more)
