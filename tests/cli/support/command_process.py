"""The command in a process of its own, on a pipe or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

PROGRAM = [sys.executable, "-m", "metta_checks"]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120, **options
    )


def on_a_terminal(columns: int, *arguments: object, **variables: str) -> str:
    """What the command writes to a terminal of so many columns."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **variables}
    with subprocess.Popen([*PROGRAM, *map(str, arguments)], stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        written = b"".join(_read(master))
        process.wait(timeout=60)
    os.close(master)
    return written.decode().replace("\r\n", "\n")


def _read(master: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            return
        if not piece:
            return
        yield piece


GOOD = {
    "entity": "team",
    "project": "arena",
    "tags": ["env:prod"],
    "min_collection_interval": 120,
    "empty_default_hostname": True,
}
