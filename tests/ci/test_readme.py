"""The README of the package agrees with the metrics, the conditions and the permissions."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import yaml

from metta_checks.ci.advice import CLASSIC_SCOPE, PERMISSIONS
from metta_checks.ci.check import CiCheck
from metta_checks.ci.rules import NAMESPACE, RULES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "metta_checks" / "ci"
README = (PACKAGE / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table whose first line is `heading`, without its two first lines."""
    lines = README.splitlines()
    start = lines.index(heading) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


def in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def metric_rows() -> list[list[str]]:
    return rows("| metric | passes when | meaning |")


def test_the_permissions_are_those_of_the_table() -> None:
    assert rows("| permission | needed for |") == [[one.needed, one.figures] for one in PERMISSIONS]
    assert f"a classic token the scope `{CLASSIC_SCOPE}`" in README


def test_the_metrics_are_those_of_the_metadata() -> None:
    with (PACKAGE / "metadata.csv").open(encoding="utf-8") as file:
        names = {row["metric_name"] for row in csv.DictReader(file)}
    own = {name.removeprefix(f"{NAMESPACE}.") for name in names if name.startswith(f"{NAMESPACE}.")}

    assert sorted(in_code(" ".join(row[0] for row in metric_rows()))) == sorted(own)
    assert [name for name in names - own if name.startswith("metta.check.") and f"`{name}`" not in README] == []


def test_the_conditions_are_the_defaults() -> None:
    found = {}
    for metrics, conditions, _ in metric_rows():
        judged = [name for name in in_code(metrics) if name in RULES]
        found |= dict(zip(judged, in_code(conditions), strict=True))

    assert found == {metric: rule.condition for metric, rule in RULES.items()}


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", README, re.DOTALL))
def test_the_configurations_load(block: str) -> None:
    for instance in yaml.safe_load(block)["instances"]:
        instance = {name: value for name, value in instance.items() if value != "ENC[github_app_private_key]"}
        check = CiCheck("metta_ci", {}, [instance])
        check.load_configuration_models()
        check.validate_options()

        assert (check.settings.repo, check.settings.organization) in {("my-org/my-repo", ""), ("", "my-org")}
