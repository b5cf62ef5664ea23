"""Ranges of times of creation whose runs are not all read yet: after a start, after a burst, or where GitHub listed
fewer runs than there are.

Filtered listings are empty or short for minutes (cli/cli#5440, action-download-artifact#147): a range counts as read
only when nothing that is known speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import Gap, Ledger
from metta_checks.ci.pages import LISTED, RangePages, RunPages
from metta_checks.ci.wire import RunPage
from metta_checks.core.errors import Kind, SourceError

PATIENCE: Final = 10
"""Collections in which a range may lack a run that is known before it is taken as it is: the run may be deleted."""

PATIENCE_WITH_COUNTS: Final = 2
"""The same for a range that lacks nothing but runs that GitHub counts: it may hide them for good."""


class GapReader:
    """Reads the gaps of a ledger, which holds what is left of them at any moment.

    `admit` takes a page of runs. `short` are the gaps that were short this time, `lacking` the known runs that were
    not listed.
    """

    def __init__(self, github: GitHub, ledger: Ledger, pages: RunPages, admit: Callable[[RunPage], None]) -> None:
        self._github = github
        self._ledger = ledger
        self._pages = pages
        self._admit = admit
        self.short: list[Gap] = []
        self.lacking: set[int] = set()

    def open(self, gap: Gap) -> None:
        """Note that the runs in this range are not known."""
        self._ledger.gaps = (*self._ledger.gaps, gap)

    def read(self, *, with_buckets: bool) -> None:
        """Read all gaps, newest first. Raises SourceError; what was read until then is in the ledger."""
        for gap in sorted(self._ledger.gaps, key=lambda gap: gap.until, reverse=True):
            self._fill(gap, with_buckets=with_buckets)

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
            gap = self._replace(gap, self._behind(gap, part))
            if part.error is not None and not self._pages.shrink(part.error, part.size):
                raise part.error
        if part.error is not None:
            raise part.error
        lacks = lacking(self._ledger, whole.since, whole.until, listed)
        self.lacking |= lacks
        lacks_known = bool(lacks)
        is_short = lacks_known or len({run.id for run in runs}) < max(part.total, gap.remaining)
        if not is_short and with_buckets and not self._agrees_with_front(whole):
            is_short = lacks_known = True
        if not is_short or self._is_accepted(whole, listed, lacks_known=lacks_known):
            self._replace(gap, None)
            return
        buckets = self._ledger.buckets.items()
        self._ledger.buckets = {key: one for key, one in buckets if one.until > whole.until or one.since < whole.since}
        left = replace(
            whole,
            remaining=max(part.total - len(runs), 0),
            short_answers=whole.short_answers + 1,
            listed=len(listed),
        )
        self._replace(gap, left)
        self.short.append(left)

    def _take(self, part: RangePages, *, with_buckets: bool) -> None:
        for page, bucket in part.pages:
            self._admit(page)
            if with_buckets and page.runs:
                self._ledger.buckets[bucket.key] = bucket

    def _behind(self, gap: Gap, part: RangePages) -> Gap:
        """What is left of a gap behind these pages. Raises SourceError where that is as much as before."""
        oldest = min(run.created_at for run in part.runs)
        if part.error is None and oldest >= gap.until:
            operation = f"{self._github.source}: the workflow runs of {self._github.settings.repo}"
            raise SourceError(Kind.OVERSIZED, operation, f"more than {LISTED} in one second", "Watch another branch.")
        return replace(gap, until=oldest, remaining=max(part.total - len(part.runs), 0))

    def _agrees_with_front(self, gap: Gap) -> bool:
        """Whether the listing without a range has no run behind those that are known now, one page of it. It cannot
        be compared while there are other gaps."""
        if len(self._ledger.gaps) > 1:
            return True
        size = self._pages.size
        known = sum(one.run.created_at >= gap.since and not one.gone for one in self._ledger.runs.values())
        number = min(known // size + 1, LISTED // size)
        before = frozenset(self._ledger.runs)
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

    def _replace(self, gap: Gap, left: Gap | None) -> Gap:
        """`left` in the place of a gap, or nothing. Returns `left`, or the gap where nothing is."""
        others = [one for one in self._ledger.gaps if one != gap]
        self._ledger.gaps = tuple(others if left is None else [*others, left])
        return left or gap


def lacking(ledger: Ledger, since: datetime, until: datetime, listed: Collection[int]) -> set[int]:
    """The runs of this range that are known, and not known to be deleted, and were not listed."""
    return {
        run_id
        for run_id, known in ledger.runs.items()
        if since <= known.run.created_at <= until and run_id not in listed and not known.gone
    }
