"""What the check remembers of a repository from one collection to the next.

A ledger is a value. Each of its parts has one owner during a collection, which begins with the part as the last
collection left it and gives the part that replaces it; `Reading.ledger` puts the parts together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Final, NamedTuple, TypeVar

from pydantic import AwareDatetime, PlainSerializer

from metta_checks.ci.models import QueuePage, RepositoryName, WaitingJobs, Workflow
from metta_checks.ci.runs import TrackedRun

CLOCK_SLACK: Final = timedelta(hours=1)
"""A clock that was set back by more than this makes what is remembered worthless."""

PAGE_SIZE: Final = 100
"""Runs on a page of a listing, unless the server refuses as many."""

BATCH_SIZE: Final = 1_500
"""Runs that one GraphQL query asks for, unless the server refuses as many."""

REDUCED_SIZE_LIFETIME: Final = timedelta(hours=6)
"""How long a smaller size is used before the usual one is tried again."""


class AnsweredSize(NamedTuple):
    """How many items at a time the server answers, and since when, where they are fewer than usual."""

    size: int
    since: AwareDatetime | None = None

    def at(self, now: datetime, sizes: Sequence[int]) -> AnsweredSize:
        """This one while it holds; then the first of `sizes`, which is the usual one, is tried again."""
        holds = self.since is not None and timedelta(0) <= now - self.since < REDUCED_SIZE_LIFETIME
        return self if holds and self.size in sizes else AnsweredSize(sizes[0])


FULL_PAGE: Final = AnsweredSize(PAGE_SIZE)
FULL_BATCH: Final = AnsweredSize(BATCH_SIZE)


T = TypeVar("T")

Names = Annotated[frozenset[T], PlainSerializer(sorted)]
"""Saved in one order, so that an equal ledger is an equal text."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A page of a listing between two fixed times of creation: its address never changes, so that an ETag answers
    for it. `newest` is the creation of its newest run; `stale` says that the ETag no longer holds, as a change there
    was seen elsewhere."""

    since: AwareDatetime
    until: AwareDatetime
    page: int
    etag: str | None
    newest: AwareDatetime
    checked_at: AwareDatetime
    stale: bool = False
    size: int = PAGE_SIZE

    @property
    def key(self) -> tuple[datetime, datetime, int]:
        return self.since, self.until, self.page


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of times of creation, both ends included, whose runs are not all read yet.

    `remaining` is how many runs GitHub counts in it, 0 where it was not read yet. `short_answers` counts the
    collections in which GitHub listed fewer runs than there are, `listed` how many it listed in the last of them.
    """

    since: AwareDatetime
    until: AwareDatetime
    remaining: int = 0
    short_answers: int = 0
    listed: int | None = None


@dataclass(frozen=True, slots=True)
class ListingState:
    """How far the listing of runs was read; `Listing` owns it.

    `front_since` is the creation of the oldest run on the first page, None where that page is the whole listing, and
    `covered_until` that of the newest run in a bucket. `look_is_due` says that the last collection did not look at a
    bucket that it had. `gaps` are the ranges that are not read yet.
    """

    front_etag: str | None = None
    front_since: AwareDatetime | None = None
    covered_until: AwareDatetime | None = None
    look_is_due: bool = False
    buckets: tuple[Bucket, ...] = ()
    gaps: tuple[Gap, ...] = ()
    page_size: AnsweredSize = FULL_PAGE


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A page of the list of workflows: its ETag, and whom it holds."""

    etag: str | None
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkflowList:
    """The repository's workflows; `Workflows` owns it."""

    by_id: Mapping[int, Workflow] = field(default_factory=dict)
    pages: tuple[ListingPage, ...] = ()
    listed_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class FileNames:
    """The names in the branch's folder of workflows, None while they are not known; `WorkflowFiles` owns them. `etag`
    and `read_at` are of REST's answer."""

    names: Names[str] | None = None
    etag: str | None = None
    read_at: AwareDatetime | None = None


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The names that the labels of the options have in the repository; `LabelCounts` owns them.

    `spellings` is by the option's label, None where there was none when the repository's labels were listed, at
    `listed_at`. `crowded` are those with more pull requests than are read, and when that was found.
    """

    spellings: Mapping[str, str | None] = field(default_factory=dict)
    listed_at: AwareDatetime | None = None
    crowded: Mapping[str, AwareDatetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that is remembered.

    `started_at` is the first collection ever, `is_whole` says that the first reading was complete once, and
    `was_set_back` that the clock was, until the first reading after that is complete. `catch_up_is_due`: the time of a
    first reading was up behind its listing. `watch_again_at`: runs are not watched by GraphQL before. `searched` are
    workflows without a decisive run on the branch. `queue` has the pages of the queue by status; `jobs` are the
    attempts whose jobs are still to be read, the longest-waiting first. `verdicts` are the last decided ones with their
    values, by metric.
    """

    started_at: AwareDatetime | None = None
    collected_at: AwareDatetime | None = None
    is_whole: bool = False
    was_set_back: bool = False
    catch_up_is_due: bool = False
    watch_again_at: AwareDatetime | None = None
    repository: RepositoryName | None = None
    runs: Mapping[int, TrackedRun] = field(default_factory=dict)
    listing: ListingState = field(default_factory=ListingState)
    workflows: WorkflowList = field(default_factory=WorkflowList)
    files: FileNames = field(default_factory=FileNames)
    searched: Names[int] = frozenset()
    labels: LabelNames = field(default_factory=LabelNames)
    batch_size: AnsweredSize = FULL_BATCH
    queue: Mapping[str, tuple[QueuePage, ...]] = field(default_factory=dict)
    jobs: tuple[WaitingJobs, ...] = ()
    job_page_size: AnsweredSize = FULL_PAGE
    verdicts: Mapping[str, tuple[bool, float]] = field(default_factory=dict)

    def at(self, now: datetime, since: datetime) -> Ledger:
        """The ledger with which a collection begins that looks back to `since`. What was remembered before a gap longer
        than that says nothing about the runs in the gap, so that only the first collection's time and the verdicts
        survive it.

        Where the clock was set back, the runs that it had put out of sight are forgotten, and whether their durations
        were reported: it counts as the first collection ever, so that none is reported twice.
        """
        last = self.collected_at
        if last is None or not since <= last <= now + CLOCK_SLACK:
            set_back = last is not None and last > now
            started_at = None if set_back else self.started_at
            return Ledger(started_at=started_at, verdicts=self.verdicts, was_set_back=set_back)
        clipped = (replace(gap, since=max(gap.since, since)) for gap in self.listing.gaps)
        gaps = tuple(gap for gap in clipped if gap.since <= gap.until)
        return replace(self, listing=replace(self.listing, gaps=gaps))
