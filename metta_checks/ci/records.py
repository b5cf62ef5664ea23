"""What the check knows of a repository: workflows, and the runs of one branch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

SUCCESS: Final = "success"
CANCELLED: Final = "cancelled"
FAILED: Final = frozenset({"failure", "timed_out", "startup_failure"})
DECISIVE: Final = FAILED | {SUCCESS}
"""The conclusions that say whether the code is good; a skipped or cancelled run says nothing."""
TIMED: Final = frozenset({SUCCESS, "failure", "timed_out"})
"""The conclusions of runs that did their work, so that their duration means something."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow file. `path` is its place in the repository; names can repeat, files cannot."""

    id: int
    node_id: str
    name: str
    path: str
    state: str

    @property
    def file(self) -> str:
        """The file's name without its folder: what tags show."""
        return file_of(self.path)

    @property
    def active(self) -> bool:
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Run:
    """One workflow run as its latest attempt has it. Times are UTC, in whole seconds.

    `number` counts the runs of the workflow, whatever the branch. `conclusion` is None until the attempt has ended.
    `own` is False for the run of a fork, whose branch may have the same name.
    """

    id: int
    node_id: str
    workflow_id: int
    file: str
    number: int
    attempt: int
    conclusion: str | None
    created_at: datetime
    started_at: datetime
    updated_at: datetime
    own: bool

    @property
    def decisive(self) -> bool:
        return self.conclusion in DECISIVE

    @property
    def succeeded(self) -> bool:
        return self.conclusion == SUCCESS

    @property
    def duration_minutes(self) -> float:
        """From the attempt's start to its last update."""
        return (self.updated_at - self.started_at).total_seconds() / 60


def file_of(path: str) -> str:
    """`ci.yml` from `.github/workflows/ci.yml`; runs may tell it with a ref, as in `…/ci.yml@refs/heads/main`."""
    return path.partition("@")[0].rpartition("/")[2]
