"""Local sources: which files count, which are never touched, and when one is read again."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import Kind, SourceError

Make = Callable[..., Any]


@pytest.fixture
def site(write: Make, record: Make, tmp_path: Path) -> Path:
    """A directory with records whose value says which file they are from."""
    for value, name in enumerate(("a.json", "b.json", ".hidden.json", "notes.txt", "deep/c.json", "deep/er/d.json")):
        write([record(value=value, tags={"file": name})], f"site/{name}")
    write([record(value=9)], "elsewhere/secret.json")
    return tmp_path / "site"


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("", [0, 1]),
        ("/", [0, 1]),
        ("/a.json", [0]),
        ("/notes.txt", [3]),
        ("/deep", [4]),
        ("/*.json", [0, 1]),
        ("/?.json", [0, 1]),
        ("/[b].json", [1]),
        ("/*", [0, 1]),
        ("/*.txt", []),
        ("/.*", []),
        ("/**/*.json", [0, 1, 4, 5]),
        ("/*/c.json", [4]),
        ("/deep/../a.json", [0]),
    ],
)
def test_a_source_is_a_file_a_directory_or_a_glob(source: str, values: list[float], site: Path, collect: Make) -> None:
    assert collect(f"{site}{source}").hearts == values


def test_a_file_may_be_called_like_a_glob(write: Make, record: Make, collect: Make) -> None:
    assert collect(write([record()], "results[1].json")).hearts == [0.91]


@pytest.mark.parametrize("source", ["/none.json", "/none/none.json", "/a.json/none", "/none/*.json"])
def test_what_is_not_there_is_a_failure(source: str, site: Path, collect: Make) -> None:
    collected = collect(f"{site}{source}")

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is Kind.NOT_FOUND
    assert source in str(collected.error)


@pytest.mark.parametrize("source", ["/empty", "/*.yaml"])
def test_a_place_without_documents_is_missing_data(source: str, site: Path, collect: Make) -> None:
    (site / "empty").mkdir()

    collected = collect(f"{site}{source}")

    assert (collected.up, collected.data_missing) == (1, 1)
    assert collected.warnings == (f"{site}{source} holds no document: has the pipeline published?",)


def link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


INSIDE = [
    ("link.json", "a.json"),
    ("link.json", "deep/c.json"),
    ("link.json", "../site/a.json"),
    ("link.json", ".data/../a.json"),
]


OUTSIDE = [
    ("link.json", "../elsewhere/secret.json"),
    ("link.json", "up/secret.json"),
    ("link.json", "chain.json"),
]


@pytest.fixture
def linked(site: Path) -> Path:
    """The site, with a link to the directory beside it, and one to a file there."""
    (site / ".data").mkdir()
    (site / "up").symlink_to("../elsewhere")
    (site / "chain.json").symlink_to("../elsewhere/secret.json")
    return site


@pytest.mark.parametrize(("name", "target"), INSIDE)
def test_a_link_that_stays_inside_is_followed(name: str, target: str, linked: Path, collect: Make) -> None:
    link(linked / name, target)

    assert collect(linked / name).hearts in ([0], [4])


def test_a_mounted_config_map_is_followed(write: Make, record: Make, collect: Make, tmp_path: Path) -> None:
    write([record()], "config/..2025_01_14/results.json")
    link(tmp_path / "config/..data", "..2025_01_14")
    link(tmp_path / "config/results.json", "..data/results.json")

    assert collect(tmp_path / "config").hearts == [0.91]


@pytest.mark.parametrize(("name", "target"), OUTSIDE)
def test_a_link_that_leads_out_is_not_followed(name: str, target: str, linked: Path, collect: Make) -> None:
    link(linked / name, target)

    alone, among = collect(linked / name), collect(linked)

    assert (alone.up, alone.hearts) == (0, [])
    assert "a symbolic link points outside" in str(alone.error)
    assert (among.up, among.hearts, among.dropped("unreadable")) == (1, [0, 1], 2)


def test_a_directory_below_a_glob_may_not_lead_out_either(linked: Path, collect: Make) -> None:
    collected = collect(f"{linked}/*/secret.json")

    assert (collected.up, collected.hearts) == (0, [])


@pytest.mark.parametrize("target", ["link.json", "nowhere.json"])
def test_a_link_to_itself_or_to_nothing_is_an_error(target: str, linked: Path, collect: Make) -> None:
    link(linked / "link.json", target)

    assert (collect(linked / "link.json").up, collect(linked).hearts) == (0, [0, 1])


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


def plant_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("plant", "kind"), [(plant_fifo, "a FIFO"), (plant_socket, "a socket"), (plant_directory, "a directory")]
)
def test_what_is_no_regular_file_is_not_opened(
    plant: Callable[[Path], None], kind: str, site: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A socket's path has to be short.
    monkeypatch.chdir(site)
    plant(Path("odd.json"))

    among = collect(site, collection_timeout=10)

    assert (among.up, among.hearts, among.dropped("unreadable")) == (1, [0, 1], 1)
    assert f"it is {kind}, not a file" in among.warnings[0]


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/tty", "/proc/self/mem"])
def test_devices_and_the_like_are_errors(source: str, collect: Make) -> None:
    collected = collect(source, collection_timeout=10)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is not Kind.TIMED_OUT


def test_a_fifo_alone_is_an_error(tmp_path: Path, collect: Make) -> None:
    os.mkfifo(tmp_path / "fifo")

    collected = collect(tmp_path / "fifo", collection_timeout=10)

    assert "it is a FIFO, not a file" in str(collected.error)


def test_a_huge_file_is_not_read(tmp_path: Path, collect: Make) -> None:
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)

    collected = collect(tmp_path / "huge.json", collection_timeout=10)

    assert "more than 10,485,760 bytes" in str(collected.error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_an_error(write: Make, record: Make, collect: Make) -> None:
    path = write([record()])
    path.chmod(0)

    assert "permission denied" in str(collect(path).error)


@pytest.mark.parametrize("name", ["two\nlines.json", "tab\t.json", "caf\udce9.json"])
def test_an_awkward_file_name_is_shown_in_one_line(
    name: str, write: Make, record: Make, collect: Make, tmp_path: Path
) -> None:
    write([record(), {}], name)

    collected = collect(tmp_path)

    assert collected.hearts == [0.91]
    assert collected.warnings[0].isprintable()
