"""The documents hold together: links, anchors, examples, sizes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from docs_support.pages import ROOT, Page, current_page, every_page, pages

from metta_checks.checks import CHECKS
from metta_checks.cli import main
from metta_checks.core.definition import CheckDefinition

LONGEST = {"README.md": 200, **{name: 150 for name in pages() if name.startswith("metta_checks/")}}
"""Lines that a page may have."""


@every_page
def test_every_link_leads_somewhere(page: Page) -> None:
    assert [link for link, _ in page.links() if link and not (page.path.parent / link).exists()] == []


@every_page
def test_every_anchor_is_a_heading(page: Page) -> None:
    missing = []
    for link, anchor in page.links():
        target = (page.path.parent / link).resolve().relative_to(ROOT).as_posix() if link else page.name
        if anchor and target in pages() and anchor not in pages()[target].anchors():
            missing.append(f"{link}#{anchor}")
    assert missing == []


def test_every_document_is_reached_from_the_front_page() -> None:
    reached, new = {"README.md"}, ["README.md"]
    while new:
        page = pages()[new.pop()]
        for link, _ in page.links():
            target = (page.path.parent / link).resolve()
            if target.is_dir():
                target /= "README.md"
            name = target.relative_to(ROOT).as_posix()
            if name in pages() and name not in reached:
                reached.add(name)
                new.append(name)
    # That of a check is found in its package.
    others = {name for name in pages() if not name.startswith("metta_checks/")}
    assert sorted(others - reached) == []


@pytest.mark.parametrize("name", LONGEST)
def test_a_page_is_short(name: str) -> None:
    assert pages()[name].text.count("\n") <= LONGEST[name]


@current_page
def test_the_examples_parse(page: Page) -> None:
    for block in page.blocks("yaml"):
        assert all(yaml.safe_load_all(block))
    for block in page.blocks("json"):
        assert json.loads(block)


@current_page
def test_named_files_are_there(page: Page) -> None:
    named = [span for span in page.spans() if re.fullmatch(r"(?:tests|deploy|docs|metta_checks|\.ci)/[\w./-]+", span)]
    named += re.findall(r"(?<![\w./])tests/[\w/]+\.py\b", page.text)
    if page.name == "CONTRIBUTING.md":
        # The check of its instructions is not part of the repository.
        named = [name for name in named if not re.match(r"(?:tests|metta_checks)/queue\b", name)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("definition", CHECKS, ids=lambda definition: definition.slug)
def test_the_page_of_a_check_links_what_is_complete(definition: CheckDefinition) -> None:
    page = pages()[f"metta_checks/{definition.slug}/README.md"]
    links = {(page.path.parent / link).resolve().relative_to(ROOT).as_posix() for link, _ in page.links()}
    assert {f"metta_checks/{definition.slug}/metadata.csv", f"conf.d/{definition.name}.d/conf.yaml.example"} <= links


def test_the_front_page_has_the_two_commands() -> None:
    text = pages()["README.md"].text
    assert "$ python3 -m venv .venv && .venv/bin/pip install -q '.[demo]' && .venv/bin/metta-checks demo\n" in text
    assert "$ python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]' && .venv/bin/pytest -n auto" in text


def test_the_front_page_shows_what_the_demo_prints(tmp_path: Path) -> None:
    """In order; a further check may add lines. Figures move with the sample data: any number stands for any other, an
    ellipsis for the rest."""
    block = next(block for block in pages()["README.md"].blocks("console") if "metta-checks demo\n" in block)
    shown = block.split("metta-checks demo\n", 1)[1].splitlines()
    printed = iter(CliRunner().invoke(main, ["demo", "--board", str(tmp_path / "board.html")]).stdout.splitlines())
    assert [expected for expected in shown if not any(re.fullmatch(pattern_of(expected), one) for one in printed)] == []


def pattern_of(line: str) -> str:
    line = re.sub(r"/tmp/\S+", "PATH", line)
    line = re.sub(r" *\d[\d.]*", "NUMBER", line)
    return re.escape(line).replace("PATH", r"\S+").replace("NUMBER", r" *\d[\de+.]*").replace("…", ".*")
