"""What `install` has put into an Agent's folder, and what it would change there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ValidationError

from metta_checks.cli.agent_files import SHIMS, AgentFile
from metta_checks.core.files import write_atomically

LEDGER: Final = f"{SHIMS}/.metta-checks.json"
"""Which files were written, each with the SHA-256 of its content: what is changed by hand is told from what is old."""

FILE_MODE: Final = 0o644
"""As the Agent's own packages have them: its user has to read them, and there is no secret in them."""

FOLDER_MODE: Final = 0o755

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
    """The Agent's folder `root`. Files get the folder's owner when this runs as root.

    With `dry_run` nothing is written: the changes are only told. The methods raise OSError.
    """

    def __init__(self, root: Path, *, dry_run: bool) -> None:
        self._root = root
        self._dry_run = dry_run
        self._written = dict(_read_ledger(root / LEDGER))
        owner = root.stat()
        self._owner = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None

    def put(self, file: AgentFile) -> Change:
        """Write `file`, unless it is there already, or was changed by hand."""
        path = self._root / file.target
        present = _content(path)
        if present == file.text.encode():
            self._written[file.target] = _hash(present)
            return self._repair(file.target)
        if present is not None and _hash(present) != self._written.get(file.target):
            return Change("keep", file.target, "changed by hand; move it away to get the new one")
        self._write(file)
        return Change("create" if present is None else "update", file.target)

    def take_away(self, file: AgentFile) -> Change | None:
        """Remove `file` if it is as it was written; None when it is not there."""
        path = self._root / file.target
        present = _content(path)
        if present is None:
            self._written.pop(file.target, None)
            return None
        if present != file.text.encode() and _hash(present) != self._written.get(file.target):
            return Change("keep", file.target, "changed by hand")
        if not self._dry_run:
            path.unlink()
            self._written.pop(file.target, None)
            _remove_if_empty(path.parent, below=self._root)
        return Change("remove", file.target)

    def close(self) -> None:
        """Write down what was written."""
        if self._dry_run:
            return
        path = self._root / LEDGER
        if self._written:
            text = _Ledger(written=self._written).model_dump_json(indent=1) + "\n"
            if _content(path) != text.encode():
                self._write_text(path, text)
        else:
            path.unlink(missing_ok=True)
            _remove_if_empty(path.parent, below=self._root)

    def _write(self, file: AgentFile) -> None:
        if self._dry_run:
            return
        path = self._root / file.target
        self._make_folder(path.parent)
        self._write_text(path, file.text)
        self._written[file.target] = _hash(file.text.encode())

    def _write_text(self, path: Path, text: str) -> None:
        write_atomically(path, text)
        path.chmod(FILE_MODE)
        self._give_away(path)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(FOLDER_MODE)
        self._give_away(folder)

    def _give_away(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)

    def _repair(self, target: str) -> Change:
        path = self._root / target
        status = path.stat()
        mode = stat.S_IMODE(status.st_mode)
        foreign = self._owner is not None and (status.st_uid, status.st_gid) != self._owner
        if mode == FILE_MODE and not foreign:
            return Change("unchanged", target)
        if not self._dry_run:
            path.chmod(FILE_MODE)
            self._give_away(path)
        return Change("repair", target, "owner" if mode == FILE_MODE else f"mode {mode:04o} becomes {FILE_MODE:04o}")


def _read_ledger(path: Path) -> Mapping[str, str]:
    text = _content(path)
    if text is None:
        return {}
    try:
        return _Ledger.model_validate(json.loads(text)).written
    except (ValueError, ValidationError, RecursionError):
        # It only spares questions: without it, what differs counts as changed by hand.
        return {}


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _remove_if_empty(folder: Path, *, below: Path) -> None:
    """Remove `folder` when nothing is in it, but not the Agent's own two folders."""
    if folder.parent == below:
        return
    with suppress(OSError):
        folder.rmdir()
