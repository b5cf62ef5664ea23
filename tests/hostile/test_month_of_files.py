"""A month of health files that come, change, break and go."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hostile_support.memory import STEP, TURNS, Memory
from hostile_support.outcome import collect
from hostile_support.stages import BEGIN

from metta_checks.eval.check import EvalCheck

pytestmark = pytest.mark.hostile


def test_a_month_of_health_files(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """What counts is what is there, and nothing is kept of what is not."""
    chance = random.Random(11)
    now, records, published = BEGIN, dict[str, int](), 0
    check = EvalCheck("metta_eval", {}, [{"source": str(tmp_path)}])
    memory = Memory("health")
    for turn in range(TURNS):
        now += STEP
        for name in [name for name in records if chance.random() < 0.2]:
            (tmp_path / name).unlink()
            del records[name]
        for _ in range(chance.randrange(1, 5)):
            published += 1
            name, count = f"{published % 40}.json", chance.randrange(1, 50)
            content = json.dumps([record_of(name, number, now) for number in range(count)]).encode()
            broken = chance.random() < 0.1
            (tmp_path / name).write_bytes(content[:-9] if broken else content)
            records[name] = 0 if broken else count
        if chance.random() < 0.2:
            check = EvalCheck("metta_eval", {}, [{"source": str(tmp_path)}])
        check.clock = lambda moment=now: moment
        outcome = collect(check)
        expected = sum(records.values())
        assert sum(name == "metta.infra.cron.score" for name, _ in outcome.gauges) == expected, turn
        assert (outcome.error is None) == (expected > 0), turn
        memory.after(turn)
    figure(f"a month of health files: {published} published, {memory.of_month()}")


def record_of(document: str, number: int, at: datetime) -> dict[str, Any]:
    return {
        "metric": "metta.infra.cron.score",
        "value": number,
        "workflow_name": document,
        "task": f"task {number}",
        "check": "score",
        "condition": "> 10",
        "timestamp": at.isoformat(),
    }
