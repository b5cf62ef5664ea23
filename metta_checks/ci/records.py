"""What the check knows of a repository: workflows, and the runs of one branch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

SUCCESS: Final = "success"
CANCELLED: Final = "cancelled"
FAILED: Final = frozenset({"failure", "timed_out", "startup_failure"})
DECISIVE: Final = FAILED | {SUCCESS}
"""The conclusions that say whether the code is good; a skipped or cancelled run says nothing."""
TIMED: Final = frozenset({SUCCESS, "failure", "timed_out"})
"""The conclusions of runs that did their work, so that their duration means something."""

WORKFLOW_FOLDER: Final = ".github/workflows/"

_REF = re.compile(r"(?<=\.yml)@.*|(?<=\.yaml)@.*")


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
        """What the tag `workflow` shows."""
        return file_of(self.path)

    @property
    def active(self) -> bool:
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Run:
    """One workflow run as its latest attempt has it. Times are UTC, in whole seconds.

    `number` counts the runs of the workflow, whatever the branch. `conclusion` is None until the attempt has ended.
    `own` is False for the run of a fork, whose branch may have the same name. `ended_at` is `updated_at` as it was when
    the end of the attempt was first seen: GitHub moves `updated_at` hours later. `name` is the workflow's.
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
    ended_at: datetime
    name: str = ""

    @property
    def decisive(self) -> bool:
        return self.conclusion in DECISIVE

    @property
    def succeeded(self) -> bool:
        return self.conclusion == SUCCESS

    @property
    def duration_minutes(self) -> float:
        """From the attempt's start to its end. GitHub sets the start up to minutes after the last update, for runs that
        end at once."""
        return max((self.ended_at - self.started_at).total_seconds(), 0.0) / 60


class QueuedRun(NamedTuple):
    """A run that has not ended. `started_at` is when its latest attempt was asked for."""

    id: int
    workflow_id: int
    name: str
    file: str
    status: str
    created_at: datetime
    started_at: datetime


class QueuePage(NamedTuple):
    """One page of the runs with a status, newest first. `total` counts all that have it."""

    runs: tuple[QueuedRun, ...]
    total: int
    etag: str | None
    has_next: bool


def without_ref(path: str) -> str:
    """`path` as the list of workflows has it; runs may have it with a ref, as in `…/ci.yml@refs/heads/main`."""
    cut = _REF.sub("", path)
    return cut if cut.endswith((".yml", ".yaml")) else cut.partition("@")[0]


def file_of(path: str) -> str:
    """`ci.yml` from `.github/workflows/ci.yml`, and the whole path of what is no file of that folder: the generated
    `dynamic/github-code-scanning/codeql`, and with owner and repository the workflow of a ruleset."""
    return without_ref(path).removeprefix(WORKFLOW_FOLDER)
