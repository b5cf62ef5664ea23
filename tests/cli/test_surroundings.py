"""The command on machines as they are: full disks, folders that cannot be read, narrow terminals, missing libraries."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from command_process import GOOD, PROGRAM

from metta_checks.checks import CHECKS
from metta_checks.cli.main import main
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

Command = Callable[..., Result]
Conf = Callable[..., Path]


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on the size of files, or a quota, is no fault of the command either."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    with (tmp_path / "list.txt").open("w") as output:
        ran = subprocess.run(
            [*PROGRAM, "list"], stdout=output, stderr=subprocess.PIPE, text=True, timeout=60, preexec_fn=limit
        )
    assert (ran.returncode, "standard output: file too large" in ran.stderr) == (1, True)


@pytest.mark.parametrize("folder", ["conf.d", "conf.d/metta_ci.d", "checks.d"])
def test_a_folder_that_cannot_be_read(command: Command, tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path.name)
    result = command("list", "--agent-dir", tmp_path, "--format", "json")
    (ci,) = (one for one in json.loads(result.stdout) if one["slug"] == "ci")
    assert (result.exit_code, ci["status"]) == (1, "unreadable")
    assert str(path) in ci["problems"][0]
    assert "too many levels of symbolic links" in ci["problems"][0]
    table = command("list", "--agent-dir", tmp_path).stdout
    assert "unreadable: " in table


@pytest.mark.parametrize("command_line", [["list"], ["install"], ["uninstall"]])
def test_an_agent_folder_that_is_missing(command: Command, tmp_path: Path, command_line: list[str]) -> None:
    result = command(*command_line, "--agent-dir", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert str(tmp_path / "nowhere") in result.stderr
    file = tmp_path / "file"
    file.write_text("")
    assert command(*command_line, "--agent-dir", file).exit_code == 2


def test_what_is_set_up(command: Command, tmp_path: Path) -> None:
    """Not installed, then without a conf.yaml, then configured, then unreadable."""

    def status(slug: str) -> str:
        shown = json.loads(command("list", "--agent-dir", tmp_path, "--format", "json").stdout)
        return next(str(one["status"]) for one in shown if one["slug"] == slug)

    assert status("wandb") == "not installed"
    command("install", "--agent-dir", tmp_path, "--checks", "wandb")
    assert (status("wandb"), status("ci")) == ("installed, no conf.yaml", "not installed")
    folder = tmp_path / "conf.d/metta_wandb.d"
    shown = " ".join(command("list", "--agent-dir", tmp_path).stdout.split())
    assert f"copy {folder}/conf.yaml.example to conf.yaml beside it and edit that" in shown
    (folder / "conf.yaml").write_text("instances: [{entity: a, project: b}]")
    assert status("wandb") == "configured"
    (tmp_path / "checks.d/metta_wandb.py").unlink()
    shown = " ".join(command("list", "--agent-dir", tmp_path).stdout.split())
    assert "checks.d/metta_wandb.py is missing: run `metta-checks install`" in shown
    (folder / "conf.yaml").write_text("instances: [")
    assert status("wandb") == "unreadable"


def test_after_a_fresh_install_validate_names_what_is_missing(command: Command, tmp_path: Path) -> None:
    command("install", "--agent-dir", tmp_path, "--checks", "wandb,ci")
    for path in (tmp_path, tmp_path / "conf.d", tmp_path / "conf.d/metta_wandb.d"):
        result = command("validate", path)
        assert result.exit_code == 2
        assert "metta_wandb has no conf.yaml: copy conf.yaml.example to conf.yaml beside it" in result.stdout
        assert "there is no configuration of these checks" in result.stderr
        assert "Usage" not in result.stderr
    (tmp_path / "conf.d/metta_ci.d/conf.yaml").write_text(json.dumps({"instances": [CI_INSTANCE]}))
    result = command("validate", tmp_path, "--strict")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 file: 0 faults, 0 warnings")
    assert "note: metta_wandb has no conf.yaml" in result.stdout


CI_INSTANCE = {
    "repo": "team/arena",
    "tags": ["env:prod"],
    "min_collection_interval": 240,
    "empty_default_hostname": True,
}


def test_install_check_for_the_build_of_an_image(command: Command, tmp_path: Path) -> None:
    result = command("install", "--check", "--agent-dir", tmp_path)
    assert result.exit_code == 1
    assert "metta_wandb: fault: checks.d/metta_wandb.py is missing: run `metta-checks install`" in result.stdout
    assert list(tmp_path.iterdir()) == []
    command("install", "--agent-dir", tmp_path)
    result = command("install", "--check", "--agent-dir", tmp_path)
    assert (result.exit_code, result.stdout.splitlines()) == (0, [f"{one.name}: ok" for one in CHECKS])
    (tmp_path / "checks.d/metta_ci.py").write_text("old")
    (tmp_path / "checks.d/metta_eval.py").chmod(0o600)
    result = command("install", "--check", "--agent-dir", tmp_path)
    assert result.exit_code == 1
    assert "metta_ci: fault: checks.d/metta_ci.py is not of this version" in result.stdout
    assert "metta_eval: fault: checks.d/metta_eval.py: mode 0600 becomes 0644" in result.stdout


WITHOUT = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{module}":
            raise ModuleNotFoundError("No module named '{module}'", name="{module}")
sys.meta_path.insert(0, Gone())
from metta_checks.cli import main
main()
"""


def test_without_click() -> None:
    script = WITHOUT.format(module="click")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stderr == (
        f"metta-checks needs click, which this Python lacks: {sys.executable} -m pip install 'click>=8.1.7'\n"
    )


@pytest.mark.parametrize(
    ("module", "arguments", "needs"),
    [
        ("datadog", ["collect", "training", "--push"], "'datadog>="),
        ("graphql", ["demo"], "'graphql-core>="),
        ("wandb", ["verify", "wandb"], "'wandb>="),
        ("graphql", ["board", "preview"], "'graphql-core>="),
    ],
)
def test_a_missing_library_is_named_with_a_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, command: Command, module: str, arguments: list[str], needs: str
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    for place in ("metta_checks.cli.group.find_spec", "metta_checks.cli.wandb_sdk.find_spec"):
        monkeypatch.setattr(place, lambda name, *rest: None if name == module else found(name, *rest), raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("metta_checks.cli.verify.is_installed", lambda: module != "wandb")
    result = command(*arguments)
    assert result.exit_code in {1, 2}
    assert f"{sys.executable} -m pip install {needs}" in " ".join(result.stderr.split())
    assert "metta-checks[" not in result.stderr


@pytest.mark.parametrize(
    ("variables", "said", "unsaid"),
    [
        ({}, ["`entity`: is not set", "`project`: is not set", "WANDB_API_KEY is not set either", ".netrc"], []),
        ({"WANDB_ENTITY": "a"}, ["`project` is not set", "WANDB_API_KEY is not set either"], ["WANDB_ENTITY"]),
        ({"WANDB_API_KEY": "k" * 40}, ["`entity`: is not set", "`project`: is not set"], ["WANDB_API_KEY", "k" * 40]),
    ],
)
def test_missing_variables_are_reported_together(
    command: Command, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: list[str], unsaid: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = command("collect", "wandb", "--quiet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(words in result.stderr for words in said), result.stderr
    assert not any(words in result.stderr for words in unsaid)


def test_the_credential_of_github_may_be_had_from_its_own_tool(command: Command) -> None:
    assert "`gh auth token` prints your own token" in command("collect", "ci", "--quiet").stderr


def test_several_checks_at_once(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_text("[]")
    for name in ("TRAINING_HEALTH_FILE", "EVAL_HEALTH_FILE"):
        monkeypatch.setenv(name, str(path))
    result = command("collect", "all", "--format", "json")
    assert (result.exit_code, [one["check"] for one in json.loads(result.stdout)]) == (
        0,
        ["metta_training", "metta_eval"],
    )
    assert "metta_wandb: left out, none of WANDB_ENTITY" in result.stderr
    result = command("collect", "training", "eval")
    assert [line.partition(",")[0] for line in result.stdout.splitlines() if "collection 1" in line] == [
        "metta_training",
        "metta_eval",
    ]
    assert command("collect", "training", "--format", "json").stdout.startswith("{")


def test_a_folder_of_configurations(command: Command, tmp_path: Path) -> None:
    records = tmp_path / "records.json"
    records.write_text("[]")
    for name in ("training", "eval"):
        folder = tmp_path / f"conf.d/metta_{name}.d"
        folder.mkdir(parents=True)
        (folder / "conf.yaml").write_text(json.dumps({"instances": [{"source": str(records)}] * 2}))
    documents = json.loads(command("collect", "all", "--config", tmp_path, "--format", "json").stdout)
    assert [(one["check"], len(one["collections"])) for one in documents] == [("metta_training", 2), ("metta_eval", 2)]
    document = json.loads(command("collect", "eval", "--config", tmp_path / "conf.d", "--format", "json").stdout)
    assert (document["check"], len(document["collections"])) == ("metta_eval", 2)
    result = command("collect", "wandb", "ci", "--config", tmp_path)
    assert (result.exit_code, "has no configuration of metta_wandb, metta_ci" in result.stderr) == (2, True)
    result = command("collect", "wandb", "ci", "--config", tmp_path / "conf.d/metta_eval.d/conf.yaml")
    assert (result.exit_code, "name its check alone, or give a folder" in result.stderr) == (2, True)


@pytest.mark.parametrize("to_file", [False, True])
def test_ctrl_c_keeps_what_was_collected(server: WandbServer, tmp_path: Path, to_file: bool) -> None:
    output = tmp_path / "collections.json"
    more = ["--output", str(output)] if to_file else []
    environment = {
        **os.environ,
        "WANDB_ENTITY": "metta-research",
        "WANDB_PROJECT": "metta",
        "WANDB_BASE_URL": server.url,
        "WANDB_API_KEY": DEMO_API_KEY,
    }
    arguments = ["collect", "wandb", "--repeat", "1000", "--pause", "0.05", "--format", "json", *more]
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        until = time.monotonic() + 60
        while len(server.requests) < 3 and time.monotonic() < until:
            pass
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after " in stderr
    assert "Traceback" not in stderr
    collections = json.loads(output.read_text() if to_file else stdout)["collections"]
    assert len(collections) >= 1
    assert all(one["ok"] for one in collections)


def test_the_month_and_its_price(command: Command, conf: Conf) -> None:
    path = conf(GOOD, {**GOOD, "project": "other"})
    first, second = json.loads(
        command("estimate", "--config", path, "--check", "wandb", "--price", "5", "--format", "json").stdout
    )
    assert first["billed_per_month"] == first["billed_per_hour"] == second["billed_per_hour"]
    assert first["cost_per_month"] == pytest.approx(first["billed_per_hour"] / 100 * 5, abs=0.01)
    assert first["requests_per_month"] == pytest.approx(first["requests_per_hour"] * 730)
    shown = " ".join(command("estimate", "--config", path, "--check", "wandb", "--price", "5").stdout.split())
    assert f"a month: about {2 * first['billed_per_month']:.0f} custom metrics" in shown
    assert "assumes Datadog's cardinality pricing" in shown
    assert "metric-name pricing" in shown


def test_several_files_are_one_estimate(command: Command, tmp_path: Path) -> None:
    for name, options in (("metta_wandb", GOOD), ("metta_ci", CI_INSTANCE)):
        folder = tmp_path / f"{name}.d"
        folder.mkdir()
        (folder / "conf.yaml").write_text(json.dumps({"instances": [options]}))
    one = command("estimate", "--config", tmp_path, "--format", "json")
    two = [text for name in ("metta_ci", "metta_wandb") for text in ("--config", tmp_path / f"{name}.d/conf.yaml")]
    assert one.stdout == command("estimate", *two, "--format", "json").stdout
    assert [part["check"] for part in json.loads(one.stdout)] == ["metta_ci", "metta_wandb"]
    assert "2 instances, a month: about " in command("estimate", "--config", tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "usage"),
    [
        (["schema"], 0, False),
        (["list", "--agent-dir", "{empty}"], 0, False),
        (["validate", "{bad}"], 1, False),
        (["collect", "training", "--config", "{unread}"], 1, False),
        (["install", "--check", "--agent-dir", "{empty}"], 1, False),
        (["nonsense"], 2, True),
        (["validate"], 2, True),
        (["collect", "wandb", "--push", "--dry-run"], 2, True),
        (["estimate", "--config", "{empty}"], 2, False),
        (["collect", "training", "--config", "{empty}/none.yaml"], 2, False),
        (["estimate", "--config", "{bad}"], 2, False),
        (["validate", "{empty}"], 2, False),
    ],
)
def test_exit_status_and_usage(
    command: Command, tmp_path: Path, arguments: list[str], status: int, usage: bool
) -> None:
    """2 is for the command line and the configuration; only a wrong command line shows how it is used."""
    empty = tmp_path / "empty"
    empty.mkdir()
    files = {"bad": "metta_wandb.d", "unread": "metta_training.d"}
    for name, folder in files.items():
        (tmp_path / folder).mkdir()
        files[name] = str(tmp_path / folder / "conf.yaml")
    Path(files["bad"]).write_text("instances: [{entity: team, timeframe: 5}]")
    Path(files["unread"]).write_text("instances: [{source: /nowhere/none.json}]")
    result = command(*(text.format(empty=empty, **files) for text in arguments))
    assert result.exit_code == status
    assert ("Usage: " in result.stderr) == usage


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_examples_and_its_exit_status(command: Command, name: str) -> None:
    text = command(name, "--help").stdout
    assert "Exit status:" in text
    assert f"metta-checks {name}" in text.partition("Examples:")[2]


def test_help_loads_no_board(command: Command) -> None:
    script = "import sys; from metta_checks.cli import main; main(['{}', '--help'], standalone_mode=False); "
    for name in ("demo", "board", "list", "validate"):
        check = "print(sorted(m for m in sys.modules if m.startswith('metta_checks.board.')), file=sys.stderr)"
        ran = subprocess.run(
            [sys.executable, "-c", script.format(name) + check], capture_output=True, text=True, timeout=60
        )
        assert ran.stderr.strip() == "[]", name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainning", "x.json"], "Did you mean `training`?"),
        (["evals", "x.json"], "Did you mean `eval`?"),
        (["results.json", "training"], "The suite comes first: publish SUITE results.json."),
        (["other", "x.json"], "'other' is not one of 'training', 'eval'."),
    ],
)
def test_publish_names_the_suite_that_was_meant(command: Command, arguments: list[str], said: str) -> None:
    result = command("publish", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("arguments", ["preview --from none.json", "lint none.json", "preview x.json"])
def test_a_file_that_cannot_be_read_shows_no_usage(command: Command, arguments: str) -> None:
    result = command("board", *arguments.split())
    assert (result.exit_code, result.stderr) == (2, f"Error: {arguments.split()[-1]}: No such file or directory\n")
