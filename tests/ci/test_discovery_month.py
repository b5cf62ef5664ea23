"""A month of an organisation in one instance: repositories come, go and break, the Agent restarts and loses states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from ci_support.organisation import Organisation
from ci_support.organisation_life import OrganisationLife
from ci_support.scene import NAMESPACE, tag_value
from ci_support.truth import Key
from datadog_checks.base.stubs import datadog_agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE

Points = Counter[tuple[str, str, str, float]]
"""By repository, workflow, conclusion and minutes."""


def gauges_of(aggregator: AggregatorStub) -> Mapping[str, Mapping[Key, float]]:
    """What was received of each repository. Fails for a series that came twice."""
    found: dict[str, dict[Key, float]] = {}
    for name in aggregator.metric_names:
        for stub in aggregator.metrics(name) if name.startswith(NAMESPACE) else ():
            gauges = found.setdefault(tag_value(stub.tags, "repo").partition("/")[2], {})
            key = name.removeprefix(NAMESPACE), tag_value(stub.tags, "workflow"), tag_value(stub.tags, "conclusion")
            assert key not in gauges
            gauges[key] = stub.value
    return found


def points_of(aggregator: AggregatorStub) -> Points:
    points: Points = Counter()
    for bucket in aggregator.histogram_bucket(f"{NAMESPACE}ci.run.duration_minutes"):
        repo = tag_value(bucket.tags, "repo").partition("/")[2]
        workflow, conclusion = (tag_value(bucket.tags, key) for key in ("workflow", "conclusion"))
        points[repo, workflow, conclusion, round(bucket.lower_bound, 6)] += bucket.value
    return points


@pytest.mark.parametrize(
    ("seed", "turns", "most"),
    [(1, 40, 4)],
)
def test_repositories_that_come_and_go(aggregator: AggregatorStub, seed: int, turns: int, most: int) -> None:
    lists = {
        "tests_blocking_merge_workflows": list(TESTS_BLOCKING_MERGE),
        "benchmarks_workflows": list(BENCHMARKS),
    }
    with Organisation(aggregator, "first", **lists) as organisation:
        life = OrganisationLife(organisation, seed, most)
        total: Points = Counter()
        states: list[int] = []
        for turn in range(turns):
            if turn:
                life.live()
            organisation.collect()
            life.look_at_list()
            gauges, points = {}, Points()
            for name, truth in life.readable():
                expected = truth.look(organisation.clock())
                gauges[name] = pytest.approx(expected.gauges)
                points += Counter({(name, *key): count for key, count in expected.points.items()})
            assert points_of(aggregator) == points, turn
            received = gauges_of(aggregator)
            assert received.keys() == gauges.keys(), turn
            for name, expected_gauges in gauges.items():
                assert received[name] == expected_gauges, (turn, name)
            failed = (life.listed | life.reported_gone()) - gauges.keys()
            up = {**dict.fromkeys(gauges, 1.0), **dict.fromkeys(failed, 0.0)}
            assert organisation.by_repo("metta.check.up") == up, turn
            total += points
            states.append(sum(map(len, datadog_agent._cache.values())))
            organisation.server.requests.clear()
        assert total.total() > turns
        assert life.damaged.total() > 1
        # Two days of runs each.
        assert max(states) < 5_000 * (most + 4)
        # Those that are watched, those that may come back, and the list.
        kept = sum(text != "" for text in datadog_agent._cache.values())
        assert kept <= len(life.listed) + len(life.gone) + 1
