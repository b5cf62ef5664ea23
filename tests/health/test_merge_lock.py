"""Who may hold up a publisher that merges into a file, and who may not."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.health import merge_lock

Make = Callable[..., Any]

GROUP = 4321
ALICE, BOB, READER = 1111, 2222, 3333
"""Alice and Bob are in the group, the reader is in none."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may act for others")


@pytest.fixture(autouse=True)
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_lock, "LOCK_SECONDS", 0.1)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can get to, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder).resolve()
        path.chmod(0o755)
        yield path


@pytest.fixture
def merge(record: Make, absent: object) -> Callable[[Path, str], Result]:
    """`publish --merge` of one record of this task into the document."""

    def publish(document: Path, task: str) -> Result:
        results = json.dumps([record(timestamp=absent, task=task)])
        return CliRunner().invoke(main, ["publish", "training", "-", "--merge", "--to", str(document)], input=results)

    return publish


def tasks(document: Path) -> list[str]:
    return [item["task"] for item in json.loads(document.read_bytes())]


def lock_of(document: Path) -> Path:
    return document.with_name(f".{document.name}.lock")


def acting(user: int, groups: list[int], work: Callable[[], str]) -> str:
    """What `work` returns in a process of another user with the usual umask, or the name of its exception."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(user)
            os.setuid(user)
            os.umask(0o022)
            text = work()
        # Nothing may leave the child, which is a copy of pytest.
        except BaseException as error:
            text = type(error).__name__
        os.write(writable, text.encode())
        os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def test_a_descriptor_for_reading_locks_nobody_out(merge: Make, tmp_path: Path) -> None:
    document = tmp_path / "results.json"
    assert merge(document, "one").exit_code == 0
    with lock_of(document).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert merge(document, "two").exit_code == 0

    assert tasks(document) == ["one", "two"]


def test_a_lock_file_that_everybody_can_read_is_closed(merge: Make, tmp_path: Path) -> None:
    document = tmp_path / "results.json"
    lock_of(document).touch()
    lock_of(document).chmod(0o644)

    assert merge(document, "one").exit_code == 0
    assert stat.S_IMODE(lock_of(document).stat().st_mode) == 0o600


@as_root
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o1777])
@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf])
def test_a_reader_of_the_folder_cannot_open_the_lock_file(
    lock: Callable[[int, int], None], mode: int, merge: Make, shared: Path
) -> None:
    document = shared / "results.json"
    os.chown(shared, ALICE, GROUP)
    shared.chmod(mode)
    acting(ALICE, [GROUP], lambda: merge(document, "one").output)

    def attack() -> str:
        document.stat()
        lock(os.open(lock_of(document), os.O_RDONLY), fcntl.LOCK_SH)
        return "locked"

    assert acting(READER, [GROUP], attack) == "PermissionError"
    assert "now has 2" in acting(ALICE, [GROUP], lambda: merge(document, "two").output)


@as_root
@pytest.mark.parametrize("mode", [0o2775, 0o775, 0o777])
def test_two_users_of_a_group_merge_in_turn(mode: int, merge: Make, shared: Path) -> None:
    document = shared / "results.json"
    os.chown(shared, 0, GROUP)
    shared.chmod(mode)

    for number, user in enumerate((ALICE, BOB, ALICE), 1):
        said = acting(user, [GROUP], lambda number=number: merge(document, f"task {number}").output)
        assert f"which now has {number}" in said


@as_root
def test_what_root_published_once_its_owner_can_merge_into(merge: Make, shared: Path) -> None:
    document = shared / "results.json"
    os.chown(shared, ALICE, ALICE)
    assert merge(document, "one").exit_code == 0

    assert "which now has 2" in acting(ALICE, [], lambda: merge(document, "two").output)


@as_root
def test_a_lock_file_of_somebody_else_is_named(merge: Make, shared: Path) -> None:
    document = shared / "results.json"
    os.chown(shared, ALICE, GROUP)
    shared.chmod(0o2775)
    lock_of(document).touch(mode=0o644)

    said = acting(BOB, [GROUP], lambda: merge(document, "one").output)

    assert f"locking {lock_of(document)}: permission denied" in said
    assert "Give its group write permission" in said


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("results.json")])
def test_what_is_no_lock_file_is_named(plant: Callable[[Path], None], merge: Make, tmp_path: Path) -> None:
    document = tmp_path / "results.json"
    plant(lock_of(document))

    result = merge(document, "one")

    assert (result.exit_code, document.exists()) == (1, False)
    assert f"locking {lock_of(document)}: " in result.stderr


def test_another_publisher_that_holds_the_lock_is_waited_for_and_named(merge: Make, tmp_path: Path) -> None:
    document = tmp_path / "results.json"
    with merge_lock.merge_lock(document):
        result = merge(document, "one")

    assert (result.exit_code, document.exists()) == (1, False)
    assert f"locking {lock_of(document)}: it stays locked for 0.1 s" in result.stderr
    assert merge(document, "one").exit_code == 0


def test_the_owner_of_the_folder_cannot_have_the_lock_file_made_elsewhere(
    merge: Make, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new lock file is given to the owner of the folder, who may put a link in the folder's place at any moment."""
    folder, foreign, moved = shared / "results", shared / "foreign", shared / "moved"
    folder.mkdir()
    foreign.mkdir()
    real_open = os.open

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith(".lock") and not moved.exists():
            folder.rename(moved)
            folder.symlink_to(foreign)
        return real_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    merge(folder / "results.json", "one")

    assert moved.exists()
    assert not lock_of(foreign / "results.json").exists()
