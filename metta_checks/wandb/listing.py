"""Whole listings of runs: pages of one project, and several projects in one request."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from metta_checks.core import Kind, SourceError
from metta_checks.wandb.api_models import MAX_NAME, RUN_BYTES, RunConnection, RunReader, UnknownStateError
from metta_checks.wandb.client import PageOfRuns, PageRequest, WandbClient
from metta_checks.wandb.graphql_errors import kind_of_text
from metta_checks.wandb.models import ProjectPath, Run
from metta_checks.wandb.query import asked_in_batch

SECOND_TRY: Final = 0.25
"""The share of a collection's time that has to be left for asking again what took too long."""

FIRST_GUESS: Final = 200
"""Runs that a project is asked for whose number is not known yet, where it shares a request with others."""

OUTAGE: Final = 3
"""Projects that the server cannot list, one after the other and none before, after which it is taken to be down."""

MAX_KEPT_BYTES: Final = 128 * 1024 * 1024
"""What the runs of one project may take in memory: those of 100,000 runs without values, or of 10,000 with 150 each."""

_OF_ALL: Final = frozenset({Kind.UNAUTHORISED, Kind.RATE_LIMITED, Kind.UNREACHABLE, Kind.REDIRECTED})
"""Refusals that the next request would get too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The runs of a project that `filters` (W&B's filter language, JSON) matches; all active ones when `full`.

    `expected` is about how many there are, None where nothing is known of the project.
    """

    project: ProjectPath
    filters: str
    full: bool = False
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class RunListing:
    """All runs that matched, each once, by id; `unknown` names those whose state this version does not support.

    `warnings` say what the server could not give.
    """

    runs: dict[str, Run]
    unknown: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Size:
    """How many runs a request asks for: `most`, or fewer where that was too much; `worked` is the last size that was
    not."""

    most: int
    size: int
    worked: int = 0

    def shrink(self) -> bool:
        """Whether there is a smaller size to try."""
        if self.size == 1:
            return False
        self.size = self.worked if 0 < self.worked < self.size else max(1, self.size // 4)
        return True

    def grow(self) -> None:
        """Try more again: what made pages too large or too slow may be gone."""
        self.size = min(self.most, 2 * self.size)


@dataclass(slots=True)
class _BatchSize:
    """How many runs a batch of projects asks for: `most`, or fewer where `refused` was too much."""

    most: int
    size: int
    refused: int | None = None

    def divide(self, asked: int) -> None:
        """So many runs were too much at once."""
        self.refused = min(asked, self.refused or asked)
        self.size = max(1, asked // 2)

    def succeeded(self) -> None:
        self.size = min(self.most, 2 * self.size, self.most if self.refused is None else max(1, self.refused // 2))


@dataclass(slots=True)
class _Pages:
    """What the pages of one listing gave. `expected` is W&B's own count of the runs, None where it has none."""

    found: dict[str, Run] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    number: int = 0
    rows: int = 0
    kept_bytes: int = 0
    expected: int | None = None

    def add(self, page: PageOfRuns, reader: RunReader) -> None:
        self.number += 1
        self.rows += len(page.runs.edges)
        # A run that is deleted while pages are read may move another over a seam: the largest count holds.
        self.expected = page.total if self.expected is None else max(self.expected, page.total or 0)
        faults = page.faults
        for row, edge in enumerate(page.runs.edges):
            try:
                run = reader.run(edge["node"], faults[row]) if row in faults else reader.run(edge["node"])
                self.found[run.id] = run
                self.kept_bytes += run.kept_bytes
            except UnknownStateError as error:
                self.unknown[edge["node"]["name"][:MAX_NAME]] = str(error)
                self.kept_bytes += RUN_BYTES + sys.getsizeof(str(error))
        require_room(self.kept_bytes, page.operation)

    @property
    def distinct(self) -> int:
        return len(self.found.keys() | self.unknown.keys())

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost at the seam of two pages, where rows may move while they are read (wandb#6614)."""
        if self.number == 1:
            return True
        return self.distinct == self.rows if self.expected is None else self.distinct >= self.expected


class RunListings:
    """Lists the runs of projects: `page_size` runs a request, at most `max_pages` requests for each project.

    A page that is too large or takes too long is asked for in smaller pages, and the size that worked is kept; a full
    listing tries a larger one again. A run that is too large by itself is read without its summary. A listing that lost
    a run between two pages is read once more.
    """

    def __init__(self, client: WandbClient, reader: RunReader, *, page_size: int, max_pages: int) -> None:
        self._client = client
        self._reader = reader
        self._page_size = page_size
        self._max_pages = max_pages
        self._sizes: dict[str, _Size] = {}
        self._batch = _BatchSize(page_size, page_size)
        self._lone: set[str] = set()

    def read(self, asked: Asked, first_page: PageOfRuns | None = None) -> RunListing:
        """The runs of one project. Raises SourceError when the listing cannot be read to its end: half a listing would
        count half the runs."""
        project = asked.project
        if asked.full and first_page is None:
            self._size_of(project).grow()
        pages = self._pages(asked, first_page)
        lost = ""
        if not pages.is_whole:
            again = self._pages(asked)
            # What only one of the two has may have been lost by the other.
            again.found = pages.found | again.found
            again.unknown = pages.unknown | again.unknown
            pages = again
            if pages.expected is not None and not pages.is_whole:
                lost = f"W&B counts {pages.expected:,} runs of project {project}, and lists {pages.distinct:,} of them"
        warnings = (*self._client.warnings, *((lost,) if lost else ()))
        return RunListing(pages.found, tuple(pages.unknown.values()), warnings)

    def read_all(self, several: Sequence[Asked]) -> Iterator[tuple[Asked, RunListing | SourceError]]:
        """The runs of several projects of one entity, several projects a request, as soon as each is complete.

        A batch is bounded by the runs that it asks for. One that the server refuses, or does not answer in time, is
        divided, and the size that worked is kept; a project that the server cannot list is asked for alone. What has
        more pages than one goes on alone. Projects whose turn does not come within the collection's time are missing.
        Raises SourceError for what concerns all that are left.
        """
        before = replace(self._batch)
        if any(asked.full for asked in several):
            self._batch.refused = None
        pending, failed, is_up = list(several), 0, False
        while pending and self._client.time_left > 0:
            batch = self._next_batch(pending)
            del pending[: len(batch)]
            if len(batch) == 1:
                outcome = self._alone(batch[0])
                is_up |= isinstance(outcome, RunListing)
                failed += self._note(batch[0], outcome)
                if isinstance(outcome, SourceError) and failed == OUTAGE and not is_up:
                    self._batch = before
                    raise outcome
                yield batch[0], outcome
                continue
            pages = self._batch_of(batch)
            for asked, page in zip(batch, pages, strict=True):
                if page is None:
                    pending.append(asked)
                else:
                    is_up |= isinstance(page, PageOfRuns)
                    yield asked, self._alone(asked, page) if isinstance(page, PageOfRuns) else page

    def _batch_of(self, batch: Sequence[Asked]) -> Sequence[PageOfRuns | SourceError | None]:
        """A page of each project; None for those that are to be asked for once more, in a smaller batch."""
        expected = list(map(self._expected, batch))
        # Where there is room for more runs than are expected, a project with more of them need not go on alone.
        room = max(1, self._batch.size // sum(expected))
        requests = [
            PageRequest(one.project, one.filters, min(room * first, self._size_of(one.project).size))
            for one, first in zip(batch, expected, strict=True)
        ]
        runs = sum(request.first for request in requests)
        try:
            pages = self._client.pages(requests)
        except SourceError as error:
            if error.kind in _OF_ALL:
                raise
            if self._client.time_left == 0:
                return [error] * len(batch)
            self._batch.divide(runs)
            return [None] * len(batch)
        again = [None if isinstance(page, SourceError) and _may_be_too_much(page) else page for page in pages]
        if None in again:
            self._batch.divide(runs)
        else:
            self._batch.succeeded()
        return again

    def _note(self, asked: Asked, outcome: RunListing | SourceError) -> bool:
        """Whether the server cannot list this project, which then shares no request with others."""
        broken = isinstance(outcome, SourceError) and _may_be_too_much(outcome)
        (self._lone.add if broken else self._lone.discard)(str(asked.project))
        return broken

    def retain(self, projects: Sequence[ProjectPath]) -> None:
        """Forget what is known of other projects."""
        names = set(map(str, projects))
        self._lone &= names
        self._sizes = {name: size for name, size in self._sizes.items() if name in names}

    def _next_batch(self, pending: Sequence[Asked]) -> list[Asked]:
        batch, runs = [pending[0]], self._expected(pending[0])
        if str(pending[0].project) in self._lone:
            return batch
        for asked in pending[1:]:
            runs += self._expected(asked)
            if runs > self._batch.size or str(asked.project) in self._lone:
                break
            batch.append(asked)
        return batch

    def _expected(self, asked: Asked) -> int:
        """How many runs a project is asked for in a batch: those that are expected, and some more."""
        expected = asked.expected
        first = FIRST_GUESS if expected is None else asked_in_batch(expected)
        return min(first, self._size_of(asked.project).size)

    def _alone(self, asked: Asked, first_page: PageOfRuns | None = None) -> RunListing | SourceError:
        try:
            return self.read(asked, first_page)
        except SourceError as error:
            if error.kind in _OF_ALL:
                raise
            return error

    def _pages(self, asked: Asked, first_page: PageOfRuns | None = None) -> _Pages:
        pages = _Pages()
        cursor: str | None = None
        seen: set[str | None] = {None}
        requested = 0
        while requested < self._max_pages * self._page_size:
            page = first_page if first_page is not None and cursor is None else self._page(asked, cursor)
            requested += self._size_of(asked.project).size
            # A server that lists runs twice is seen through; one that lists without an end is not.
            if len(page.runs.edges) > 2 * self._page_size:
                remedy = "Check `base_url`; if it is right, this version does not support the server's responses."
                detail = f"{len(page.runs.edges):,} runs on a page of {self._page_size:,}"
                raise SourceError(Kind.MALFORMED, page.operation, detail, remedy)
            pages.add(page, self._reader)
            if not _goes_on(page.runs, seen):
                return pages
            cursor = page.runs.pageInfo.endCursor
            if cursor in seen:
                remedy = "The next collection tries again; if the error persists, look at W&B's status page."
                raise SourceError(Kind.MALFORMED, page.operation, "more pages, but the cursor repeats", remedy)
            seen.add(cursor)
        detail = f"more than {self._max_pages} pages of {self._page_size} runs"
        remedy = "Raise `max_pages` or `page_size`, or shorten `timeframe`."
        raise SourceError(Kind.OVERSIZED, page.operation, detail, remedy)

    def _page(self, asked: Asked, cursor: str | None) -> PageOfRuns:
        """One page, in the largest size that the server and `max_response_bytes` can take."""
        size = self._size_of(asked.project)
        before = size.size
        while True:
            try:
                page = self._client.page(PageRequest(asked.project, asked.filters, size.size, cursor))
            except SourceError as error:
                slow = error.kind is Kind.TIMED_OUT
                if not (slow or _is_too_large(error)):
                    raise
                if slow and self._client.time_left < SECOND_TRY:
                    raise
                if size.shrink():
                    continue
                if slow:
                    raise
                # The next ones need not be that large.
                size.size = before
                return self._without_summary(asked, cursor, error)
            else:
                size.worked = size.size
                return page

    def _without_summary(self, asked: Asked, cursor: str | None, error: SourceError) -> PageOfRuns:
        """The one run whose page is too large, which costs it its summary alone."""
        page = self._client.page(PageRequest(asked.project, asked.filters, 1, cursor, summaries=False))
        return replace(page, faults={0: {**page.faults.get(0, {}), "summaryMetrics": error.detail}})

    def _size_of(self, project: ProjectPath) -> _Size:
        return self._sizes.setdefault(str(project), _Size(self._page_size, self._page_size))


def require_room(kept_bytes: int, operation: str) -> None:
    """Raises SourceError where the runs of a project take more than `MAX_KEPT_BYTES`."""
    if kept_bytes > MAX_KEPT_BYTES:
        detail = f"the runs take more than {MAX_KEPT_BYTES // 2**20} MiB of memory"
        remedy = "Shorten `timeframe`, or name fewer `metrics`: a pattern may match many."
        raise SourceError(Kind.OVERSIZED, operation, detail, remedy)


def _goes_on(page: RunConnection, seen: set[str | None]) -> bool:
    """Whether there is another page. An empty one that promises more and leads nowhere has been seen live: it is the
    last one."""
    return page.pageInfo.hasNextPage and not (page.pageInfo.endCursor in seen and not page.edges)


def _is_too_large(error: SourceError) -> bool:
    """Whether a smaller page may help. Some servers refuse a query as too complex with an HTTP 400."""
    return error.kind is Kind.OVERSIZED or (
        error.kind is Kind.REJECTED and kind_of_text(error.detail) is Kind.OVERSIZED
    )


def _may_be_too_much(error: SourceError) -> bool:
    """Whether the error of one project in a batch may be gone when the batch is smaller."""
    return _is_too_large(error) or error.kind in {Kind.SERVER_ERROR, Kind.TIMED_OUT}
