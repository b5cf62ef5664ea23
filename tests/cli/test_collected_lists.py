"""`board preview --from` draws what `collect` writes, of one check as of several."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Command = Callable[..., Result]


@pytest.fixture
def collected(command: Command, tmp_path: Path) -> Path:
    """The list that `collect all` writes of two checks."""
    for suite in ("training", "eval"):
        folder = tmp_path / f"conf.d/metta_{suite}.d"
        folder.mkdir(parents=True)
        (folder / "conf.yaml").write_text(json.dumps({"instances": [{"source": str(tmp_path / "records.json")}]}))
    record = {
        "metric": "hearts",
        "workflow_name": "w",
        "task": "learning",
        "check": "c",
        "condition": "> 0",
        "value": 1,
    }
    (tmp_path / "records.json").write_text(json.dumps([record]))
    path = tmp_path / "all.json"
    result = command("collect", "all", "--config", tmp_path / "conf.d", "--format", "json", "--output", path, "-q")
    assert result.exit_code == 0
    assert [one["check"] for one in json.loads(path.read_text())] == ["metta_training", "metta_eval"]
    return path


def page(command: Command, tmp_path: Path, *sources: Path) -> str:
    named = [argument for source in sources for argument in ("--from", source)]
    result = command("board", "preview", "health_wall", *named, "-o", tmp_path / "board.html")
    assert (result.exit_code, result.stderr) == (0, "")
    return (tmp_path / "board.html").read_text()


def test_a_list_is_drawn(command: Command, tmp_path: Path, collected: Path) -> None:
    assert "learning" in page(command, tmp_path, collected)


def test_a_list_and_a_single_document(command: Command, tmp_path: Path, collected: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(json.loads(collected.read_text())[0]))
    assert "learning" in page(command, tmp_path, collected, tmp_path / "one.json")


def test_a_check_that_was_not_reached_is_passed_over(command: Command, tmp_path: Path, collected: Path) -> None:
    documents = [*json.loads(collected.read_text()), {"check": "metta_ci", "collections": []}]
    collected.write_text(json.dumps(documents))
    assert "learning" in page(command, tmp_path, collected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "there is no collection to draw"),
        ("[1]", "all.json, document 1 does not come from `collect --format json`"),
        ('[{"check": "a"}]', "all.json, document 1 does not come from `collect --format json`: collections"),
        ("[", "all.json does not come from `collect --format json`: it is no JSON"),
        ("{}", "all.json does not come from `collect --format json`"),
    ],
)
def test_what_is_no_list_of_documents(command: Command, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "all.json"
    path.write_text(text)
    result = command("board", "preview", "--from", path, "-o", tmp_path / "board.html")
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
