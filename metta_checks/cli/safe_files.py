"""Files below folders that belong to somebody else, opened so that their owner cannot lead the way elsewhere.

Root runs `install` in folders of the Agent's user, who may replace any file or folder there at any moment, for example
by a link. So a folder is held open as a descriptor, each name is resolved relative to one without following links, and
modes and owners are set on descriptors of files and folders that were just created here, never on what was there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

Owner = tuple[int, int]
"""User and group."""

MAX_LINKS: Final = 40
"""Links on the way to a folder, which is the kernel's own limit (path_resolution(7))."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO waits for its other end.
_EXISTING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The descriptor of a link itself, where the system has such: what it says of owner and target is of one and the same.
_STEP: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC

_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnsafeFileError(OSError):
    """What stands at a path may not be used there; `filename` names it, `strerror` gives the reason and the remedy."""


class SafeFolder:
    """A folder held open; `path` is for messages only. The methods raise OSError with the whole path in `filename`.

    With `checked_for_others`, which is for root, a folder that every user may write to is refused at any level, unless
    it has the sticky bit: there anybody could replace what is written.
    """

    def __init__(self, handle: int, path: Path, *, checked_for_others: bool) -> None:
        self.path = path
        self._handle = handle
        self._checked_for_others = checked_for_others

    @property
    def owner(self) -> Owner:
        status = os.fstat(self._handle)
        return status.st_uid, status.st_gid

    def names(self) -> list[str]:
        """Sorted."""
        with _naming(self.path):
            return sorted(os.listdir(self._handle))  # noqa: PTH208 (of a descriptor)

    @contextmanager
    def folder(self, name: str) -> Iterator[SafeFolder | None]:
        """The folder `name` in this one, None where nothing has that name. A link is refused."""
        handle = self._open(name, _FOLDER, "a folder")
        if handle is None:
            yield None
            return
        try:
            yield self._below(name, handle)
        finally:
            os.close(handle)

    @contextmanager
    def made_folder(self, name: str, mode: int, owner: Owner | None) -> Iterator[SafeFolder]:
        """Like `folder`; a missing one is created with `mode`, whatever the umask, and `owner`, where one is given."""
        path = self.path / name
        with _naming(path):
            try:
                os.mkdir(name, 0o700, dir_fd=self._handle)
                created = True
            except FileExistsError:
                created = False
        with self.folder(name) as folder:
            if folder is None:
                raise UnsafeFileError(
                    errno.ENOENT, "Disappeared while it was created; run the command again", str(path)
                )
            if created:
                folder._become(mode, owner)
            yield folder

    def read(self, name: str, max_bytes: int) -> tuple[bytes, os.stat_result] | None:
        """The first `max_bytes` of the regular file `name` and its status; None where nothing has that name."""
        handle = self._open(name, _EXISTING, "a file")
        if handle is None:
            return None
        with os.fdopen(handle, "rb") as file, _naming(self.path / name):
            return file.read(max_bytes), os.fstat(handle)

    def write(self, name: str, content: bytes, mode: int, owner: Owner | None) -> None:
        """Put a new file in the place of `name`, in one step.

        What was there is replaced and not changed: it may have other names elsewhere, as hard links.
        """
        temporary = f".{name}.{uuid4().hex}.tmp"
        with _naming(self.path / name):
            handle = os.open(temporary, _NEW, 0o600, dir_fd=self._handle)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fchmod(handle, mode)
                    if owner is not None:
                        os.fchown(handle, *owner)
                    os.fsync(handle)
                os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=self._handle)
                raise

    def remove(self, name: str) -> None:
        """Remove the name of a file; nothing is followed."""
        with _naming(self.path / name), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._handle)

    def remove_folder(self, name: str) -> None:
        """Remove the folder `name` if it is empty."""
        with suppress(OSError):
            os.rmdir(name, dir_fd=self._handle)

    def _open(self, name: str, flags: int, wanted: str) -> int | None:
        path = self.path / name
        with _naming(path):
            try:
                _require(os.stat(name, dir_fd=self._handle, follow_symlinks=False), wanted, path)
                handle = os.open(name, flags, dir_fd=self._handle)
            except FileNotFoundError:
                return None
        try:
            # Again, of what was opened: the owner may have put something else there.
            _require(os.fstat(handle), wanted, path)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _below(self, name: str, handle: int) -> SafeFolder:
        path = self.path / name
        if self._checked_for_others:
            _require_closed_to_others(os.fstat(handle), path)
        return SafeFolder(handle, path, checked_for_others=self._checked_for_others)

    def _become(self, mode: int, owner: Owner | None) -> None:
        status = os.fstat(self._handle)
        # The owner of the parent may have moved another folder of ours to this name, to be given it.
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o777 != 0o700 or self.names():
            raise UnsafeFileError(
                errno.EEXIST, "Was replaced while it was created; run the command again", str(self.path)
            )
        os.fchmod(self._handle, mode)
        if owner is not None:
            os.fchown(self._handle, *owner)


@contextmanager
def safe_folder(path: Path) -> Iterator[SafeFolder]:
    """The folder at `path`, held open.

    On the way to it, and at `path` itself, links are followed that belong to root or to the user who runs this; nobody
    else decides where root writes. Raises OSError.
    """
    checked = os.geteuid() == 0
    handle = _walk(path, checked_for_others=checked)
    try:
        yield SafeFolder(handle, path, checked_for_others=checked)
    finally:
        os.close(handle)


def _walk(path: Path, *, checked_for_others: bool) -> int:
    """A descriptor of the folder at `path`."""
    pending = list(reversed(path.absolute().parts[1:]))
    shown, links = Path("/"), 0
    handle = os.open("/", _STEP)
    try:
        while pending:
            name = pending.pop()
            shown = shown.parent if name == ".." else shown / name
            target = _target(name, handle, shown)
            if target is None:
                below = os.open(name, _STEP, dir_fd=handle)
            else:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                pending += [part for part in reversed(target.split("/")) if part not in {"", "."}]
                shown = Path("/") if target.startswith("/") else shown.parent
                below = os.open("/" if target.startswith("/") else ".", _STEP, dir_fd=handle)
            os.close(handle)
            handle = below
            # Of what was opened: a link that took the place meanwhile is refused here.
            _require(os.fstat(handle), "a folder", shown)
            if checked_for_others:
                _require_closed_to_others(os.fstat(handle), shown)
        with _naming(path):
            return os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)


def _target(name: str, parent: int, path: Path) -> str | None:
    """Where the link `name` leads, None where it is none. Owner and target are those of one descriptor."""
    with _naming(path):
        link = os.open(name, _STEP, dir_fd=parent)
        try:
            status = os.fstat(link)
            if not stat.S_ISLNK(status.st_mode):
                return None
            if status.st_uid not in {0, os.geteuid()}:
                reason = "only links of root or of the user who runs this are followed; name the folder itself"
                raise UnsafeFileError(errno.ELOOP, f"Is a symbolic link of user {status.st_uid}: {reason}", str(path))
            return os.readlink("", dir_fd=link)
        finally:
            os.close(link)


def _require(status: os.stat_result, wanted: str, path: Path) -> None:
    kind = next((word for test, word in _KINDS if test(status.st_mode)), "something else")
    if kind == wanted:
        return
    if wanted == "a file" and kind == "a folder":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    code = errno.ELOOP if kind == "a symbolic link" else errno.ENOTDIR if wanted == "a folder" else errno.EINVAL
    raise UnsafeFileError(code, f"Is {kind}, where only {wanted} is used: move it away", str(path))


def _require_closed_to_others(status: os.stat_result, path: Path) -> None:
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        remedy = f"chmod o-w {path}"
        raise UnsafeFileError(
            errno.EPERM, f"Every user may write to this folder, so root does not: {remedy}", str(path)
        )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the whole path into an error that names one part of it."""
    try:
        yield
    except OSError as error:
        if isinstance(error, UnsafeFileError) or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
