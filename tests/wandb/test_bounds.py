"""What an untrusted W&B server can make the check remember over many pages and collections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from core_support.servers import Source

from metta_checks.core import Kind, SourceError
from metta_checks.simulator.server import Reply, Request
from metta_checks.wandb.api_models import MAX_CURSOR, MAX_NAME
from metta_checks.wandb.check import WandbCheck

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
EMOJI = "\U0001f600"

Node = dict[str, Any]


class Pages(Source):
    """A project whose next page is always another one, until `length` pages were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.length = 10**9
        self.cursor = "c"
        self.nodes: list[Node] = []

    def answer(self, _: Request) -> Reply:
        number = next(self.numbers)
        edges = [{"node": {"name": f"run{number}-{place}", **node}} for place, node in enumerate(self.nodes)]
        info = {"hasNextPage": number % self.length != 0, "endCursor": f"{self.cursor}{number}"}
        body = {"data": {"viewer": {"id": "x"}, "project": {"runs": {"edges": edges, "pageInfo": info}}}}
        return Reply(200, json.dumps(body, ensure_ascii=False).encode())


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as running:
        yield running


def check_of(pages: Pages, **options: Any) -> WandbCheck:
    instance = {"entity": "e", "project": "p", "base_url": pages.url, "api_key": "k" * 40, **options}
    check = WandbCheck("metta_wandb", {}, [instance])
    check.clock = lambda: NOW
    return check


def error_of(check: WandbCheck) -> SourceError:
    check.run()
    error = check.collection.error
    assert isinstance(error, SourceError)
    return error


def running(**fields: Any) -> Node:
    return {"state": "running", "heartbeatAt": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", **fields}


def summary(values: int) -> str:
    return json.dumps({f"{number:x}": number + 0.5 for number in range(values)})


@pytest.mark.parametrize("cursor", ["c" * MAX_CURSOR, EMOJI + "c" * 10_000_000], ids=["by a little", "by far"])
def test_a_cursor_is_as_long_as_those_of_wandb(pages: Pages, cursor: str) -> None:
    """Each is remembered while pages are read, and sent back."""
    pages.cursor = cursor

    error = error_of(check_of(pages))

    assert error.kind is Kind.MALFORMED
    assert "endCursor" in str(error)
    assert len(pages.requests) == 1


@pytest.mark.parametrize("page_size", [1, 10, 1_000])
def test_a_page_has_no_more_than_twice_the_runs_that_were_asked_for(pages: Pages, page_size: int) -> None:
    pages.nodes = [running()] * (2 * page_size + 1)

    error = error_of(check_of(pages, page_size=page_size))

    assert error.kind is Kind.MALFORMED
    assert f"{2 * page_size + 1:,} runs on a page of {page_size:,}" in str(error)
    assert len(pages.requests) == 1


@pytest.mark.parametrize("field", ["name", "displayName", "group", "jobType"])
def test_of_a_long_name_a_beginning_is_kept(pages: Pages, field: str) -> None:
    pages.length = 1
    pages.nodes = [running(**{field: EMOJI * 100_000})]
    check = check_of(pages, run_tags=["group", "job_type"])
    check.run()

    (target,) = check.targets()
    (run,) = check.states.of(target).runs.values()

    assert check.collection.error is None
    assert max(map(len, (run.id, run.name, *run.labels))) <= MAX_NAME


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", "k" * 100], ids=["short keys", "long keys"])
def test_the_values_of_all_pages_have_a_limit(pages: Pages, key: str) -> None:
    values = {f"{key}{number:x}": number + 0.5 for number in range(100_000)}
    pages.nodes = [running(summaryMetrics=json.dumps(values))]

    error = error_of(check_of(pages, metrics=["*"], page_size=1))

    assert error.kind is Kind.OVERSIZED
    assert "`metrics`" in str(error)
    assert len(pages.requests) <= 17


@pytest.mark.slow
def test_what_is_known_does_not_grow_beyond_it_by_deltas(pages: Pages) -> None:
    pages.length = 4
    pages.nodes = [{**running(summaryMetrics=summary(200_000)), "state": "finished"}]
    check = check_of(pages, metrics=["*"], page_size=1, max_runs=1, distributions=False)
    check.run()
    assert check.collection.error is None

    for _ in range(3):
        check.run()

    assert isinstance(check.collection.error, SourceError)
    assert check.collection.error.kind is Kind.OVERSIZED
    (target,) = check.targets()
    assert len(check.states.of(target).runs) <= 8
