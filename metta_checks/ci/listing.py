"""Reading the listing of workflow runs: a first page whose address never changes, and closed ranges behind it."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import KEPT_PER_WORKFLOW, Bucket, Ledger
from metta_checks.ci.records import Run
from metta_checks.ci.together import together
from metta_checks.ci.wire import RunPage, run_page
from metta_checks.core.errors import Kind, SourceError

PER_PAGE: Final = 100
LISTED: Final = 1_000
"""GitHub lists no more runs than this for one filter."""


class Listing:
    """Brings the runs of a ledger up to date; one object per collection.

    `read` are the ids that an answer of this collection vouched for, those behind a 304 included.
    """

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime, since: datetime, *, max_pages: int) -> None:
        self.read: set[int] = set()
        self._github = github
        self._ledger = ledger
        self._now = now
        self._since = since
        self._max_runs = max_pages * PER_PAGE
        self._pages_left = max_pages
        self._counting = threading.Lock()
        self._known_before = frozenset(ledger.runs)
        self._front_changed = True

    @property
    def cold(self) -> bool:
        """Whether nothing was known when the collection began."""
        return not self._known_before

    def refresh(self) -> None:
        """All runs created since the last collection, or in the whole look-back where there was none.

        The listing is sorted by creation, newest first, so that a page whose last run is known is the last one
        needed. A time to stop at would lose what the listing shows late. Raises SourceError.
        """
        ledger, cold = self._ledger, self.cold
        page = self._page({}, etag=ledger.front_etag)
        if page is None:
            self._front_changed = False
            self.read.update(
                run_id
                for run_id, known in ledger.runs.items()
                if ledger.front_since is None or known.run.created_at > ledger.front_since
            )
            return
        self._admit(page)
        ledger.front_etag = page.etag
        # None says that the page is the whole listing.
        ledger.front_since = page.runs[-1].created_at if _goes_on(page) else None
        if cold:
            ledger.covered_until = page.runs[-1].created_at if page.runs else self._since
        if not self._reaches_back(page):
            self._sweep_behind(page) if cold else self._follow(page)

    def maintain(self) -> None:
        """One request for what lies behind the first page: a new bucket when enough has gathered, else the one that
        was not looked at for longest. A re-run of an old run shows there, and what the listing showed late.

        As long as nothing happens that request shall cost nothing: it goes to a bucket that should not have changed.
        """
        ledger = self._ledger
        if self._front_changed and (opened := self._next_bucket()):
            ledger.covered_until = opened.until
            self._check(opened)
            return
        buckets = [bucket for bucket in ledger.buckets.values() if self._front_changed or not bucket.stale]
        if buckets:
            self._check(min(buckets, key=lambda bucket: (not bucket.stale, bucket.checked_at, bucket.until)))

    def reread(self, runs: Iterable[Run]) -> None:
        """Read these runs again, neighbours in one request."""
        ranges = self._ranges(sorted(runs, key=lambda run: run.created_at))
        firsts = together([partial(self._range_page, since, until, 1) for since, until in ranges])
        for (since, until), first in zip(ranges, firsts, strict=True):
            whole = first[0].total == len(first[0].runs)
            for page, _ in [first] if whole else self._sweep(since, until):
                self._admit(page)

    def _follow(self, page: RunPage) -> None:
        """The pages behind the first one, until one that ends with a known run."""
        for number in range(2, LISTED // PER_PAGE + 1):
            page = self._some_page({"page": str(number)})
            self._admit(page)
            if self._reaches_back(page):
                return
        self._sweep_behind(page)

    def _sweep_behind(self, page: RunPage) -> None:
        """Everything older, down to the beginning of the look-back."""
        ledger, until = self._ledger, page.runs[-1].created_at
        ledger.buckets.clear()
        ledger.covered_until = until
        for swept, bucket in self._sweep(self._since, until):
            self._admit(swept)
            if bucket is not None:
                ledger.buckets[bucket.key] = bucket

    def _sweep(self, since: datetime, until: datetime) -> list[tuple[RunPage, Bucket | None]]:
        """All runs created from `since` to `until`, both included, with the buckets that their pages make."""
        swept: list[tuple[RunPage, Bucket | None]] = []
        while True:
            pages, whole = self._range_pages(since, until)
            swept += pages
            if whole:
                return swept
            tried = f"{self._github.source}: the workflow runs of {self._github.settings.repo}"
            created = [run.created_at for page, _ in pages for run in page.runs]
            if not created:
                remedy = "The next collection tries again; if it lasts, look at GitHub's status page."
                came_back = f"{pages[0][0].total:,} are counted and none is listed"
                raise SourceError(Kind.MALFORMED, tried, came_back, remedy)
            oldest = min(created)
            if oldest >= until:
                raise SourceError(Kind.OVERSIZED, tried, f"more than {LISTED} in one second", "Watch another branch.")
            until = oldest

    def _range_pages(self, since: datetime, until: datetime) -> tuple[list[tuple[RunPage, Bucket | None]], bool]:
        """What is listed of a range, and whether that is all of it. What the first page counts says how many can be
        asked for at once; the end is where a page is not full, since a total that is behind would hide runs."""
        first = self._range_page(since, until, 1)
        most = LISTED // PER_PAGE
        count = min(-(-first[0].total // PER_PAGE), most)
        pages = [first, *together([partial(self._range_page, since, until, number) for number in range(2, count + 1)])]
        while _goes_on(pages[-1][0]) and len(pages) < most:
            pages.append(self._range_page(since, until, len(pages) + 1))
        return pages, first[0].total <= LISTED and not _goes_on(pages[-1][0])

    def _range_page(self, since: datetime, until: datetime, number: int) -> tuple[RunPage, Bucket | None]:
        bucket = Bucket(since, until, number, None, until, self._now)
        page = self._some_page(_range_parameters(bucket))
        if not page.runs:
            return page, None
        return page, Bucket(since, until, number, page.etag, page.runs[0].created_at, self._now)

    def _check(self, bucket: Bucket) -> None:
        page = self._page(_range_parameters(bucket), etag=bucket.etag)
        etag, newest = bucket.etag, bucket.newest
        if page is not None:
            self._admit(page)
            etag, newest = page.etag, page.runs[0].created_at if page.runs else bucket.since
        checked = Bucket(bucket.since, bucket.until, bucket.page, etag, newest, self._now)
        self._ledger.buckets[checked.key] = checked

    def _next_bucket(self) -> Bucket | None:
        """The oldest hundred runs that lie between the buckets and the first page, once there are more than that."""
        ledger = self._ledger
        if ledger.front_since is None or ledger.covered_until is None:
            return None
        times = sorted(
            known.run.created_at
            for known in ledger.runs.values()
            if ledger.covered_until < known.run.created_at < ledger.front_since
        )
        # A second is not divided between two buckets.
        inside = [moment for moment in times[:PER_PAGE] if moment < times[PER_PAGE]] if len(times) > PER_PAGE else []
        since = ledger.covered_until + timedelta(seconds=1)
        return Bucket(since, inside[-1], 1, None, inside[-1], self._now) if inside else None

    def _ranges(self, runs: Sequence[Run]) -> list[tuple[datetime, datetime]]:
        """Times of creation that hold these runs, which are in that order, with no more than a page of others."""
        known = sorted(known.run.created_at for known in self._ledger.runs.values())
        ranges: list[tuple[datetime, datetime]] = []
        for run in runs:
            created = run.created_at
            # Before the look-back most runs are forgotten, so that nobody knows how many lie between two.
            if ranges and ranges[-1][0] >= self._since and _count(known, ranges[-1][0], created) <= PER_PAGE:
                ranges[-1] = ranges[-1][0], created
            else:
                ranges.append((created, created))
        return ranges

    def _reaches_back(self, page: RunPage) -> bool:
        """Whether the runs behind this page are known, too old, or none."""
        if not _goes_on(page):
            return True
        oldest = page.runs[-1]
        return oldest.created_at < self._since or oldest.id in self._known_before

    def _admit(self, page: RunPage) -> None:
        for run in page.runs:
            self._ledger.admit(run)
            self.read.add(run.id)
        # A cold reading ends with its pages; what is remembered must not grow beyond that from one to the next.
        if len(self._ledger.runs) > self._max_runs + KEPT_PER_WORKFLOW * len(self._ledger.workflows):
            raise self._too_many("more runs than `max_pages` allows")
        self._ledger.full_name = page.full_name or self._ledger.full_name
        self._ledger.web_url = page.web_url or self._ledger.web_url

    def _some_page(self, parameters: dict[str, str]) -> RunPage:
        page = self._page(parameters, etag=None)
        assert page is not None  # noqa: S101 (only a conditional request can be answered with 304)
        return page

    def _page(self, parameters: dict[str, str], *, etag: str | None) -> RunPage | None:
        """One page; None where nothing on it has changed since `etag`."""
        settings = self._github.settings
        with self._counting:
            self._pages_left -= 1
            exceeded = self._pages_left < 0
        if exceeded:
            raise self._too_many("more pages than `max_pages` allows")
        fixed = {"branch": settings.branch, "per_page": str(PER_PAGE), "exclude_pull_requests": "true"}
        answer = self._github.get_of_repo(
            "/actions/runs",
            about=f"workflow runs on {settings.branch}",
            params={**fixed, **parameters},
            etag=etag,
        )
        return None if answer.status == 304 else run_page(answer)

    def _too_many(self, came_back: str) -> SourceError:
        settings = self._github.settings
        tried = f"{self._github.source}: the workflow runs of {settings.repo} on {settings.branch}"
        return SourceError(Kind.OVERSIZED, tried, came_back, "Raise `max_pages`, or shorten `window`.")


def _goes_on(page: RunPage) -> bool:
    # A page may be short of runs that GitHub hides, and a proxy may drop the links.
    return bool(page.runs) and (page.has_next or len(page.runs) >= PER_PAGE)


def _range_parameters(bucket: Bucket) -> dict[str, str]:
    created = f"{bucket.since:%Y-%m-%dT%H:%M:%SZ}..{bucket.until:%Y-%m-%dT%H:%M:%SZ}"
    return {"created": created, "page": str(bucket.page)}


def _count(times: Sequence[datetime], since: datetime, until: datetime) -> int:
    return bisect_right(times, until) - bisect_left(times, since)
