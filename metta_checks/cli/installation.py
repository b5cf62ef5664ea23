"""What `install` has put into an Agent's folder, and what it would change there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

import metta_checks
from metta_checks.cli.safe_files import SafeFolder
from metta_checks.core.agent_options import AGENT_INTERVAL
from metta_checks.core.bounded_yaml import parse_yaml
from metta_checks.core.definition import CheckDefinition

SHIMS: Final = "checks.d"
CONFIGURATIONS: Final = "conf.d"
EXAMPLE: Final = "conf.yaml.example"


class MissingFilesError(Exception):
    """Neither the package nor a source tree around it holds the files: the installation is not whole."""


@dataclass(frozen=True, slots=True)
class AgentFile:
    """One file for the Agent: where it goes below the Agent's folder, and its text."""

    target: str
    text: str


def shim_of(definition: CheckDefinition) -> AgentFile:
    """The module that the Agent imports for the check. Raises MissingFilesError."""
    return _read(f"{SHIMS}/{definition.name}.py")


def example_of(definition: CheckDefinition) -> AgentFile:
    """The check's configuration with every option explained. Raises MissingFilesError."""
    return _read(f"{CONFIGURATIONS}/{definition.name}.d/{EXAMPLE}")


def example_interval(definition: CheckDefinition) -> int | None:
    """The `min_collection_interval` of the check's example, in seconds; None where the example is missing."""
    try:
        example = example_of(definition)
    except MissingFilesError:
        return None
    interval = parse_yaml(example.text, example.target)["instances"][0].get("min_collection_interval", AGENT_INTERVAL)
    return interval if isinstance(interval, int) else None


def _read(target: str) -> AgentFile:
    package = Path(metta_checks.__file__).parent
    # A wheel brings them inside of the package; in a source tree they stand beside it.
    for root in (package / "_agent", package.parent):
        try:
            return AgentFile(target, (root / target).read_text(encoding="utf-8"))
        except OSError:
            continue
    raise MissingFilesError(f"{target} is not where the package has it: install metta-checks again")


LEDGER: Final = f"{SHIMS}/.metta-checks.json"
"""Which files were written, each with the SHA-256 of its content: it separates what is old from what was changed."""

FILE_MODE: Final = 0o644
"""As the Agent's own packages have them: its user has to read them, and there is no secret in them."""

FOLDER_MODE: Final = 0o755

MAX_BYTES: Final = 1024 * 1024
"""Read of a file that is there, at most: more than any file of ours has, so that a longer one differs."""

Verb = Literal["create", "update", "repair", "unchanged", "keep", "remove"]


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one file below the Agent's folder, and why, where that is not plain."""

    verb: Verb
    target: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.verb:<10} {self.target}{f'  ({self.why})' if self.why else ''}"


class _Ledger(BaseModel):
    written: dict[str, str] = {}


class Installation:
    """The Agent's folder, held open. Files get the folder's owner when this runs as root.

    With `dry_run` nothing is written: the changes are only reported. The methods raise OSError.
    """

    def __init__(self, root: SafeFolder, *, dry_run: bool) -> None:
        self._root = root
        self._dry_run = dry_run
        self._owner = root.owner if os.geteuid() == 0 else None
        with self._folder_of(LEDGER) as folder:
            self._written = dict(_parse_ledger(_found(folder, LEDGER)))

    def require_safe(self, files: Iterable[AgentFile]) -> None:
        """Look at all that `put` and `remove` would use, so that one refusal comes before the first change."""
        for file in files:
            with self._folder_of(file.target) as folder:
                _found(folder, file.target)

    def put(self, file: AgentFile) -> Change:
        """Write `file`, unless it is there already, or was changed by hand."""
        with self._folder_of(file.target) as folder:
            found = _found(folder, file.target)
        if found is None:
            change = Change("create", file.target)
        else:
            present, status = found
            if present == file.text.encode():
                self._written[file.target] = _hash(present)
                change = self._repaired(file.target, status)
            elif _hash(present) == self._written.get(file.target):
                change = Change("update", file.target)
            else:
                change = Change("keep", file.target, "changed by hand; move it away to get the new one")
        if change.verb in {"create", "update", "repair"} and not self._dry_run:
            self._write(file.target, file.text)
            self._written[file.target] = _hash(file.text.encode())
        return change

    def remove(self, file: AgentFile) -> Change | None:
        """Remove `file` if it is as it was written; None when it is not there."""
        with self._folder_of(file.target) as folder:
            found = _found(folder, file.target)
            if folder is None or found is None:
                self._written.pop(file.target, None)
                return None
            present, _ = found
            if present != file.text.encode() and _hash(present) != self._written.get(file.target):
                return Change("keep", file.target, "changed by hand")
            if not self._dry_run:
                folder.remove(_name(file.target))
        if not self._dry_run:
            self._written.pop(file.target, None)
            self._remove_if_empty(file.target)
        return Change("remove", file.target)

    def names(self, folder: str) -> list[str]:
        """What there is in a folder below the Agent's, sorted; nothing where it is missing."""
        with self._folder_of(f"{folder}/") as opened:
            return [] if opened is None else opened.names()

    def close(self) -> None:
        """Write down what was written."""
        if self._dry_run:
            return
        text = _Ledger(written=self._written).model_dump_json(indent=1) + "\n" if self._written else None
        with self._folder_of(LEDGER) as folder:
            found = _found(folder, LEDGER)
            if folder is not None and found is not None and text is None:
                folder.remove(_name(LEDGER))
        if text is not None and (found is None or found[0] != text.encode()):
            self._write(LEDGER, text)

    def _write(self, target: str, text: str) -> None:
        with ExitStack() as opened:
            folder = self._root
            for name in target.split("/")[:-1]:
                folder = opened.enter_context(folder.made_folder(name, FOLDER_MODE, self._owner))
            folder.write(_name(target), text.encode(), FILE_MODE, self._owner)

    @contextmanager
    def _folder_of(self, target: str) -> Iterator[SafeFolder | None]:
        """The folder that holds `target`, None where it is missing."""
        with ExitStack() as opened:
            folder: SafeFolder | None = self._root
            for name in target.split("/")[:-1]:
                folder = folder and opened.enter_context(folder.folder(name))
            yield folder

    def _remove_if_empty(self, target: str) -> None:
        """Remove the folder of `target` when nothing is in it, but not the Agent's own two folders."""
        folder, _, _ = target.rpartition("/")
        if "/" not in folder:
            return
        with self._folder_of(folder) as parent:
            if parent is not None:
                parent.remove_folder(_name(folder))

    def _repaired(self, target: str, status: os.stat_result) -> Change:
        mode = stat.S_IMODE(status.st_mode)
        if mode != FILE_MODE:
            return Change("repair", target, f"mode {mode:04o} becomes {FILE_MODE:04o}")
        if self._owner is not None and (status.st_uid, status.st_gid) != self._owner:
            return Change("repair", target, "owner")
        return Change("unchanged", target)


def _parse_ledger(found: tuple[bytes, os.stat_result] | None) -> Mapping[str, str]:
    if found is None:
        return {}
    try:
        return _Ledger.model_validate(json.loads(found[0])).written
    except (ValueError, ValidationError, RecursionError):
        # It only spares questions: without it, what differs counts as changed by hand.
        return {}


def _found(folder: SafeFolder | None, target: str) -> tuple[bytes, os.stat_result] | None:
    return None if folder is None else folder.read(_name(target), MAX_BYTES)


def _name(target: str) -> str:
    return target.rpartition("/")[2]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
