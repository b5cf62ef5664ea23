"""Listings that lie about themselves: ids twice, pages that lead nowhere, totals that are none."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent
from hostile_support.gate import Behaviour, Exchange, Gate, Page
from hostile_support.playing import Play, assert_nothing_partial
from hostile_support.stages import BEGIN, Kind, Stage, of_github
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile

Edit = Callable[[Any, int], None]
"""Changes the document of the listing's n-th answer, which counts from one."""


def listing(edit: Edit, where: str) -> Callable[[], Behaviour]:
    """The source's true answers, those to `where` edited. Where it refuses a forged cursor, its first one stands."""

    def make() -> Behaviour:
        lock, first, numbers = threading.Lock(), list[Page](), itertools.count(1)

        def behave(exchange: Exchange) -> None:
            page = exchange.fetch()
            if where in exchange.target and page.status != 304:
                with lock:
                    first[:] = first or [page]
                    page = page if page.status == 200 and b'"errors"' not in page.body[:20] else first[0]
                    document = json.loads(page.body)
                    edit(document, next(numbers))
                page = Page(page.status, page.headers, json.dumps(document).encode())
            exchange.line.send(page.raw())

        return behave

    return make


def runs_of(document: Any) -> Any:
    return document["data"]["project"]["runs"]


def each_run_twice(document: Any, _: int) -> None:
    runs = runs_of(document)
    runs["edges"] = [edge for edge in runs["edges"] for _ in range(2)]


def the_first_page_within_the_second() -> Edit:
    remembered: list[Any] = []

    def edit(document: Any, number: int) -> None:
        if number == 1:
            remembered[:] = runs_of(document)["edges"]
        elif number == 2:
            runs_of(document)["edges"] += remembered

    return edit


def page_info(**changed: Any) -> Edit:
    return lambda document, _: runs_of(document)["pageInfo"].update(changed)


def a_circle(document: Any, number: int) -> None:
    runs_of(document)["pageInfo"].update(hasNextPage=True, endCursor=f"cursor {number % 2}")


def nothing_and_more(document: Any, number: int) -> None:
    runs_of(document)["pageInfo"].update(hasNextPage=True, endCursor=f"cursor {number}")
    runs_of(document)["edges"] = []


def empty_at_the_end(document: Any, _: int) -> None:
    """Where the listing ends it promises more, under the cursor of nothing: an answer that was seen live."""
    if not runs_of(document)["pageInfo"]["hasNextPage"]:
        runs_of(document)["pageInfo"]["hasNextPage"] = True
        if not runs_of(document)["edges"]:
            runs_of(document)["pageInfo"]["endCursor"] = None


def ten_twice(field: str) -> Edit:
    def edit(document: Any, _: int) -> None:
        entries = document[field]
        document[field] = [entry for entry in entries[:10] for _ in range(2)] + entries[10:]

    return edit


def the_last_page_within_the_next(field: str) -> Edit:
    remembered: list[Any] = []

    def edit(document: Any, _: int) -> None:
        entries = document[field]
        document[field] = remembered + entries
        remembered[:] = entries[-10:]

    return edit


def total(change: Callable[[int], int]) -> Edit:
    return lambda document, _: document.update(total_count=change(document["total_count"]))


RUNS, FLOWS, GRAPHQL = "/actions/runs?", "/actions/workflows?", "/graphql"

HARMLESS: dict[str, tuple[Kind, Callable[[], Behaviour]]] = {
    "wandb: each run twice": ("wandb", listing(each_run_twice, GRAPHQL)),
    "wandb: a page within the next": ("wandb", listing(the_first_page_within_the_second(), GRAPHQL)),
    "wandb: an empty page with more to come": ("wandb", listing(empty_at_the_end, GRAPHQL)),
    "github: runs twice": ("github", listing(ten_twice("workflow_runs"), RUNS)),
    "github: runs of one page on the next": ("github", listing(the_last_page_within_the_next("workflow_runs"), RUNS)),
    "github: workflows twice": ("github", listing(ten_twice("workflows"), FLOWS)),
    "github: a total of runs that is a page too low": ("github", listing(total(lambda n: n // 100 * 100), RUNS)),
    "github: a total of runs that is nothing": ("github", listing(total(lambda _: 0), RUNS)),
    "github: a total of runs below nothing": ("github", listing(total(lambda n: -n), RUNS)),
    "github: a total of workflows that is too high": ("github", listing(total(lambda n: n + 500), FLOWS)),
    "github: a total of workflows that is nothing": ("github", listing(total(lambda _: 0), FLOWS)),
}
"""What a check sees through: the figures are those of the true listing."""

REFUSED: dict[str, tuple[Kind, Callable[[], Behaviour], Called, str]] = {
    "wandb: a cursor that repeats": (
        "wandb",
        listing(page_info(hasNextPage=True, endCursor="again"), GRAPHQL),
        Called.MALFORMED,
        "the cursor repeats",
    ),
    "wandb: cursors in a circle": ("wandb", listing(a_circle, GRAPHQL), Called.MALFORMED, "the cursor repeats"),
    "wandb: more without a cursor": (
        "wandb",
        listing(page_info(hasNextPage=True, endCursor=None), GRAPHQL),
        Called.MALFORMED,
        "the cursor repeats",
    ),
    "wandb: empty pages for ever": ("wandb", listing(nothing_and_more, GRAPHQL), Called.OVERSIZED, "more than 8 pages"),
    "github: a total of a million": (
        "github",
        listing(total(lambda _: 10**6), RUNS),
        Called.OVERSIZED,
        "more pages than `max_pages` allows",
    ),
}
"""What would make a figure of part of the listing: the collection fails, and says so."""


@pytest.fixture(scope="module")
def long_listings(all_stages: Mapping[Kind, Stage], certificate: Path) -> Iterator[Mapping[Kind, Stage]]:
    """Every listing has several pages, at GitHub that of workflows and, behind the first page, that of older runs."""
    repository = edge_case_repository(BEGIN, workflows=120, runs_per_day=160, days=3)
    with of_github(repository) as server:
        yield {**all_stages, "github": Stage("github", server.port, server.port, certificate)}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_listing_that_is_seen_through(long_listings: Mapping[Kind, Stage], name: str) -> None:
    kind, make = HARMLESS[name]
    with Gate(long_listings[kind].before) as gate:
        truth, after = true_figures(long_listings[kind], gate)
        it = Play(long_listings[kind], gate)
        gate.stand(make())
        outcome = it.suffer(30.0)
        assert outcome.error is None, outcome.message
        assert outcome.figures(gate.url) == truth
        assert it.recover().figures(gate.url) == after


@pytest.mark.parametrize("name", REFUSED)
def test_a_listing_that_is_refused(long_listings: Mapping[Kind, Stage], name: str) -> None:
    kind, make, called, says = REFUSED[name]
    with Gate(long_listings[kind].before) as gate:
        it = Play(long_listings[kind], gate)
        gate.stand(make())
        outcome = it.suffer(30.0)
        assert isinstance(outcome.error, SourceError)
        assert (outcome.error.kind, says in outcome.message) == (called, True), outcome.message
        assert len(outcome.error.remedy) > 20
        assert_nothing_partial(outcome, kind)
        recovered = it.recover().figures(gate.url)
        datadog_agent.reset()
        assert recovered == Play(long_listings[kind], gate).recover().figures(gate.url)


def true_figures(stage: Stage, gate: Gate) -> tuple[Any, Any]:
    """What a check without a fault gives at the same two moments."""
    clean = Play(stage, gate)
    truth = clean.suffer(30.0)
    assert truth.error is None, truth.message
    after = clean.recover()
    datadog_agent.reset()
    return truth.figures(gate.url), after.figures(gate.url)
