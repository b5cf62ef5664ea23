"""Optional libraries: what is missing, and the command that installs it into this Python."""

from __future__ import annotations

import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

import click

_REQUIREMENT = re.compile(r"(?P<needs>[^;]+?)\s*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")


def install_command(extra: str) -> str:
    """How to install what the extra `extra` of this package brings.

    The package itself comes from a wheel or a clone and is in no index, so that its libraries are named instead.
    """
    try:
        declared = requires("metta-checks") or []
    except PackageNotFoundError:
        declared = []
    found = [
        match["needs"].strip()
        for line in declared
        if (match := _REQUIREMENT.fullmatch(line)) and match["extra"] == extra
    ]
    names = " ".join(shlex.quote(name.replace(" ", "")) for name in found) or f"'metta-checks[{extra}]'"
    return f"{sys.executable} -m pip install {names}"


def require_extra(module: str, extra: str, what: str) -> None:
    """Raises ClickException, with the command to install it, where `module` is missing; `what` needs it."""
    if find_spec(module) is None:
        raise click.ClickException(f"{what} is not installed: {install_command(extra)}")


def require_simulator() -> None:
    """Raises ClickException where the simulator's GraphQL library is missing."""
    require_extra("graphql", "demo", "graphql-core, which the simulated servers need,")
