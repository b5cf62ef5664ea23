"""`metta-checks install` and `uninstall`: what changes in an Agent's folder, and what never does."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from metta_checks.checks import CHECKS

Command = Callable[..., Result]

SHIMS = {f"checks.d/{entry.name}.py" for entry in CHECKS}
EXAMPLES = {f"conf.d/{entry.name}.d/conf.yaml.example" for entry in CHECKS}
LEDGER = "checks.d/.metta-checks.json"
SHIM, EXAMPLE, CONF = (
    "checks.d/metta_wandb.py",
    "conf.d/metta_wandb.d/conf.yaml.example",
    "conf.d/metta_wandb.d/conf.yaml",
)


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    folder = tmp_path / "datadog-agent"
    folder.mkdir()
    return folder


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and modification time of every file, by its path below `folder`."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def verbs(result: Result) -> dict[str, str]:
    """What the output says of each file."""
    lines = (line.split() for line in result.stdout.splitlines())
    return {words[1]: words[0] for words in lines if len(words) > 1 and words[1].startswith(("checks.d/", "conf.d/"))}


def test_an_empty_folder_gets_a_shim_and_an_example_for_each_check(command: Command, agent: Path) -> None:
    result = command("install", "--agent-dir", agent)
    assert result.exit_code == 0
    assert verbs(result) == dict.fromkeys(SHIMS | EXAMPLES, "create")
    assert set(tree(agent)) == SHIMS | EXAMPLES | {LEDGER}
    assert f"metta-checks validate {agent / 'conf.d'}" in result.stdout


def test_modes_do_not_depend_on_the_umask(command: Command, agent: Path) -> None:
    before = os.umask(0o077)
    try:
        command("install", "--agent-dir", agent)
    finally:
        os.umask(before)
    for path in agent.rglob("*"):
        expected = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_gives_the_files_to_the_owner_of_the_folder(command: Command, agent: Path) -> None:
    os.chown(agent, 1234, 2345)
    command("install", "--agent-dir", agent)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in agent.rglob("*")} == {(1234, 2345)}


def test_doing_it_again_changes_nothing(command: Command, agent: Path) -> None:
    command("install", "--agent-dir", agent)
    before = tree(agent)
    result = command("install", "--agent-dir", agent)
    assert set(verbs(result).values()) == {"unchanged"}
    assert tree(agent) == before


def test_a_mode_that_the_agent_cannot_read_is_put_right(command: Command, agent: Path) -> None:
    command("install", "--agent-dir", agent)
    (agent / SHIM).chmod(0o600)
    result = command("install", "--agent-dir", agent)
    assert verbs(result)[SHIM] == "repair"
    assert stat.S_IMODE((agent / SHIM).stat().st_mode) == 0o644


def test_a_file_of_an_older_version_is_renewed_and_one_changed_by_hand_is_not(command: Command, agent: Path) -> None:
    command("install", "--agent-dir", agent)
    ledger = agent / LEDGER
    older = b"# an older version wrote this\n"
    (agent / SHIM).write_bytes(older)
    written = ledger.read_text()
    result = command("install", "--agent-dir", agent)
    assert verbs(result)[SHIM] == "keep"
    assert (agent / SHIM).read_bytes() == older
    # The same file, this time written by an older install: its hash stands in the ledger.
    document = json.loads(written)
    document["written"][SHIM] = hashlib.sha256(older).hexdigest()
    ledger.write_text(json.dumps(document))
    assert verbs(command("install", "--agent-dir", agent))[SHIM] == "update"
    assert (agent / SHIM).read_bytes() != older


@pytest.mark.parametrize("content", ["", "[", '{"written": 1}', "[" * 100_000])
def test_a_broken_ledger_is_no_obstacle(command: Command, agent: Path, content: str) -> None:
    command("install", "--agent-dir", agent)
    (agent / LEDGER).write_text(content)
    assert set(verbs(command("install", "--agent-dir", agent)).values()) == {"unchanged"}
    assert command("uninstall", "--agent-dir", agent).exit_code == 0
    assert tree(agent) == {}


def test_a_configuration_is_never_touched(command: Command, agent: Path) -> None:
    (agent / CONF).parent.mkdir(parents=True)
    (agent / CONF).write_text("instances: [{}]\n")
    before = tree(agent)[CONF]
    for verb in ("install", "uninstall"):
        result = command(verb, "--agent-dir", agent)
        assert verbs(result)[CONF] == "keep"
        assert tree(agent)[CONF] == before
    assert set(tree(agent)) == {CONF}


def test_only_some_checks(command: Command, agent: Path) -> None:
    command("install", "--agent-dir", agent, "--checks", "wandb, metta_ci,wandb")
    assert set(tree(agent)) == {
        *(f"checks.d/metta_{slug}.py" for slug in ("wandb", "ci")),
        *(f"conf.d/metta_{slug}.d/conf.yaml.example" for slug in ("wandb", "ci")),
        LEDGER,
    }
    command("uninstall", "--agent-dir", agent, "--checks", "ci")
    assert set(tree(agent)) == {SHIM, EXAMPLE, LEDGER}


def test_uninstall_takes_away_what_install_wrote_and_no_more(command: Command, agent: Path) -> None:
    (agent / "checks.d").mkdir()
    (agent / "checks.d/other.py").write_text("")
    command("install", "--agent-dir", agent)
    with (agent / EXAMPLE).open("a") as file:
        file.write("# a note of ours\n")
    result = command("uninstall", "--agent-dir", agent)
    assert result.exit_code == 0
    assert {name for name in tree(agent) if name != LEDGER} == {"checks.d/other.py", EXAMPLE}
    assert verbs(result)[EXAMPLE] == "keep"
    assert sorted(path.name for path in (agent / "conf.d").iterdir()) == ["metta_wandb.d"]


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_dry_run_tells_and_does_not(command: Command, agent: Path, verb: str) -> None:
    if verb == "uninstall":
        command("install", "--agent-dir", agent)
    before = tree(agent)
    result = command(verb, "--agent-dir", agent, "--dry-run")
    assert set(verbs(result).values()) == {"create" if verb == "install" else "remove"}
    assert "Nothing was changed" in result.stdout
    assert tree(agent) == before


def test_uninstalling_what_is_not_there_is_no_fault(command: Command, agent: Path) -> None:
    result = command("uninstall", "--agent-dir", agent)
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--checks", "wandbb"], "there is no check 'wandbb'; the checks are wandb"),
        (["--agent-dir", "/no/such/folder"], "does not exist"),
        (["--agent-dir", "/etc/hostname"], "is a file"),
    ],
)
@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_refusals(command: Command, agent: Path, verb: str, arguments: list[str], said: str) -> None:
    result = command(verb, "--agent-dir", agent, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert tree(agent) == {}


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_folder_in_the_way(command: Command, agent: Path, verb: str) -> None:
    (agent / SHIM).mkdir(parents=True)
    result = command(verb, "--agent-dir", agent)
    assert result.exit_code == 1
    assert f"{agent / SHIM}: Is a directory" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(command: Command, agent: Path) -> None:
    agent.chmod(0o555)
    result = command("install", "--agent-dir", agent)
    assert result.exit_code == 1
    assert "run it as root, or as the user that owns the folder" in result.stderr
