"""What a reader of the review sees: each difference, and one entry for what repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from golden_support.command import main, path_of
from golden_support.player import Vocabulary
from golden_support.recording import Collection, Recording, Series, load, save
from golden_support.review import differences, grouped, review

UP: Series = ("metta.check.up", "gauge", "check_name:a")
RUNS: Series = ("runs", "gauge", "state:failed", "team:t")
POINT: tuple[Series, float] = (("took", "distribution", "state:failed"), 2.5)
EVENT = {"key": "k", "title": "it fails", "text": "so", "alert": "error", "at": 1, "host": "", "tags": ["a:b"]}

WHOLE = Collection("2026-01-01T00:00:00Z", "steady", {UP: 1.0, RUNS: 3.0}, [POINT], [EVENT], ["`repo`"], None, 2)


class Case(NamedTuple):
    change: dict[str, Any]
    keys: list[tuple[str, ...]]


CASES = {
    "nothing": Case({}, []),
    "a value": Case({"gauges": {UP: 1.0, RUNS: 4.0}}, [("value", "runs")]),
    "a value's last digit": Case({"gauges": {UP: 1.0, RUNS: 3.000000001}}, []),
    "a series goes": Case({"gauges": {UP: 1.0}}, [("series vanished", "runs")]),
    "a series comes": Case({"gauges": {UP: 1.0, RUNS: 3.0, ("new", "gauge"): 0.0}}, [("series appeared", "new")]),
    "a tag's value": Case(
        {"gauges": {UP: 1.0, ("runs", "gauge", "state:crashed", "team:t"): 3.0}}, [("tags moved", "-state +state")]
    ),
    "a tag more": Case({"gauges": {UP: 1.0, (*RUNS, "zone:z"): 3.0}}, [("tags moved", "+zone")]),
    "another type": Case(
        {"gauges": {UP: 1.0, ("runs", "count", "state:failed", "team:t"): 3.0}}, [("tags moved", "-gauge +count")]
    ),
    "a point twice": Case({"points": [POINT, POINT]}, [("points appeared", "took")]),
    "a point less": Case({"points": []}, [("points vanished", "took")]),
    "an event's text": Case({"events": [{**EVENT, "text": "else"}]}, [("event", "text")]),
    "no event": Case({"events": []}, [("event", "vanished")]),
    "a warning of another object": Case(
        {"warnings": ["`branch`"]}, [("warning", "appeared", "`branch`"), ("warning", "vanished", "`repo`")]
    ),
    "an error": Case(
        {"error": "SourceError: timed out <timed out>", "gauges": {UP: 0.0}, "points": []},
        [("error", "none → SourceError: timed out"), ("series", "of a collection that fails now")],
    ),
    "requests": Case({"requests": 3}, [("requests",)]),
    "a series twice": Case({"twice": ["runs"]}, [("submitted twice", "runs")]),
    "state that moved": Case({"restored": {"points": 1}}, [("restart", "state")]),
    "another moment": Case({"at": "2026-01-01T00:00:09Z"}, [("scenario", "collection")]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_difference_is_found(case: Case) -> None:
    old, new = Recording("d", [WHOLE]), Recording("d", [replace(WHOLE, **case.change)])
    assert [entry.key for entry in grouped(differences(old, new))] == case.keys


def test_other_frozen_data_are_named() -> None:
    assert [one.key for one in differences(Recording("a"), Recording("b"))] == [("frozen data", "are others")]


def test_what_repeats_is_one_entry_with_a_count() -> None:
    month = [replace(WHOLE, at=f"2026-01-{day:02d}T00:00:00Z") for day in range(1, 31)]
    changed = [replace(one, gauges={**one.gauges, RUNS: 4.0}) if one.at > "2026-01-10" else one for one in month]
    text = review("ci", differences(Recording("d", month), Recording("d", changed)), len(month))
    assert text.splitlines() == [
        "ci: 21 differences of 1 kinds, in 21 of 30 collections",
        "  value runs: 21 times in 21 collections, 1 different",
        "    first #10 2026-01-10T00:00:00Z (steady): runs (gauge) state:failed team:t",
        "      was 3",
        "      is  4",
        "    21 of 3 → 4",
        "    last  #30 2026-01-30T00:00:00Z (steady): runs (gauge) state:failed team:t: 3 → 4",
    ]


def test_warnings_of_many_runs_are_one_entry() -> None:
    told = replace(WHOLE, warnings=["`repo`", "run r12", "run r7", "record 3"])
    entries = grouped(differences(Recording("d", [WHOLE]), Recording("d", [told])))
    assert [(entry.key[2], len(entry.all)) for entry in entries] == [("record #", 1), ("run r#", 2)]


def test_a_recording_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    later = [
        replace(WHOLE, at="2026-01-01T00:01:00Z", gauges={UP: 0.0}, points=[], error="x", restored={"points": 0}),
        replace(WHOLE, at="2026-01-01T00:02:00Z", requests=None, twice=["runs"], events=[], warnings=[]),
    ]
    recording = Recording("d", [WHOLE, *later])
    save(recording, tmp_path / "a.gz")
    assert differences(recording, load(tmp_path / "a.gz")) == []
    save(load(tmp_path / "a.gz"), tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "could not read org/arena: HTTP 500 (server error). Raise `max_pages`.",
            "<server error>, `max_pages`, org/arena",
        ),
        ("left out: a.json, record 3: bad", "a.json, record 3"),
        ("runs r12, r1 and xr12; see r1.txt", "r1, r12"),
        ("nothing in particular, `other` even", "(no object)"),
    ],
)
def test_of_a_message_the_kinds_and_objects_count(text: str, expected: str) -> None:
    vocabulary = Vocabulary(["org/arena", "a.json", "r1", "r12"], ["max_pages"], ["server error"])
    assert vocabulary.described(text) == expected


def test_the_command_names_plays_that_do_not_exist() -> None:
    written: list[str] = []
    assert main("compare", ["nonsense"], written.append) == 2
    assert "nonsense" in written[0]


def test_the_command_compares_one_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings have no part in it."""
    monkeypatch.setenv("DD_ENV", "production")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("WANDB_PROJECT", "another")
    written: list[str] = []
    status = main("compare", ["training-file"], written.append)
    assert (status, written) == (
        0,
        [f"training-file: {len(load(path_of('training-file')).collections)} collections, no difference\n"],
    )
