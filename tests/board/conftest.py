"""Sample data collected by the real checks, for the tests of boards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metta_checks.board.recording import Recording, recorded
from metta_checks.checks import CHECKS
from metta_checks.cli.render import outcomes_json
from metta_checks.cli.runner import CheckOutcome, new_check, prepare_stubs, run_once
from metta_checks.simulator.timelapse import timelapse

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def documents() -> dict[str, str]:
    """What every check, by name, collected of the sample data in four rounds, as `collect --format json` writes it."""
    prepare_stubs()
    outcomes: dict[str, list[CheckOutcome]] = {entry.name: [] for entry in CHECKS}
    with timelapse(START, steps=3) as life:
        checks = [new_check(entry, {}, life.sandbox.instances[entry.slug]) for entry in CHECKS]
        for number in range(4):
            if number:
                life.advance()
            for check in checks:
                check.clock = life.clock
                outcomes[check.name].append(run_once(check, instance=1, collection=number + 1))
    errors = {name: [one.error for one in collections if not one.ok] for name, collections in outcomes.items()}
    assert not any(errors.values()), errors
    return {name: outcomes_json(name, collections) for name, collections in outcomes.items()}


@pytest.fixture(scope="session")
def recording(documents: dict[str, str]) -> Recording:
    return recorded(documents)


Row = tuple[str, float, str]


def document_of(*rounds: Sequence[Row], kind: str = "gauge", every: timedelta = timedelta(minutes=10)) -> str:
    """A document with one collection a round, the last one at START; a row is metric, value, comma-separated tags."""
    collections: list[dict[str, Any]] = [
        {
            "at": (START - (len(rounds) - 1 - number) * every).isoformat(),
            "metrics": [
                {"metric": metric, "type": kind, "value": value, "tags": tags.split(",") if tags else []}
                for metric, value, tags in rows
            ],
        }
        for number, rows in enumerate(rounds)
    ]
    return json.dumps({"check": "metta_wandb", "collections": collections})
