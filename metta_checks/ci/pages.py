"""Pages of the listing of workflow runs, as large as the server answers them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import PAGE_SIZE, Bucket, Ledger
from metta_checks.ci.records import QueuePage, Run
from metta_checks.ci.together import together_until_error
from metta_checks.ci.wire import RunPage, run_page
from metta_checks.core.errors import Kind, SourceError

SIZES: Final = (PAGE_SIZE, 50, 25, 10)
"""Runs on a page, from the usual size to the smallest that is tried
(https://github.com/singer-io/tap-github/issues/461: 502 above 50)."""

LISTED: Final = 1_000
"""GitHub lists no more runs than this for one filter."""

MAY_BE_TOO_LARGE: Final = frozenset({Kind.SERVER_ERROR, Kind.TIMED_OUT, Kind.OVERSIZED})
"""What a request for a page ends in that is too much for the server, or for `max_response_bytes`."""


@dataclass(frozen=True, slots=True)
class RangePages:
    """What was listed of a range of times of creation, newest first, each page with its bucket.

    `size` is that of the pages and `total` what GitHub counts. `is_whole` says that nothing is left behind the last
    page; `error` is why the page behind it could not be read.
    """

    pages: tuple[tuple[RunPage, Bucket], ...]
    size: int
    total: int
    is_whole: bool
    error: SourceError | None = None

    @property
    def runs(self) -> list[Run]:
        return [run for page, _ in self.pages for run in page.runs]


class RunPages:
    """Reads pages for one collection, at most `max_pages`; from several threads."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime, *, max_pages: int) -> None:
        self._github = github
        self._ledger = ledger
        self._now = now
        self._left = max_pages
        self._answered = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many runs a page has that is asked for now."""
        return self._ledger.page_size

    def front(self, number: int, etag: str | None = None) -> RunPage | None:
        """A page of the whole listing; None where nothing on it has changed since `etag`. Raises SourceError."""
        return self._page({} if number == 1 else {"page": str(number)}, self.size, etag)

    def first(self, etag: str | None = None) -> RunPage | None:
        """The first page of the whole listing, as large as the server answers it. Raises SourceError."""
        while True:
            size = self.size
            try:
                return self.front(1, etag)
            except SourceError as error:
                if not self.shrink(error, size):
                    raise

    def bucket(self, bucket: Bucket) -> RunPage | None:
        """The page of a bucket; None where nothing on it has changed. Raises SourceError."""
        return self._page(_parameters(bucket), bucket.size, bucket.etag)

    def of_range(self, since: datetime, until: datetime) -> RangePages:
        """What is listed of a range, as far as GitHub lists it and the pages can be read.

        The count of the first page says how many others can be asked for at once; the end is where a page is not full,
        since a count that is behind would hide runs. Raises SourceError where the first page cannot be read.
        """
        while True:
            size = self.size
            try:
                first = self._range_page(since, until, 1, size)
                break
            except SourceError as error:
                if not self.shrink(error, size):
                    raise
        total, most = first[0].total, LISTED // size
        count = min(-(-total // size), most)
        calls = [partial(self._range_page, since, until, number, size) for number in range(2, count + 1)]
        others, fault = together_until_error(calls)
        pages = [first, *others]
        while fault is None and goes_on(pages[-1][0], size) and len(pages) < most:
            try:
                pages.append(self._range_page(since, until, len(pages) + 1, size))
            except SourceError as error:
                fault = error
        reaches_end = not goes_on(pages[-1][0], size) and (total <= LISTED or len(pages) < most)
        is_whole = fault is None and reaches_end
        return RangePages(tuple(pages), size, total, is_whole, fault)

    def shrink(self, error: SourceError, size: int) -> bool:
        """Whether a page of `size` runs that ended in `error` is worth another request with fewer, which is then the
        size of all. Where the smallest fails too, the size was not the reason."""
        late = self._github.out_of_time
        if error.kind not in MAY_BE_TOO_LARGE or (late and self._answered) or self._left < 0:
            return False
        with self._lock:
            if self.size < size:
                return not late
            smaller = next((one for one in SIZES if one < size), None)
            self._ledger.page_size = smaller or PAGE_SIZE
            self._ledger.sizes_at = self._now if smaller else None
        return smaller is not None and not late

    def _range_page(self, since: datetime, until: datetime, number: int, size: int) -> tuple[RunPage, Bucket]:
        bucket = Bucket(since, until, number, None, until, self._now, size=size)
        page = self._page(_parameters(bucket), size, None)
        assert page is not None  # noqa: S101 (only a conditional request can be answered with 304)
        newest = page.runs[0].created_at if page.runs else since
        return page, Bucket(since, until, number, page.etag, newest, self._now, size=size)

    def _page(self, parameters: dict[str, str], size: int, etag: str | None) -> RunPage | None:
        settings = self._github.settings
        with self._lock:
            self._left -= 1
            exceeded = self._left < 0
        if exceeded:
            raise self.too_many("more pages than `max_pages` allows")
        fixed = {"branch": settings.branch, "per_page": str(size), "exclude_pull_requests": "true"}
        answer = self._github.get_of_repo(
            "/actions/runs",
            about=f"workflow runs on {settings.branch}",
            params={**fixed, **parameters},
            etag=etag,
        )
        page = None if answer.status == 304 else run_page(answer)
        with self._lock:
            self._answered += 1
        return page

    def too_many(self, detail: str) -> SourceError:
        """The error of a branch with more runs than `max_pages` provides for."""
        settings = self._github.settings
        operation = f"{self._github.source}: the workflow runs of {settings.repo} on {settings.branch}"
        return SourceError(Kind.OVERSIZED, operation, detail, "Raise `max_pages`, or shorten `window`.")


def goes_on(page: RunPage | QueuePage, size: int) -> bool:
    """Whether another page may follow one that was asked for with `size` runs: a page may be short of runs that GitHub
    hides, and a proxy may drop the links."""
    return bool(page.runs) and (page.has_next or len(page.runs) >= size)


def _parameters(bucket: Bucket) -> dict[str, str]:
    created = f"{bucket.since:%Y-%m-%dT%H:%M:%SZ}..{bucket.until:%Y-%m-%dT%H:%M:%SZ}"
    return {"created": created, "page": str(bucket.page)}
