"""The queue: workflow runs of the whole repository that wait for a runner or are under way right now.

Most of a queue is pull requests, so that nothing here is about a branch. GitHub never ends some runs: those created
before the look-back are left out (Labbs#45).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci.api_models import queue_page
from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.models import QueuePage
from metta_checks.ci.pages import LISTED, goes_on
from metta_checks.ci.workflows import Exclusion
from metta_checks.core.errors import Kind, SourceError

QUEUED: Final = "queued"
IN_PROGRESS: Final = "in_progress"
"""The statuses that are listed. What waits for an approval or for a concurrency group (`waiting`, `pending`) needs no
runner yet."""


@dataclass(frozen=True, slots=True)
class Queue:
    """How many runs wait and are under way, and since when the one waits that has waited for longest. `pages` are what
    was read, by status."""

    queued: int
    in_progress: int
    oldest_queued: timedelta
    pages: Mapping[str, tuple[QueuePage, ...]]


class QueueReader:
    """Reads the queue of one repository. `ledger` has its pages of the last time: an unchanged one costs no quota."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime) -> None:
        self._github = github
        self._settings = github.settings
        self._before = ledger.queue
        self._workflows = ledger.workflows.by_id
        self._now = now
        self._since = now - github.settings.lookback
        # As many as the server was seen to answer (cli/cli#6560).
        self._per_page = ledger.listing.page_size.size

    def read(self) -> Queue:
        """The queue now, without excluded workflows. Raises SourceError."""
        statuses = (QUEUED, IN_PROGRESS)
        listed = run_concurrently([partial(self._pages, status) for status in statuses])
        # A run that starts between the two requests is in both: it runs.
        found = {run.id: run for pages in listed for page in pages for run in page.runs}
        exclusion = Exclusion(self._settings.exclude_workflows)
        included = [
            run
            for run in found.values()
            if run.created_at >= self._since
            and not exclusion.excludes_named(run.workflow_id, run.name, run.file, self._workflows)
        ]
        waits = [self._now - run.started_at for run in included if run.status == QUEUED]
        return Queue(
            queued=len(waits),
            in_progress=sum(run.status == IN_PROGRESS for run in included),
            oldest_queued=max([timedelta(0), *waits]),
            pages=dict(zip(statuses, listed, strict=True)),
        )

    def _pages(self, status: str) -> tuple[QueuePage, ...]:
        """The pages of one status, down to the first run that was created before the look-back."""
        pages: list[QueuePage] = []
        for number in range(1, -(-LISTED // self._per_page) + 1):
            page = self._page(status, number)
            pages.append(page)
            # Newest first: what follows is older still.
            if page.runs and page.runs[-1].created_at < self._since:
                return tuple(pages)
            if not goes_on(page, self._per_page, number):
                self._require_all(status, sum(len(one.runs) for one in pages), page.total)
                return tuple(pages)
        detail = f"more than {LISTED:,} runs"
        raise SourceError(Kind.OVERSIZED, self._operation(status), detail, "Leave the queue out: `queue: false`.")

    def _page(self, status: str, number: int) -> QueuePage:
        before = self._before.get(status, ())
        kept = before[number - 1] if number <= len(before) else None
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
        return kept if answer.status == 304 and kept is not None else queue_page(answer)

    def _require_all(self, status: str, rows: int, total: int) -> None:
        """A filtered listing is short of what it counts now and then, for minutes."""
        if rows < total:
            detail = f"{rows:,} of {total:,} runs are listed"
            remedy = "GitHub's listing is behind its count; the next collection tries again."
            raise SourceError(Kind.MALFORMED, self._operation(status), detail, remedy)

    def _operation(self, status: str) -> str:
        return f"{self._github.source}: the {status} runs of {self._settings.repo}"
