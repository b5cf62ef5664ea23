"""What `validate` finds in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["fault", "warning", "credential"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault keeps the check from running as it is meant to; a warning is about what will hurt later. A `credential`
    is neither: it shows where one comes from and goes.

    `instance` counts from 1 and is None for what concerns the whole file; `option` is None where no option is to blame.
    """

    level: Level
    path: Path
    text: str
    instance: int | None = None
    option: str | None = None

    @property
    def place(self) -> str:
        """Where in the file, for a person."""
        parts = [f"instance {self.instance}"] if self.instance is not None else []
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
            "text": self.text,
        }
