"""What the command writes: names and texts from files and sources move no cursor and forge no line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.simulator.server import Reply
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import WandbServer

AWKWARD = {
    "escape sequence": "\x1b[2J\x1b[31m",
    "C1 control": "\x9b2J",
    "carriage return": "one\r0 faults",
    "line break": "one\nmetta_wandb: forged",
    "bidi override": "\u202egnp.exe",
    "invisible": "\u200b\u2066",
}


@pytest.fixture(params=AWKWARD.values(), ids=AWKWARD)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(*arguments: object, **options: Any) -> Result:
    # With colour, since click would strip some escape sequences by itself where nobody can see them.
    return CliRunner().invoke(main, [*map(str, arguments)], color=True, **options)


def assert_harmless(result: Result, text: str) -> None:
    written = result.stdout + result.stderr
    assert written
    assert all(line.isprintable() for line in written.split("\n")), written
    # What of a name stands behind its line break begins no line.
    assert not any(line.startswith(("0 faults", "metta_wandb: forged")) for line in written.split("\n"))


@pytest.mark.parametrize("place", ["option", "value", "top", "init_config", "tag"])
@pytest.mark.parametrize("words", [("validate",), ("validate", "--format", "json")], ids=["table", "JSON"])
def test_validate_a_configuration(text: str, place: str, words: tuple[str, ...], tmp_path: Path) -> None:
    instance: dict[str, Any] = {"entity": "team", "project": "arena", "min_collection_interval": 120}
    document: dict[str, Any] = {"init_config": {}, "instances": [instance]}
    if place == "option":
        instance[f"entity{text}"] = "x"
    elif place == "value":
        instance |= {"timeframe": text, "base_url": text, "run_types": {text: "("}}
    elif place == "tag":
        instance["tags"] = [text, {text: "x"}]
    elif place == "top":
        document[text] = 1
    else:
        document["init_config"][text] = 1
    path = tmp_path / "conf.d" / "metta_wandb.d" / "conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(document))
    result = run(*words, path)
    assert result.exit_code == 1
    assert_harmless(result, text)


@pytest.mark.parametrize("field", ["metric", "condition", "task", "unknown", "tag"])
@pytest.mark.parametrize("words", [("validate",), ("publish", "training")], ids=["validate", "publish"])
def test_files_of_records(text: str, field: str, words: tuple[str, ...], tmp_path: Path) -> None:
    record: dict[str, Any] = {"metric": "hearts", "value": 1, "workflow_name": "w", "task": "t", "check": "c"}
    record |= {"condition": "> 0", "status": "fail"}
    if field == "unknown":
        record |= {"value": None, text: {text: text}}
    elif field == "tag":
        record["tags"] = {text: {text: text}}
    else:
        record[field] = text
    name = "".join(character for character in text if character not in "/\0")
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps([record]))
    assert_harmless(run(*words, path, *(["--check-only"] if words[0] == "publish" else [])), text)


def test_names_of_folders_and_files(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "conf.d" / f"metta_{text}.d"
    folder.mkdir(parents=True)
    (folder / "conf.yaml").write_text("instances: [{}]")
    wandb = tmp_path / "conf.d" / "metta_wandb.d"
    wandb.mkdir()
    (wandb / f"{text}.yaml").write_text("instances: [")
    assert_harmless(run("validate", tmp_path), text)
    assert_harmless(run("list", "--agent-dir", tmp_path), text)
    assert_harmless(run("collect", "wandb", "--config", wandb / f"{text}.yaml"), text)
    assert_harmless(run("estimate", "--config", wandb / f"{text}.yaml"), text)
    assert_harmless(run("collect", text), text)
    assert_harmless(run(text), text)


def awkward_run(project: DemoProject, text: str) -> None:
    start = datetime.now(UTC) - timedelta(hours=1)
    project.start(f"id{text}", start, display_name=f"name{text}", summary={text: 1})


@pytest.mark.parametrize("words", [(), ("--verbose",), ("--format", "json")], ids=["table", "verbose", "JSON"])
def test_collect(
    text: str,
    words: tuple[str, ...],
    conf: Callable[..., Path],
    instance: dict[str, Any],
    project: DemoProject,
    server: WandbServer,
) -> None:
    awkward_run(project, text)
    path = conf({**instance, "metrics": ["*"]})
    result = run("collect", "wandb", "--config", path, *words)
    assert result.exit_code == 0
    assert_harmless(result, text)
    server.intercept = lambda _: Reply(400, json.dumps({"errors": [{"message": f"no: {text}"}]}).encode())
    result = run("collect", "wandb", "--config", path, *words)
    assert result.exit_code == 1
    assert_harmless(result, text)


def test_collect_into_a_file(
    text: str,
    conf: Callable[..., Path],
    instance: dict[str, Any],
    project: DemoProject,
    server: WandbServer,
    tmp_path: Path,
) -> None:
    awkward_run(project, text)
    output = tmp_path / "out.txt"
    assert run("collect", "wandb", "--config", conf(instance), "--verbose", "--output", output).exit_code == 0
    assert all(line.isprintable() for line in output.read_text("utf-8").split("\n"))


def test_board_lint(text: str, tmp_path: Path) -> None:
    query = {"data_source": "metrics", "name": text, "query": f"sum:{text}{{*}}", "aggregator": text}
    request = {"formulas": [{"formula": text}], "queries": [query], "response_format": "scalar"}
    definition = {"type": "query_value", "title": f"title {text}", "requests": [request]}
    widget = {"definition": definition, "layout": {"x": 0, "y": 0, "width": 99, "height": 1}}
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"title": text, "layout_type": "ordered", "widgets": [widget], text: 1}))
    result = run("board", "lint", path)
    assert result.exit_code == 1
    assert_harmless(result, text)


def test_a_secret_in_a_broken_configuration_is_not_repeated(tmp_path: Path) -> None:
    secret = "ghp_0123456789abcdefghij"
    path = tmp_path / "conf.d" / "metta_ci.d" / "conf.yaml"
    path.parent.mkdir(parents=True)
    for repo in (f"https://x-access-token:{secret}@github.com/org/name", f"{secret}@org/name", secret):
        path.write_text(yaml.safe_dump({"instances": [{"repo": repo, "min_collection_interval": 240}]}))
        for words in ("validate", "estimate --config", "collect ci --config", "verify ci --config"):
            result = run(*words.split(), path)
            assert result.exit_code in {1, 2}
            assert secret[:12] not in result.stdout + result.stderr
