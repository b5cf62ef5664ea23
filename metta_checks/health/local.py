"""Health records in local files: one file, or the `*.json` of a directory or of what a glob matches.

The standard library's glob follows links to directories: with two of them to their own directory, `**` has more paths
than can be walked, and between two matches nothing can stop it. So the walk is ours, and ends with the collection.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import translate
from functools import cache, partial
from pathlib import Path
from typing import Final, TypeVar

from metta_checks.core.collection import Collection
from metta_checks.core.deadline import Deadline
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.printable import printable
from metta_checks.health.document import Document, Limits, oversized, parse_document
from metta_checks.health.sources import (
    LONG_AGO,
    Bounded,
    Candidate,
    DocumentCache,
    SourceReading,
    is_published,
    read_candidates,
)

T = TypeVar("T")

READ_ATTEMPTS: Final = 3
"""How often a file is read again that changes while it is read."""

_CHUNK: Final = 1024 * 1024

_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC


class LocalReader:
    """Reads a path, a directory or a glob. Symbolic links count as long as they stay inside of its directory.

    The directory may be a link itself: whoever writes the configuration names it.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._bounded: Bounded[SourceReading] = Bounded(f"reading health records from {self.shown}")

    @property
    def shown(self) -> str:
        return printable(self._source)

    def read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:
        """All documents of the source; see `Reader.read`."""
        return self._bounded.run(partial(self._read, collection, limits, cache), collection.deadline)

    def _read(self, collection: Collection, limits: Limits, cache: DocumentCache) -> SourceReading:
        path = Path(self._source)
        listing = f"listing {self.shown}"

        def read() -> SourceReading:
            if path.is_dir():
                inside = (Path(entry) for entry in entries(path, collection.deadline))
                return self._read_several(path, inside, collection, limits, cache)
            if glob.has_magic(self._source) and not path.exists():
                found = matches(path, collection.deadline)
                return self._read_several(fixed_part(path), found, collection, limits, cache)
            document = read_file(path, limits, cache.get(self.shown))
            cache[document.name] = document
            return SourceReading((document,))

        try:
            return _once_more(read)
        except OSError as error:
            raise os_fault(error, listing) from None
        except DeadlineExpiredError:
            detail = f"not all of its entries were listed within {collection.deadline.seconds:g} s"
            remedy = "Keep fewer files there, name fewer in `source`, or raise `collection_timeout`."
            raise SourceError(Kind.TIMED_OUT, listing, detail, remedy) from None

    def _read_several(
        self, root: Path, paths: Iterable[Path], collection: Collection, limits: Limits, cache: DocumentCache
    ) -> SourceReading:
        # Listing it says whether it is there, which a glob that matches nothing does not.
        os.scandir(root).close()
        candidates = [_candidate(path, root, limits) for path in paths if is_published(path.name)]
        return read_candidates(self.shown, candidates, collection, limits, cache)


def read_file(path: Path, limits: Limits, previous: Document | None = None, *, root: Path | None = None) -> Document:
    """The document in the file `path`; `previous` when nothing that identifies the file's content has changed.

    `root` is the directory that symbolic links must not leave, the file's own unless given. Nothing but a regular file
    is read, at most `limits.max_bytes` of it. Raises SourceError.
    """
    name = printable(str(path))
    operation = f"reading health records from {name}"

    def read() -> Document:
        handle = _open_inside(root or path.parent, path, operation)
        try:
            document = _read_handle(handle, name, operation, limits, previous)
            return replace(document, warning=_UNLINKED.format(name)) if _is_unlinked(handle, path) else document
        finally:
            os.close(handle)

    try:
        return _once_more(read)
    except OSError as error:
        raise os_fault(error, operation) from None


def _once_more(work: Callable[[], T]) -> T:
    """What `work()` returns, in a second attempt where the file was replaced during the first: by another machine, or
    as the kubelet replaces the folder of a ConfigMap."""
    try:
        return work()
    except OSError as error:
        if error.errno not in _REPLACED:
            raise
    return work()


_REPLACED: Final = {errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def read_bytes(path: Path, limits: Limits) -> bytes:
    """What a publisher has in the file or the pipe `path`, at most `limits.max_bytes` of it. Raises SourceError."""
    operation = f"reading {printable(str(path))}"
    try:
        # A pipe has a writer, in `<(command)`, and is waited for.
        flags = os.O_RDONLY | os.O_CLOEXEC | (0 if path.is_fifo() else os.O_NONBLOCK | os.O_NOCTTY)
        handle = os.open(path, flags)
        try:
            status = os.fstat(handle)
            if not stat.S_ISFIFO(status.st_mode):
                _require_regular(status, operation, "Name a file, or - for standard input.")
            with os.fdopen(handle, "rb", closefd=False) as file:
                content: bytes = file.read(limits.max_bytes + 1)
        finally:
            os.close(handle)
    except OSError as error:
        fault = os_fault(error, operation)
        remedy = "Check the path, and that the step that writes it has run."
        raise (fault.with_remedy(remedy) if fault.kind is Kind.NOT_FOUND else fault) from None
    if len(content) > limits.max_bytes:
        raise oversized(str(path), limits)
    return content


def os_fault(error: OSError, operation: str) -> SourceError:
    """What an error of the operating system means for the operator."""
    detail = (error.strerror or type(error).__name__).lower()
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return SourceError(Kind.NOT_FOUND, operation, detail, "Check the path, and that the pipeline has published.")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return SourceError(
            Kind.FORBIDDEN, operation, detail, "Check the modes of the file and its directories, and whose they are."
        )
    return SourceError(Kind.UNREACHABLE, operation, detail, "Check the path and the file system.")


def _candidate(path: Path, root: Path, limits: Limits) -> Candidate:
    name = printable(str(path))

    def read(previous: Document | None) -> Document:
        return read_file(path, limits, previous, root=root)

    try:
        status = path.stat()
    except OSError:
        # A broken link, say: reading it names the fault.
        return Candidate(name, 0, LONG_AGO, read)
    return Candidate(name, status.st_size, _modified(status) or LONG_AGO, read)


def _open_inside(root: Path, path: Path, operation: str) -> int:
    """A descriptor of the regular file that `path` leads to, which lies below `root`.

    The links are resolved first, and the way is then walked without following any: one that is planted in between
    ends in an error.
    """
    root = _resolved(root)
    target = _resolved(path)
    if not target.is_relative_to(root):
        remedy = "Name the file itself in `source`, or publish it there."
        raise SourceError(Kind.FORBIDDEN, operation, f"a symbolic link points outside {printable(str(root))}", remedy)
    *directories, name = target.relative_to(root).parts or (".",)
    directory = os.open(root, _DIRECTORY)
    try:
        for part in directories:
            below = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = below
        _require_regular(os.stat(name, dir_fd=directory, follow_symlinks=False), operation)
        return os.open(name, _FILE, dir_fd=directory)
    finally:
        os.close(directory)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:
        # What some releases of Python raise for a link that leads to itself.
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None


def _read_handle(handle: int, name: str, operation: str, limits: Limits, previous: Document | None) -> Document:
    for _ in range(READ_ATTEMPTS):
        before = os.fstat(handle)
        _require_regular(before, operation)
        if previous is not None and previous.fingerprint == _fingerprint(before):
            return previous
        if before.st_size > limits.max_bytes:
            raise oversized(name, limits)
        data = _content(handle, limits.max_bytes + 1)
        if len(data) == before.st_size and _fingerprint(os.fstat(handle)) == _fingerprint(before):
            return parse_document(name, data, limits, fingerprint=_fingerprint(before), modified=_modified(before))
    remedy = "Write it under another name and rename it, as `metta-checks publish` does."
    detail = f"it changed while it was read, {READ_ATTEMPTS} times"
    raise SourceError(Kind.MALFORMED, operation, detail, remedy, from_file=True)


def _is_unlinked(handle: int, path: Path) -> bool:
    """Whether `path` still leads to a file that has no name any more: one that is mounted by itself stays the one it
    was, whatever is renamed to its name outside (moby/moby#22627)."""
    status = os.fstat(handle)
    try:
        return status.st_nlink == 0 and os.path.samestat(path.stat(), status)
    except OSError:
        return False


_UNLINKED: Final = (
    "{} was replaced or deleted where it is mounted from, and what can be read here stays the old one: mount its "
    "folder instead of the file"
)


def _content(handle: int, most: int) -> bytes:
    content = bytearray()
    while len(content) < most and (part := os.pread(handle, min(_CHUNK, most - len(content)), len(content))):
        content += part
    return bytes(content)


def _require_regular(status: os.stat_result, operation: str, remedy: str = "Name a regular file in `source`.") -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((word for test, word in _KINDS if test(status.st_mode)), "something else")
        raise SourceError(Kind.REJECTED, operation, f"it is {kind}, not a file", remedy)


_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISLNK, "a symbolic link"),
)


def _fingerprint(status: os.stat_result) -> Hashable:
    # A writer can set size and mtime (`tar --mtime`, `rsync --times`), and a new file often gets the inode of the one
    # it replaces: only ctime cannot be set (bazelbuild/bazel#27685).
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _modified(status: os.stat_result) -> datetime | None:
    try:
        return datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError, OSError):
        return None


_RECURSIVE: Final = "**"


class DeadlineExpiredError(Exception):
    """The walk did not end in time."""


def entries(directory: Path, deadline: Deadline) -> Iterator[os.DirEntry[str]]:
    """What is in `directory`, in no order. Raises OSError, and DeadlineExpiredError."""
    with os.scandir(directory) as listing:
        for entry in listing:
            if deadline.expired:
                raise DeadlineExpiredError
            yield entry


def matches(pattern: Path, deadline: Deadline) -> Iterator[Path]:
    """What `pattern` matches: `*`, `?` and `[…]` within a name, `**` for any number of directories; not what is hidden.

    Each directory is looked through once for each part of the pattern, by its own path rather than by a link to it. A
    link that leads out of the pattern's fixed directory is not followed: the pattern's last part below it is yielded,
    so that an attempt to read that gives the reason. Directories that cannot be listed match nothing, as in a shell.
    Raises DeadlineExpiredError.
    """
    root = fixed_part(pattern)
    parts = pattern.parts[len(root.parts) :]
    seen: set[tuple[int, int, int]] = set()
    found, linked = deque([(root, 0)]), deque[tuple[Path, int]]()
    while found or linked:
        by_link = not found
        directory, position = (found or linked).popleft()
        if deadline.expired:
            raise DeadlineExpiredError
        if by_link and not Path(os.path.realpath(directory)).is_relative_to(os.path.realpath(root)):
            yield directory / parts[-1]
            continue
        try:
            status = directory.stat()
            visit = (position, status.st_dev, status.st_ino)
            if visit in seen:
                continue
            seen.add(visit)
            for path, below, is_link in _step(directory, parts, position, deadline):
                if below is None:
                    yield path
                else:
                    (linked if is_link else found).append((path, below))
        except OSError:
            continue


def fixed_part(pattern: Path) -> Path:
    """The directory before the first part that holds a wildcard."""
    fixed = Path()
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _step(
    directory: Path, parts: Sequence[str], position: int, deadline: Deadline
) -> Iterator[tuple[Path, int | None, bool]]:
    """What one part of the pattern finds in `directory`: paths, each with the position of the part to look for in it,
    None for a match, and whether it is a link.
    """
    part, is_last = parts[position], position == len(parts) - 1
    if part == _RECURSIVE and not is_last:
        yield directory, position + 1, False
    elif not glob.has_magic(part):
        path = directory / part
        if not is_last or os.path.lexists(path):
            yield path, None if is_last else position + 1, path.is_symlink()
        return
    fits = _expression("*" if part == _RECURSIVE else part).match
    for entry in entries(directory, deadline):
        if not fits(entry.name) or (entry.name.startswith(".") and not part.startswith(".")):
            continue
        path = directory / entry.name
        if is_last:
            yield path, None, entry.is_symlink()
        if (part == _RECURSIVE or not is_last) and entry.is_dir():
            yield path, position if part == _RECURSIVE else position + 1, entry.is_symlink()


@cache
def _expression(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))
