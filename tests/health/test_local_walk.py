"""Globs over trees that have no end, and what a link to a directory is good for in them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from metta_checks.core import Kind, SourceError

Make = Callable[..., Any]

LEVELS = 1_200


@pytest.fixture
def site(write: Make, record: Make, tmp_path: Path) -> Path:
    """A directory with two records whose value says which file they are from."""
    for value, name in enumerate(("a.json", "deep/b.json")):
        write([record(value=value, tags={"file": name})], f"site/{name}")
    return tmp_path / "site"


@pytest.mark.parametrize(
    "links",
    [
        {"one": ".", "two": "."},
        {"deep/up": "..", "deep/up2": "..", "down": "deep"},
        {"deep/one": "two", "deep/two": "..", "deep/three": "../deep/one"},
        {f"link{number}": "." for number in range(50)},
    ],
    ids=["itself twice", "up and down", "a chain", "itself 50 times"],
)
@pytest.mark.parametrize(
    ("pattern", "values"),
    [("**/*.json", [0, 1]), ("**", [0, 1]), ("**/**/b.json", [1]), ("*/b.json", [1])],
)
def test_links_to_directories_of_the_tree_have_an_end(
    links: dict[str, str], pattern: str, values: list[float], site: Path, collect: Make
) -> None:
    for name, target in links.items():
        (site / name).symlink_to(target)

    collected = collect(site / pattern, collection_timeout=10)

    assert collected.hearts == values


def test_a_file_that_many_links_lead_to_is_found_once(site: Path, collect: Make) -> None:
    for number in range(50):
        (site / f"link{number}").symlink_to(".")

    assert collect(site / "*/*/*/*/*/*/*/*.json", collection_timeout=10).hearts == [0, 1]


def test_a_directory_that_only_a_link_shows_is_found(write: Make, record: Make, collect: Make, tmp_path: Path) -> None:
    write([record()], "git/.worktrees/abc/suite/results.json")
    (tmp_path / "git/current").symlink_to(".worktrees/abc")

    assert collect(tmp_path / "git/**/*.json").hearts == [0.91]


def test_a_mounted_config_map_is_found_by_a_glob(write: Make, record: Make, collect: Make, tmp_path: Path) -> None:
    write([record()], "config/..2025_01_14/results.json")
    (tmp_path / "config/..data").symlink_to("..2025_01_14")
    (tmp_path / "config/results.json").symlink_to("..data/results.json")

    for pattern in ("**/*.json", "*.json", "..data/*.json"):
        assert collect(tmp_path / "config" / pattern).hearts == [0.91]


@pytest.mark.parametrize("pattern", ["", "*.json", "**/*.json"])
def test_a_source_may_be_a_link_itself(pattern: str, site: Path, collect: Make, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(site)

    assert 0 in collect(tmp_path / "mounted" / pattern).hearts


def test_a_link_out_of_the_tree_is_named_and_not_walked(site: Path, collect: Make, write: Make, record: Make) -> None:
    write([record(value=9)], "elsewhere/far/secret.json")
    (site / "out").symlink_to("../elsewhere")

    collected = collect(site / "**/*.json")

    assert (collected.hearts, collected.dropped("unreadable")) == ([0, 1], 1)
    assert f"{site}/out/*.json: a symbolic link points outside {site}" in collected.warnings[0]


@pytest.fixture
def bottomless(site: Path) -> Iterator[None]:
    """More levels below the site than Python has frames, and than a path has characters."""
    handle = os.open(site, os.O_RDONLY)

    def go(name: str) -> int:
        other = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        return other

    for _ in range(LEVELS):
        os.mkdir("deep-", dir_fd=handle)
        handle = go("deep-")
    yield
    # pytest's own cleaning is recursive.
    for _ in range(LEVELS):
        handle = go("..")
        os.rmdir("deep-", dir_fd=handle)
    os.close(handle)


@pytest.mark.usefixtures("bottomless")
def test_a_tree_deeper_than_a_path_can_be_ends(site: Path, collect: Make) -> None:
    assert collect(site / "**/*.json", collection_timeout=30).hearts == [0, 1]


class Endless:
    """The listing of a directory that goes on for ever, as a file system on a network may give it."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def __enter__(self) -> Iterator[os.DirEntry[str]]:
        while True:
            yield self._entry

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize("pattern", ["", "*.json", "**/*.json", "*/*.json"])
def test_a_listing_without_an_end_stops_at_the_deadline(
    pattern: str, site: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "notes.txt").touch()
    with os.scandir(site) as listing:
        entry = next(entry for entry in listing if entry.name == "notes.txt")

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda _: Endless(entry))
        collected = collect(site / pattern, collection_timeout=0.2)

    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is Kind.TIMED_OUT
    for thread in threading.enumerate():
        if thread.name == "metta-health-read":
            thread.join(timeout=10)
            assert not thread.is_alive()
