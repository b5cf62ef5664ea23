"""What the check knows between collections has bounds: forgotten are the oldest, and never those in sight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from wandb_support.runs import RUN
from wandb_support.watch import START, Watch, a_summary

from metta_checks.wandb import registry
from metta_checks.wandb.models import Run, RunState
from metta_checks.wandb.registry import RunRegistry, refreshed

Watches = Callable[..., Watch]

WEEK = timedelta(days=7)


def a_run(run_id: str, state: RunState = RunState.FINISHED) -> Run:
    return replace(
        RUN,
        id=run_id,
        name=run_id,
        state=state,
        created_at=START - WEEK,
        heartbeat_at=START,
        run_type="all",
    )


def test_a_collection_leaves_what_was_known_alone() -> None:
    known = RunRegistry(began=START, alive=frozenset({"a"}), reported={"b": None})
    refreshed(known, {"a": a_run("a")}, START, WEEK, full=True)
    assert known == RunRegistry(began=START, alive=frozenset({"a"}), reported={"b": None})


@pytest.mark.parametrize(
    ("told", "in_sight", "kept"),
    [
        (["a", "b"], [], ["a", "b"]),
        (["a", "b", "c", "d"], [], ["b", "c", "d"]),  # three are kept of those out of sight
        (["a", "b", "c", "d", "e"], ["a"], ["a", "c", "d", "e"]),
        (["a", "b", "c", "d", "e"], ["a", "b", "c"], ["a", "b", "c", "d", "e"]),
    ],
)
@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.RUNNING])
def test_the_memory_of_what_was_told(
    monkeypatch: pytest.MonkeyPatch, state: RunState, told: list[str], in_sight: list[str], kept: list[str]
) -> None:
    """A run in sight may be one that was resumed: were it forgotten, its next end would be told again."""
    monkeypatch.setattr(registry, "REMEMBERED_POINTS", 3)
    known = RunRegistry(
        began=START, reported=dict.fromkeys(told), ended_seen=dict.fromkeys(in_sight, START), refreshed_at=START
    )
    news = refreshed(known, {run_id: a_run(run_id, state) for run_id in in_sight}, START, WEEK, full=True)
    assert sorted(news.registry.reported) == kept
    assert news.just_ended == ()


def test_a_run_that_left_the_timeframe_is_still_known_to_have_been_told(watch: Watches) -> None:
    watched = watch(timeframe="12h")
    watched.project.start("run", START - timedelta(hours=1), heartbeat_at=START, summary=a_summary(reward=7.5))
    watched.collect()
    watched.project.finish("run", START + timedelta(minutes=1))
    assert watched.after(minutes=2).point_values("metric") == [7.5]
    assert watched.after(days=1).counts() == {}
    watched.restart()
    watched.project.resume("run", watched.now)
    assert watched.after(minutes=2).counts() == {("all", "running"): 1}
    watched.project.finish("run", watched.now)
    received = watched.after(minutes=2)
    assert received.counts() == {("all", "finished"): 1}
    assert received.points == []
