"""Local files that change, stay, or are too many: what is read again, and what is left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.mark.parametrize(("changes", "up"), [(0, 1), (1, 1), (2, 1), (3, 0)])
def test_a_file_that_changes_while_it_is_read_is_read_again_a_few_times(
    changes: int, up: float, write: Make, record: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([record()])
    pending = [b" "] * changes
    pread = os.pread

    def pread_while_somebody_writes(handle: int, size: int, offset: int) -> bytes:
        content = pread(handle, size, offset)
        # At the end of each pass.
        if pending and not content:
            with path.open("ab") as file:
                file.write(pending.pop())
        return content

    monkeypatch.setattr(os, "pread", pread_while_somebody_writes)
    collected = collect(path)

    assert (collected.up, collected.hearts) == (up, [0.91] if up else [])
    assert ("it changed while it was read, 3 times" in str(collected.error)) == (not up)


def in_place(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def unlinked_first(path: Path, content: bytes) -> None:
    """As `tar` does; the file system often gives the new file the inode of the old one."""
    path.unlink()
    path.write_bytes(content)


def renamed_into_place(path: Path, content: bytes) -> None:
    other = path.with_name(".other")
    other.write_bytes(content)
    other.rename(path)


@pytest.mark.parametrize("of_directory", [False, True])
def test_an_unchanged_file_is_not_read_again(
    of_directory: bool, write: Make, record: Make, make_check: Make, run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([record()])
    check = make_check(path.parent if of_directory else path)
    first = run(check)
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *arguments: reads.append(arguments) or pread(*arguments))

    second = run(check)

    assert (second.up, second.series.keys()) == (1, first.series.keys())
    assert (second.hearts, reads) == ([0.91], [])


@pytest.mark.parametrize("replace", [in_place, unlinked_first, renamed_into_place])
@pytest.mark.parametrize("source", ["file", "directory", "glob"])
def test_a_file_replaced_by_one_of_equal_size_and_time_is_read_again(
    replace: Callable[[Path, bytes], None], source: str, write: Make, record: Make, make_check: Make, run: Make
) -> None:
    """`tar --mtime=@0`, `rsync --times`, reproducible builds (bazelbuild/bazel#27685)."""
    path = write([record(value=0.91, status="pass")])
    os.utime(path, (0, 0))
    check = make_check({"file": path, "directory": path.parent, "glob": path.parent / "*.json"}[source])
    before = path.stat()
    assert run(check).hearts == [0.91]

    content = json.dumps([record(value=0.12, status="fail")]).encode()
    replace(path, content)
    os.utime(path, (0, 0))

    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = run(check)
    assert (second.hearts, second.value("metta.infra.health.state")) == ([0.12], 2)


@pytest.mark.parametrize("of_directory", [False, True])
def test_a_changed_file_is_read_again(
    of_directory: bool, write: Make, record: Make, make_check: Make, run: Make
) -> None:
    path = write([record()])
    check = make_check(path.parent if of_directory else path)
    assert run(check).hearts == [0.91]

    path.write_bytes(b"[]")

    assert run(check).hearts == []


def test_a_file_renamed_into_place_is_read_whatever_its_time(
    write: Make, record: Make, make_check: Make, run: Make
) -> None:
    path, other = write([record(value=0.91)]), write([record(value=0.92)], "other.json")
    for file in (path, other):
        os.utime(file, (1, 1))
    check = make_check(path)
    assert run(check).hearts == [0.91]

    other.rename(path)

    assert run(check).hearts == [0.92]


def test_a_file_that_went_away_takes_its_records_along(
    write: Make, record: Make, make_check: Make, run: Make, tmp_path: Path
) -> None:
    for value, name in enumerate(("a.json", "b.json")):
        write([record(value=value, tags={"file": name})], name)
    check = make_check(tmp_path)
    assert run(check).hearts == [0, 1]

    (tmp_path / "b.json").unlink()

    assert run(check).hearts == [0]


def test_of_too_many_documents_the_newest_count(write: Make, record: Make, collect: Make, tmp_path: Path) -> None:
    for number in range(1003):
        path = write([record(value=number, tags={"n": number})], f"many/{number:04}.json")
        os.utime(path, (number, number))

    collected = collect(tmp_path / "many")

    assert collected.hearts == list(range(3, 1003))
    assert collected.dropped("over_limit") == 3
    assert any(warning.startswith("3 left out (over_limit): ") for warning in collected.warnings)


@pytest.mark.parametrize(
    ("limits", "records"),
    [({"max_records": 3}, 3), ({"max_bytes": 8000}, 7)],
    ids=["records", "bytes"],
)
def test_documents_that_are_too_much_together_give_way_to_newer_ones(
    limits: dict[str, int], records: int, write: Make, record: Make, collect: Make, tmp_path: Path
) -> None:
    for number in range(6):
        content = [record(value=number, tags={"file": number, "n": n}) for n in range(records)]
        os.utime(write(content, f"many/{number}.json"), (number, number))

    collected = collect(tmp_path / "many", **limits)

    assert sorted(set(collected.hearts)) == [2, 3, 4, 5]
    assert (collected.up, collected.dropped("over_limit")) == (1, 2)
