"""What the Agent loads from folders of its own: the checks' shims, and their example configurations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import metta_checks
from metta_checks.core.definition import CheckDefinition

SHIMS: Final = "checks.d"
CONFIGURATIONS: Final = "conf.d"
EXAMPLE: Final = "conf.yaml.example"


class MissingFilesError(Exception):
    """Neither the package nor a source tree around it holds the files: the installation is not whole."""


@dataclass(frozen=True, slots=True)
class AgentFile:
    """One file for the Agent: where it goes below the Agent's folder, and its text."""

    target: str
    text: str


def shim_of(definition: CheckDefinition) -> AgentFile:
    """The module that the Agent imports for the check. Raises MissingFilesError."""
    return _read(f"{SHIMS}/{definition.name}.py")


def example_of(definition: CheckDefinition) -> AgentFile:
    """The check's configuration with every option explained. Raises MissingFilesError."""
    return _read(f"{CONFIGURATIONS}/{definition.name}.d/{EXAMPLE}")


def _read(target: str) -> AgentFile:
    package = Path(metta_checks.__file__).parent
    # A wheel brings them inside of the package; in a source tree they stand beside it.
    for root in (package / "_agent", package.parent):
        try:
            return AgentFile(target, (root / target).read_text(encoding="utf-8"))
        except OSError:
            continue
    raise MissingFilesError(f"{target} is not where the package has it: install metta-checks again")
