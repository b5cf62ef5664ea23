"""How a listing is read over its pages, and when it counts as whole."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_server import WandbServer

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]
Fault = Callable[..., SourceError]
Answers = Callable[..., None]

WHOLE = Path(__file__).parents[1] / "fixtures" / "wandb" / "graphql" / "runs.json"


def page(*names: str, cursor: str | None, more: bool) -> Any:
    """A page of running runs with these ids."""
    document = json.loads(WHOLE.read_text(encoding="utf-8"))
    listing = document["data"]["project"]["runs"]
    edges = [copy.deepcopy(listing["edges"][0]) for _ in names]
    for edge, name in zip(edges, names, strict=True):
        edge["node"]["name"] = name
    listing["edges"] = edges
    listing["pageInfo"] = {"endCursor": cursor, "hasNextPage": more}
    return document


def run_ids(figures: Figures) -> set[str]:
    return {tag for tags in figures["wandb.run.duration_hours"] for tag in tags if tag.startswith("run_id:")}


@pytest.mark.parametrize(
    ("pages", "names"),
    [
        pytest.param([page("a", cursor="1", more=False)], "a", id="one page"),
        pytest.param([page("a", cursor="1", more=True), page("b", cursor="2", more=False)], "ab", id="two pages"),
        pytest.param(
            [page("a", cursor="1", more=True), page(cursor="2", more=True), page("b", cursor="3", more=False)],
            "ab",
            id="an empty page, and more behind it",
        ),
        pytest.param(
            [page("a", cursor="1", more=True), page(cursor="1", more=True)],
            "a",
            id="an empty page that promises more and leads nowhere",
        ),
        pytest.param(
            [page("a", cursor="1", more=True), page(cursor=None, more=True)],
            "a",
            id="an empty page that promises more without a cursor",
        ),
        pytest.param(
            [page("a", cursor="1", more=False), page("b", cursor="2", more=False)],
            "a",
            id="no more is no more",
        ),
        pytest.param(
            [page("a", "b", cursor="1", more=True), page("b", "c", cursor="2", more=False)],
            "abc",
            id="a run that moved onto the next page counts once",
        ),
    ],
)
def test_pages(answers: Answers, figures: Collect, pages: list[Any], names: str) -> None:
    answers(*pages)
    collected = figures()
    assert run_ids(collected) == {f"run_id:{name}" for name in names}
    assert sum(collected["wandb.runs"].values()) == len(names)


def test_of_a_run_that_comes_twice_the_later_word_counts(answers: Answers, figures: Collect) -> None:
    first, second = page("a", cursor="1", more=True), page("a", cursor="2", more=False)
    second["data"]["project"]["runs"]["edges"][0]["node"]["state"] = "finished"
    answers(first, second)
    assert {tag for tags, value in figures()["wandb.runs"].items() if value for tag in tags} >= {"state:finished"}


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(
            [page("a", cursor="1", more=True), page("b", cursor="1", more=True)], id="the cursor stands still"
        ),
        pytest.param([page("a", cursor=None, more=True)], id="no cursor to go on from"),
        pytest.param([page("a", cursor="1", more=True)], id="the first page again and again"),
        pytest.param(
            [page("a", cursor="1", more=True), page("b", cursor="2", more=True), page("c", cursor="1", more=True)],
            id="round in a circle",
        ),
    ],
)
def test_a_cursor_that_repeats_is_no_end(answers: Answers, server: WandbServer, fault: Fault, pages: list[Any]) -> None:
    answers(*pages)
    error = fault()
    assert (error.kind, error.detail) == ("malformed response", "more pages, but the cursor repeats")
    assert len(server.requests) <= 3


def test_an_endless_listing_ends_at_the_limit(server: WandbServer, fault: Fault) -> None:
    def intercept(_: Request) -> Reply:
        number = len(server.requests)
        return Reply(200, json.dumps(page(f"run-{number}", cursor=str(number), more=True)).encode())

    server.intercept = intercept
    error = fault(max_pages=7, page_size=1)
    assert error.kind == "oversized response"
    assert "more than 7 pages of 1 runs" in str(error)
    assert "`max_pages`" in error.remedy
    assert len(server.requests) == 7
