"""What an organisation of fifty repositories costs in one instance."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from ci_support.organisation import Organisation
from datadog_checks.base.stubs.aggregator import AggregatorStub

pytestmark = pytest.mark.benchmark

REPOSITORIES = 50
RUNS = 600


def test_fifty_repositories_of_six_hundred_runs(aggregator: AggregatorStub, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"r{n:02}" for n in range(REPOSITORIES)]
    options = {"repos": {"include": [".*"], "interval": 3_600}, "collection_timeout": 600}
    with Organisation(aggregator, *names, runs=RUNS, **options) as watched:
        rows = [("cold", *cost(watched))]
        rows += [("nothing changed", *cost(watched, minutes=4)) for _ in range(3)]
        for name in names[:10]:
            watched.clock.advance(timedelta(seconds=1))
            watched.finish_run(name)
        rows.append(("10 changed", *cost(watched, minutes=4)))
        assert watched.statuses() == {"read": REPOSITORIES}
    with capsys.disabled():
        sys.__stdout__.write(f"\n{'50 repositories of 600 runs':<30}{'free':>8}{'that count':>12}\n")
        for name, free, counted in rows:
            sys.__stdout__.write(f"{name:<30}{free:>8}{counted:>12}\n")
    for name, free, counted in rows[1:4]:
        assert (name, free <= 200, counted <= 3) == (name, True, True)
    assert sum(rows[4][1:]) <= sum(rows[3][1:]) + 25
    assert rows[4][2] <= rows[3][2] + 25


def cost(watched: Organisation, **after: float) -> tuple[int, int]:
    """One collection so much later: its free requests, and those that count, of which a query is one."""
    core, before = watched.server.counted["core"], len(watched.server.requests)
    watched.collect(**after)
    sent = watched.server.requests[before:]
    queries = sum(request.path == "/graphql" for request in sent)
    counted = watched.server.counted["core"] - core + queries
    return len(sent) - counted, counted
