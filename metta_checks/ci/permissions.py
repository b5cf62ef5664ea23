"""What a token or a GitHub App must be allowed to do: one table for the advice, the documents and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission to read, by the name that GitHub's settings show, and the figures that need it."""

    name: str
    figures: str

    @property
    def needed(self) -> str:
        """As messages name it."""
        return f"{self.name} (read)"


ACTIONS: Final = Permission("Actions", "workflows, runs, attempts, jobs and the queue")
CONTENTS: Final = Permission("Contents", "which workflow files the branch has")
PULL_REQUESTS: Final = Permission("Pull requests", "the counts of labelled pull requests")

PERMISSIONS: Final = (ACTIONS, CONTENTS, PULL_REQUESTS)
"""Repository permissions of a fine-grained token and of a GitHub App. GitHub offers no "Checks" for the former."""

CLASSIC_SCOPE: Final = "repo"
"""The scope of a classic token for a private repository; a public one needs none."""


def all_names() -> str:
    """`Actions, Contents and Pull requests`."""
    *first, last = (permission.name for permission in PERMISSIONS)
    return f"{', '.join(first)} and {last}"
