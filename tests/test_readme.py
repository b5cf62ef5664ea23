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
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "metta_checks").glob("*/README.md")),
]
"""What users read: the README, and the pages that it links."""
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PAGES}
every_page = pytest.mark.parametrize("page", TEXTS)
every_check = pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)


def explained(definition: CheckDefinition) -> str:
    """The README, that of the check's package where it has one, and that of the health records."""
    own = (f"metta_checks/{package}/README.md" for package in (definition.slug, "health"))
    return README + "".join(TEXTS.get(page, "") for page in own)


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
    assert any(f"metta-checks {command}" in text for text in TEXTS.values())


@every_page
def test_every_link_inside_leads_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXTS[page])
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


def test_every_page_is_linked() -> None:
    """Those of the documents; the page of a check is found in its package."""
    linked = {
        ((ROOT / page).parent / target).resolve()
        for page, text in TEXTS.items()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    }
    assert [str(path) for path in PAGES if path.parent == ROOT / "docs" and path not in linked] == []


@every_page
def test_every_anchor_is_a_heading(page: str) -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", TEXTS[page], re.MULTILINE)
    }
    anchors = re.findall(r"\]\(#([^)]+)\)", TEXTS[page])
    assert [anchor for anchor in anchors if anchor not in headings] == []


@every_page
def test_the_configurations_are_yaml(page: str) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", TEXTS[page], re.DOTALL):
        assert yaml.safe_load(block)


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("metta_checks/")])
def test_the_page_of_a_package_is_short(page: str) -> None:
    assert TEXTS[page].count("\n") <= 150


def runnable() -> list[str]:
    """The commands of the README that need nothing but this repository."""
    lines = re.findall(
        r"^\$ (?:\.venv/bin/)?(metta-checks (?:schema|board lint$|estimate|list$).*)$",
        "\n".join(TEXTS.values()),
        re.MULTILINE,
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
