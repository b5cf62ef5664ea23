#!/usr/bin/env python3
"""Makes virtual environments for tools whose dependencies clash with those of the project.

    .ci/environment.py ddev==14.4.0         prints the folder of an environment in which this is installed

Environments are kept under $XDG_CACHE_HOME (else ~/.cache), one for each interpreter and list of requirements, and used
again. The other scripts here import `environment`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path


def environment(*requirements: str) -> Path:
    """The folder of an environment with these requirements, as pip takes them.

    Raises subprocess.CalledProcessError when pip fails.
    """
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "metta-checks" / f"{requirements[0].partition('=')[0].partition('[')[0]}-{key}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *requirements], check=True)
        (folder / "complete").touch()
    return folder


if __name__ == "__main__":
    print(environment(*sys.argv[1:]))
