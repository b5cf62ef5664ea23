"""docs/publishing.md is true: what it shows runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from metta_checks.cli import main
from metta_checks.health import convert, read_results, read_rules

Make = Callable[..., Any]

PAGE = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Runs a line of the page in an empty folder, /shared and the bucket being files of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()

    def run(line: str) -> str:
        words = line.replace("/shared/health", "shared").replace("s3://metta-health/eval", "shared").split()
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.stdout.replace("shared/training", "/shared/health/training")

    return run


def test_the_records_of_the_shell_give_what_is_shown(shell: Make, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(blocks("json")[0], encoding="utf-8")
    console = blocks("console")[0].split("$ metta-checks ")[1:]

    for shown in console:
        line, output = shown.split("\n", 1)
        assert shell(line) == output


@pytest.mark.parametrize("fails", [False, True])
def test_the_job_in_python(fails: bool, tmp_path: Path, collect: Make) -> None:
    out = tmp_path / "arena.json"
    source, _ = blocks("python")

    def train() -> float:
        if fails:
            raise RuntimeError("out of memory")
        return 0.91

    code = compile(source.replace("s3://metta-health/training/arena.json", str(out)), "page", "exec")
    if fails:
        with pytest.raises(RuntimeError):
            exec(code, {"train": train})  # noqa: S102
    else:
        exec(code, {"train": train})  # noqa: S102

    shown = {record["metric"]: record["value"] for record in json.loads(out.read_text())}
    assert shown == ({"completed": 0} if fails else {"completed": 1, "hearts": 0.91})


def test_a_list_of_records_in_python(tmp_path: Path) -> None:
    out = tmp_path / "arena.json"
    records = json.loads(blocks("json")[0])
    _, source = blocks("python")

    code = compile(source.replace("s3://metta-health/training/arena.json", str(out)), "page", "exec")
    exec(code, {"records": records})  # noqa: S102

    assert len(json.loads(out.read_text())) == len(records)


RESULTS = {
    "results": {
        "gsm8k": {"exact_match,strict-match": 0.6, "exact_match_stderr,strict-match": 0.01},
        "arc_easy": {"acc,none": 0.7},
    },
    "versions": {},
}


def test_the_rules_fit_results_of_their_tool(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(next(block for block in blocks("yaml") if "rules:" in block), encoding="utf-8")

    made = convert(read_results(RESULTS, "lm-eval"), read_rules(path))

    assert [record["metric"] for record in made.records] == ["exact_match_strict_match", "accuracy"]


def test_the_commands_for_results_run(shell: Make, tmp_path: Path) -> None:
    (tmp_path / "lm_eval.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    console = next(block for block in blocks("console") if "--from" in block)

    for line in console.replace("$ metta-checks ", "").splitlines():
        shell(line)

    assert len(json.loads((tmp_path / "shared" / "nightly.json").read_text())) == 2


def test_the_workflow_publishes_also_after_a_failure(shell: Make, tmp_path: Path, record: Make) -> None:
    workflow = yaml.safe_load(next(block for block in blocks("yaml") if "jobs:" in block))
    step = workflow["jobs"]["evaluate"]["steps"][-1]
    (tmp_path / "results.json").write_text(json.dumps([record()]), encoding="utf-8")

    shell(step["run"].removeprefix("metta-checks "))

    assert step["if"] == "always()"
    assert (tmp_path / "shared" / "nightly.json").is_file()
