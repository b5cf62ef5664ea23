"""Reading the listing of workflow runs: a first page whose address never changes, and closed ranges behind it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from metta_checks.ci.api_models import RunPage
from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.ledger import KEPT_PER_WORKFLOW, PAGE_SIZE, Bucket, Gap, Ledger
from metta_checks.ci.models import Run
from metta_checks.ci.pages import LISTED, GapReader, RunPages, goes_on, lacking
from metta_checks.core.errors import SourceError


class Listing:
    """Brings the runs of a ledger up to date; one object per collection.

    `read` are the ids that an answer of this collection vouched for, those behind a 304 included; `missing` are known
    runs that the first page should have and has not.
    """

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime, since: datetime, *, max_pages: int) -> None:
        self.read: set[int] = set()
        self.missing: list[int] = []
        self._github = github
        self._ledger = ledger
        self._now = now
        self._since = since
        self._max_runs = max_pages * PAGE_SIZE
        self._pages = RunPages(github, ledger, now, max_pages=max_pages)
        self._gaps = GapReader(github, ledger, self._pages, self._admit)
        self._known_before = frozenset(ledger.runs)
        self._front_changed = True

    @property
    def cold(self) -> bool:
        """Whether nothing was known when the collection began."""
        return not self._known_before

    @property
    def lacking(self) -> frozenset[int]:
        """Known runs that a range should have and has not."""
        return frozenset(self._gaps.lacking)

    @property
    def short(self) -> Sequence[Gap]:
        """The ranges of which GitHub listed less than there is."""
        return self._gaps.short

    def refresh(self) -> None:
        """All runs created since the last collection, or in the whole look-back where there was none.

        The listing is sorted by creation, newest first, so that a page whose last run is known is the last one
        needed. A time to stop at would lose what the listing shows late. What is behind the first page is a gap until
        it is read. Raises SourceError; the ledger then has what was read.
        """
        ledger = self._ledger
        page = self._pages.first(ledger.front_etag)
        if page is None:
            self._front_changed = False
            self.read.update(
                run_id
                for run_id, known in ledger.runs.items()
                if ledger.front_since is None or known.run.created_at > ledger.front_since
            )
        else:
            self._take_front(page)
        ledger.collected_at = self._now
        if page is not None and not self.cold and not self._reaches_back(page, self._pages.size):
            self._follow()
        self._read_gaps(with_buckets=not ledger.is_whole)

    def maintain(self) -> None:
        """Look at what lies behind the first page: a new bucket when enough has gathered, else the one that was not
        looked at for longest. A re-run of an old run shows there, and what the listing showed late. Where every
        collection has a new bucket, every other one looks at an old one too.

        As long as nothing happens that costs nothing: the look goes to a bucket that should not have changed.
        Raises SourceError.
        """
        ledger = self._ledger
        buckets = [bucket for bucket in ledger.buckets.values() if self._front_changed or not bucket.stale]
        opened = self._next_bucket() if self._front_changed else None
        if opened is not None:
            self._check(opened)
            ledger.covered_until = opened.until
        if buckets and (opened is None or ledger.look_is_due):
            self._check(min(buckets, key=lambda bucket: (not bucket.stale, bucket.checked_at, bucket.until)))
        ledger.look_is_due = opened is not None and not ledger.look_is_due
        self._read_gaps(with_buckets=False)

    def reread(self, runs: Iterable[Run]) -> list[SourceError]:
        """Read these runs again, neighbours in one request. Returns why some could not be read."""
        ranges = self._ranges(sorted(runs, key=lambda run: run.created_at))
        outcomes = run_concurrently([partial(self._whole_range, since, until) for since, until in ranges])
        for pages, _ in outcomes:
            for page in pages:
                self._admit(page)
        return [error for _, error in outcomes if error is not None]

    def _whole_range(self, since: datetime, until: datetime) -> tuple[list[RunPage], SourceError | None]:
        """The pages of a range, as far as they can be read, and why the others cannot."""
        pages: list[RunPage] = []
        try:
            while True:
                part = self._pages.of_range(since, until)
                pages += [page for page, _ in part.pages]
                oldest = min((run.created_at for run in part.runs), default=until)
                if part.error is not None or part.is_whole or oldest >= until:
                    return pages, part.error
                until = oldest
        except SourceError as error:
            return pages, error

    def _read_gaps(self, *, with_buckets: bool) -> None:
        try:
            self._gaps.read(with_buckets=with_buckets)
        finally:
            # They may be deleted, which GraphQL answers.
            self.read -= self._gaps.lacking

    def _take_front(self, page: RunPage) -> None:
        """The first page, and the gap behind it. It counts as read only where no run is missing that is known: a
        listing that is short is asked for again."""
        ledger, size, cold = self._ledger, self._pages.size, self.cold
        self.missing = missing = list(self._missing_in_front(page, size))
        newest = max((known.run.created_at for known in ledger.runs.values()), default=self._since)
        self._admit(page)
        ledger.front_etag = None if missing else page.etag
        if page.runs or not missing:
            # None says that the page is the whole listing.
            ledger.front_since = page.runs[-1].created_at if goes_on(page, size) else None
        if cold:
            ledger.covered_until = page.runs[-1].created_at if page.runs else self._since
        if not self._reaches_back(page, size):
            since = self._since if cold else max(newest, self._since)
            self._gaps.open(Gap(since, page.runs[-1].created_at))

    def _missing_in_front(self, page: RunPage, size: int) -> Iterator[int]:
        ids = {run.id for run in page.runs}
        oldest = page.runs[-1].created_at if goes_on(page, size) else self._since
        for run_id, known in self._ledger.runs.items():
            if known.run.created_at > oldest and not known.gone and run_id not in ids:
                yield run_id

    def _follow(self) -> None:
        """The pages behind the first one, until one that ends with a known run; what is left is a gap."""
        ledger, size = self._ledger, self._pages.size
        gap = ledger.gaps[-1]
        for number in range(2, LISTED // size + 1):
            try:
                behind = self._pages.front(number)
            except SourceError as error:
                if self._pages.shrink(error, size):
                    # By its range: pages of another size begin elsewhere.
                    return
                raise
            assert behind is not None  # noqa: S101 (only a conditional request can be answered with 304)
            self._admit(behind)
            others = tuple(one for one in ledger.gaps if one != gap)
            if behind.runs and self._is_known(behind.runs[-1]):
                ledger.gaps = others
                return
            if behind.runs:
                gap = replace(gap, until=min(gap.until, behind.runs[-1].created_at))
                ledger.gaps = (*others, gap)
            if not goes_on(behind, size):
                # It ends before what was known: whether it was short, the range shows.
                return

    def _check(self, bucket: Bucket) -> None:
        """Ask for a bucket. Where runs are missing that are known, it was not read, and is asked for again."""
        page = self._pages.bucket(bucket)
        if page is None:
            self._ledger.buckets[bucket.key] = replace(bucket, checked_at=self._now, stale=False)
            return
        before = frozenset(self._ledger.runs)
        self._admit(page)
        follows = goes_on(page, bucket.size)
        listed = {run.id for run in page.runs}
        is_all = bucket.page == 1 and not follows
        if is_all and lacking(self._ledger, bucket.since, bucket.until, listed):
            self._ledger.buckets[bucket.key] = replace(bucket, etag=None, stale=False)
            return
        newest = page.runs[0].created_at if page.runs else bucket.since
        checked = replace(bucket, etag=page.etag, newest=newest, checked_at=self._now, stale=False)
        self._ledger.buckets[checked.key] = checked
        behind = (bucket.since, bucket.until, bucket.page + 1)
        if follows and behind not in self._ledger.buckets and page.runs[-1].id not in before:
            self._gaps.open(Gap(bucket.since, page.runs[-1].created_at))

    def _next_bucket(self) -> Bucket | None:
        """The oldest hundred runs that lie between the buckets and the first page, once there are more than that."""
        ledger, size = self._ledger, self._pages.size
        if ledger.front_since is None or ledger.covered_until is None:
            return None
        times = sorted(
            known.run.created_at
            for known in ledger.runs.values()
            if ledger.covered_until < known.run.created_at < ledger.front_since
        )
        # A second is not divided between two buckets.
        inside = [moment for moment in times[:size] if moment < times[size]] if len(times) > size else []
        since = ledger.covered_until + timedelta(seconds=1)
        return Bucket(since, inside[-1], 1, None, inside[-1], self._now, size=size) if inside else None

    def _ranges(self, runs: Sequence[Run]) -> list[tuple[datetime, datetime]]:
        """Times of creation that hold these runs, which are in that order, with no more than a page of others."""
        known = sorted(known.run.created_at for known in self._ledger.runs.values())
        ranges: list[tuple[datetime, datetime]] = []
        for run in runs:
            created = run.created_at
            # Before the look-back most runs are forgotten, so that nobody knows how many lie between two.
            if ranges and ranges[-1][0] >= self._since and _count(known, ranges[-1][0], created) <= PAGE_SIZE:
                ranges[-1] = ranges[-1][0], created
            else:
                ranges.append((created, created))
        return ranges

    def _reaches_back(self, page: RunPage, size: int) -> bool:
        """Whether the runs behind this page are known, too old, or none."""
        return not goes_on(page, size) or self._is_known(page.runs[-1])

    def _is_known(self, run: Run) -> bool:
        """Whether what is older than this run is known, or too old to count."""
        return run.created_at < self._since or run.id in self._known_before

    def _admit(self, page: RunPage) -> None:
        # A cold reading ends with its pages; what is remembered must not grow beyond that from one to the next.
        new = sum(run.id not in self._ledger.runs for run in page.runs)
        if len(self._ledger.runs) + new > self._max_runs + KEPT_PER_WORKFLOW * len(self._ledger.workflows):
            raise self._pages.too_many("more runs than `max_pages` allows")
        for run in page.runs:
            self._ledger.admit(run)
            self.read.add(run.id)
        self._ledger.full_name = page.full_name or self._ledger.full_name
        self._ledger.web_url = page.web_url or self._ledger.web_url


def _count(times: Sequence[datetime], since: datetime, until: datetime) -> int:
    return bisect_right(times, until) - bisect_left(times, since)
