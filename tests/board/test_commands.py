"""metta-checks board: what it prints, what it writes, and how it exits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main

from .conftest import document_of

FIXTURES = Path(__file__).parent / "fixtures"


def board(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["board", *map(str, arguments)])


def test_lint_finds_nothing_in_what_we_ship() -> None:
    result = board("lint")
    assert (result.exit_code, result.output) == (0, "19 checked, nothing found\n")


def test_lint_tells_file_and_place_and_rule() -> None:
    path = FIXTURES / "grid-overlap.json"
    result = board("lint", FIXTURES / "clean-monitor.json", path)
    assert result.exit_code == 1
    assert result.output == f"{path}: Failed runs: it lies on 'Speed' [grid]\n2 checked, 1 found\n"


def test_lint_knows_the_tags_that_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text((FIXTURES / "clean-dashboard.json").read_text().replace("state:failed", "state:failed,team:rl"))
    assert board("lint", path).exit_code == 1
    assert board("lint", "--tag", "team", path).exit_code == 0


def test_lint_shows_its_rules() -> None:
    lines = board("lint", "--rules").output.splitlines()
    assert "zero        missing figures of a source are not shown as zero" in lines


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("lint", "no-such-file.json"), "no-such-file.json: No such file"),
        (("preview", "walls"), "there is no dashboard 'walls'; there are health_wall, ci, wandb_runs"),
        (("preview", "--from", "no-such-file.json"), "no-such-file.json: No such file"),
        (
            ("preview", "--from", FIXTURES / "clean-monitor.json"),
            "clean-monitor.json does not come from `collect --format json`",
        ),
        (("preview", FIXTURES / "clean-monitor.json"), "this is a monitor"),
        (("preview", FIXTURES / "json-cut-off.json"), "no valid JSON"),
        (("preview", "ci", "--var", "project=metta", "--from", "x"), "the names are branch, env, repo"),
        (("preview", "-o", "no/such/folder/board.html"), "There is no folder"),
        (("export", Path(__file__)), "is a file"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: tuple[object, ...], told: str) -> None:
    result = board(*arguments)
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_lint_says_how_to_get_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datadog_api_client", None)
    result = board("lint")
    assert result.exit_code == 2
    assert "pip install 'datadog-api-client" in result.output


def test_preview_draws_one_dashboard_from_documents(tmp_path: Path) -> None:
    source, target = tmp_path / "wandb.json", tmp_path / "board.html"
    source.write_text(document_of([("wandb.runs", 42, "run_type:train,state:running,wandb_project:metta")]))
    result = board("preview", "wandb_runs", "--from", source, "--var", "project=metta", "-o", target)
    assert (result.exit_code, result.output) == (0, f"wrote {target}: wandb_runs\n")
    assert 'data-value="42.0"' in target.read_text(encoding="utf-8")


def test_preview_draws_a_dashboard_of_ones_own(tmp_path: Path) -> None:
    source, target = tmp_path / "wandb.json", tmp_path / "board.html"
    source.write_text(document_of([("wandb.runs", 3, "run_type:train,state:failed")]))
    result = board("preview", FIXTURES / "widget-not-read.json", "--from", source, "-o", target)
    assert result.exit_code == 0
    assert "Not drawn here: a widget of type iframe" in target.read_text(encoding="utf-8")


def test_export_names_what_it_wrote(tmp_path: Path) -> None:
    result = board("export", tmp_path / "boards", "--page-to", "@pagerduty-training")
    assert result.exit_code == 0
    paths = [Path(line) for line in result.output.splitlines()]
    assert len(paths) == 18
    assert all(json.loads(path.read_text()) for path in paths)


def test_a_demo_that_cannot_draw_is_none_the_worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metta_checks.cli.demo.gettempdir", lambda: str(tmp_path / "gone"))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 0
    assert "could not be drawn" in result.output
