"""The README tells the truth: options, metrics, commands and links are there, and what can run does."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from metta_checks.checks import CHECKS
from metta_checks.cli import main
from metta_checks.core.definition import CheckDefinition

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
every_check = pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)


def explained(definition: CheckDefinition) -> str:
    """The README, and that of the check's package where it has one."""
    own = ROOT / "metta_checks" / definition.slug / "README.md"
    return README + (own.read_text(encoding="utf-8") if own.is_file() else "")


def own_options(definition: CheckDefinition) -> list[str]:
    """The options that the check's example explains, those of every Agent check aside."""
    example = (ROOT / "conf.d" / f"{definition.name}.d" / "conf.yaml.example").read_text(encoding="utf-8")
    spec = (ROOT / "metta_checks" / definition.slug / "spec.yaml").read_text(encoding="utf-8")
    named = {match[1] for match in re.finditer(r"name: (\w+)", spec)}
    return [name for name in re.findall(r"@param (\w+) -", example) if name in named]


@every_check
def test_every_option_is_explained(definition: CheckDefinition) -> None:
    text = explained(definition)
    assert [option for option in own_options(definition) if f"`{option}`" not in text] == []


@every_check
def test_every_metric_is_listed(definition: CheckDefinition) -> None:
    text = explained(definition)
    with (ROOT / "metta_checks" / definition.slug / "metadata.csv").open(encoding="utf-8") as file:
        names = [row["metric_name"] for row in csv.DictReader(file)]
    # The README leaves the namespace of the CI metrics to a sentence, and a percentile to the row of its sibling.
    short = [name.removeprefix("metta.infra.cron.") for name in names]
    missing = [name for name in short if name not in text and name.rpartition(".")[2] not in {"p50"}]
    assert missing == []


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_shown(command: str) -> None:
    assert f"metta-checks {command}" in README


def test_every_link_inside_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_anchor_is_a_heading() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    }
    anchors = re.findall(r"\]\(#([^)]+)\)", README)
    assert anchors
    assert [anchor for anchor in anchors if anchor not in headings] == []


def test_the_configurations_are_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        assert yaml.safe_load(block)


def runnable() -> list[str]:
    """The commands of the README that need nothing but this repository."""
    lines = re.findall(
        r"^\$ (?:\.venv/bin/)?(metta-checks (?:schema|board lint$|estimate|list$).*)$", README, re.MULTILINE
    )
    return sorted(set(lines))


@pytest.mark.parametrize("line", runnable())
def test_what_it_shows_runs(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = [
        word.replace("datadog-agent/conf.d/metta_wandb.d/conf.yaml", "conf.d/metta_wandb.d/conf.yaml.example")
        for word in shlex.split(line)[1:]
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output


def test_the_two_commands_are_there() -> None:
    assert "python3 -m venv .venv && .venv/bin/pip install -q '.[demo]' && .venv/bin/metta-checks demo" in README
    assert "python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest -n auto" in README
