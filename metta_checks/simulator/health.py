"""Sample health records: suites that pass, fail, cannot tell and have fallen silent."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from metta_checks.health import Record, parse_record, publish
from metta_checks.health.record import timestamp_text

SEED: Final = 20250114

EXAMPLE: Final[Mapping[str, Any]] = {
    "metric": "hearts",
    "workflow_name": "multigpu_arena_basic_easy_shaped",
    "task": "runs_successfully",
    "check": "reward_threshold",
    "condition": "> 0.5",
    "value": 0.91,
    "status": "pass",
    "timestamp": "2025-01-14T15:00:00Z",
    "tags": {"commit": "abc123", "workflow": "training"},
}
"""A record with everything that it can have."""


class _Figure(NamedTuple):
    """What a suite measures: around `centre`, `spread` up or down, `hours` ago."""

    metric: str
    task: str
    check: str
    condition: str
    centre: float
    spread: float
    hours: float
    status: str | None = None


_TRAINING: Final = {
    "arena_basic_easy_shaped": (
        _Figure("hearts", "learns", "reward_threshold", "> 0.5", 0.85, 0.1, 2),
        _Figure("sps", "trains", "throughput", ">= 40000", 47_500, 3_000, 2),
        _Figure("duration_hours", "trains", "in_time", "in [1, 6]", 3.5, 1, 2),
        _Figure("crashes", "runs_successfully", "no_crash", "== 0", 0, 0, 2),
    ),
    "multinode_learning_progress": (
        _Figure("hearts", "learns", "reward_threshold", "> 0.5", 0.31, 0.1, 5),
        _Figure("sps", "trains", "throughput", ">= 120000", 138_000, 9_000, 5),
        _Figure("gradient_norm", "trains", "stable", "< 10", 2, 1, 5, "unknown"),
    ),
    # Its last nightly run was three days ago: whoever looks at the value alone sees nothing wrong.
    "navigation_nightly": (
        _Figure("hearts", "learns", "reward_threshold", "> 0.3", 0.44, 0.05, 74),
        _Figure("sps", "trains", "throughput", ">= 40000", 45_000, 2_000, 74),
    ),
}

_EVALUATION: Final = {
    "remote_eval": (
        _Figure("eval.success_rate", "arena", "success_rate", ">= 0.9", 0.95, 0.03, 1),
        _Figure("eval.duration_minutes", "arena", "in_time", "< 30", 18, 4, 1),
        _Figure("eval.success_rate", "navigation", "success_rate", ">= 0.9", 0.74, 0.05, 1),
        _Figure("eval.stuck_jobs", "queue", "no_stuck_job", "== 0", 0, 0, 1),
    ),
    "local_eval": (
        _Figure("eval.success_rate", "arena", "success_rate", ">= 0.9", 0.97, 0.02, 3),
        _Figure("eval.score_drift", "arena", "agrees_with_remote", "in [-0.05, 0.05]", 0.01, 0.01, 3, "unknown"),
        _Figure("eval.success_rate", "regression", "success_rate", "!= 0", 0.8, 0.1, 50),
    ),
}


def write_sample_records(directory: Path, now: datetime) -> dict[str, Path]:
    """Publish sample records, as old as they shall be at `now`, into `directory`; the files by the slug of their check.

    The figures are the same on every call. Some records are older than a day: their verdict is unknown.
    """
    chance = random.Random(SEED)
    example = {**EXAMPLE, "timestamp": timestamp_text(now - timedelta(hours=1))}
    return {
        "training": _written(
            directory / "training.json", [parse_record(example), *_records(_TRAINING, chance, now)], now
        ),
        "eval": _written(directory / "eval.json", _records(_EVALUATION, chance, now), now),
    }


def _written(path: Path, records: Iterable[Record], now: datetime) -> Path:
    publish(records, path, now=now)
    return path


def _records(suites: Mapping[str, tuple[_Figure, ...]], chance: random.Random, now: datetime) -> Iterator[Record]:
    for workflow, figures in suites.items():
        commit = f"{chance.getrandbits(28):07x}"
        for figure in figures:
            record = {
                "metric": figure.metric,
                "workflow_name": workflow,
                "task": figure.task,
                "check": figure.check,
                "condition": figure.condition,
                "value": round(figure.centre + figure.spread * chance.uniform(-1, 1), 3),
                "timestamp": timestamp_text(now - timedelta(hours=figure.hours)),
                "tags": {"commit": commit},
            }
            yield parse_record(record if figure.status is None else {**record, "status": figure.status})
