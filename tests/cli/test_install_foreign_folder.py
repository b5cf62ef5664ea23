"""`metta-checks install` and `uninstall` in a folder whose owner attacks whoever runs them, root in the first place."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import Result

Command = Callable[..., Result]

SHIM, EXAMPLE, LEDGER = (
    "checks.d/metta_wandb.py",
    "conf.d/metta_wandb.d/conf.yaml.example",
    "checks.d/.metta-checks.json",
)
AGENT_USER = (1234, 2345)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The Agent's folder; it belongs to the Agent's user where the test may give it away."""
    folder = tmp_path / "datadog-agent"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, *AGENT_USER)
    return folder


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder with a file that belongs to whoever runs the command, and is for nobody else."""
    folder = tmp_path / "foreign"
    folder.mkdir(mode=0o700)
    (folder / "key.py").write_text("# a secret\n")
    (folder / "key.py").chmod(0o600)
    return folder


class Seen(NamedTuple):
    kind: int
    mode: int
    owner: tuple[int, int]
    content: bytes


def everything(folder: Path) -> dict[str, Seen]:
    def seen(path: Path) -> Seen:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        return Seen(stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), content)

    return {str(path.relative_to(folder)): seen(path) for path in (folder, *folder.rglob("*"))}


def link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def fifo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("options", [[], ["--dry-run"]], ids=["", "dry run"])
@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("target", [SHIM, EXAMPLE, LEDGER, "checks.d", "conf.d", "conf.d/metta_wandb.d"])
def test_a_link_is_refused_and_nothing_is_written_behind_it(
    command: Command, agent: Path, foreign: Path, target: str, verb: str, options: list[str]
) -> None:
    link(agent / target, foreign / "key.py" if "." in Path(target).name.removesuffix(".d") else foreign)
    before = everything(foreign)

    result = command(verb, "--agent-dir", agent, *options)

    assert result.exit_code == 1
    assert f"{agent / target}: Is a symbolic link" in result.stderr
    assert everything(foreign) == before
    assert (agent / target).is_symlink()


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_link_to_a_good_copy_is_refused_too(command: Command, agent: Path, foreign: Path, verb: str) -> None:
    command("install", "--agent-dir", agent)
    copy = foreign / "copy.py"
    (agent / SHIM).rename(copy)
    copy.chmod(0o600)
    os.chown(copy, os.geteuid(), os.getegid())
    link(agent / SHIM, copy)
    before = everything(foreign)

    assert command(verb, "--agent-dir", agent).exit_code == 1
    assert everything(foreign) == before


@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("target", [SHIM, EXAMPLE, LEDGER, "checks.d", "conf.d/metta_wandb.d"])
def test_a_fifo_neither_hangs_nor_is_replaced(command: Command, agent: Path, target: str, verb: str) -> None:
    fifo(agent / target)

    result = command(verb, "--agent-dir", agent)

    assert result.exit_code == 1
    assert f"{agent / target}: Is a FIFO" in result.stderr
    assert (agent / target).is_fifo()


@as_root
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_another_name_of_a_file_is_not_changed_through_it(
    command: Command, agent: Path, foreign: Path, mode: int
) -> None:
    command("install", "--agent-dir", agent)
    original = foreign / "shim.py"
    original.write_bytes((agent / SHIM).read_bytes())
    original.chmod(mode)
    (agent / SHIM).unlink()
    (agent / SHIM).hardlink_to(original)

    result = command("install", "--agent-dir", agent)

    assert f"repair     {SHIM}" in result.stdout
    assert everything(foreign)["shim.py"][1:3] == (mode, (0, 0))
    assert everything(agent)[SHIM][1:3] == (0o644, AGENT_USER)


def swap(folder: Path, other: Path) -> None:
    """What the owner of a folder does between two system calls of the command."""
    folder.rename(folder.with_name("moved away"))
    folder.symlink_to(other)


@pytest.mark.parametrize(
    ("call", "name", "swapped"),
    [
        ("stat", "checks.d", "checks.d"),
        ("open", "checks.d", "checks.d"),
        ("stat", "metta_wandb.py", "checks.d"),
        ("open", "metta_wandb.py", "checks.d"),
        ("open", ".metta_wandb.py.", "checks.d"),
        ("rename", ".metta_wandb.py.", "checks.d"),
        ("mkdir", "metta_wandb.d", "conf.d"),
        ("open", ".conf.yaml.example.", "conf.d"),
        ("rename", ".conf.yaml.example.", "conf.d/metta_wandb.d"),
        ("fchmod", "", "checks.d"),
        ("fchown", "", "checks.d"),
    ],
)
def test_a_folder_swapped_for_a_link_between_check_and_use_leads_nowhere(
    command: Command,
    agent: Path,
    foreign: Path,
    call: str,
    name: str,
    swapped: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if call == "fchown" and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    (agent / "checks.d").mkdir()
    (agent / "conf.d").mkdir()
    if call in {"stat", "open"} and name == "metta_wandb.py":
        (agent / SHIM).write_text("# changed by hand\n")
    before = everything(foreign)
    real, swaps = getattr(os, call), []

    def with_a_swap(*arguments: Any, **keywords: Any) -> Any:
        if not swaps and (not name or str(arguments[0]).startswith(name)) and (agent / swapped).is_dir():
            swaps.append(call)
            swap(agent / swapped, foreign)
        return real(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, with_a_swap)
        command("install", "--agent-dir", agent)

    assert swaps
    assert everything(foreign) == before


@as_root
def test_a_folder_moved_to_where_one_is_created_is_not_given_away(
    command: Command, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (agent / "private").mkdir(mode=0o700)
    (agent / "private/key").write_text("a secret")
    mkdir = os.mkdir

    def mkdir_and_swap(name: str, *arguments: Any, **keywords: Any) -> None:
        mkdir(name, *arguments, **keywords)
        if name == "checks.d":
            (agent / name).rmdir()
            (agent / "private").rename(agent / name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", mkdir_and_swap)
        result = command("install", "--agent-dir", agent)

    assert result.exit_code == 1
    assert f"{agent}/checks.d: Was replaced while it was created" in result.stderr
    assert everything(agent)["checks.d"][1:3] == (0o700, (0, 0))


@as_root
@pytest.mark.parametrize("verb", ["install", "uninstall"])
@pytest.mark.parametrize("level", ["..", ".", "checks.d", "conf.d", "conf.d/metta_wandb.d"])
def test_root_writes_to_no_folder_that_every_user_may_write_to(
    command: Command, agent: Path, level: str, verb: str
) -> None:
    command("install", "--agent-dir", agent)
    folder = Path(os.path.normpath(agent / level))
    folder.chmod(0o777)
    before = everything(agent)

    result = command(verb, "--agent-dir", agent)

    assert result.exit_code == 1
    assert f"{folder}: Every user may write to this folder" in result.stderr
    assert everything(agent) == before
    folder.chmod(0o1777)
    assert command(verb, "--agent-dir", agent).exit_code == 0


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("trailing", ["", "conf"])
def test_a_link_of_the_user_on_the_way_to_the_agents_folder_is_followed(
    command: Command, agent: Path, tmp_path: Path, trailing: str, absolute: bool
) -> None:
    (tmp_path / "etc").mkdir()
    (agent / "conf").mkdir()
    (tmp_path / "etc/agent").symlink_to(agent if absolute else "../datadog-agent")

    result = command("install", "--agent-dir", tmp_path / "etc/agent" / trailing)

    assert result.exit_code == 0
    assert (agent / trailing / SHIM).is_file()


@as_root
@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_link_of_another_user_on_the_way_is_refused(command: Command, agent: Path, tmp_path: Path, verb: str) -> None:
    (tmp_path / "link").symlink_to(agent)
    os.chown(tmp_path / "link", *AGENT_USER, follow_symlinks=False)

    result = command(verb, "--agent-dir", tmp_path / "link")

    assert result.exit_code == 1
    assert f"{tmp_path / 'link'}: Is a symbolic link of user 1234" in result.stderr
    assert list(agent.iterdir()) == []


def test_a_file_of_any_size_in_the_way_is_not_read_whole(command: Command, agent: Path) -> None:
    (agent / "checks.d").mkdir()
    for name in (SHIM, LEDGER):
        with (agent / name).open("wb") as file:
            file.truncate(1 << 40)

    result = command("install", "--agent-dir", agent, "--checks", "wandb")

    assert result.exit_code == 0
    assert f"keep       {SHIM}  (changed by hand" in result.stdout
