"""A point of a distribution that was submitted more than 16 s before the Agent's stop arrives, and none comes twice.

The Agent flushes every 15 s, and what it holds at its stop is lost: it stops its forwarder before its aggregator. The
check adds up to a second, so that no point waits for the next collection (`MettaCheck.check`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest
from agent_support.agent import Agent
from agent_support.endings import Endings, Source, now
from agent_support.intake import Intake

MakeAgent = Callable[..., Agent]

HELD = timedelta(seconds=16)
STOPS = 5
SEED = 20261125


def test_stops_and_a_kill_lose_no_point_that_is_older_than_the_flush_and_repeat_none(
    make_agent: MakeAgent, intake: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(SEED)
    agent = make_agent()
    with Endings(SEED) as endings:
        for check, instance in endings.instances.items():
            agent.configure(check, [instance])
        ended: list[datetime] = []
        for number in range(STOPS + 1):
            start(agent, intake)
            if number == 0:
                endings.start()
            intake.wait_for(lambda: False, random.uniform(12, 32))
            ended.append(now())
            status = agent.stop() if number < STOPS else agent.kill()
            assert number == STOPS or status == 0
        endings.cease()
        start(agent, intake)
        last = now()
        for source in (endings.wandb, endings.ci):
            intake.wait_for(lambda source=source: set(late(source, last)) <= set(source.arrived(intake)), 45)
        agent.stop()
        for source in (endings.wandb, endings.ci):
            counted = hold(source, intake, ended)
            with capsys.disabled():
                sys.stdout.write(f"\n{source.metric}: {counted}")


def start(agent: Agent, intake: Intake) -> None:
    """Until both checks have collected, and the intake has it."""
    since = len(intake.points)
    agent.start()

    def collected() -> bool:
        up = [point.tags for point in intake.points[since:] if point.metric == "metta.check.up" and point.value == 1]
        return len({tag for tags in up for tag in tags if tag.startswith("check_name:")}) == 2

    assert intake.wait_for(collected, 120), agent.log[-4000:]


def late(source: Source, since: datetime) -> list[str]:
    """The runs whose points were submitted after the last stop, so that they have to arrive."""
    return [name for name in source.ended if (moment := source.submitted(name)) is None or moment > since]


def hold(source: Source, intake: Intake, ended: list[datetime]) -> str:
    """Fails for a point that was lost or came twice. Returns the numbers."""
    arrived = source.arrived(intake)
    assert arrived.keys() <= source.ended.keys()
    assert {name: count for name, count in arrived.items() if count > 1} == {}
    due, lost = [], []
    for name in source.ended:
        submitted = source.submitted(name)
        assert submitted is not None
        stop = next((moment for moment in ended if moment >= submitted), None)
        if stop is None or submitted < stop - HELD:
            due.append(name)
        if name not in arrived:
            lost.append((name, 0.0 if stop is None else (stop - submitted).total_seconds()))
    assert [name for name in due if name not in arrived] == []
    assert len(due) >= 10
    seconds = ", ".join(f"{before:.1f}" for _, before in sorted(lost, key=lambda one: one[1]))
    ends, points = len(source.ended), arrived.total()
    return f"{ends} ends, {points} points, {len(due)} due; lost, seconds before a stop: {seconds or None}"
