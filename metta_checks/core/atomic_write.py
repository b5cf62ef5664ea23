"""Writing output files: regular ones whole or not at all, devices and FIFOs in place."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

MAX_LINKS: Final = 40
"""Symbolic links on the way to a file, which is the limit of the kernel (path_resolution(7))."""

FIFO_SECONDS: Final = 10.0
"""How long a FIFO may be without a reader."""

_FOLDER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_IN_PLACE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class WriteError(Exception):
    """A file could not be written. The text holds the path, what came back, and the remedy."""

    def __init__(self, path: Path, detail: str, remedy: str, number: int | None = None) -> None:
        super().__init__(f"{_printable(path)}: {detail}. {remedy}")
        self.detail = detail
        self.remedy = remedy
        self.errno = number


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads: to `name` in the folder that `folder` is a descriptor of, or to an open `descriptor` of ours.

    `path` is the same without links. `status` is None where nothing has that name yet.
    """

    path: Path
    folder: int
    name: str
    status: os.stat_result | None
    descriptor: int | None = None


STANDARD_OUTPUT: Final = Path("-")
"""The path that stands for standard output in `write_output`."""


def write_output(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to standard output where `path` is `-`, else as `write_file` does. Raises WriteError; and
    BrokenPipeError, which ends a command quietly, where the reader of standard output has ended."""
    if path != STANDARD_OUTPUT:
        write_file(path, text)
        return
    try:
        # Its own encoding may have no letters but those of ASCII.
        stream = sys.stdout.buffer
        sys.stdout.flush()
        stream.write(text.encode("utf-8", "backslashreplace"))
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        detail = (error.strerror or type(error).__name__).lower()
        raise WriteError(Path("standard output"), detail, _remedy(error, Path("/dev/stdout")), error.errno) from None


def write_file(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to what `path` leads to.

    A regular file is replaced in one step, so that a reader sees the old one or the new one: the new one is written
    beside it, synced and renamed, and keeps the permission bits (and owner, as far as that is allowed). Symbolic links
    stay, and their target is written. A device, a FIFO and an open descriptor (`/dev/stdout`) are written in place.

    As root, links, FIFOs and devices of other users are refused: whoever may write to a folder could have root write
    elsewhere. Raises WriteError, and leaves nothing behind.
    """
    content = text.encode("utf-8", "backslashreplace")
    with _place(path) as place, _explained(path, place.path):
        if place.descriptor is not None:
            _write_descriptor(place.descriptor, content)
        elif place.status is None or stat.S_ISREG(place.status.st_mode):
            _replace(place.folder, place.name, content, place.status)
        else:
            _write_in_place(path, place, place.status, content)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and those above it, where they are missing. Raises WriteError as `write_file` does."""
    missing = [path]
    while not os.path.lexists(missing[-1]):
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        with _place(folder) as place, _explained(folder, place.path):
            if place.status is None:
                os.mkdir(place.name, dir_fd=place.folder)
            elif not stat.S_ISDIR(place.status.st_mode):
                raise WriteError(path, f"{_printable(folder)} is no folder", "Name another one.")


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """A descriptor of the folder `path`, for `dir_fd`: it stays that folder, whatever is put in its place. Raises
    WriteError as `write_file` does."""
    with _place(path) as place, _explained(path, place.path):
        handle = os.open(place.name, _FOLDER, dir_fd=place.folder)
    try:
        yield handle
    finally:
        os.close(handle)


def resolved(path: Path) -> Path:
    """`path` without its symbolic links; the last part need not exist. Raises WriteError as `write_file` does."""
    with _place(path) as place:
        return place.path


def is_standard_output(path: Path) -> bool:
    """Whether what is written to `path` goes where standard output goes: `-`, `/dev/stdout`, its terminal or pipe."""
    if str(path) == "-":
        return True
    try:
        ours = os.fstat(1)
        with _place(path) as place:
            if place.descriptor is not None:
                return os.path.samestat(os.fstat(place.descriptor), ours)
            if place.status is None or stat.S_ISREG(place.status.st_mode):
                # It is replaced, and standard output goes on into the old one.
                return False
            return os.path.samestat(place.status, ours)
    except (OSError, WriteError):
        return False


@contextmanager
def _place(path: Path) -> Iterator[_Place]:
    walk = _Walk(path)
    try:
        yield walk.to_its_end()
    finally:
        walk.close()


class _Walk:
    """Follows a path part by part, links included, holding the folder it is in open: that stays the one that was looked
    at, whatever is renamed meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = os.open("/", _FOLDER)
        self._names: list[str] = []
        # Reversed: the next part is the last one.
        self._parts = str(path.absolute()).split("/")[::-1]
        self._foreign_link = ""

    def close(self) -> None:
        os.close(self._folder)

    def to_its_end(self) -> _Place:
        """Raises WriteError for what cannot be followed, and for a link that root must not follow."""
        if "\0" in str(self._path):
            raise WriteError(self._path, "a path cannot hold a NUL character", "Name another file.")
        place = self._end()
        if self._foreign_link and place.descriptor is None:
            remedy = "Name the file itself, or run this as that user."
            raise WriteError(self._path, f"{self._foreign_link}, and root does not follow it", remedy)
        return place

    def _end(self) -> _Place:
        links = 0
        while self._parts:
            name = self._parts.pop()
            if name in {"", "."}:
                continue
            with _explained(self._path, self._here / name):
                is_last = not any(self._parts)
                status = self._status(name, may_be_missing=is_last)
                if status is not None and stat.S_ISLNK(status.st_mode):
                    if self._is_own_descriptor(name):
                        return _Place(self._here / name, self._folder, name, None, int(name))
                    links += 1
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    self._follow(name, status)
                elif is_last and name != "..":
                    return _Place(self._here / name, self._folder, name, status)
                else:
                    self._enter(name)
        return _Place(self._here, self._folder, ".", os.fstat(self._folder))

    @property
    def _here(self) -> Path:
        return Path("/", *self._names)

    def _status(self, name: str, *, may_be_missing: bool) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            if may_be_missing:
                return None
            raise

    def _enter(self, name: str) -> None:
        below = os.open(name, _FOLDER, dir_fd=self._folder)
        os.close(self._folder)
        self._folder = below
        if name == "..":
            self._names = self._names[:-1]
        else:
            self._names.append(name)

    def _follow(self, name: str, status: os.stat_result) -> None:
        # Those of /proc belong to whoever the process is about, and nobody else can make any there.
        if self._names[:1] != ["proc"] and (owner := _other_owner(status)):
            self._foreign_link = self._foreign_link or f"{_printable(self._here / name)} is a symbolic link of {owner}"
        target = os.readlink(name, dir_fd=self._folder)
        if target.startswith("/"):
            root = os.open("/", _FOLDER)
            os.close(self._folder)
            self._folder, self._names = root, []
        self._parts += target.split("/")[::-1]

    def _is_own_descriptor(self, name: str) -> bool:
        """Whether `name` here is one of ours in /proc: its target cannot be opened by name where it is a pipe, and must
        not be replaced where it is a file that a shell has opened."""
        match self._names:
            case ["proc", process, "fd"] | ["proc", process, "task", _, "fd"]:
                return process == str(os.getpid()) and name.isdecimal()
        return False


def _other_owner(status: os.stat_result) -> str:
    """Who else owns it, where that matters: to root, whom its owner could lead anywhere."""
    mine = os.geteuid()
    return f"user {status.st_uid}" if mine == 0 and status.st_uid != mine else ""


def _replace(folder: int, name: str, content: bytes, old: os.stat_result | None) -> None:
    temporary = f".metta-{uuid4().hex}.tmp"
    # Not mkstemp, whose files are for their owner alone: the Agent is another user than whoever writes.
    handle = os.open(temporary, _NEW, 0o666, dir_fd=folder)
    try:
        try:
            _write_all(handle, content)
            if old is not None:
                _keep_mode(handle, old)
            _sync(handle)
        finally:
            os.close(handle)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException as error:
        try:
            os.unlink(temporary, dir_fd=folder)
        except OSError:
            if isinstance(error, OSError):
                # Some stores that are mounted as a file system delete nothing either.
                raise OSError(error.errno, f"{error.strerror}, and {temporary} is left there") from None
        raise


def _keep_mode(handle: int, old: os.stat_result) -> None:
    # Some file systems have neither modes nor owners, and only root gives files away.
    with suppress(OSError):
        os.fchown(handle, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
    with suppress(OSError):
        os.fchmod(handle, stat.S_IMODE(old.st_mode) & 0o777)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        # What some network file systems answer, which write on closing.
        if error.errno not in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise


def _write_in_place(path: Path, place: _Place, status: os.stat_result, content: bytes) -> None:
    kind = next((word for test, word in _KINDS if test(status.st_mode)), "something else")
    if stat.S_ISDIR(status.st_mode):
        raise WriteError(path, "it is a directory", f"Name a file in it, such as {_printable(path / 'results.json')}.")
    if kind not in _WRITABLE:
        raise WriteError(path, f"it is {kind}", "Name a file, a FIFO or a device.")
    if owner := _other_owner(status):
        remedy = "Name another file, or run this as that user."
        raise WriteError(path, f"it is {kind} of {owner}, and root does not write to it", remedy)
    handle = _opened_in_place(place)
    try:
        if not os.path.samestat(os.fstat(handle), status):
            raise WriteError(path, "it was replaced meanwhile", "Look at who else writes there.")
        os.set_blocking(handle, True)
        _write_all(handle, content)
    finally:
        os.close(handle)


def _opened_in_place(place: _Place) -> int:
    """A descriptor; of a FIFO as soon as there is a reader."""
    until = time.monotonic() + FIFO_SECONDS
    while True:
        try:
            return os.open(place.name, _IN_PLACE, dir_fd=place.folder)
        except OSError as error:
            awaited = error.errno == errno.ENXIO and place.status is not None and stat.S_ISFIFO(place.status.st_mode)
            if not awaited or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _write_descriptor(descriptor: int, content: bytes) -> None:
    for stream in (sys.stdout, sys.stderr):
        # What was printed before comes first.
        if stream is not None:
            stream.flush()
    _write_all(descriptor, content)


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


@contextmanager
def _explained(path: Path, place: Path) -> Iterator[None]:
    """Turn an error of the operating system at `place`, on the way to or at the end of `path`, into a WriteError."""
    try:
        yield
    except OSError as error:
        detail = (error.strerror or type(error).__name__).lower()
        raise WriteError(path, detail, _remedy(error, place), error.errno) from None


def _remedy(error: OSError, place: Path) -> str:
    folder, name = _printable(place.parent), _printable(place)
    match error.errno:
        case errno.ENOENT:
            return f"There is no folder {name}: create it, or name another one."
        case errno.ENOTDIR:
            return f"{name} is no folder: name another path."
        case errno.EACCES | errno.EPERM:
            return f"User {os.geteuid()} must be allowed to write to {folder}: check its mode, and who owns it."
        case errno.EROFS:
            return f"The file system of {folder} is read-only: name a path on another one."
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"Free space on the file system of {name}, or name a path on another one."
        case errno.EBUSY | errno.EXDEV:
            return f"{name} is mounted by itself, and a mounted file cannot be replaced: mount its folder instead."
        case errno.ENOSYS | errno.EOPNOTSUPP | errno.EINVAL:
            return f"The file system of {folder} cannot rename files: name a path on another one."
        case errno.EPIPE:
            return "The program that read from it has ended: check that program."
        case errno.ENXIO:
            return f"Nothing reads from it, for {FIFO_SECONDS:g} seconds: start the reader first."
        case errno.ELOOP:
            return "Symbolic links lead in a circle, or one was put there meanwhile: name the file itself."
        case errno.ENAMETOOLONG:
            return "Choose a shorter name."
        case _:
            return "Check the path and the file system."


def _printable(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else ascii(text)[1:-1]


_WRITABLE: Final = ("a FIFO", "a device")

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
