"""Random walks: after each step the figures are those of plain code, or absent where the step's answers were faulty.

New runs, re-runs, completions, deletions, merges and disabled workflows beside empty, short, late and refused answers,
and beside runs that the listings show late.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ci_support.runs import LISTING
from ci_support.scene import Scene
from ci_support.truth import DAY, Key, Truth
from simulator_support.github_changes import RandomChanges

from metta_checks.simulator.github_refusals import graphql_errors, server_error
from metta_checks.simulator.server import Reply, Request

STEPS = 24

Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(scene: Scene, request: Request, change: Change) -> Reply:
    """The server's own answer with its document changed."""
    response = scene.server.answer(request)
    if response.status != 200:
        return response
    headers = {name: value for name, value in response.headers.items() if name not in {"ETag", "Link"}}
    return replace(response, body=json.dumps(change(json.loads(response.body))).encode(), headers=headers)


def is_range(request: Request) -> bool:
    return request.path == LISTING and "created" in request.query


def empty_ranges(scene: Scene, request: Request) -> Reply | None:
    empty = {"total_count": 0, "workflow_runs": []}
    return changed(scene, request, lambda _: empty) if is_range(request) else None


def short_ranges(scene: Scene, request: Request) -> Reply | None:
    def cut(document: dict[str, Any]) -> dict[str, Any]:
        runs = document["workflow_runs"][::2]
        return {"total_count": len(runs), "workflow_runs": runs}

    return changed(scene, request, cut) if is_range(request) else None


def failing_ranges(_: Scene, request: Request) -> Reply | None:
    return server_error(500) if is_range(request) else None


def failing_front(_: Scene, request: Request) -> Reply | None:
    return server_error(500) if request.path == LISTING and "created" not in request.query else None


def pages_above_50(_: Scene, request: Request) -> Reply | None:
    too_large = request.path == LISTING and int(request.query["per_page"]) > 50
    return server_error(502) if too_large else None


def failing_graphql(_: Scene, request: Request) -> Reply | None:
    return server_error(502) if request.path == "/graphql" else None


def refused_field(_: Scene, request: Request) -> Reply | None:
    error = {"message": "Field 'runs' doesn't exist on type 'Workflow'"}
    return graphql_errors(error) if b"history" in request.body else None


def refused_labels(scene: Scene, request: Request) -> Reply | None:
    def refuse(document: dict[str, Any]) -> dict[str, Any]:
        error = {"type": "FORBIDDEN", "path": ["label0"], "message": "Resource not accessible"}
        return {"data": {**document["data"], "label0": None}, "errors": [error]}

    return changed(scene, request, refuse) if b"label0" in request.body else None


def failing_workflows(_: Scene, request: Request) -> Reply | None:
    return server_error(500) if request.path.startswith("/repos/demo-org/arena/actions/workflows") else None


def failing_attempts(_: Scene, request: Request) -> Reply | None:
    return server_error(500) if "/attempts/" in request.path else None


SEEDS = pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])

FAULTS = (
    empty_ranges,
    short_ranges,
    failing_ranges,
    failing_front,
    pages_above_50,
    failing_graphql,
    refused_field,
    refused_labels,
    failing_workflows,
    failing_attempts,
)


def twin_of(truth: Truth) -> Truth:
    """One that remembers the same, and whose looks leave no trace in the first."""
    twin = Truth(truth.repository)
    twin.seen, twin.ended, twin.first_look = dict(truth.seen), set(truth.ended), truth.first_look
    return twin


def wrong(found: Mapping[Key, float], expected: Mapping[Key, float]) -> dict[Key, tuple[float, float | None]]:
    """The figures that are there and not right."""
    return {
        key: (value, expected.get(key)) for key, value in found.items() if value != pytest.approx(expected.get(key))
    }


@SEEDS
def test_figures_are_right_or_absent_after_each_step_of_a_walk(scene: Callable[..., Scene], seed: int) -> None:
    rng = random.Random(seed)
    watched = scene(10, 110, days=3, seed=seed)
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository, runs_per_day=110, seed=seed)
    points: Counter[Any] = Counter()
    expected_points: Counter[Any] = Counter()
    was_faulty = False
    for step in range(STEPS):
        # What was faulty is followed by what is not.
        fault = rng.choice(FAULTS) if step and not was_faulty and rng.random() < 0.6 else None
        watched.server.intercept = None if fault is None else lambda request, fault=fault: fault(watched, request)
        story = [f"seed {seed}, step {step}: {fault.__name__ if fault else 'no fault'}"]
        if fault is None and not was_faulty:
            story += [activity.mutate() for _ in range(rng.randint(1, 6))]
        else:
            # What changes behind the first page may show one collection later then, and what is deleted never.
            story += [rng.choice((activity.push, activity.merge))() for _ in range(rng.randint(1, 6))]
        watched.later()
        if rng.random() < 0.2:
            watched.restart()

        collected = watched.collect()
        points += collected.figures.points

        if fault is not None:
            now = twin_of(truth).look(watched.clock()).gauges
            flaky = {} if fault is not failing_attempts else {("ci.workflow.flaky_tests", "", "")}
            found = {key: value for key, value in collected.figures.gauges.items() if key not in flaky}
            assert wrong(found, now) == {}, story
        else:
            expected = truth.look(watched.clock())
            expected_points += expected.points
            assert collected.error is None, story
            assert collected.figures.gauges == pytest.approx(expected.gauges), story
            assert points == expected_points, story
        was_faulty = fault is not None


@SEEDS
def test_runs_that_are_listed_late_count_as_soon_as_they_are_listed(scene: Callable[..., Scene], seed: int) -> None:
    """Every second new run is in no listing for up to four collections, behind runs that were created after it."""
    rng = random.Random(seed)
    watched = scene(10, 110, days=3, seed=seed)
    repository = watched.repository
    truth, activity = Truth(repository), RandomChanges(repository, runs_per_day=110, seed=seed)
    points: Counter[Any] = Counter()
    expected_points: Counter[Any] = Counter()
    hidden_until: dict[int, int] = {}
    hidden = 0
    for step in range(STEPS):
        before = {run.id for run in repository.runs}
        story = [activity.mutate() for _ in range(rng.randint(1, 6))]
        for run_id in sorted({run.id for run in repository.runs} - before):
            if rng.random() < 0.5:
                hidden_until[run_id] = step + rng.randint(1, 4)
                hidden += 1
        repository.unlisted = {run_id for run_id, until in hidden_until.items() if step < until}
        watched.later()
        if rng.random() < 0.2:
            watched.restart()

        collected = watched.collect()

        expected = truth.look(watched.clock())
        points, expected_points = points + collected.figures.points, expected_points + expected.points
        context = (f"seed {seed}, step {step}", story, repository.unlisted)
        assert collected.error is None, context
        assert collected.figures.gauges == pytest.approx(expected.gauges), context
        assert points == expected_points, context
    assert hidden > 5


@pytest.mark.parametrize("seed", [1, 3, 4, 7, 19, 29])
def test_older_runs_that_are_listed_late_are_found_by_turns(scene: Callable[..., Scene], seed: int) -> None:
    """They were created before the first collection, and lie on any page: each collection looks at another one. What
    comes late to a page pushes others behind it, and may lie between the first page and the pages that stay."""
    rng = random.Random(seed)
    watched = scene(10, 110, days=3, seed=seed)
    repository, truth = watched.repository, Truth(watched.repository)
    recent = [run for run in repository.runs if run.created_at > watched.clock() - 2 * DAY and run.branch == "main"]
    repository.unlisted = {run.id for run in rng.sample(recent, 12)}
    truth.look(watched.clock())
    assert watched.collect().error is None
    repository.unlisted = set()

    pages = -(-len(recent) // 100)
    for _ in range(pages + 2):
        watched.later()
        collected = watched.collect()
        assert collected.error is None

    assert collected.figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)
