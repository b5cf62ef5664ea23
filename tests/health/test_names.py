"""Names of records: none passes for a figure of a check, in whatever spelling Datadog takes for one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from datadog_checks.base.stubs import aggregator

import metta_checks
from metta_checks.cli import main
from metta_checks.eval.check import EvalCheck
from metta_checks.health import InvalidResultsError, publish
from metta_checks.health.check import HealthCheck
from metta_checks.health.names import owner_of
from metta_checks.health.suites import ORIGINS
from metta_checks.training.check import TrainingCheck

Make = Callable[..., Any]

SUITES: dict[str, type[HealthCheck]] = {"training": TrainingCheck, "eval": EvalCheck}

NOBODYS = [
    "metta.infra.cron.ci.workflow.success",
    "metta.infra.cron.ci.run.duration_minutes",
    "metta.infra.cron.ci.anything",
    "metta.infra.cron.github.reverts.count",
    "metta.infra.cron.CI.workflow.success",
    "Metta.Infra.Cron.ci.workflow.success",
    "METTA.INFRA.CRON.GITHUB.HOTFIX.COUNT",
    "metta.infra.cron..ci.workflow.success",
    "metta..infra.cron.ci.workflow.success",
    "metta._infra_.cron.ci.workflow.success",
    "metta.infra.cron.ci_.workflow.success",
    "metta.infra.cron._ci.workflow.success.",
    "metta.check.up",
    "metta.Check.up",
    "metta.check..dropped",
    "metta.infra.health.state",
    "metta.infra.HEALTH.state",
    "metta.infra._health.status",
    "metta.infra.other.hearts",
    "metta.hearts",
    "metta._hearts",
    "METTA.infra.stablesuite.hearts",
    "metta.infra.stablesuites.hearts",
    "metta.infra.cronjobs.hearts",
]
"""Names that neither suite's records may have."""

ONLY_TRAINING = [
    "ci.workflow.success",
    "CI.workflow.success",
    "ci..workflow.success",
    "ci_.workflow.success",
    "github.reverts.count",
    "GitHub.reverts.count",
    "metta.infra.stablesuite.hearts",
    "metta.infra.stablesuite.ci.workflow.success",
]

ONLY_EVAL = ["metta.infra.cron.hearts", "metta.infra.cron.cicada.hearts", "metta.infra.cron.hub.github.stars"]

EVERYBODYS = ["hearts", "ci", "cicada.hearts", "github_stars", "mettahearts", "metta_hearts", "eval.ci.hearts"]

CASES = [
    *((suite, name, False) for suite in SUITES for name in NOBODYS),
    *((suite, name, suite == "training") for suite in SUITES for name in ONLY_TRAINING),
    *((suite, name, suite == "eval") for suite in SUITES for name in ONLY_EVAL),
    *((suite, name, True) for suite in SUITES for name in EVERYBODYS),
]


def names_submitted(suite: str, path: Path, now: Any) -> tuple[set[str], list[str], float]:
    """The names of records' gauges, the warnings, and how many records were left out as invalid."""
    check = SUITES[suite](f"metta_{suite}", {}, [{"source": str(path)}])
    check.clock = lambda: now
    aggregator.reset()
    assert check.run() == ""
    own = ("metta.check.", "metta.infra.health.")
    names = {name for name in aggregator.metric_names if not name.startswith(own)}
    (invalid,) = (one.value for one in aggregator.metrics("metta.check.dropped") if "reason:invalid" in one.tags)
    return names, check.get_warnings(), invalid


@pytest.mark.parametrize(("suite", "metric", "allowed"), CASES)
def test_the_reader(suite: str, metric: str, allowed: bool, record: Make, write: Make, now: Any) -> None:
    forged = record(metric=metric, tags={"repo": "org/name", "branch": "main"}, value=7)
    path = write([forged, record(metric="reward")])
    names, warnings, invalid = names_submitted(suite, path, now)
    namespace = ORIGINS[suite].namespace
    full = metric if metric.startswith("metta.") else f"{namespace}.{metric}"
    assert names == {f"{namespace}.reward", *([full] if allowed else [])}
    assert invalid == (not allowed)
    if not allowed:
        assert warnings[0].startswith(f"1 left out (invalid): {path}, record 1: metric: ")
    # Nor does a verdict of it turn up.
    states = {tag for one in aggregator.metrics("metta.infra.health.state") for tag in one.tags}
    assert (f"metric_name:{metric}" in states) == allowed


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(("suite", "metric", "allowed"), CASES)
def test_publish(
    suite: str, metric: str, allowed: bool, record: Make, write: Make, absent: object, tmp_path: Path
) -> None:
    results = write([record(metric=metric, timestamp=absent)], "results.json")
    target = tmp_path / "published.json"
    result = command("publish", suite, results, "--to", target)
    assert (result.exit_code, target.exists()) == ((0, True) if allowed else (1, False))
    assert allowed or f"{results}, record 1: metric: " in result.stderr


@pytest.mark.parametrize(("suite", "metric", "allowed"), CASES)
def test_publish_from_python(
    suite: str, metric: str, allowed: bool, record: Make, absent: object, tmp_path: Path
) -> None:
    results = [record(metric=metric, timestamp=absent)]
    if allowed:
        assert publish(results, tmp_path / "one.json", suite=suite) == 1
        assert publish(results, tmp_path / "two.json") == 1
        return
    with pytest.raises(InvalidResultsError, match="results, record 1: metric: "):
        publish(results, tmp_path / "one.json", suite=suite)
    if metric in NOBODYS:
        with pytest.raises(InvalidResultsError, match="results, record 1: metric: "):
            publish(results, tmp_path / "two.json")


@pytest.mark.parametrize(("suite", "metric", "allowed"), CASES)
def test_validate(suite: str, metric: str, allowed: bool, record: Make, write: Make) -> None:
    path = write([record(metric=metric)], "results.json")
    named = command("validate", "--check", suite, path, "--format", "json")
    assert named.exit_code == (0 if allowed else 1)
    faults = [one["text"] for one in json.loads(named.stdout)["findings"] if one["level"] == "fault"]
    assert len(faults) == (not allowed)
    # Without the suite, a name that either check refuses is a fault.
    assert command("validate", path).exit_code == (0 if metric in EVERYBODYS else 1)


def test_every_metric_of_a_check_is_out_of_reach() -> None:
    found = 0
    for path in Path(metta_checks.__file__).parent.glob("*/metadata.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                name = row["metric_name"]
                if name.startswith("metta."):
                    assert owner_of(name), name
                    found += 1
    assert found > 30
