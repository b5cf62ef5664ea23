"""docs/command.md: its examples print what it shows, and its tables name what there is."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from metta_checks.cli.main import main

Command = Callable[..., Result]

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/command.md").read_text(encoding="utf-8")
AGENT = "/etc/datadog-agent"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    return TEXT.partition(f" {title}\n")[2].partition("\n#")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def keys(document: str) -> set[str]:
    cells = [cell for named, cell, _ in rows("JSON formats") if named == f"`{document}`"]
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def examples() -> list[tuple[str, list[str]]]:
    """Each command line of the consoles with the output that stands below it."""
    found: list[tuple[str, list[str]]] = []
    for line in "\n".join(blocks("console")).splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ metta-checks "), []))
        elif line:
            found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """What the output has to match: `…` is any text, and alone on a line any lines."""
    return "".join(
        r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n" for line in lines
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the document shows, an empty folder of the Agent, and a conf.d with one check."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent").mkdir()
    (tmp_path / "results.json").write_text(blocks("json")[0])
    (tmp_path / "metta_training.yaml").write_text(blocks("yaml")[0])
    path = tmp_path / "conf.d/metta_training.d/conf.yaml"
    path.parent.mkdir(parents=True)
    instance = {"source": str(tmp_path / "results.json"), "min_collection_interval": 240, "tags": ["env:dev"]}
    path.write_text(yaml.safe_dump({"instances": [instance]}))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_examples_print_what_is_shown(command: Command) -> None:
    assert len(examples()) >= 9
    for line, shown in examples():
        result = command(*shlex.split(line.replace(AGENT, "agent")))
        printed = re.sub(r"(?<![\w/])agent(?=/)", AGENT, result.stdout)
        # A blank line of the output is left out in the document.
        assert re.fullmatch(pattern(shown), printed.replace("\n\n", "\n")), f"{line}\n{printed}"
        assert result.exit_code == (1 if re.search(r": [1-9] faults?", printed) else 0)


def test_the_exit_status_is_that_of_the_help(command: Command) -> None:
    said = dict(re.findall(r"^ +(\d+) +(\S.*)$", command("--help").stdout.partition("Exit status")[2], re.MULTILINE))
    assert dict(rows("Exit status")) == said


def test_every_command_is_in_the_table() -> None:
    named = {name for first, _ in rows("The command") for name in re.findall(r"`(\w+)`", first)}
    assert named == set(main.commands)


def test_every_variable_that_the_command_reads_is_named() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "metta_checks/cli").glob("*.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', sources)) - {"DDEV_SKIP_GENERIC_TAGS_CHECK"}
    named = {name for first, _ in rows("Environment variables") for name in re.findall(r"`(\w+)`", first)}
    assert read
    assert read <= named


def test_the_keys_of_the_json_documents(command: Command, folder: Path) -> None:
    def document(*arguments: str) -> Any:
        return json.loads(command(*arguments, "--format", "json").stdout)

    collected = document("collect", "training", "--config", "conf.d")
    assert set(collected) == {"check", "collections"}
    assert set(collected["collections"][0]) | {"events"} == keys("collect")
    assert set(collected["collections"][0]["metrics"][0]) == {"metric", "type", "value", "tags"}
    validated = document("validate", "metta_training.yaml")
    assert set(validated) == keys("validate")
    assert set(validated["findings"][0]) == {"level", "file", "instance", "option", "line", "text"}
    listed = document("list", "--agent-dir", os.fspath(folder))
    assert set(listed[0]) == keys("list")
    assert set(listed[2]["instances"][0]) == {"file", "instance", "target", "interval", "credential"}
    (estimated,) = document("estimate", "--config", "conf.d")
    assert set(estimated) == keys("estimate")


def test_the_document_is_short() -> None:
    assert len(TEXT.splitlines()) <= 200
