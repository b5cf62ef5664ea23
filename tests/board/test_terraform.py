"""The Terraform module: it parses, uses what the provider documents, and knows what the checks emit.

Terraform itself runs in `test_terraform_run.py`, without the provider, which it would have to fetch.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import hcl2
import pytest

from metta_checks.board.contract import ADDED_BY_BASE, contract, metric_rows
from metta_checks.board.library import APP, PAGING, RUNBOOK
from metta_checks.checks import CHECKS

MODULE = Path(__file__).parents[2] / "deploy" / "terraform"

# Arguments as the provider's documentation has them: those that are required, then the optional ones.
DOCUMENTED = {
    "datadog_dashboard_json": ({"dashboard"}, {"dashboard_lists", "url"}),
    "datadog_monitor_json": ({"monitor"}, {"url"}),
    "datadog_metric_metadata": (
        {"metric"},
        {"type", "description", "short_name", "unit", "per_unit", "statsd_interval"},
    ),
    "datadog_metric_tag_configuration": ({"metric_name", "metric_type", "tags"}, {"include_percentiles"}),
}
META_ARGUMENTS = {"for_each"}
FUNCTIONS = {"concat", "contains", "csvdecode", "file", "fileset", "flatten", "jsondecode", "jsonencode", "merge"}
FUNCTIONS |= {"join", "keys", "length", "replace", "setsubtract", "setunion", "split", "trimspace", "trimsuffix"}


def unquoted(value: Any) -> Any:
    """Without the quotes that the parser leaves on keys and texts, and without its own marks."""
    if isinstance(value, dict):
        return {unquoted(key): unquoted(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [unquoted(inner) for inner in value]
    return value.strip('"') if isinstance(value, str) else value


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[dict[str, Any]]]:
    """All blocks of the module by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(MODULE.glob("*.tf")):
        with path.open(encoding="utf-8") as file:
            for kind, entries in unquoted(hcl2.load(file)).items():
                found.setdefault(kind, []).extend(entries)
    return found


@pytest.fixture(scope="module")
def local(blocks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {name: value for entry in blocks["locals"] for name, value in entry.items()}


@pytest.fixture(scope="module")
def resources(blocks: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {
        kind: arguments for entry in blocks["resource"] for kind, named in entry.items() for arguments in named.values()
    }


def test_resources_use_documented_arguments(resources: dict[str, dict[str, Any]]) -> None:
    assert set(resources) == set(DOCUMENTED)
    for kind, arguments in resources.items():
        required, optional = DOCUMENTED[kind]
        assert required <= set(arguments)
        assert set(arguments) <= required | optional | META_ARGUMENTS


def test_everything_that_is_referred_to_is_there(
    blocks: dict[str, list[dict[str, Any]]], local: dict[str, Any]
) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in MODULE.glob("*.tf"))
    variables = {name for entry in blocks["variable"] for name in entry}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(local)
    called = set(re.findall(r"\b([a-z]+)\(", re.sub(r'#.*|description\s*=\s*".*"|type\s*=.*', "", text)))
    assert called <= FUNCTIONS


def test_the_files_that_it_reads_are_there(local: dict[str, Any]) -> None:
    package = MODULE / local["package"].replace("${path.module}/", "")
    assert (package / "board" / "dashboards").is_dir()
    assert (package / "board" / "monitors").is_dir()
    (pattern,) = re.findall(r'fileset\(local\.package, "(.*?)"\)', str(local["rows"]))
    found = {path.parent.name for path in package.glob(pattern)}
    assert found == {definition.slug for definition in CHECKS}


def test_pages_and_tickets_are_told_apart_as_in_the_export(local: dict[str, Any]) -> None:
    assert f'"{PAGING}"' in local["handles"]


def test_the_links_are_those_of_the_export() -> None:
    text = (MODULE / "main.tf").read_text(encoding="utf-8")
    assert f'"{APP}"' in text
    assert f'"{RUNBOOK}"' in text
    assert f'" · [Runbook]({RUNBOOK})"' in text


def test_percentiles_are_switched_on_for_every_distribution_with_every_tag(local: dict[str, Any]) -> None:
    assert "split(" in local["distribution_tags"]
    listed = {
        row["metric_name"]: set(row["sample_tags"].split(","))
        for path in MODULE.parents[1].glob("metta_checks/*/metadata.csv")
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        if row["metric_type"] == "distribution"
    }
    distributions = {
        name: set(metric.keys()) - set(ADDED_BY_BASE)
        for name, metric in contract().metrics.items()
        if metric.kind == "distribution"
    }
    assert listed == distributions


def test_every_metric_has_a_description_and_one_type() -> None:
    kinds: dict[str, set[str]] = {}
    for row in metric_rows():
        assert row.description
        kinds.setdefault(row.name, set()).add(row.kind)
    assert {name for name, found in kinds.items() if len(found) > 1} == set()
