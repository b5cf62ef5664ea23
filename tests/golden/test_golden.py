"""A month of every check against its recording; `python tests/golden record` makes the recordings anew."""

from __future__ import annotations

from collections import Counter

import pytest
from golden_support.command import RECORDINGS, compared, path_of
from golden_support.plays import PLAYS
from golden_support.recording import load
from golden_support.review import review

MOST_BYTES = 1_000_000


@pytest.mark.parametrize("name", PLAYS)
def test_a_month_is_as_it_was_recorded(name: str) -> None:
    now, found = compared(name)
    if found:
        text = review(name, found, len(now.collections))
        pytest.fail(f"{text}If this is meant: python tests/golden record {name}", pytrace=False)


@pytest.mark.parametrize("name", PLAYS)
def test_a_restart_submits_nothing_twice(name: str) -> None:
    """The collection before it is at the same moment: a point or an event of it would be the second of its kind."""
    restarts = [one.restored for one in load(path_of(name)).collections if one.restored is not None]
    assert restarts
    for restored in restarts:
        assert (restored["points"], restored["events"]) == (0, 0), restored


def test_a_run_gives_its_point_once() -> None:
    """As long as the state is there; durations differ by seconds, so that each is one run's."""
    points: Counter[object] = Counter()
    for one in load(path_of("wandb")).collections:
        if one.step.startswith("restart with"):
            break
        points.update(point for point in one.points if point[0][0] == "wandb.run.completed.duration_hours")
    assert points.total() > 50
    assert max(points.values()) == 1


@pytest.mark.parametrize("name", PLAYS)
def test_no_series_is_submitted_twice_in_a_collection(name: str) -> None:
    assert [one.twice for one in load(path_of(name)).collections if one.twice] == []


def test_the_recordings_are_small_and_all_are_played() -> None:
    files = list(RECORDINGS.iterdir())
    assert {file.name for file in files} == {path_of(name).name for name in PLAYS}
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
