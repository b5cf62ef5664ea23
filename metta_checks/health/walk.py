"""The files of a directory, or those that a glob matches, for as long as a collection has time.

The standard library's glob follows links to directories: with two of them to their own directory, `**` has more paths
than can be walked, and between two matches nothing can stop it.
"""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Final

from metta_checks.core.deadline import Deadline

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
