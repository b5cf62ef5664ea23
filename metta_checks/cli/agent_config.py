"""Configuration files as the Agent reads them: `init_config` and `instances`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from metta_checks.cli.agent_yaml import Document, line_of, read_document
from metta_checks.core.bounded_yaml import YamlFileError
from metta_checks.core.printable import printable

FORM: Final = "write `init_config:`, then `instances:`, then each instance behind a dash, as in conf.yaml.example"


class ConfigFileError(Exception):
    """A configuration file cannot be used; the text, one printable line, names the file and the place in it.

    `problems` are the same without the file's name.
    """

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        self.problems = tuple(map(printable, problems))
        super().__init__(f"{printable(str(path))}: {'; '.join(self.problems)}")


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One file's content. Each instance is a mapping; `init_config` is empty where the file has none.

    `more` is what else stands at the top of the file, such as `cluster_check`. `document` is the file itself, None for
    a configuration that comes from the environment alone.
    """

    init_config: Mapping[str, Any]
    instances: tuple[Mapping[str, Any], ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    document: Document | None = None


def read_agent_config(path: Path) -> AgentConfig:
    """Read and take apart a file. Raises ConfigFileError."""
    try:
        document = read_document(path)
    except YamlFileError as error:
        raise ConfigFileError(path, (str(error).removeprefix(f"{path}: "),)) from None
    if problems := tuple(_problems(document)):
        raise ConfigFileError(path, problems)
    content = document.value
    more = {key: value for key, value in content.items() if key not in {"init_config", "instances"}}
    instances = tuple(instance or {} for instance in content["instances"])
    return AgentConfig(content.get("init_config") or {}, instances, more, document)


def _problems(document: Document) -> Iterator[str]:
    """What keeps the Agent from finding instances in the file."""
    content = document.value
    if content is None:
        yield f"the file is empty: {FORM}"
        return
    if not isinstance(content, dict):
        yield f"the file is {kind_of(content)}: {FORM}"
        return
    init_config = content.get("init_config")
    if init_config is not None and not isinstance(init_config, dict):
        form = "write `init_config:` with nothing behind it, or a mapping of options"
        place = _line(document, "init_config")
        yield f"{place}`init_config` is {kind_of(init_config)}: {form}. The Agent would not build the check"
    instances = content.get("instances")
    if instances is None or instances == []:
        found = "missing" if "instances" not in content else "empty"
        yield f"`instances` has to be a list with at least one entry, such as `- {{}}`; it is {found}"
    elif not isinstance(instances, list):
        found = f"{_line(document, 'instances')}`instances` has to be a list, and it is {kind_of(instances)}"
        yield f"{found}: begin each instance with a dash"
    else:
        for number, instance in enumerate(instances, 1):
            if instance is not None and not isinstance(instance, dict):
                place = _line(document, "instances", number - 1)
                yield f"{place}instance {number} is {kind_of(instance)}, not a mapping of options: write `key: value`"


def kind_of(value: object) -> str:
    """The type of a value, in an operator's words."""
    match value:
        case None:
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"


def _line(document: Document, *place: str | int) -> str:
    line = line_of(document.node(*place))
    return f"line {line}: " if line is not None else ""
