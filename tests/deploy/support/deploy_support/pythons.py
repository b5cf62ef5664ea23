"""Python interpreters and virtual environments beside the one that runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def interpreter(version: str) -> Path | None:
    """A working Python of this version, such as `3.13`; None where there is none."""
    for candidate in _candidates(version):
        if _says(candidate, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return candidate
    return None


def exact_version(python: Path) -> str:
    """Such as `3.13.0`."""
    return _says(python, "import platform; print(platform.python_version())")


def run(*command: str | Path, **options: object) -> str:
    """What the command prints. Raises RuntimeError with all that it said when it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(part) for part in command)}\n{done.stdout}\n{done.stderr}")
    return str(done.stdout)


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    # pyenv hides every version but the chosen ones.
    yield from Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(
        f"versions/{version}.*/bin/python{version}"
    )


def _says(python: Path, code: str) -> str:
    done = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()
