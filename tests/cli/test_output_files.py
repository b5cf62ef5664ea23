"""Where a command may write: regular files, through links, to devices and FIFOs, and to nobody else's."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.core import atomic_write

Write = Callable[[object], Result]

RECORD = {
    "metric": "hearts",
    "value": 0.91,
    "condition": "> 0.5",
    "workflow_name": "arena",
    "task": "runs",
    "check": "reward",
}
STRANGER = 54_321
"""The id of a user who is neither root nor whoever runs the tests."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is led astray, and only root gives files away")


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    return result


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.json"
    path.write_text(json.dumps([RECORD]), encoding="utf-8")
    return path


@pytest.fixture
def collected(records: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of `records` as JSON, in a file."""
    monkeypatch.setenv("TRAINING_HEALTH_FILE", str(records))
    path = records.with_name("collected.json")
    run("collect", "training", "--format", "json", "--output", path)
    return path


@pytest.fixture(params=["publish", "merge", "collect", "preview"])
def write(request: pytest.FixtureRequest, records: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Runs a command that writes to the given path."""
    monkeypatch.setenv("TRAINING_HEALTH_FILE", str(records))
    match request.param:
        case "publish":
            return lambda path: run("publish", "training", records, "--to", path)
        case "merge":
            return lambda path: run("publish", "training", records, "--to", path, "--merge")
        case "collect":
            return lambda path: run("collect", "training", "--format", "json", "--output", path)
        case _:
            collected = records.with_name("collected.json")
            run("collect", "training", "--format", "json", "--output", collected)
            return lambda path: run("board", "preview", "health_wall", "--from", collected, "-o", path)


@pytest.fixture
def write_anything(write: Write, request: pytest.FixtureRequest) -> Write:
    """Those that need not read first what is there."""
    if "merge" in request.node.callspec.id:
        pytest.skip("a merge reads what is there")
    return write


def beside(path: Path) -> set[str]:
    """What stands in the folder, the lock of a merge aside."""
    return {entry.name for entry in path.parent.iterdir() if not entry.name.endswith(".lock")}


@contextmanager
def read_meanwhile(path: Path) -> Iterator[list[bytes]]:
    """Everything that is written into a FIFO."""
    content: list[bytes] = []
    reader = threading.Thread(target=lambda: content.append(path.read_bytes()), daemon=True)
    reader.start()
    yield content
    reader.join(timeout=60)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664, 0o640])
def test_the_permission_bits_of_a_file_are_kept(mode: int, write: Write, tmp_path: Path) -> None:
    """A reader with another user loses the file otherwise (untitaker/python-atomicwrites#42)."""
    path = tmp_path / "out" / "out.json"
    path.parent.mkdir()
    path.write_text("[]", encoding="utf-8")
    path.chmod(mode)
    inode = path.stat().st_ino

    mask = os.umask(0o077)
    try:
        assert write(path).exit_code == 0
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_ino != inode
    assert beside(path) == {"out.json"}


@as_root
def test_root_leaves_a_file_to_its_owner(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("[]", encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, STRANGER, STRANGER)

    assert write(path).exit_code == 0

    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (STRANGER, STRANGER, 0o600)
    assert path.stat().st_size > 2


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("target", ["real.json", "../elsewhere/real.json", "link.json"])
def test_a_link_stays_and_its_target_is_written(target: str, there: bool, write: Write, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "link.json").symlink_to(elsewhere / "last.json")
    link = folder / "out.json"
    link.symlink_to(target)
    real = elsewhere / "last.json" if target == "link.json" else folder / target
    if there:
        real.write_text("[]", encoding="utf-8")

    assert write(link).exit_code == 0

    assert str(link.readlink()) == target
    assert stat.S_ISREG(real.lstat().st_mode)
    assert real.stat().st_size > 2


def test_a_folder_that_is_a_link_is_gone_through(write: Write, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")

    assert write(tmp_path / "folder" / ".." / "folder" / "out.json").exit_code == 0

    assert beside(tmp_path / "real" / "out.json") == {"out.json"}


def test_a_fifo_is_written_in_place(write_anything: Write, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    with read_meanwhile(fifo) as content:
        assert write_anything(fifo).exit_code == 0

    assert stat.S_ISFIFO(fifo.lstat().st_mode)
    assert len(content[0]) > 100


def test_a_fifo_that_nobody_reads_is_an_error(
    write_anything: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_write, "FIFO_SECONDS", 0.0)
    os.mkfifo(tmp_path / "fifo")

    result = write_anything(tmp_path / "fifo")

    assert result.exit_code in {1, 2}
    assert "start the reader first" in result.stderr


def test_a_link_to_a_device_writes_to_the_device(write_anything: Write, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    before = Path("/dev/null").stat()

    assert write_anything(tmp_path / "link").exit_code == 0
    assert write_anything("/dev/null").exit_code == 0

    assert (tmp_path / "link").is_symlink()
    assert Path("/dev/null").stat().st_rdev == before.st_rdev


def test_a_device_that_is_full_is_an_error(write_anything: Write) -> None:
    result = write_anything("/dev/full")

    assert result.exit_code == 1
    assert "/dev/full: no space left on device" in result.stderr
    assert "Free space" in result.stderr
    assert stat.S_ISCHR(Path("/dev/full").lstat().st_mode)


OUTPUTS = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"]


# Each is a process. Both commands write through one function, so that one of them tries all that may be given.
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("to", ["pipe", "file"])
@pytest.mark.parametrize("command", ["publish", pytest.param("collect", marks=pytest.mark.slow)])
def test_standard_output_gets_the_document_and_nothing_else(
    output: str, to: str, command: str, records: Path, tmp_path: Path
) -> None:
    before = os.lstat("/dev/stdout")
    (tmp_path / "link").symlink_to("/dev/stdout")
    path = str(tmp_path / "link") if output == "link" else output
    arguments = {
        "publish": ["publish", "training", str(records), "--to", path],
        "collect": ["collect", "training", "--format", "json", "--output", path],
    }[command]
    printed = tmp_path / "printed"

    with printed.open("wb") as file:
        result = subprocess.run(
            [sys.executable, "-m", "metta_checks", *arguments],
            stdout=file if to == "file" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TRAINING_HEALTH_FILE": str(records)},
            check=False,
        )

    assert result.returncode == 0, result.stderr
    document = json.loads(printed.read_bytes() if to == "file" else result.stdout)
    assert (document[0]["metric"] if command == "publish" else document["check"]) in {"hearts", "metta_training"}
    assert (b"published to" in result.stderr) == (command == "publish")
    after = os.lstat("/dev/stdout")
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


def test_the_page_of_a_preview_goes_to_standard_output(collected: Path) -> None:
    result = run("board", "preview", "health_wall", "--from", collected, "-o", "-")

    assert result.exit_code == 0
    assert result.stdout.startswith("<!")
    assert "wrote -: health_wall" in result.stderr
    assert not Path("-").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "training", "RECORDS", "--to", "-"],
        ["collect", "training", "--format", "json", "--output", "-"],
        ["collect", "training", "--format", "json"],
        ["board", "preview", "health_wall", "--from", "COLLECTED", "-o", "-"],
    ],
)
def test_standard_output_that_is_full_is_an_error(arguments: list[str], records: Path, collected: Path) -> None:
    paths = {"RECORDS": str(records), "COLLECTED": str(collected)}
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "metta_checks", *(paths.get(one, one) for one in arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "TRAINING_HEALTH_FILE": str(records)},
            check=False,
        )

    assert result.returncode == 1, result.stderr
    assert b"standard output: no space left on device" in result.stderr
    assert b"fault of this command" not in result.stderr


def test_standard_output_is_utf_8_whatever_its_encoding(collected: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "metta_checks", "board", "preview", "health_wall", "--from", collected, "-o", "-"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert not result.stdout.decode("utf-8").isascii()


def test_several_files_do_not_go_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = run("board", "export", "-")

    assert result.exit_code == 2
    assert "name a folder" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_merge_into_standard_output_is_refused(records: Path) -> None:
    result = run("publish", "training", records, "--to", "-", "--merge")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--merge needs a document" in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/out.json", "none"),
        ("records.json/out.json", "records.json"),
        (".", "directory|folder"),
        ("loop", "Symbolic links lead in a circle|symbolic links"),
        pytest.param("x" * 300, "too long", id="long"),
        ("folder/../none/out.json", "none"),
    ],
)
def test_what_cannot_be_written_is_named(name: str, message: str, write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = {path.name for path in tmp_path.iterdir()}

    result = write(tmp_path / name)

    assert result.exit_code in {1, 2}
    assert any(word in result.stderr for word in message.split("|")), result.stderr
    assert "fault of this command" not in result.stderr
    assert {path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")} - before <= {"out.json"}


@pytest.mark.parametrize(
    ("call", "number", "remedy"),
    [
        ("write", errno.ENOSPC, "Free space on the file system of"),
        ("fsync", errno.EDQUOT, "Free space on the file system of"),
        ("fsync", errno.EIO, "Check the path and the file system"),
        ("rename", errno.EBUSY, "mount its folder instead"),
        ("rename", errno.ENOSYS, "cannot rename files"),
        ("rename", errno.EACCES, "must be allowed to write to"),
    ],
)
def test_a_fault_of_the_system_leaves_the_old_file_and_nothing_else(
    call: str, number: int, remedy: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out" / "out.json"
    path.parent.mkdir()
    path.write_text("[]", encoding="utf-8")
    true = getattr(os, call)

    def failing(*arguments: Any, **options: Any) -> Any:
        if call == "write" and Path(f"/proc/self/fd/{arguments[0]}").readlink().parent != path.parent:
            return true(*arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, failing)
    result = write(path)
    monkeypatch.undo()

    assert result.exit_code in {1, 2}
    assert f"{path}: {os.strerror(number).lower()}" in result.stderr
    assert remedy in " ".join(result.stderr.split())
    assert (path.read_text(encoding="utf-8"), beside(path)) == ("[]", {"out.json"})


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_to_is_named(
    number: int, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root is never refused, so the system call is."""
    open_ = os.open

    def failing(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise OSError(number, os.strerror(number))
        return open_(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", failing)
    result = write(tmp_path / "out.json")
    monkeypatch.undo()

    assert result.exit_code in {1, 2}
    assert os.strerror(number).lower() in result.stderr
    assert f"{tmp_path}" in result.stderr


@as_root
@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "device"])
def test_root_does_not_follow_a_link_of_another_user(kind: str, write: Write, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    target = real / "out.json"
    link = tmp_path / "link"
    link.symlink_to({"file": target, "folder": real, "dangling": real / "new.json", "device": "/dev/null"}[kind])
    if kind in {"file", "folder"}:
        target.write_text("mine", encoding="utf-8")
    os.lchown(link, STRANGER, STRANGER)

    result = write(link / "out.json" if kind == "folder" else link)

    assert result.exit_code in {1, 2}
    assert f"{link} is a symbolic link of user {STRANGER}, and root does not follow it" in result.stderr
    assert {path.name: path.read_text() for path in real.iterdir()} == (
        {"out.json": "mine"} if kind in {"file", "folder"} else {}
    )


@as_root
def test_root_does_not_write_into_a_fifo_of_another_user(write_anything: Write, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    os.chown(fifo, STRANGER, STRANGER)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    result = write_anything(fifo)

    assert result.exit_code in {1, 2}
    assert f"it is a FIFO of user {STRANGER}, and root does not write to it" in result.stderr
    assert os.read(reader, 10) == b""
    os.close(reader)


def test_a_socket_is_refused(write_anything: Write, tmp_path: Path) -> None:
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)

    result = write_anything(tmp_path / "socket")

    assert result.exit_code in {1, 2}
    assert "it is a socket" in result.stderr


def test_boards_are_exported_through_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    result = run("board", "export", tmp_path / "link" / "deep" / "boards")

    assert result.exit_code == 0
    assert (tmp_path / "real" / "deep" / "boards" / "dashboards" / "health_wall.json").is_file()


@as_root
def test_root_exports_no_boards_through_a_link_of_another_user(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.lchown(tmp_path / "link", STRANGER, STRANGER)

    result = run("board", "export", tmp_path / "link" / "boards")

    assert result.exit_code == 1
    assert "root does not follow it" in result.stderr
    assert list((tmp_path / "real").iterdir()) == []
