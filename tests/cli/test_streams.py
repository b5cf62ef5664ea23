"""What the command writes to terminals of several widths, to pipes, and to outputs that are full, closed or plain."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import Result
from command_process import GOOD, PROGRAM, on_a_terminal, run

Command = Callable[..., Result]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["--help"],
        ["validate", "conf.d"],
        pytest.param(["schema"], marks=pytest.mark.slow),
        pytest.param(["board", "lint", "--rules"], marks=pytest.mark.slow),
        pytest.param(["install", "--dry-run", "--agent-dir", "."], marks=pytest.mark.slow),
        pytest.param(["install", "--check", "--agent-dir", "."], marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_under_standard_output(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: ")
    assert "standard output: no space left on device. Free space on the disk" in ran.stderr
    assert "fault of this command" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize("columns", [40, *(pytest.param(columns, marks=pytest.mark.slow) for columns in (80, 200))])
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate"],
        ["list", "--agent-dir"],
        ["collect", "all", "--config"],
        ["estimate", "--config"],
        ["install", "--agent-dir"],
    ],
)
def test_lines_fit_the_terminal(tmp_path: Path, columns: int, arguments: list[str]) -> None:
    folder = tmp_path / "conf.d/metta_training.d"
    folder.mkdir(parents=True)
    options = {"source": "/nowhere/x.json", "tags": ["env:prod", "team:a-very-long-name-of-a-team"]}
    (folder / "conf.yaml").write_text(json.dumps({"instances": [options]}))
    shown = on_a_terminal(columns, *arguments, tmp_path)
    for line in shown.split("\x1b[K")[-1].splitlines():
        plain = "".join(
            piece.partition("m")[2] if number else piece for number, piece in enumerate(line.split("\x1b["))
        )
        # What cannot be broken is not cut: a path or an address stands alone, or behind the name of a file.
        assert len(plain) <= columns or max(map(len, plain.split())) > columns // 2, plain
    assert "metta_training" in shown


@pytest.mark.parametrize("columns", [40, *(pytest.param(columns, marks=pytest.mark.slow) for columns in (80, 200))])
def test_the_screen_of_the_demo_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    shown = on_a_terminal(columns, "demo", "--board", tmp_path / "board.html", NO_COLOR="1")
    assert columns < 80 or "─" in shown or find_spec("rich") is None
    assert max(map(len, shown.partition("Every series")[0].splitlines())) <= columns
    assert "metta_training" in shown


@pytest.mark.parametrize("arguments", [["collect", "wandb"], ["list"], pytest.param(["demo"], marks=pytest.mark.slow)])
def test_a_dumb_terminal_gets_no_escape_sequence(tmp_path: Path, arguments: list[str]) -> None:
    board = ["--board", tmp_path / "board.html"] if arguments == ["demo"] else []
    assert "\x1b" not in on_a_terminal(80, *arguments, *board, TERM="dumb")


@pytest.mark.parametrize(
    "arguments",
    [
        "list",
        "schema",
        *(
            pytest.param(arguments, marks=pytest.mark.slow)
            for arguments in ("board lint --rules", "install --dry-run --agent-dir .", "list --format json")
        ),
    ],
)
def test_a_reader_that_ends_early_is_no_error(tmp_path: Path, arguments: str) -> None:
    ran = in_a_shell(f"{arguments} | head -n 1", tmp_path)
    assert len(ran.stdout.splitlines()) == 1
    assert ran.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "collect wandb --format json",
        *(pytest.param(arguments, marks=pytest.mark.slow) for arguments in ("list", "schema", "install --check")),
    ],
)
def test_closed_standard_output(tmp_path: Path, arguments: str) -> None:
    ran = in_a_shell(f"{arguments} >&-", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr == "Error: standard output is closed: send it to a file, to a pipe, or to /dev/null\n"


def test_closed_standard_error_is_done_without(tmp_path: Path) -> None:
    ran = in_a_shell("schema 2>&-", tmp_path)
    assert (ran.returncode, ran.stdout[:2]) == (0, "{\n")


def in_a_shell(arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command_line = f"{shlex.join(PROGRAM)} {arguments}"
    return subprocess.run(["/bin/sh", "-c", command_line], capture_output=True, text=True, timeout=60, cwd=folder)


@pytest.mark.parametrize("home", [None, "/nonexistent", "/proc"])
def test_an_empty_environment_and_a_home_that_cannot_be_written(tmp_path: Path, home: str | None) -> None:
    environment = {} if home is None else {"HOME": home}
    assert run("list", "--agent-dir", tmp_path, env=environment).returncode == 0
    ran = run("collect", "wandb", env=environment)
    assert (ran.returncode, "`entity`: is not set" in ran.stderr) == (2, True)
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "home", ["/proc", *(pytest.param(home, marks=pytest.mark.slow) for home in (None, "/nonexistent"))]
)
def test_the_demo_in_an_empty_environment(tmp_path: Path, home: str | None) -> None:
    environment = {} if home is None else {"HOME": home}
    assert run("demo", "--board", tmp_path / "board.html", env=environment).returncode == 0


@pytest.mark.parametrize(
    "variables", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_an_output_without_utf_8(tmp_path: Path, variables: dict[str, str]) -> None:
    path = tmp_path / "metta_wandb.d/conf.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps({"instances": [{**GOOD, "tags": ["env:b\u00fcro"], "zzz": 1}]}))
    ran = run("validate", path, env={**os.environ, **variables})
    assert (ran.returncode, "`zzz`: there is no such option" in ran.stdout) == (1, True)


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        *(pytest.param(one, marks=pytest.mark.slow) for one in ({"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"})),
    ],
)
def test_the_demo_on_an_output_without_utf_8(tmp_path: Path, variables: dict[str, str]) -> None:
    assert run("demo", "--board", tmp_path / "b.html", env={**os.environ, **variables}).returncode == 0


def test_a_collection_that_failed_is_one_screen(command: Command) -> None:
    result = command("collect", "wandb")
    assert "metta.check.up" in result.stdout
    assert "and 7 more series of metta.check.*; --verbose shows all" in result.stdout
    assert len(result.stdout.splitlines()) == 5
    assert "metta.check.dropped" in command("collect", "wandb", "--verbose").stdout


def test_nothing_is_cut_in_a_pipe(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    record = {
        "metric": "hearts",
        "workflow_name": "w" * 80,
        "task": "t" * 80,
        "check": "c",
        "condition": "> 0",
        "value": 1,
    }
    path.write_text(json.dumps([record]))
    ran = run("collect", "training", env={**os.environ, "TRAINING_HEALTH_FILE": str(path), "COLUMNS": "60"})
    assert ran.returncode == 0
    assert not [line for line in ran.stdout.splitlines() if line.endswith("…")]
    assert f"workflow_name:{'w' * 80}" in ran.stdout
    bad = tmp_path / "metta_wandb.d/conf.yaml"
    bad.parent.mkdir()
    bad.write_text(json.dumps({"instances": [{**GOOD, "zzz": 1, "system_metrics": ["gpu_heat"]}]}))
    lines = command("validate", bad).stdout.splitlines()
    assert sum("fault: " in line for line in lines) == 2
    assert all(line.startswith(("  fault: ", "  warning: ", "  credential: ", str(bad), "1 file: ")) for line in lines)


RED = "\x1b[31m"


@pytest.mark.parametrize(
    ("options", "variables", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour_on_a_terminal(tmp_path: Path, options: list[str], variables: dict[str, str], coloured: bool) -> None:
    path = tmp_path / "metta_wandb.d/conf.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps({"instances": [{**GOOD, "zzz": 1}]}))
    shown = on_a_terminal(100, *options, "validate", path, **variables)
    assert ("\x1b[31m\x1b[1mfault" in shown) == coloured
    assert "fault" in shown


def test_colour_in_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "metta_wandb.d/conf.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps({"instances": [{**GOOD, "zzz": 1}]}))
    assert "\x1b" not in run("validate", path).stdout
    assert "\x1b" in run("--color", "always", "validate", path).stdout
