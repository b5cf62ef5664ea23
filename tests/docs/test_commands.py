"""The commands in the documents exist, and those that need nothing run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from docs_support.pages import Page, current_page, pages

from metta_checks.board.library import text_of
from metta_checks.checks import CHECKS
from metta_checks.cli import main
from metta_checks.simulator.sandbox import DemoSandbox, sandbox


def words_of(line: str) -> list[str]:
    """The arguments of one command; what follows it in a pipe or another command is not part of it."""
    typed = re.split(r"\s(?:&&|\|\||\||;|>)\s?", line.strip())[0]
    return shlex.split(typed.replace("…", ""))[1:]


@cache
def options_of(names: tuple[str, ...]) -> frozenset[str] | None:
    """The options that the help of a command shows; None where there is no such command."""
    helped = CliRunner().invoke(main, [*names, "--help"])
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][\w-]*", helped.output)) if helped.exit_code == 0 else None


def problem_of(line: str) -> str | None:
    """What is wrong with a command line: its name, or an option that its help does not have."""
    words = words_of(line)
    while words and words[0] in {"-v", "--verbose"}:
        words = words[1:]
    if not words or words[0].startswith("-"):
        return None
    names = tuple(words[: 2 if words[0] in {"board", "verify"} and words[1:] else 1])
    known = options_of(names)
    if known is None:
        return f"{line}: there is no such command"
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    return f"{line}: there is no {', '.join(sorted(used - known))}" if used - known else None


def shown() -> list[tuple[str, str]]:
    lines = {(page.name, line.strip()) for page in pages().values() for line in page.commands()}
    spans = {
        (page.name, span)
        for page in pages().values()
        for span in page.spans()
        if re.match(r"metta-checks [a-z]", span) and span != "metta-checks needs click"
    }
    return sorted(lines | spans)


@current_page
def test_commands_and_options_exist(page: Page) -> None:
    assert [problem for name, line in shown() if name == page.name and (problem := problem_of(line))] == []


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_is_shown(command: str) -> None:
    assert command in pages()["docs/command.md"].spans()
    assert any(f"metta-checks {command}" in line for _, line in shown()) or command == "uninstall"


@pytest.fixture(scope="module")
def sources() -> Iterator[DemoSandbox]:
    with sandbox() as sources:
        yield sources


@pytest.fixture(scope="module")
def prepared(sources: DemoSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed and configured Agent's folder, and the files that the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    (folder / AGENT).mkdir()
    assert CliRunner().invoke(main, ["install", "--agent-dir", str(folder / AGENT)]).exit_code == 0
    for definition in CHECKS:
        instance = {"min_collection_interval": 240, "empty_default_hostname": True}
        instance |= sources.instances[definition.slug]
        path = folder / AGENT / "conf.d" / f"{definition.name}.d" / "conf.yaml"
        path.write_text(yaml.safe_dump({"init_config": {}, "instances": [instance]}))
    shutil.copytree(folder / AGENT / "conf.d", folder / "conf.d")
    (folder / "training.json").write_text((sources.folder / "training.json").read_text())
    record = {"metric": "m", "value": 1, "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0"}
    (folder / "results.json").write_text(json.dumps([record]))
    (folder / "mine.json").write_text(text_of("dashboards", "ci"))
    return folder


@pytest.fixture
def surroundings(prepared: Path, sources: DemoSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the documents take for granted: a copy of `prepared` as the working directory, and the environment."""
    wandb, ci = sources.instances["wandb"], sources.instances["ci"]
    variables = {
        "WANDB_ENTITY": wandb["entity"],
        "WANDB_PROJECT": wandb["project"],
        "WANDB_BASE_URL": wandb["base_url"],
        "WANDB_API_KEY": wandb["api_key"],
        "GITHUB_REPOSITORY": ci["repo"],
        "GITHUB_API_URL": ci["api_url"],
        "GITHUB_TOKEN": ci["token"],
        "TRAINING_HEALTH_FILE": str(sources.folder / "training.json"),
        "EVAL_HEALTH_FILE": str(sources.folder / "eval.json"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


AGENT = "datadog-agent"
NOT_HERE = re.compile(r"--push|verify wandb|\$|s3://|/shared/|--rules r|--suggest|metta-checks demo|validate metta_")
"""Needs an Agent, the SDK, a shell's variable or a bucket, or is tested with the page or the command."""

EXAMPLES = sorted({line for _, line in shown() if len(words_of(line)) > 1 and not NOT_HERE.search(line)})


@pytest.mark.parametrize("line", EXAMPLES)
def test_what_can_run_runs(line: str, surroundings: Path) -> None:
    words = [re.sub(r"^(?:/etc/datadog-agent|rehearsal)\b", AGENT, word) for word in words_of(line)]
    if words[0] in {"install", "uninstall", "list"} and "--agent-dir" not in words:
        words += ["--agent-dir", AGENT]
    for number, word in enumerate(words):
        if word == "FILE":
            words[number] = "mine.json"
        elif word in {"conf.yaml", f"metta_{words[1]}.yaml"}:
            words[number] = f"{AGENT}/conf.d/metta_{words[1]}.d/conf.yaml"
        elif words[number - 1] == "--pause":
            words[number] = "0"
    if "ci.json" in words and words[0] == "board":
        CliRunner().invoke(main, ["collect", "ci", "--format", "json", "--output", "ci.json"])

    result = CliRunner().invoke(main, words)

    assert result.exit_code == 0, result.output


CONFIGURATIONS = [
    pytest.param(page.name.split("/")[1], block, id=f"{page.name}-{number}")
    for page in pages().values()
    for number, block in enumerate(page.blocks("yaml"), 1)
    if page.name.split("/")[-2:-1] in [[definition.slug] for definition in CHECKS] and "instances:" in block
]


@pytest.mark.parametrize(("slug", "block"), CONFIGURATIONS)
def test_the_configurations_are_valid(slug: str, block: str, surroundings: Path) -> None:
    path = surroundings / "example.yaml"
    path.write_text(block, encoding="utf-8")
    result = CliRunner().invoke(main, ["validate", "--check", slug, str(path)])
    assert result.exit_code == 0, result.output
