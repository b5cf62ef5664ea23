"""The lock that publishers who merge into one file hold one after the other."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from metta_checks.core.atomic_write import open_folder
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.printable import printable
from metta_checks.health.local import os_fault

LOCK_SECONDS: Final = 10.0
"""How long a merge into a file waits for another one."""

# Of an open file and not of a process, so that threads exclude each other too. It needs a descriptor that is open for
# writing (F_OFD_SETLK(2const)), which flock(2) does not. Elsewhere than on Linux there is flock alone.
_OFD_SETLK: Final = getattr(fcntl, "F_OFD_SETLK", None)
_WHOLE_FILE: Final = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
_UNSUPPORTED: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_NO_LOCKS: Final = {*_UNSUPPORTED, errno.ENOLCK}

_EXISTING: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def merge_lock(document: Path) -> Iterator[None]:
    """Holds the lock of `document` while the block runs: `.<name>.lock` beside it, which stays.

    Whoever may create files in the folder may take the lock. Nobody else may open it, not even to read: a reader of the
    folder could otherwise hold publishers up. Raises SourceError, which names the lock file, and WriteError where the
    folder cannot be opened.
    """
    path = document.with_name(f".{document.name}.lock")
    operation = f"publishing to {printable(str(document))}: locking {printable(str(path))}"
    handle = None
    try:
        with open_folder(path.parent) as folder:
            handle = _opened(folder, path.name, operation)
        _wait_for(handle, operation)
    except OSError as error:
        if handle is not None:
            os.close(handle)
        raise _fault(error, path, operation) from None
    except BaseException:
        if handle is not None:
            os.close(handle)
        raise
    try:
        yield
    finally:
        os.close(handle)


def _opened(parent: int, name: str, operation: str) -> int:
    # A file of its own: the document's is replaced, and its lock would go with it.
    # By the descriptor of its folder: the file gets that one's owner, and must not be made in another one.
    folder = os.fstat(parent)
    try:
        handle = os.open(name, _NEW, 0o600, dir_fd=parent)
        is_new = True
    except FileExistsError:
        handle = os.open(name, _EXISTING, dir_fd=parent)
        is_new = False
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(Kind.REJECTED, operation, "it is not a regular file", "Remove it and publish again.")
        mode = _mode_for(folder)
        if is_new:
            with suppress(PermissionError):
                os.fchown(handle, folder.st_uid if os.geteuid() == 0 else -1, folder.st_gid)
            # Another group than the folder's is none of publishers.
            os.fchmod(handle, mode if os.fstat(handle).st_gid == folder.st_gid else mode & ~stat.S_IRWXG)
        elif status.st_uid == os.geteuid() and status.st_nlink == 1 and status.st_mode & 0o777 & ~mode:
            # Left by version 0.1.0, which let everybody read it. Nothing is added to a file that was there.
            os.fchmod(handle, status.st_mode & mode)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _mode_for(folder: os.stat_result) -> int:
    """Reading and writing for each class of users who may write to the folder, and so publish.

    With the sticky bit only the owner of a document may replace it.
    """
    if folder.st_mode & stat.S_ISVTX:
        return 0o600
    writers = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return 0o600 | writers | writers << 1


def _wait_for(handle: int, operation: str) -> None:
    until = time.monotonic() + LOCK_SECONDS
    while not _locked(handle):
        if time.monotonic() > until:
            remedy = "Another publisher merges for too long: see what it does."
            raise SourceError(Kind.TIMED_OUT, operation, f"it stays locked for {LOCK_SECONDS:g} s", remedy)
        time.sleep(0.02)


def _locked(handle: int) -> bool:
    try:
        if _OFD_SETLK is not None:
            try:
                fcntl.fcntl(handle, _OFD_SETLK, _WHOLE_FILE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
            else:
                return True
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fault(error: OSError, path: Path, operation: str) -> SourceError:
    if error.errno in _NO_LOCKS:
        remedy = (
            "This file system has no locks, which --merge (`merge=True`) needs: publish without it, each pipeline to a "
            "document of its own, and let the check read their folder; or publish to s3:// itself."
        )
        return SourceError(Kind.REJECTED, operation, (error.strerror or "no locks").lower(), remedy)
    if isinstance(error, PermissionError) and os.path.lexists(path):
        remedy = "Give its group write permission, that of the folder, or remove it while nothing publishes."
        return os_fault(error, operation).with_remedy(remedy)
    return os_fault(error, operation)
