"""What survives a restart: ids and moments, compact, nothing of the runs themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from wandb_support.watch import START, Watch, a_summary

from metta_checks.wandb.registry import RunRegistry
from metta_checks.wandb.state_codec import restore, save

Watches = Callable[..., Watch]

HOUR = timedelta(hours=1)
LATER = START + timedelta(minutes=30)


@pytest.mark.parametrize(
    "registry",
    [
        RunRegistry(began=START),
        RunRegistry(began=START, alive=frozenset({"a", "b"})),
        RunRegistry(began=START, ended_seen={"c": START}, reported={"c": None}),
        RunRegistry(began=START, ended_seen={"c": LATER, "d": START}, reported={"gone": None, "c": None, "d": None}),
        RunRegistry(began=START, alive=frozenset({"resumed"}), reported={"resumed": None}, resumed={"resumed": LATER}),
        RunRegistry(began=START, reported={"gone": None, "c": None}, counted={"gone": 3_600.0, "c": 0.0}),
        RunRegistry(began=START, alive=frozenset({'quoted "', "half a pair \ufffd", "日本"})),
    ],
)
def test_what_is_saved_comes_back(registry: RunRegistry) -> None:
    document = json.loads(json.dumps(save(registry, LATER, completed_runs=HOUR)))
    restored = restore(document)
    assert restored is not None
    assert restored.began == registry.began
    assert restored.alive == registry.alive
    assert restored.ended_seen == registry.ended_seen
    assert restored.resumed == registry.resumed
    assert restored.counted == registry.counted
    assert set(restored.reported) == set(registry.reported)
    # The runs follow with a full listing.
    assert restored.runs == {}
    assert restored.refreshed_at is None


def test_of_an_end_long_ago_the_moment_is_not_kept() -> None:
    registry = RunRegistry(began=START, ended_seen={"old": START, "new": START + HOUR}, reported={"old": None})
    document = save(registry, START + 2 * HOUR, completed_runs=HOUR)
    assert (document["ended"], document["settled"]) == ({"new": int((START + HOUR).timestamp())}, ["old"])
    restored = restore(document)
    assert restored is not None
    # Any moment will do that is as long ago.
    assert restored.ended_seen["old"] <= START


def test_the_oldest_of_the_told_stay_the_first_to_be_forgotten() -> None:
    registry = RunRegistry(began=START, reported={"first": None, "second": None, "third": None})
    restored = restore(save(registry, LATER, completed_runs=HOUR))
    assert restored is not None
    assert list(restored.reported) == ["first", "second", "third"]


@pytest.mark.parametrize(
    "document",
    [
        None,
        "text",
        [],
        {},
        {"began": 1},
        {"began": 1, "alive": {}, "ended": {}, "settled": [], "told": []},
        {"began": 1, "alive": [1], "ended": {}, "settled": [], "told": []},
        {"began": True, "alive": [], "ended": {}, "settled": [], "told": []},
        {"began": 1, "alive": [], "ended": {"a": "1"}, "settled": [], "told": []},
        {"began": 1, "alive": [], "ended": {"a": 10**18}, "settled": [], "told": []},
        {"began": -(10**18), "alive": [], "ended": {}, "settled": [], "told": []},
    ],
)
def test_what_is_not_ours_is_nothing(document: object) -> None:
    assert restore(document) is None


def test_the_agent_keeps_ids_and_moments_and_nothing_of_the_runs(watch: Watches) -> None:
    watched = watch()
    for i in range(2_000):
        ended = START - timedelta(hours=2, seconds=i)
        watched.project.start(
            f"run{i:05d}",
            ended - HOUR,
            display_name=f"a-secret-name-{i}",
            state="finished" if i % 20 else "running",
            heartbeat_at=ended,
            summary=a_summary(reward=123.456),
            user="daphne",
        )
    watched.collect()
    watched.after(hours=2)
    (text,) = watched.cached.values()
    assert not any(word in text for word in ("secret", "daphne", "123.456", "overview", "metta-research"))
    # Eight characters of id, three around them, and the seconds of computing.
    assert len(text) < 2_000 * 17
