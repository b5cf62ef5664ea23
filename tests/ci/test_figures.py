"""Every figure equals the truth: cold, warm, after every change, and whatever the size of the repository."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from ci_support.scene import Scene
from ci_support.truth import Truth
from simulator_support.github_changes import RandomChanges

SIZES = pytest.mark.parametrize(
    ("workflows", "runs_per_day"),
    [
        pytest.param(28, 90, id="28 workflows, 90 runs a day"),
        pytest.param(40, 300, id="40 workflows, 300 runs a day"),
        pytest.param(40, 600, id="40 workflows, 600 runs a day", marks=pytest.mark.slow),
        pytest.param(120, 2_500, id="120 workflows, 2500 runs a day", marks=pytest.mark.slow),
    ],
)


def assert_truth(scene: Scene, truth: Truth, context: str = "") -> None:
    """Collect, and hold each figure and each point against the truth of this moment."""
    collected = scene.collect()
    expected = truth.look(scene.clock())
    assert collected.error is None, context
    assert collected.figures.gauges == pytest.approx(expected.gauges, abs=1e-9), context
    assert collected.figures.points == expected.points, context


@SIZES
def test_the_first_collection_tells_the_truth(scene, workflows, runs_per_day):
    watched = scene(workflows, runs_per_day, days=4)

    assert_truth(watched, Truth(watched.repository))


@pytest.mark.parametrize("microseconds", [0, 1, 250_000, 999_999])
def test_the_edges_of_the_window_are_the_same_at_any_fraction_of_a_second(scene, microseconds):
    """GitHub tells whole seconds; runs and merges stand on both edges, and a second beside them."""
    watched = scene()
    watched.later(timedelta(microseconds=microseconds))

    assert_truth(watched, Truth(watched.repository))


@SIZES
def test_so_does_every_later_one_as_time_passes(scene, workflows, runs_per_day):
    watched = scene(workflows, runs_per_day, days=4)
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository, runs_per_day=runs_per_day)
    assert_truth(watched, truth)

    for minutes in (4, 4, 4, 60, 4, 11 * 60, 4):
        watched.later(timedelta(minutes=minutes))
        activity.catch_up()
        assert_truth(watched, truth, f"after {minutes} minutes")


@SIZES
def test_so_does_a_collection_after_each_of_many_changes(scene, workflows, runs_per_day):
    watched = scene(workflows, runs_per_day, days=4)
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository, runs_per_day=runs_per_day)
    assert_truth(watched, truth)

    # What a change does depends on the kind of change; the larger repositories are there for their many pages.
    for step in range({90: 50, 300: 20, 600: 50, 2_500: 10}[runs_per_day]):
        watched.later()
        change = activity.mutate()
        assert_truth(watched, truth, f"step {step}: {change}")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_so_does_a_repository_that_rests_and_wakes(scene, seed):
    """Hours and days pass at random, longer than the look-back now and then, with changes in between."""
    watched = scene(seed=seed)
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository, runs_per_day=90, seed=seed)
    rng = random.Random(seed)
    assert_truth(watched, truth)

    for step in range(25):
        watched.later(timedelta(minutes=rng.choice((4, 4, 30, 600, 1500))))
        activity.catch_up()
        changes = [activity.mutate() for _ in range(rng.randint(0, 12))]
        assert_truth(watched, truth, f"step {step}: {changes}")
