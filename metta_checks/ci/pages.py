"""Pages of the listing of workflow runs, and the ranges of it that are still to be read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from metta_checks.ci.api_models import RunPage, run_page
from metta_checks.ci.client import GitHub, run_until_error
from metta_checks.ci.ledger import FULL_PAGE, PAGE_SIZE, AnsweredSize, Bucket, Gap
from metta_checks.ci.models import QueuePage, WorkflowRun
from metta_checks.ci.runs import RunTable
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
    def runs(self) -> list[WorkflowRun]:
        return [run for page, _ in self.pages for run in page.runs]


class RunPages:
    """Reads pages for one collection, at most `max_pages`; from several threads. `answered` is the size of a page that
    the server answers, `left` how many pages may still be read."""

    def __init__(self, github: GitHub, answered: AnsweredSize, now: datetime, *, max_pages: int) -> None:
        self.answered = answered.at(now, SIZES)
        self._github = github
        self._now = now
        self.left = max_pages
        self._has_answered = False
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many runs a page has that is asked for now."""
        return self.answered.size

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
        others, fault = run_until_error(calls)
        pages = [first, *others]
        while fault is None and goes_on(pages[-1][0], size, len(pages)) and len(pages) < most:
            try:
                pages.append(self._range_page(since, until, len(pages) + 1, size))
            except SourceError as error:
                fault = error
        reaches_end = not goes_on(pages[-1][0], size, len(pages)) and (total <= LISTED or len(pages) < most)
        is_whole = fault is None and reaches_end
        return RangePages(tuple(pages), size, total, is_whole, fault)

    def shrink(self, error: SourceError, size: int) -> bool:
        """Whether a page of `size` runs that ended in `error` is worth another request with fewer, which is then the
        size of all. Where the smallest fails too, the size was not the reason."""
        late = self._github.out_of_time
        if error.kind not in MAY_BE_TOO_LARGE or (late and self._has_answered) or self.left < 0:
            return False
        with self._lock:
            if self.size < size:
                return not late
            smaller = next((one for one in SIZES if one < size), None)
            self.answered = AnsweredSize(smaller, self._now) if smaller else FULL_PAGE
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
            self.left -= 1
            exceeded = self.left < 0
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
            self._has_answered = True
        return page

    def too_many(self, detail: str, remedy: str = "Raise `max_pages`, or shorten `window`.") -> SourceError:
        """The error of a branch with more runs than can be read."""
        settings = self._github.settings
        operation = f"{self._github.source}: the workflow runs of {settings.repo} on {settings.branch}"
        return SourceError(Kind.OVERSIZED, operation, detail, remedy)


def goes_on(page: RunPage | QueuePage, size: int, number: int) -> bool:
    """Whether another page may follow page `number`, which was asked for with `size` runs: a page may be short of runs
    that GitHub hides, a proxy may drop the links, and a count may be behind."""
    return bool(page.runs) and (page.has_next or len(page.runs) >= size or page.total > number * size)


def _parameters(bucket: Bucket) -> dict[str, str]:
    created = f"{bucket.since:%Y-%m-%dT%H:%M:%SZ}..{bucket.until:%Y-%m-%dT%H:%M:%SZ}"
    return {"created": created, "page": str(bucket.page)}


PATIENCE: Final = 10
"""Collections in which a range may lack a run that is known before it is taken as it is: the run may be deleted."""

PATIENCE_WITH_COUNTS: Final = 2
"""The same for a range that lacks nothing but runs that GitHub counts: it may hide them for good."""


class GapReader:
    """Reads ranges of times of creation. `gaps` are those that are not read yet, what is left of them at any moment,
    and `buckets` the pages that were read of the others, by their key.

    `admit` takes a page of runs. `short` are the gaps that were short this time, `lacking` the known runs that were
    not listed.
    """

    def __init__(
        self,
        pages: RunPages,
        runs: RunTable,
        admit: Callable[[RunPage], None],
        gaps: tuple[Gap, ...],
        buckets: Iterable[Bucket],
    ) -> None:
        self.gaps = gaps
        self.buckets = {bucket.key: bucket for bucket in buckets}
        self.short: list[Gap] = []
        self.lacking: set[int] = set()
        self._pages = pages
        self._runs = runs
        self._admit = admit

    def open(self, gap: Gap) -> None:
        """Note that the runs in this range are not known."""
        self.gaps = (*self.gaps, gap)

    def replace(self, gap: Gap, left: Gap | None) -> None:
        """`left` in the place of a gap, or nothing."""
        others = [one for one in self.gaps if one != gap]
        self.gaps = tuple(others if left is None else [*others, left])

    def read(self, *, with_buckets: bool) -> None:
        """Read all gaps, newest first. Raises SourceError; what was read until then is no gap any more."""
        for gap in sorted(self.gaps, key=lambda gap: gap.until, reverse=True):
            self._fill(gap, with_buckets=with_buckets)

    def mark_stale(self, created_at: datetime) -> None:
        """A change at this time was seen elsewhere. Pages of one range change together: each has the count of all."""
        for bucket in self.buckets.values():
            if bucket.since <= created_at <= bucket.until:
                self.buckets[bucket.key] = replace(bucket, stale=True)

    def _fill(self, whole: Gap, *, with_buckets: bool) -> None:
        gap: Gap = whole
        listed: set[int] = set()
        while True:
            part = self._pages.of_range(gap.since, gap.until)
            self._take(part, with_buckets=with_buckets)
            runs = part.runs
            listed |= {run.id for run in runs}
            if part.is_whole or not runs:
                break
            behind = self._behind(gap, part)
            self.replace(gap, behind)
            gap = behind
            if part.error is not None and not self._pages.shrink(part.error, part.size):
                raise part.error
        if part.error is not None:
            raise part.error
        lacks = self._runs.lacking(whole.since, whole.until, listed)
        self.lacking |= lacks
        lacks_known = bool(lacks)
        is_short = lacks_known or len({run.id for run in runs}) < max(part.total, gap.remaining)
        if not is_short and with_buckets and not self._agrees_with_front(whole):
            is_short = lacks_known = True
        if not is_short or self._is_accepted(whole, listed, lacks_known=lacks_known):
            self.replace(gap, None)
            return
        buckets = self.buckets.items()
        self.buckets = {key: one for key, one in buckets if one.until > whole.until or one.since < whole.since}
        left = replace(
            whole,
            remaining=max(part.total - len(runs), 0),
            short_answers=whole.short_answers + 1,
            listed=len(listed),
        )
        self.replace(gap, left)
        self.short.append(left)

    def _take(self, part: RangePages, *, with_buckets: bool) -> None:
        for page, bucket in part.pages:
            self._admit(page)
            if with_buckets and page.runs:
                self.buckets[bucket.key] = bucket

    def _behind(self, gap: Gap, part: RangePages) -> Gap:
        """What is left of a gap behind these pages. Raises SourceError where that is as much as before."""
        oldest = min(run.created_at for run in part.runs)
        if part.error is None and oldest >= gap.until:
            raise self._pages.too_many(f"more than {LISTED} in one second", "Watch another branch.")
        return replace(gap, until=oldest, remaining=max(part.total - len(part.runs), 0))

    def _agrees_with_front(self, gap: Gap) -> bool:
        """Whether the listing without a range has no run behind those that are known now, one page of it. It cannot
        be compared while there are other gaps."""
        if len(self.gaps) > 1:
            return True
        size = self._pages.size
        known = sum(one.run.created_at >= gap.since and not one.gone for one in self._runs.known.values())
        number = min(known // size + 1, LISTED // size)
        before = frozenset(self._runs.known)
        with suppress(SourceError):
            page = self._pages.front(number)
            assert page is not None  # noqa: S101 (only a conditional request can be answered with 304)
            self._admit(page)
            return all(run.created_at < gap.since or run.id in before for run in page.runs)
        return True

    def _is_accepted(self, gap: Gap, listed: set[int], *, lacks_known: bool) -> bool:
        """Whether the range was short as often as it can be asked for, and did not grow."""
        most = PATIENCE if lacks_known else PATIENCE_WITH_COUNTS
        return gap.short_answers >= most and gap.listed == len(listed)
