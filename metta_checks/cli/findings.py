"""What `validate` finds in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["fault", "warning", "note", "credential"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault keeps the check from running as it is meant to; a warning is about what causes trouble later. A `note`
    and a `credential` are neither: what else there is, and where a credential comes from and goes.

    `instance` counts from 1 and is None for what concerns the whole file; `option` is None where no option is to blame.
    `line` is the line in the file, where it is known.
    """

    level: Level
    path: Path
    text: str
    instance: int | None = None
    option: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """Where in the file, for a person."""
        parts = [f"line {self.line}"] if self.line is not None else []
        parts += [f"instance {self.instance}"] if self.instance is not None else []
        if self.option is not None:
            parts.append(f"`{self.option}`")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text

    def as_json(self) -> dict[str, Any]:
        """The finding for a program."""
        return {
            "level": self.level,
            "file": str(self.path),
            "instance": self.instance,
            "option": self.option,
            "line": self.line,
            "text": self.text,
        }
