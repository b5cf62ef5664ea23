"""Reading the listing of workflow runs: a first page whose address never changes, and closed ranges behind it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from metta_checks.ci.api_models import RunPage
from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.ledger import PAGE_SIZE, Bucket, Gap, ListingState
from metta_checks.ci.models import RepositoryName, WorkflowRun
from metta_checks.ci.pages import LISTED, GapReader, RunPages, goes_on
from metta_checks.ci.runs import KEPT_PER_WORKFLOW, RunTable
from metta_checks.core.errors import SourceError

LOOK_WAITS: Final = timedelta(hours=6)
"""How long a look that costs quota is put off in a repository where nothing else happens."""

UNREAD_FIRST: Final = 4
"""How many times as often as others a page has its turn that was not read since it moved."""


class Listing:
    """Brings a table of runs up to date; one object per collection.

    `read` are the ids that an answer of this collection vouched for, those behind a 304 included; `missing` are known
    runs that the first page should have and has not, and `is_front_short` that it has less than half of the runs that
    its count promises; `invalid` says what is wrong with runs that cannot be read.
    `is_front_read` says that the first page was answered, and
    `repository` is the name that the runs have. `workflows` is how many the repository is known to have.
    """

    def __init__(
        self,
        github: GitHub,
        runs: RunTable,
        before: ListingState,
        now: datetime,
        since: datetime,
        *,
        max_pages: int,
        workflows: int,
    ) -> None:
        self.read: set[int] = set()
        self.missing: list[int] = []
        self.is_front_short = False
        self.invalid: set[str] = set()
        self.is_front_read = False
        self.repository: RepositoryName | None = None
        self._runs = runs
        self._state = before
        self._now = now
        self._since = since
        # A cold reading ends with its pages; what is remembered must not grow beyond that from one to the next.
        self._max_runs = max_pages * PAGE_SIZE + KEPT_PER_WORKFLOW * workflows
        self._pages = RunPages(github, before.page_size, now, max_pages=max_pages)
        self._ranges = GapReader(self._pages, runs, self._admit, before.gaps, before.buckets)
        self._known_before = frozenset(runs.known)
        self._front_changed = True

    @property
    def state(self) -> ListingState:
        """How far it is read by now, without the buckets that are out of the look-back."""
        ranges = self._ranges
        buckets = tuple(bucket for bucket in ranges.buckets.values() if bucket.newest >= self._since)
        return replace(self._state, buckets=buckets, gaps=ranges.gaps, page_size=self._pages.answered)

    @property
    def page_size(self) -> int:
        """How many runs a page has that the server answers."""
        return self._pages.size

    @property
    def gaps(self) -> Sequence[Gap]:
        """The ranges that are not read yet."""
        return self._ranges.gaps

    @property
    def cold(self) -> bool:
        """Whether nothing was known when the collection began."""
        return not self._known_before

    @property
    def lacking(self) -> frozenset[int]:
        """Known runs that a range should have and has not."""
        return frozenset(self._ranges.lacking)

    @property
    def short(self) -> Sequence[Gap]:
        """The ranges of which GitHub listed less than there is."""
        return self._ranges.short

    def refresh(self, *, with_buckets: bool) -> None:
        """All runs created since the last collection, or in the whole look-back where there was none. `with_buckets`:
        what is read of the ranges becomes buckets.

        The listing is sorted by creation, newest first, so that a page whose last run is known is the last one
        needed. A time to stop at would lose what the listing shows late. What is behind the first page is a gap until
        it is read. Raises SourceError; what was read until then counts.
        """
        page = self._pages.first(self._state.front_etag)
        if page is None:
            self._front_changed = False
            front_since = self._state.front_since
            self.read.update(
                run_id
                for run_id, known in self._runs.known.items()
                if front_since is None or known.run.created_at > front_since
            )
        else:
            self._take_front(page)
        self.is_front_read = True
        if page is not None and not self.cold and not self._reaches_back(page, self._pages.size):
            self._follow()
        self._read_gaps(with_buckets=with_buckets)

    def maintain(self) -> None:
        """Look at what lies behind the first page: a new bucket when enough has gathered, else the one that was not
        looked at for longest. A re-run of an old run shows there, and what the listing showed late. Where every
        collection has a new bucket, every other one looks at an old one too.

        As long as nothing happens that costs nothing: the look goes to a bucket that should not have changed.
        Raises SourceError.
        """
        if self._pages.left < 1:
            return
        opened = self._next_bucket() if self._front_changed else None
        middle = self._middle()
        if opened is not None:
            self._check(opened)
            self._state = replace(self._state, covered_until=opened.until)
        self._move(middle, is_read=opened is not None)
        buckets = [bucket for bucket in self._ranges.buckets.values() if bucket != opened and self._is_due(bucket)]
        if buckets and (opened is None or self._state.look_is_due):
            self._check(min(buckets, key=self._turn))
        self._state = replace(self._state, look_is_due=opened is not None and not self._state.look_is_due)
        self._read_gaps(with_buckets=False)

    def _middle(self) -> list[Bucket]:
        """The pages between the buckets that stay and the first page."""
        covered_until = self._state.covered_until
        buckets = self._ranges.buckets.values()
        return [bucket for bucket in buckets if covered_until is not None and bucket.since > covered_until]

    def _move(self, middle: list[Bucket], *, is_read: bool) -> None:
        """What lies between the buckets and the first page, too little for a bucket that stays, is one for as long as
        the first page is the same: a run that is listed late may lie there. Its turn stays when it moves, unless a new
        bucket of this collection has most of it."""
        covered_until, front_since = self._state.covered_until, self._state.front_since
        if covered_until is None or any(one.until == front_since and one.since > covered_until for one in middle):
            return
        for bucket in middle:
            del self._ranges.buckets[bucket.key]
        if front_since is not None and covered_until < front_since:
            checked_at = min((bucket.checked_at for bucket in middle), default=covered_until)
            checked_at = self._now if is_read else checked_at
            since = covered_until + timedelta(seconds=1)
            moved = Bucket(since, front_since, 1, None, front_since, checked_at, size=self._pages.size)
            self._ranges.buckets[moved.key] = moved

    def _turn(self, bucket: Bucket) -> tuple[bool, timedelta, datetime]:
        """In which order buckets are looked at: first the one that has changed, or has waited for longest."""
        waited = self._now - bucket.checked_at
        return not bucket.stale, -waited * (1 if bucket.etag else UNREAD_FIRST), bucket.until

    def _is_due(self, bucket: Bucket) -> bool:
        """Whether a look at a bucket is free, or something happened anyway, or it has waited for that long enough."""
        waited = self._now - bucket.checked_at >= LOOK_WAITS
        return self._front_changed or (not bucket.stale and (bucket.etag is not None or waited))

    def mark_stale(self, created_at: datetime) -> None:
        """A run of this time was seen to have changed, so that the pages that list it have changed too."""
        self._ranges.mark_stale(created_at)

    def reread(self, runs: Iterable[WorkflowRun]) -> list[SourceError]:
        """Read these runs again, neighbours in one request. Returns why some could not be read."""
        ranges = self._ranges_of(sorted(runs, key=lambda run: run.created_at))
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
            self._ranges.read(with_buckets=with_buckets)
        finally:
            # They may be deleted, which GraphQL answers.
            self.read -= self._ranges.lacking

    def _take_front(self, page: RunPage) -> None:
        """The first page, and the gap behind it. It counts as read only where no run is missing that is known: a
        listing that is short is asked for again."""
        size, cold = self._pages.size, self.cold
        self.missing = missing = list(self._missing_in_front(page, size))
        self.is_front_short = 2 * len(page.runs) < min(size, page.total)
        newest = max((known.run.created_at for known in self._runs.known.values()), default=self._since)
        self._admit(page)
        state = replace(self._state, front_etag=None if missing else page.etag)
        if page.runs or not missing:
            state = replace(state, front_since=page.runs[-1].created_at if goes_on(page, size, 1) else None)
        if cold:
            state = replace(state, covered_until=page.runs[-1].created_at if page.runs else self._since)
        self._state = state
        if not self._reaches_back(page, size):
            since = self._since if cold else max(newest, self._since)
            self._ranges.open(Gap(since, page.runs[-1].created_at))

    def _missing_in_front(self, page: RunPage, size: int) -> Iterator[int]:
        ids = {run.id for run in page.runs}
        oldest = page.runs[-1].created_at if goes_on(page, size, 1) else self._since
        for run_id, known in self._runs.known.items():
            if known.run.created_at > oldest and not known.gone and run_id not in ids:
                yield run_id

    def _follow(self) -> None:
        """The pages behind the first one, until one that ends with a known run; what is left is a gap."""
        size = self._pages.size
        gap = self._ranges.gaps[-1]
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
            if behind.runs and self._is_known(behind.runs[-1]):
                self._ranges.replace(gap, None)
                return
            if behind.runs:
                rest = replace(gap, until=min(gap.until, behind.runs[-1].created_at))
                self._ranges.replace(gap, rest)
                gap = rest
            if not behind.has_next and len(behind.runs) < size:
                # It ends before what was known, or lacks runs: the range shows it.
                return

    def _check(self, bucket: Bucket) -> None:
        """Ask for a bucket. Where runs are missing that are known, it was not read, and is asked for again."""
        buckets, before = self._ranges.buckets, frozenset(self._runs.known)
        page = self._pages.bucket(bucket)
        if page is None:
            buckets[bucket.key] = replace(bucket, checked_at=self._now, stale=False)
            return
        self._admit(page)
        follows = goes_on(page, bucket.size, bucket.page)
        listed = {run.id for run in page.runs}
        is_all = bucket.page == 1 and not follows
        if is_all and self._runs.lacking(bucket.since, bucket.until, listed):
            buckets[bucket.key] = replace(bucket, etag=None, stale=False)
            return
        newest = page.runs[0].created_at if page.runs else bucket.since
        buckets[bucket.key] = replace(bucket, etag=page.etag, newest=newest, checked_at=self._now, stale=False)
        behind = replace(bucket, page=bucket.page + 1, etag=None, newest=newest)
        if not follows or behind.key in buckets:
            return
        if page.runs[-1].id not in before:
            self._ranges.open(Gap(bucket.since, page.runs[-1].created_at))
        elif (page.has_next or page.total > bucket.page * bucket.size) and behind.page * bucket.size <= LISTED:
            # What came late to this page pushed known runs behind it, and what came late there is not known.
            self._check(behind)

    def _next_bucket(self) -> Bucket | None:
        """The oldest hundred runs that lie between the buckets and the first page, once there are more than that."""
        front_since, covered_until, size = self._state.front_since, self._state.covered_until, self._pages.size
        if front_since is None or covered_until is None:
            return None
        created = (known.run.created_at for known in self._runs.known.values())
        times = sorted(moment for moment in created if covered_until < moment < front_since)
        # A second is not divided between two buckets.
        inside = [moment for moment in times[:size] if moment < times[size]] if len(times) > size else []
        since = covered_until + timedelta(seconds=1)
        return Bucket(since, inside[-1], 1, None, inside[-1], self._now, size=size) if inside else None

    def _ranges_of(self, runs: Sequence[WorkflowRun]) -> list[tuple[datetime, datetime]]:
        """Times of creation that hold these runs, which are in that order, with no more than a page of others."""
        known = sorted(known.run.created_at for known in self._runs.known.values())
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
        return not goes_on(page, size, 1) or self._is_known(page.runs[-1])

    def _is_known(self, run: WorkflowRun) -> bool:
        """Whether what is older than this run is known, or too old to count."""
        return run.created_at < self._since or run.id in self._known_before

    def _admit(self, page: RunPage) -> None:
        new = sum(run.id not in self._runs.known for run in page.runs)
        if len(self._runs.known) + new > self._max_runs:
            raise self._pages.too_many("more runs than `max_pages` allows")
        for run in page.runs:
            self._runs.admit(run)
            self.read.add(run.id)
        self.invalid.update(page.invalid)
        self.repository = page.repository or self.repository


def _count(times: Sequence[datetime], since: datetime, until: datetime) -> int:
    return bisect_right(times, until) - bisect_left(times, since)
