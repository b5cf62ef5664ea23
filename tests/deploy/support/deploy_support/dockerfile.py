"""What `deploy/Dockerfile` says, as far as that can be known without Docker."""

from __future__ import annotations

import re
from pathlib import Path


def stages(dockerfile: Path) -> dict[str, list[str]]:
    """The instructions of each stage by its name, lines joined; what stands before the first one is under ``''``."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("FROM "):
            name = line.rpartition(" AS ")[2]
            found[name] = []
        found[name].append(" ".join(line.split()))
    return found


def copied(instructions: list[str]) -> list[str]:
    """The sources of a stage's COPY instructions, all but those from other stages."""
    sources = []
    for instruction in instructions:
        if instruction.startswith("COPY ") and "--from=" not in instruction:
            sources += [word for word in instruction.split()[1:-1] if not word.startswith("--")]
    return sources


def copied_for_the_wheel(dockerfile: Path) -> list[str]:
    """The files and folders that the wheel is built from."""
    return copied(stages(dockerfile)["wheel"])
