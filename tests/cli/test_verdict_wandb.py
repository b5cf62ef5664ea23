"""Two counts of a project that goes on: what is a difference, and what has merely moved."""

from __future__ import annotations

import pytest

from metta_checks.cli.verdict_wandb import AGE, Moment, verdict

REWARD = ("wandb.run.metric", ("metric_name:reward", "run_id:r1", "state:running"))
ENDED = ("wandb.run.metric", ("metric_name:reward", "run_id:r1", "state:failed"))
AGED = (AGE, ("run_id:r1", "state:running"))
COUNT = ("wandb.runs", ("run_type:train", "state:running"))

Figures = dict[tuple[str, tuple[str, ...]], float]


@pytest.mark.parametrize(
    ("before", "after", "different", "moved"),
    [
        # The check and the SDK at the first moment; the same at the second.
        (({REWARD: 1.0}, {REWARD: 1.0}), ({REWARD: 1.0}, {REWARD: 1.0}), 0, []),
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 1.0}, {REWARD: 2.0}), 1, []),
        (({REWARD: 1.0}, {}), ({REWARD: 1.0}, {}), 1, []),
        (({}, {REWARD: 1.0}), ({}, {REWARD: 1.0}), 1, []),
        (({REWARD: 0.1 + 0.2}, {REWARD: 0.3}), ({REWARD: 0.3}, {REWARD: 0.3}), 0, []),
        # The SDK read before the run moved, or after it.
        (({REWARD: 1.0}, {REWARD: 1.0}), ({REWARD: 2.0}, {REWARD: 1.0}), 0, ["r1"]),
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 2.0}, {REWARD: 2.0}), 0, ["r1"]),
        # It moved twice, and the SDK saw what was in between.
        (({REWARD: 1.0}, {REWARD: 2.0}), ({REWARD: 3.0}, {REWARD: 2.0}), 0, ["r1"]),
        (({REWARD: 1.0}, {ENDED: 1.0}), ({ENDED: 1.0}, {ENDED: 1.0}), 0, ["r1"]),
        (({REWARD: 1.0}, {}), ({}, {}), 0, ["r1"]),
        (({}, {REWARD: 1.0}), ({REWARD: 1.0}, {REWARD: 1.0}), 0, ["r1"]),
        # Time goes by for every run.
        (({AGED: 10.0}, {AGED: 10.0}), ({AGED: 15.0}, {AGED: 15.0}), 0, []),
        (({AGED: 10.0}, {AGED: 20.0}), ({AGED: 15.0}, {AGED: 25.0}), 1, []),
        # A count is of all runs: as long as none has moved, it has to be right.
        (({COUNT: 1.0}, {COUNT: 2.0}), ({COUNT: 1.0}, {COUNT: 2.0}), 1, []),
        (({COUNT: 1.0, REWARD: 1.0}, {COUNT: 2.0, REWARD: 1.0}), ({COUNT: 1.0}, {COUNT: 2.0}), 0, ["r1"]),
    ],
)
def test_what_is_a_difference(
    before: tuple[Figures, Figures], after: tuple[Figures, Figures], different: int, moved: list[str]
) -> None:
    found = verdict(Moment(*before), Moment(*after), unreadable=())
    assert (len(found.differences), list(found.moved)) == (different, moved)
    assert found.compared == len(before[0].keys() | before[1].keys())


def test_what_the_sdk_cannot_read_is_not_compared() -> None:
    moment = Moment({REWARD: 1.0, COUNT: 1.0}, {COUNT: 1.0})
    assert verdict(moment, moment, unreadable={"r1"}).compared == 1
    assert verdict(moment, moment, unreadable={"r1"}).differences == ()
