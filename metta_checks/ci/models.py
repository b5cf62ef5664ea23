"""What the check knows of a repository: workflows, and the runs of one branch."""

from __future__ import annotations

import re
import unicodedata
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
class WorkflowRun:
    """One workflow run as its latest attempt has it. Times are UTC, in whole seconds.

    `number` counts the runs of the workflow, whatever the branch. `conclusion` is None until the attempt has ended.
    `from_this_repo` is False for the run of a fork, whose branch may have the same name. `ended_at` is `updated_at` as
    it was when the end of the attempt was first seen: GitHub moves `updated_at` hours later. `name` is the workflow's.
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
    from_this_repo: bool
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


class WorkflowJob(NamedTuple):
    """One job of an attempt. `labels` are those of the runner that it asked for, without the run's id; `had_runner`
    says whether it got one. Without `completed_at` it has not ended."""

    id: int
    name: str
    conclusion: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    labels: tuple[str, ...]
    had_runner: bool

    @property
    def ended(self) -> bool:
        return self.conclusion is not None

    @property
    def ran(self) -> bool:
        """Whether it did any work: one that was skipped, or cancelled in the queue, did none."""
        waited_in_vain = self.conclusion == CANCELLED and not self.had_runner
        times = self.started_at is not None and self.completed_at is not None
        return times and self.ended and self.conclusion != "skipped" and not waited_in_vain

    @property
    def duration_minutes(self) -> float:
        return _minutes(self.started_at, self.completed_at)

    @property
    def queue_minutes(self) -> float:
        """From the moment at which nothing but a runner was missing to the start."""
        return _minutes(self.created_at, self.started_at)


class WaitingJobs(NamedTuple):
    """An attempt of a run whose jobs are still to be read.

    `started_at` is when the attempt was begun, where that is known; `tries` how often its jobs were asked for in vain,
    `pages` how many they have.
    """

    run_id: int
    attempt: int
    workflow: str
    tries: int = 0
    pages: int = 1
    started_at: datetime | None = None


def _minutes(start: datetime | None, end: datetime | None) -> float:
    """Never negative: GitHub's times are some seconds apart."""
    return 0.0 if start is None or end is None else max((end - start).total_seconds(), 0.0) / 60


class RepositoryName(NamedTuple):
    """What GitHub calls a repository now, and its page."""

    full_name: str
    web_url: str


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


def folded(name: str) -> str:
    """A name as it is compared: in any case, and with letters and their accents as one character or as two."""
    return unicodedata.normalize("NFC", name).casefold()


def without_ref(path: str) -> str:
    """`path` as the list of workflows has it; runs may have it with a ref, as in `…/ci.yml@refs/heads/main`."""
    cut = _REF.sub("", path)
    return cut if cut.endswith((".yml", ".yaml")) else cut.partition("@")[0]


def file_of(path: str) -> str:
    """`ci.yml` from `.github/workflows/ci.yml`, and the whole path of what is no file of that folder: the generated
    `dynamic/github-code-scanning/codeql`, and with owner and repository the workflow of a ruleset."""
    return without_ref(path).removeprefix(WORKFLOW_FOLDER)
