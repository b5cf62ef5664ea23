"""The sample records of the demo: of every sort, and as old as they claim at any time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metta_checks.core.definition import RecordOrigin
from metta_checks.health import State
from metta_checks.health.document import Document, Limits
from metta_checks.health.local import read_file
from metta_checks.health.metrics import JudgeOptions, judge_entries, record_warnings, split_by_time
from metta_checks.simulator.health import EXAMPLE, write_sample_records

MOMENTS = [datetime(2025, 1, 14, 16, tzinfo=UTC), datetime(2031, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]


def document(path: Path) -> Document:
    return read_file(path, Limits())


@pytest.mark.parametrize("now", MOMENTS)
@pytest.mark.parametrize("slug", ["training", "eval"])
def test_there_are_passing_failing_unknown_and_old_records(slug: str, now: datetime, tmp_path: Path) -> None:
    read = document(write_sample_records(tmp_path, now)[slug])

    usable, late = split_by_time(read.entries, now)
    judged = judge_entries(usable, JudgeOptions(RecordOrigin("n", "s", "c"), timedelta(hours=26)), now)

    states = Counter(one.verdict.state for one in judged)
    assert (read.faults, late, list(record_warnings(judged))) == ((), [], [])
    assert states.keys() == set(State)
    assert any(entry.at and now - entry.at > timedelta(days=2) for entry in usable)


def test_the_example_record_is_among_them(tmp_path: Path) -> None:
    first = document(write_sample_records(tmp_path, MOMENTS[0])["training"]).entries[0].record

    assert first.model_dump(exclude={"timestamp"}) == {key: EXAMPLE[key] for key in EXAMPLE if key != "timestamp"}


def test_the_figures_are_the_same_on_every_call(tmp_path: Path) -> None:
    def figures(now: datetime) -> list[tuple[str, float]]:
        paths = write_sample_records(tmp_path, now).values()
        return [(entry.record.metric, entry.record.value) for path in paths for entry in document(path).entries]

    assert figures(MOMENTS[0]) == figures(MOMENTS[1])
