"""Samples of ended runs are made once, and no longer kept than the run has series."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from wandb_support.runs import RUN
from wandb_support.watch import START

from metta_checks.wandb.metrics import SampleCache, SampleOptions, run_samples
from metta_checks.wandb.models import Run, RunState, RunTypes

OPTIONS = SampleOptions(RunTypes([]), "7d", ("wandb_entity:metta-research", "wandb_project:metta"))

ENDED = replace(
    RUN,
    id="ended",
    name="ended",
    state=RunState.FINISHED,
    created_at=START - timedelta(hours=2),
    heartbeat_at=START,
    run_type="all",
    sps=10.0,
    metrics={"overview/reward": 1.0},
    system={"gpu_utilization": 50.0},
)
ALIVE = replace(ENDED, id="alive", state=RunState.RUNNING)
LATER = START + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], [ENDED]),
        ([ENDED], [ENDED]),
        ([ENDED], []),
        ([ALIVE], [ALIVE]),  # its heartbeat is older now
        ([ENDED, ALIVE], [ALIVE, ENDED]),
        ([ENDED], [replace(ENDED, name="renamed")]),
        ([ENDED], [replace(ENDED, state=RunState.RUNNING)]),
        ([ALIVE], [replace(ALIVE, state=RunState.FAILED)]),
    ],
)
def test_they_are_what_they_would_be_if_made_anew(first: list[Run], second: list[Run]) -> None:
    kept = SampleCache(OPTIONS)
    assert list(kept.of(first, START, {})) == [
        sample for run in first for sample in run_samples(run, OPTIONS, START, None)
    ]
    assert list(kept.of(second, LATER, {})) == [
        sample for run in second for sample in run_samples(run, OPTIONS, LATER, None)
    ]


def test_those_of_an_ended_run_are_made_once() -> None:
    kept = SampleCache(OPTIONS)
    first, second = list(kept.of([ENDED, ALIVE], START, {})), list(kept.of([ENDED, ALIVE], LATER, {}))
    assert [one is other for one, other in zip(first, second, strict=True)] == [True] * 4 + [False] * 5


def test_a_run_without_series_is_forgotten() -> None:
    kept = SampleCache(OPTIONS)
    first, _, third = (list(kept.of(runs, START, {})) for runs in ([ENDED], [], [ENDED]))
    assert first == third
    assert not any(one is other for one, other in zip(first, third, strict=True))
