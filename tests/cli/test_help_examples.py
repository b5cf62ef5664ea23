"""The examples in `--help` of every command run, in a folder that has what they name."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from metta_checks.board.library import text_of
from metta_checks.checks import CHECKS
from metta_checks.cli import main
from metta_checks.cli.group import LazyCommand
from metta_checks.simulator.sandbox import DemoSandbox, sandbox

AGENT = "agent"
NOT_HERE = re.compile(r"s3://|--push|my-team|my-org|--rules|--suggest-rules|verify wandb|demo --verbose|my-dashboard")
"""Needs a bucket, an Agent, an account or the SDK; `tests/cli` and `tests/health` run what is behind these."""


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, groups left out."""
    for name, command in main.commands.items():
        loaded = command.load() if isinstance(command, LazyCommand) else command
        if isinstance(loaded, click.Group):
            yield from ((name, below) for below in loaded.commands)
        else:
            yield (name,)


def examples_of(words: tuple[str, ...]) -> list[str]:
    text = CliRunner().invoke(main, [*words, "--help"], terminal_width=200).stdout.partition("Examples:")[2]
    lines = [line.strip() for line in text.partition("\n\n")[0].splitlines()]
    return [line for line in lines if f"metta-checks {' '.join(words)}" in line]


RUNNABLE = [(words, line) for words in commands() for line in examples_of(words) if not NOT_HERE.search(line)]


def test_every_command_has_an_example_that_runs() -> None:
    # `verify wandb` starts the SDK, and tests/cli/test_verify.py does.
    assert {words for words, _ in RUNNABLE} == set(commands()) - {("verify", "wandb")}
    assert all(examples_of(words) for words in commands())


@pytest.fixture(scope="module")
def sources() -> Iterator[DemoSandbox]:
    with sandbox() as sources:
        yield sources


@pytest.fixture(scope="module")
def prepared(sources: DemoSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a conf.d of sample instances, an Agent's folder, and files of results."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / AGENT).mkdir()
    assert CliRunner().invoke(main, ["install", "--agent-dir", str(folder / AGENT)]).exit_code == 0
    own = {"min_collection_interval": 240, "empty_default_hostname": True, "tags": ["env:test"]}
    for definition in CHECKS:
        path = folder / "conf.d" / f"{definition.name}.d" / "conf.yaml"
        path.parent.mkdir(parents=True)
        document = {"cluster_check": True, "instances": [{**own, **sources.instances[definition.slug]}]}
        path.write_text(yaml.safe_dump(document))
    for name in ("my-configuration.yaml", "mine.yaml"):
        slug = "wandb" if name.startswith("my-") else "training"
        (folder / name).write_text((folder / f"conf.d/metta_{slug}.d/conf.yaml").read_text())
    record = {"metric": "m", "value": 1, "workflow_name": "w", "task": "t", "check": "c", "condition": "> 0"}
    (folder / "results").mkdir()
    for name in ("results.json", "results/training.json"):
        (folder / name).write_text(json.dumps([record]))
    (folder / "my-dashboard.json").write_text(text_of("dashboards", "ci"))
    (folder / "shared").mkdir()
    for check in ("ci", "wandb"):
        arguments = ["collect", check, "--config", str(folder / "conf.d"), "--format", "json"]
        (folder / f"{check}.json").write_text(CliRunner().invoke(main, arguments).stdout)
    (folder / "all.json").write_text(f"[{(folder / 'ci.json').read_text()}]")
    return folder


@pytest.fixture
def folder(prepared: Path, sources: DemoSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `prepared` as the working directory, and the variables of the sample project."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name, value in zip(("WANDB_ENTITY", "WANDB_PROJECT"), ("entity", "project"), strict=True):
        monkeypatch.setenv(name, sources.instances["wandb"][value])
    monkeypatch.setenv("WANDB_API_KEY", sources.instances["wandb"]["api_key"])
    monkeypatch.setenv("WANDB_BASE_URL", sources.instances["wandb"]["base_url"])
    return tmp_path


@pytest.mark.parametrize("line", [line for _, line in RUNNABLE])
@pytest.mark.usefixtures("folder")
def test_the_examples_run(line: str) -> None:
    typed = (
        line.removeprefix("sudo ").partition(" > ")[0].replace("/etc/datadog-agent/", "").replace("/shared", "shared")
    )
    words = shlex.split(typed.replace("--pause 120", "--pause 0").replace("deploy/conf.d", "conf.d"))[1:]
    if words[0] in {"install", "uninstall", "list"} and "--agent-dir" not in words:
        words += ["--agent-dir", AGENT]
    (Path("shared") / "health").mkdir(parents=True)
    result = CliRunner().invoke(main, words)
    # `validate --strict` finds what the sample instances lack.
    assert result.exit_code == 0 or ("--strict" in words and " 0 faults" in result.stdout), result.output
