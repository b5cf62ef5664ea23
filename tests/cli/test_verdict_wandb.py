"""Two counts of a project that goes on: what is a difference, and what has merely moved."""

from __future__ import annotations

import pytest

from metta_checks.cli.verdict_wandb import AGE, Moment, verdict

REWARD = ("wandb.run.metric", ("metric_name:reward", "run_id:r1", "run_type:train", "state:running"))
ENDED = ("wandb.run.metric", ("metric_name:reward", "run_id:r1", "run_type:train", "state:failed"))
OTHER = ("wandb.run.metric", ("metric_name:reward", "run_id:r2", "run_type:train", "state:running"))
HOURS = ("wandb.run.duration_hours", ("run_id:r1", "run_type:train", "state:running"))
AGED = (AGE, ("run_id:r1", "run_type:train", "state:running"))
RUNNING = ("wandb.runs", ("run_type:train", "state:running"))
FAILED = ("wandb.runs", ("run_type:train", "state:failed"))
SWEEPS = ("wandb.runs", ("run_type:sweep", "state:running"))

Figures = dict[tuple[str, tuple[str, ...]], float]
Pair = tuple[Figures, Figures]


@pytest.mark.parametrize(
    ("before", "after", "different", "unjudged", "moved"),
    [
        # The check and the SDK at the first moment; the same at the second.
        (({REWARD: 1.0}, {REWARD: 1.0}), ({REWARD: 1.0}, {REWARD: 1.0}), 0, 0, []),
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 1.0}, {REWARD: 2.0}), 1, 0, []),
        (({REWARD: 1.0}, {}), ({REWARD: 1.0}, {}), 1, 0, []),
        (({}, {REWARD: 1.0}), ({}, {REWARD: 1.0}), 1, 0, []),
        (({REWARD: 0.1 + 0.2}, {REWARD: 0.3}), ({REWARD: 0.3}, {REWARD: 0.3}), 0, 0, []),
        # The SDK read before the run moved, or after it.
        (({REWARD: 1.0}, {REWARD: 1.0}), ({REWARD: 2.0}, {REWARD: 1.0}), 0, 0, ["r1"]),
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 2.0}, {REWARD: 2.0}), 0, 0, ["r1"]),
        # It moved twice, and the SDK saw what was in between.
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 3.0}, {REWARD: 2.0}), 0, 1, ["r1"]),
        (({REWARD: 1.0}, {ENDED: 1.0}), ({ENDED: 1.0}, {ENDED: 1.0}), 0, 0, ["r1"]),
        (({REWARD: 1.0}, {}), ({}, {}), 0, 0, ["r1"]),
        (({}, {REWARD: 1.0}), ({REWARD: 1.0}, {REWARD: 1.0}), 0, 0, ["r1"]),
        # Time goes by for every run.
        (({AGED: 10.0}, {AGED: 10.0}), ({AGED: 15.0}, {AGED: 15.0}), 0, 0, []),
        (({AGED: 10.0}, {AGED: 20.0}), ({AGED: 15.0}, {AGED: 25.0}), 1, 0, []),
    ],
)
def test_what_is_a_difference(before: Pair, after: Pair, different: int, unjudged: int, moved: list[str]) -> None:
    found = verdict(Moment(*before), Moment(*after), unreadable=())
    assert (len(found.differences), found.unjudged, list(found.moved)) == (different, unjudged, moved)
    assert found.compared == len(before[0].keys() | before[1].keys()) - unjudged


@pytest.mark.parametrize(
    ("before", "after", "different", "unjudged"),
    [
        # As long as no run has moved, a count has to be right.
        (({RUNNING: 1.0}, {RUNNING: 2.0}), ({RUNNING: 1.0}, {RUNNING: 2.0}), [RUNNING], 0),
        # A heartbeat moves the run, and no count.
        (
            ({RUNNING: 1.0, HOURS: 1.0}, {RUNNING: 4.0, HOURS: 1.0}),
            ({RUNNING: 1.0, HOURS: 1.1}, {RUNNING: 4.0}),
            [RUNNING],
            0,
        ),
        (({RUNNING: 1.0, HOURS: 1.0}, {RUNNING: 1.0, HOURS: 1.2}), ({RUNNING: 1.0, HOURS: 1.3}, {RUNNING: 1.0}), [], 1),
        # One run went: the count may be one off, and no more.
        (({RUNNING: 3.0, REWARD: 1.0}, {RUNNING: 4.0, REWARD: 1.0}), ({RUNNING: 3.0}, {RUNNING: 4.0}), [], 1),
        (({RUNNING: 3.0, REWARD: 1.0}, {RUNNING: 5.0, REWARD: 1.0}), ({RUNNING: 3.0}, {RUNNING: 5.0}), [RUNNING], 0),
        # One came.
        (({RUNNING: 3.0}, {RUNNING: 5.0}), ({RUNNING: 4.0, REWARD: 1.0}, {RUNNING: 5.0}), [], 1),
        # Two came.
        (({RUNNING: 3.0}, {RUNNING: 7.0}), ({RUNNING: 5.0, REWARD: 1.0, OTHER: 1.0}, {RUNNING: 7.0}), [], 1),
        (({RUNNING: 3.0}, {RUNNING: 8.0}), ({RUNNING: 5.0, REWARD: 1.0, OTHER: 1.0}, {RUNNING: 8.0}), [RUNNING], 0),
        # One that ends leaves a class for another; the third has nothing to do with it.
        (
            (
                {RUNNING: 3.0, FAILED: 0.0, SWEEPS: 2.0, REWARD: 1.0},
                {RUNNING: 4.0, FAILED: 2.0, SWEEPS: 3.0, REWARD: 1.0},
            ),
            ({RUNNING: 3.0, FAILED: 1.0, SWEEPS: 2.0, ENDED: 1.0}, {RUNNING: 4.0, FAILED: 2.0, SWEEPS: 3.0}),
            [SWEEPS],
            2,
        ),
        # A count that one of the two does not have is no matter of how many.
        (({RUNNING: 1.0, REWARD: 1.0}, {REWARD: 1.0}), ({RUNNING: 0.0}, {}), [RUNNING], 0),
    ],
)
def test_a_count_may_differ_by_the_runs_that_changed_their_class(
    before: Pair, after: Pair, different: list[object], unjudged: int
) -> None:
    found = verdict(Moment(*before), Moment(*after), unreadable=())
    assert [difference.series for difference in found.differences] == different
    assert found.unjudged == unjudged
    assert found.compared == len(before[0].keys() | before[1].keys()) - unjudged


def test_what_the_sdk_cannot_read_is_not_compared() -> None:
    moment = Moment({REWARD: 1.0, RUNNING: 1.0}, {RUNNING: 1.0})
    assert verdict(moment, moment, unreadable={"r1"}).compared == 1
    assert verdict(moment, moment, unreadable={"r1"}).differences == ()
