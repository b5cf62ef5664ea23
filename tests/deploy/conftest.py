"""The built wheel, and environments like the Agent's to install it into; the parts live in `support`."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from deploy_support.dockerfile import copied_for_the_wheel
from deploy_support.pythons import exact_version, interpreter, run

ROOT = Path(__file__).parents[2]
CONSTRAINTS = Path(__file__).parent / "agent-constraints.txt"
ON_TOP = ("datadog-checks-base", "lazy-loader", "binary", "requests-unixsocket2")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, from a folder with nothing but what the Dockerfile copies of this source tree."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in copied_for_the_wheel(ROOT / "deploy" / "Dockerfile"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session", params=["3.11", "3.13"])
def agent_python(request: pytest.FixtureRequest, wheel: Path) -> Path:
    """A Python with what the Agent ships, and the wheel on top without its dependencies.

    Filling the environment takes a minute or two, so that pytest's cache keeps it for the next run.
    """
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} here")
    contents = hashlib.sha256(CONSTRAINTS.read_bytes() + repr(ON_TOP).encode()).hexdigest()[:12]
    home = request.config.cache.mkdir(f"agent-{exact_version(python)}-{contents}")
    inside = home / "bin" / "python"
    if not (home / "complete").exists():
        run(python, "-m", "venv", "--clear", home)
        run(inside, "-m", "pip", "install", "--quiet", "--requirement", CONSTRAINTS, *ON_TOP)
        (home / "complete").touch()
    run(inside, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
    return inside
