"""A limit that bites is seen: in the telemetry, in a warning, or in the error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hostile_support.outcome import Outcome, collect
from hostile_support.stages import API_KEY, BEGIN, document, project

from metta_checks.core import MettaCheck
from metta_checks.simulator.wandb_server import WandbServer
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

pytestmark = pytest.mark.hostile


def of_wandb(folder: Path, **options: Any) -> Outcome:
    with WandbServer(project(), api_key=API_KEY) as server:
        own = {"entity": "metta-research", "project": "metta", "base_url": server.url, "api_key": API_KEY}
        return at_begin(WandbCheck("metta_wandb", {}, [{**own, "tls_verify": False, **options}]))


def of_files(folder: Path, *, files: int = 1, **options: Any) -> Outcome:
    for number in range(files):
        (folder / f"{number:04}.json").write_bytes(document(0.91))
    return at_begin(TrainingCheck("metta_training", {}, [{"source": str(folder), **options}]))


def of_long_tags(folder: Path) -> Outcome:
    record = {**json.loads(document(0.91))[0], "workflow_name": "w" * 900, "tags": {"t" * 900: "v" * 900}}
    (folder / "a.json").write_text(json.dumps([record]), encoding="utf-8")
    return at_begin(TrainingCheck("metta_training", {}, [{"source": str(folder)}]))


def at_begin(check: MettaCheck) -> Outcome:
    check.clock = lambda: BEGIN + timedelta(seconds=1)
    return collect(check)


def dropped(outcome: Outcome, reason: str) -> float:
    return sum(value for (_, tags), value in outcome.telemetry.items() if f"reason:{reason}" in tags)


@pytest.mark.parametrize(
    ("make", "options", "seen"),
    [
        (of_wandb, {"max_runs": 3}, lambda it: it.up == 1 and dropped(it, "over_limit") > 10),
        (of_wandb, {"max_pages": 1, "page_size": 10}, lambda it: "more than 1 pages of 10 runs" in it.message),
        (of_wandb, {"max_response_bytes": 2_000}, lambda it: "more than 2,000 bytes" in it.message),
        (of_wandb, {"series_budget": 5}, lambda it: any("`series_budget` of 5" in line for line in it.warnings)),
        (of_wandb, {}, lambda it: dropped(it, "not_finite") > 0 and dropped(it, "unreadable") > 0),
        (of_files, {"max_records": 3}, lambda it: "6 records where 3 are allowed" in it.message),
        (of_files, {"max_bytes": 1_024}, lambda it: "more than 1,024 bytes" in it.message),
        (
            of_files,
            {"files": 1_010},
            lambda it: dropped(it, "over_limit") == 10 and "10 left out (over_limit)" in "".join(it.warnings),
        ),
        (of_long_tags, {}, lambda it: max(len(tag) for _, tags in it.gauges for tag in tags) == 200),
    ],
    ids=["runs", "pages", "bytes", "series", "values", "records", "bytes of a file", "documents", "tags"],
)
def test_a_limit_that_bites(
    make: Callable[..., Outcome], options: dict[str, Any], seen: Callable[[Outcome], bool], tmp_path: Path
) -> None:
    outcome = make(tmp_path, **options)
    assert seen(outcome), (outcome.message, outcome.warnings, outcome.telemetry)
