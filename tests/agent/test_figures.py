"""What arrives at the intake is what `metta-checks collect` shows: every series, type, tag, host and value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from agent_support.agent import Agent
from agent_support.collected import Series, collected, series_of
from agent_support.intake import Intake

from metta_checks.checks import CHECKS
from metta_checks.simulator.sandbox import DemoSandbox

MakeAgent = Callable[..., Agent]

COMMON = {"min_collection_interval": 5, "empty_default_hostname": True}
MEASURED = ("metta.check.duration_seconds", "metta.check.requests", "metta.check.quota_remaining")
"""Telemetry about a process, which no other process repeats."""


def with_runner(figures: Mapping[Series, float], runner: str) -> dict[Series, float]:
    """The tag `runner` is the Agent's host name, and empty or another one outside of it."""

    def renamed(tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(f"runner:{runner}" if tag.startswith("runner:") else tag for tag in tags))

    return {(metric, kind, renamed(tags), host): value for (metric, kind, tags, host), value in figures.items()}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_intake_receives_what_collect_shows(
    make_agent: MakeAgent, intake: Intake, demo: DemoSandbox, version: str
) -> None:
    agent = make_agent(use_v2_api={"series": version == "v2"})
    configs = [agent.configure(f"metta_{slug}", [{**one, **COMMON}]) for slug, one in demo.instances.items()]
    before = figures_of(configs)
    agent.start()
    for definition in CHECKS:
        check = f"check_name:{definition.name}"
        assert intake.wait_for(
            lambda check=check: sum(p.metric == "metta.check.up" and check in p.tags for p in intake.points) > 1, 120
        ), agent.log[-4000:]
    received = list(intake.points)
    assert agent.stop() == 0
    after = figures_of(configs)

    assert {path for path in intake.paths if "series" in path} == {f"/api/{version}/series"}
    gauges = [point for point in received if point.kind == "gauge"]
    assert {series_of(point) for point in gauges} == {series for series in before if series[1] == "gauge"}
    # A figure that moves with the clock is between what it was before and after.
    assert [
        (point, before[series], after[series])
        for point in gauges
        if (series := series_of(point))
        and point.metric not in MEASURED
        and not between(point.value, before, after, series)
    ] == []
    # A gauge is one value in an interval of the Agent's flush.
    stamps = Counter((series_of(point), point.timestamp) for point in gauges)
    assert max(stamps.values()) == 1


def figures_of(configs: list[Path]) -> dict[Series, float]:
    figures: dict[Series, float] = {}
    for config in configs:
        found = collected(config)
        assert figures.keys() & found.keys() == set()
        figures |= found
    return with_runner(figures, "agent-under-test")


def between(value: float, before: Mapping[Series, float], after: Mapping[Series, float], series: Series) -> bool:
    low, high = sorted((before[series], after[series]))
    slack = 1e-9 * max(abs(low), abs(high), 1)
    return low - slack <= value <= high + slack
