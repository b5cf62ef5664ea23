"""Terraform plans and applies the module, with its built-in resource in place of those of the provider."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from metta_checks.board.library import RUNBOOK, export, names
from metta_checks.board.lint import findings_in

ROOT = Path(__file__).parents[2]
TERRAFORM = shutil.which("terraform") or shutil.which("tofu")
HANDLES = {"page_to": "@pagerduty-training", "ticket_to": "@slack-training"}

pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="neither terraform nor tofu is on the PATH")

RESOURCE = re.compile(r'resource "(datadog_\w+)" "(\w+)" \{\n(?P<each> *for_each .*?\n)(?P<body>.*?)\n\}\n', re.DOTALL)


def run(module: Path, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    given = [f"-var={name}={json.dumps(value)}" for name, value in variables.items() if not isinstance(value, str)]
    given += [f"-var={name}={value}" for name, value in variables.items() if isinstance(value, str)]
    command = [str(TERRAFORM), *arguments, *given]
    return subprocess.run(command, cwd=module, capture_output=True, text=True, timeout=120, check=False)


def applied(module: Path, **variables: Any) -> Mapping[str, dict[str, Any]]:
    """The arguments that the provider would get, by resource and key."""
    done = run(module, "apply", "-auto-approve", "-no-color", "-input=false", **variables)
    assert done.returncode == 0, done.stderr
    return existing(module)


def existing(module: Path) -> Mapping[str, dict[str, Any]]:
    """The same, of what the state has."""
    state = json.loads(run(module, "show", "-json").stdout)
    found: dict[str, dict[str, Any]] = {}
    for resource in state["values"]["root_module"]["resources"]:
        found.setdefault(resource["name"], {})[resource["index"]] = resource["values"]["output"]
    return found


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the module whose resources are `terraform_data`, which needs no provider and keeps its input."""
    tmp_path = tmp_path_factory.mktemp("terraform")
    folder = tmp_path / "deploy" / "terraform"
    folder.mkdir(parents=True)
    (tmp_path / "metta_checks").symlink_to(ROOT / "metta_checks")
    for path in (ROOT / "deploy" / "terraform").glob("*.tf"):
        text = RESOURCE.sub(
            r'resource "terraform_data" "\1" {\n\g<each>  input = {\n\g<body>\n  }\n}\n', path.read_text("utf-8")
        )
        text = re.sub(r"\b(datadog_\w+)\.\w+ :", r"terraform_data.\1 :", text).replace("board.url", "board.id")
        (folder / path.name).write_text(re.sub(r"required_providers \{.*?\n  \}\n", "", text, flags=re.DOTALL), "utf-8")
    assert run(folder, "init", "-no-color", "-input=false").returncode == 0
    return folder


@pytest.fixture
def module(initialised: Path) -> Iterator[Path]:
    """The copy, with nothing created."""
    yield initialised
    (initialised / "terraform.tfstate").unlink(missing_ok=True)


def test_the_files_are_formatted() -> None:
    assert run(ROOT / "deploy" / "terraform", "fmt", "-check", "-diff").stdout == ""


def test_it_creates_what_the_export_writes_and_a_second_plan_is_empty(module: Path, tmp_path: Path) -> None:
    variables = {**HANDLES, "site": "datadoghq.eu", "runbook_url": RUNBOOK}
    made = applied(module, **variables)
    written = list(export(tmp_path / "export", site="datadoghq.eu", runbook=RUNBOOK, **HANDLES))
    expected = {path.stem: json.loads(path.read_text()) for path in written}
    boards = {name: json.loads(one["dashboard"]) for name, one in made["datadog_dashboard_json"].items()}
    monitors = {name: json.loads(one["monitor"]) for name, one in made["datadog_monitor_json"].items()}
    assert boards | monitors == expected
    assert [str(finding) for one in monitors.values() for finding in findings_in(json.dumps(one))] == []
    again = run(module, "plan", "-detailed-exitcode", "-no-color", "-input=false", **variables)
    assert again.returncode == 0, again.stdout


def test_a_slip_in_a_name_destroys_nothing(module: Path) -> None:
    before = applied(module)
    for variables, text in (
        ({"monitors": ["ci_dwon", "main_red"]}, "There is no monitor ci_dwon"),
        ({"dashboards": ["ci.json"]}, "There is no dashboard ci.json"),
        ({"dashboards": ["wall", "board"]}, "There is no dashboard board, wall"),
    ):
        refused = run(module, "apply", "-auto-approve", "-no-color", "-input=false", **variables)
        assert refused.returncode == 1
        assert text in " ".join(re.sub(r"[│╷╵]", " ", refused.stderr).split())
        assert existing(module) == before


@pytest.mark.parametrize(
    ("variables", "monitors"),
    [({"monitors": []}, set()), ({"monitors": ["wandb_gpu_hours_lost"]}, {"wandb_gpu_hours_lost"})],
)
def test_named_monitors_are_created_alone(module: Path, variables: dict[str, Any], monitors: set[str]) -> None:
    made = applied(module, manage_metrics=False, **variables)
    assert set(made.get("datadog_monitor_json", {})) == monitors
    assert set(made["datadog_dashboard_json"]) == set(names("dashboards"))
    assert "datadog_metric_metadata" not in made
