"""A month of an entity in one instance: projects come, go and break, the Agent restarts and loses states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.entity import Entity
from wandb_support.entity_life import EntityLife, EntityTruth, Figures, Points


@pytest.fixture
def entity(aggregator: AggregatorStub) -> Iterator[Entity]:
    with closing(Entity(aggregator, max_runs=10_000)) as made:
        yield made


def figures_of(entity: Entity, aggregator: AggregatorStub) -> dict[str, Figures]:
    """What was received of each project: the counts and the durations. Fails for a series that came twice."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for name, keys in (("wandb.runs", ("run_type", "state")), ("wandb.run.duration_hours", ("run_id", "state"))):
        for stub in aggregator.metrics(name):
            tags = dict(text.partition(":")[::2] for text in stub.tags)
            series = found.setdefault(tags["wandb_project"], {})
            key = (name, *(tags[one] for one in keys))
            assert key not in series
            assert sum(text.startswith("wandb_project:") for text in stub.tags) == 1
            series[key] = round(stub.value, 6)
    return found


def points_of(aggregator: AggregatorStub) -> Points:
    points: Points = Counter()
    for bucket in aggregator.histogram_bucket("wandb.run.completed.duration_hours"):
        tags = dict(text.partition(":")[::2] for text in bucket.tags)
        points[tags["wandb_project"], tags["state"], round(bucket.lower_bound, 6)] += bucket.value
    return points


@pytest.mark.parametrize(
    ("seed", "turns", "most"),
    [(1, 100, 5), *(pytest.param(seed, 500, 12, marks=pytest.mark.slow) for seed in range(2, 5))],
)
def test_projects_that_come_and_go(
    entity: Entity, aggregator: AggregatorStub, seed: int, turns: int, most: int
) -> None:
    truth = EntityTruth()
    life = EntityLife(entity, truth, seed, most)
    expected_points: Points = Counter()
    received: Points = Counter()
    states: list[int] = []
    for turn in range(turns):
        if turn:
            life.live()
        entity.collect()
        now = entity.now
        truth.look_at_list(life.listed(), now)
        expected, readable = {}, list(life.readable())
        for project in readable:
            expected[project.name], points = truth.read(project, now)
            expected_points += points
        received += points_of(aggregator)
        assert received == expected_points, turn
        assert figures_of(entity, aggregator) == {name: figures for name, figures in expected.items() if figures}, turn
        failed = (truth.listed | truth.reported_gone(now)) - expected.keys()
        assert entity.by_project("metta.check.up") == {
            **dict.fromkeys(expected, 1.0),
            **dict.fromkeys(failed, 0.0),
        }, turn
        states.append(sum(map(len, datadog_agent._cache.values())))
        entity.server.requests.clear()
    assert expected_points.total() > turns / 2
    assert life.damaged.total() > 2
    # The ids of a week's runs, and of those that were reported before: some ten bytes for each.
    assert max(states) < 10_000 * (most + 4)
    # Those that are watched, those that may come back, and the list.
    kept = sum(text != "" for text in datadog_agent._cache.values())
    assert kept <= len(truth.listed) + len(truth.gone) + 1
