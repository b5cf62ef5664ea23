"""Pages of runs: filtered, in an order, continued from a cursor that remembers a place in that order."""

from __future__ import annotations

import base64
import json
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from metta_checks.simulator.wandb_filters import Predicate, getter
from metta_checks.simulator.wandb_project import DemoProject, DemoRun

PAGE_LIMIT = 1000
"""What W&B gives at most, whatever `first` asks for."""

DEFAULT_PAGE = 50

Key = tuple[int, Any, str]


class PagingError(ValueError):
    """An order or a cursor that the server refuses."""


@dataclass(frozen=True, slots=True)
class PageEdge:
    """One place in a list. `node` is a run, or what else comes in pages."""

    node: Any
    key: Key

    @property
    def cursor(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(self.key).encode()).decode()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and whether there is more behind it."""

    edges: list[PageEdge]
    has_next_page: bool

    @property
    def end_cursor(self) -> str | None:
        return self.edges[-1].cursor if self.edges else None


def page_of(
    project: DemoProject, matches: Predicate, *, order: str | None, first: int | None, after: str | None
) -> Page:
    """The `first` runs that match and come after the cursor.

    A cursor is a place in the order, not a position: a run whose heartbeat moves while pages are
    read comes twice or not at all, as with the service. Raises `PagingError`.
    """
    key_of, descending = _order(order or "+created_at")
    runs = [(key_of(run), run) for run in project.runs]
    if after:
        place = _place(after)
        runs = [(key, run) for key, run in runs if (key < place if descending else key > place)]
    found = [item for item in runs if matches(item[1])]
    found.sort(key=itemgetter(0), reverse=descending)
    size = _size(first)
    return Page([PageEdge(run, key) for key, run in found[:size]], has_next_page=len(found) > size)


def list_page(items: Sequence[object], *, first: int | None = None, after: str | None = None) -> Page:
    """A page of a short list that keeps its order: projects, sweeps."""
    places = range(len(items))
    start = bisect_right(places, _place(after), key=_place_key) if after else 0
    end = start + _size(first)
    return Page(
        [PageEdge(items[place], _place_key(place)) for place in places[start:end]], has_next_page=len(items) > end
    )


def _place_key(place: int) -> Key:
    return 1, place, ""


def _size(first: int | None) -> int:
    if first is None:
        return DEFAULT_PAGE
    if not isinstance(first, int) or first < 0:
        raise PagingError(f"first must be a whole number, not {first!r}")
    return min(first, PAGE_LIMIT)


def _order(order: str) -> tuple[Callable[[DemoRun], Key], bool]:
    get = getter(order.lstrip("+-"))
    if get is None:
        raise PagingError(f"unknown order {order!r}")

    def key_of(run: DemoRun) -> Key:
        rank, value = _sortable(get(run))
        return rank, value, run.id

    return key_of, order.startswith("-")


def _sortable(value: Any) -> tuple[int, Any]:
    """Nothing first, then numbers, then texts: values of different kinds do not compare."""
    if isinstance(value, str):
        return 2, value
    if isinstance(value, int | float) and not math.isnan(value):
        return 1, value
    return 0, None


def _place(cursor: str) -> Key:
    try:
        rank, value, run_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, TypeError) as error:
        raise PagingError(f"invalid cursor {cursor!r}") from error
    if _sortable(value) != (rank, value) or not isinstance(run_id, str):
        raise PagingError(f"invalid cursor {cursor!r}")
    return rank, value, run_id
