"""The queue: workflow runs of the whole repository that wait for a runner or are under way right now.

Most of a queue is pull requests, so that nothing here is about a branch. GitHub never ends some runs: those created
before the look-back are left out (Labbs#45).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci.api_models import queue_page
from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.models import QueuedRun, QueuePage
from metta_checks.ci.pages import LISTED, goes_on
from metta_checks.ci.workflows import Exclusion
from metta_checks.core.errors import Kind, SourceError

QUEUED: Final = "queued"
IN_PROGRESS: Final = "in_progress"
"""The statuses that are listed. What waits for an approval or for a concurrency group (`waiting`, `pending`) needs no
runner yet."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How many runs wait and are under way, and since when the one waits that has waited for longest."""

    queued: int
    in_progress: int
    oldest_queued: timedelta


class QueueReader:
    """Reads the queue of one repository. The ledger keeps its pages: an unchanged one costs no quota."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime) -> None:
        self._github = github
        self._settings = github.settings
        self._ledger = ledger
        self._now = now
        self._since = now - github.settings.lookback
        # As many as the server was seen to answer (cli/cli#6560).
        self._per_page = ledger.page_size
        self._pages: dict[tuple[str, int], QueuePage] = {}

    def read(self) -> Queue:
        """The queue now, without excluded workflows. Raises SourceError."""
        listed = run_concurrently([partial(self._listed, status) for status in (QUEUED, IN_PROGRESS)])
        self._ledger.queue = dict(sorted(self._pages.items()))
        # A run that starts between the two requests is in both: it runs.
        runs = {run.id: run for found in listed for run in found}
        exclusion = Exclusion(self._settings.exclude_workflows)
        workflows = self._ledger.workflows
        included = [
            run for run in runs.values() if not exclusion.excludes_named(run.workflow_id, run.name, run.file, workflows)
        ]
        waits = [self._now - run.started_at for run in included if run.status == QUEUED]
        return Queue(
            queued=len(waits),
            in_progress=sum(run.status == IN_PROGRESS for run in included),
            oldest_queued=max([timedelta(0), *waits]),
        )

    def _listed(self, status: str) -> list[QueuedRun]:
        """The runs of one status that were created within the look-back."""
        found: dict[int, QueuedRun] = {}
        rows = 0
        for number in range(1, -(-LISTED // self._per_page) + 1):
            page = self._page(status, number)
            rows += len(page.runs)
            found |= {run.id: run for run in page.runs if run.created_at >= self._since}
            # Newest first: what follows is older still.
            if page.runs and page.runs[-1].created_at < self._since:
                return list(found.values())
            if not goes_on(page, self._per_page):
                self._require_all(status, rows, page.total)
                return list(found.values())
        detail = f"more than {LISTED:,} runs"
        raise SourceError(Kind.OVERSIZED, self._operation(status), detail, "Leave the queue out: `queue: false`.")

    def _page(self, status: str, number: int) -> QueuePage:
        kept = self._ledger.queue.get((status, number))
        answer = self._github.get_of_repo(
            "/actions/runs",
            about=f"the {status} runs",
            params={
                "status": status,
                "per_page": str(self._per_page),
                "exclude_pull_requests": "true",
                **({"page": str(number)} if number > 1 else {}),
            },
            etag=kept.etag if kept else None,
        )
        page = kept if answer.status == 304 and kept is not None else queue_page(answer)
        self._pages[status, number] = page
        return page

    def _require_all(self, status: str, rows: int, total: int) -> None:
        """A filtered listing is short of what it counts now and then, for minutes."""
        if rows < total:
            detail = f"{rows:,} of {total:,} runs are listed"
            remedy = "GitHub's listing is behind its count; the next collection tries again."
            raise SourceError(Kind.MALFORMED, self._operation(status), detail, remedy)

    def _operation(self, status: str) -> str:
        return f"{self._github.source}: the {status} runs of {self._settings.repo}"
