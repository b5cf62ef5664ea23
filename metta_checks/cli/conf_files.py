"""Which files of a tree are configurations of these checks, for which check each is, and what is found in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from metta_checks.checks import CHECKS
from metta_checks.cli.agent_config import OF_HELM, helm_key
from metta_checks.cli.installation import EXAMPLE
from metta_checks.core.bounded_yaml import YamlFileError, read_yaml
from metta_checks.core.definition import CheckDefinition

Level = Literal["fault", "warning", "note", "credential"]


@dataclass(frozen=True, slots=True)
class FileFinding:
    """A fault keeps the check from running as it is meant to; a warning is about what causes trouble later. A `note`
    and a `credential` are neither: what else there is, and where a credential comes from and goes.

    `instance` counts from 1 and is None for what concerns the whole file; `option` is None where no option is to blame.
    `line` is the line in the file, where it is known.
    """

    level: Level
    path: Path
    text: str
    instance: int | None = None
    option: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """Where in the file, for a person."""
        parts = [f"line {self.line}"] if self.line is not None else []
        parts += [f"instance {self.instance}"] if self.instance is not None else []
        if self.option is not None:
            parts.append(f"`{self.option}`")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text

    def as_json(self) -> dict[str, Any]:
        """The finding for a program."""
        return {
            "level": self.level,
            "file": str(self.path),
            "instance": self.instance,
            "option": self.option,
            "line": self.line,
            "text": self.text,
        }


SUFFIXES: Final = (".yaml", ".yml", ".yaml.default", ".yml.default")
"""Endings of the files that the Agent reads."""

ROOT_FOLDER: Final = "conf.d"


@dataclass(frozen=True, slots=True)
class ConfFile:
    """A configuration and its check."""

    path: Path
    definition: CheckDefinition


Found = ConfFile | Path | FileFinding
"""A configuration, a file of health records, or what is wrong with where a file stands."""


def found_at(path: Path, wanted: CheckDefinition | None) -> Iterator[Found]:
    """What there is at `path`: a file, a check's folder, a `conf.d`, or an Agent's whole folder.

    A `.json` file is one of health records. Configurations of other integrations are passed over. `wanted` is the
    check of a file whose place does not show it. Raises OSError.
    """
    if not path.is_dir():
        yield path if path.suffix == ".json" else _conf_file(path, wanted)
    elif _is_check_folder(path):
        yield from _in_check_folder(path)
    else:
        yield from _in_tree(path)


def _in_tree(folder: Path) -> Iterator[Found]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and child.name == ROOT_FOLDER:
            yield from _in_tree(child)
        elif child.is_dir() and _is_check_folder(child):
            yield from _in_check_folder(child)
        elif child.is_file() and child.suffix == ".json" and not child.name.startswith("."):
            yield child
        elif child.is_file() and child.name.endswith(SUFFIXES) and (definition := _named(_stem(child.name))):
            yield ConfFile(child, definition)


def _in_check_folder(folder: Path) -> Iterator[Found]:
    name = folder.name.removesuffix(".d")
    definition = _named(name)
    if definition is None:
        meant = meant_check(name)
        if meant is not None:
            yield FileFinding(
                "fault", folder, f"there is no check `{name}`: the folder has to be called {meant.name}.d"
            )
        elif name.startswith("metta_"):
            known = ", ".join(f"{each.name}.d" for each in CHECKS)
            yield FileFinding("fault", folder, f"there is no check `{name}`; the folders are {known}")
        return
    children = sorted(folder.iterdir())
    files = config_files(children)
    yield from (ConfFile(child, definition) for child in files)
    if not files:
        has_example = any(child.name == EXAMPLE for child in children)
        remedy = f"copy {EXAMPLE} to conf.yaml beside it and edit that" if has_example else "the Agent does not run it"
        yield FileFinding("note", folder, f"{definition.name} has no conf.yaml: {remedy}")


def config_files(children: Iterable[Path]) -> list[Path]:
    """Those in a check's folder that the Agent reads: a FIFO is none, which would hold up whoever opens it."""
    return [child for child in children if child.is_file() and child.name.endswith(SUFFIXES)]


def _conf_file(path: Path, wanted: CheckDefinition | None) -> Found:
    parent = path.absolute().parent.name
    definition = wanted or _named(parent.removesuffix(".d")) or _named(_stem(path.name))
    if definition is not None:
        return ConfFile(path, definition)
    meant = meant_check(parent.removesuffix(".d")) if _is_check_folder(Path(parent)) else None
    if meant is not None:
        return FileFinding("fault", path, f"the folder `{parent}` has to be called {meant.name}.d")
    try:
        if key := helm_key(read_yaml(path)):
            return FileFinding("fault", path, f"{OF_HELM} `{key}`, each in a file of its own with --check")
    except YamlFileError:
        pass
    remedy = "put it into a folder such as metta_wandb.d, or name the check with --check"
    return FileFinding("fault", path, f"its folder and name do not tell which check it is for: {remedy}")


def _is_check_folder(path: Path) -> bool:
    return path.name.endswith(".d") and path.name != ROOT_FOLDER


def _named(name: str) -> CheckDefinition | None:
    return next((definition for definition in CHECKS if definition.name == name), None)


def _stem(name: str) -> str:
    return name.removesuffix(".default").rpartition(".")[0]


def meant_check(name: str) -> CheckDefinition | None:
    """The check that a folder or file called `name` was probably meant for; None when it is another integration's."""
    by_name: dict[str, CheckDefinition] = {}
    for definition in CHECKS:
        by_name |= dict.fromkeys((definition.name, definition.slug, definition.name.replace("_", "-")), definition)
    close = get_close_matches(name.lower(), [definition.name for definition in CHECKS], n=1, cutoff=0.85)
    return by_name.get(name.lower()) or (by_name[close[0]] if close else None)
