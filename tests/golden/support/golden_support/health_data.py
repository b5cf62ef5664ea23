"""Health documents through the month: what a pipeline has published at any moment, the good and the bad."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from golden_support.lot import START, between, chance, day, time_text

HOUR: Final = timedelta(hours=1)

RENAMED_AT: Final = day(18.4)
"""The metric `hearts` is called `hearts.gained` from here on."""


@dataclass(frozen=True, slots=True)
class File:
    """What a document holds, and when it was written."""

    content: bytes
    written: datetime


def documents(now: datetime) -> Mapping[str, File]:
    """All documents of a suite that are there now, by file name."""
    found = {name: make(now) for name, make in _MAKERS.items()}
    return {name: file for name, file in found.items() if file is not None}


def document(now: datetime) -> File | None:
    """One document with everything, as a suite that publishes to one address has it."""
    if day(21.0) <= now < day(21.5):
        return None
    arena, seeds = _arena(now), _seeds(now)
    if _between(now, 24.0, 24.4):
        return File(b"[]", arena.written)
    records = [*json.loads(arena.content), *json.loads(seeds.content)["records"]]
    return File(_text({"records": records, "generator": "golden"}), max(arena.written, seeds.written))


def _published(now: datetime, every: timedelta, silent: tuple[float, float] = (99.0, 99.0)) -> datetime:
    """When a pipeline that publishes so often last did; `silent` are days on which it stood still."""
    moment = now
    if _between(now, *silent):
        moment = day(silent[0])
    return START + (moment - START) // every * every


def _between(now: datetime, since: float, until: float) -> bool:
    return day(since) <= now < day(until)


def _record(metric: str, value: Any, at: datetime | None, **more: Any) -> dict[str, Any]:
    record = {
        "metric": metric,
        "workflow_name": "multigpu_arena",
        "task": "runs_successfully",
        "check": "reward_threshold",
        "condition": "> 0.5",
        "value": value,
        "timestamp": None if at is None else time_text(at),
        **more,
    }
    return {key: value for key, value in record.items() if value is not None}


def _arena(now: datetime) -> File:
    """Every six hours, but for three days of silence: its records turn stale."""
    written = _published(now, 6 * HOUR, (12.8, 16.0))
    at = written - HOUR
    hearts = round(0.2 + chance(written, "hearts") * 0.8, 3)
    commit = {"commit": f"{between(0, 16**6, written):06x}"}
    name = "hearts" if written < RENAMED_AT else "hearts.gained"
    return File(
        _text(
            [
                _record(name, hearts, at, tags=commit),
                _record("sps", between(20, 90, written) * 1_000, at, check="speed", condition=">= 40000"),
                _record("latency", round(chance(written, "late") * 4, 2), at, check="latency", condition="in [0, 3]"),
                _record(
                    "crashes", between(0, 2, written, "crash"), at, check="crashes", condition="== 0", task="stays_up"
                ),
                # A published status that contradicts its value, and one for a condition that nobody can judge.
                _record("uptime", 0.1, at, check="uptime", status="pass"),
                _record("odd", 3, at, check="odd", condition="=> 0.5", status="fail"),
                _record("vague", 3, at, check="vague", condition="about right"),
            ]
        ),
        written,
    )


def _navigation(now: datetime) -> File | None:
    """Once a day; it vanishes for good on day 26."""
    if now >= day(26):
        return None
    written = _published(now, 24 * HOUR)
    records = [
        _record(
            "score",
            round(chance(written, level) * 100, 1),
            written,
            workflow_name="navigation",
            task=level,
            check="score",
            condition=">= 30",
        )
        for level in ("maze", "rooms", "corridor")
    ]
    return File(b"\xef\xbb\xbf" + _text({"records": records}), written)


def _seeds(now: datetime) -> File:
    """The same figure by seeds, of which one may fail; a later record of one identity in the same document."""
    written = _published(now, 12 * HOUR)
    records = [
        _record(
            "hearts",
            round(chance(written, seed) * 2, 3),
            written - between(0, 90, seed) * timedelta(minutes=1),
            tags={"seed": seed},
            workflow_name="seeds",
        )
        for seed in (1, 2, 3)
    ]
    repeated = [
        _record(
            "reward",
            value,
            written - hours * HOUR,
            workflow_name="seeds",
            check="repeated",
            tags={"commit": f"c{hours}"},
        )
        for hours, value in ((3, 0.1), (1, 0.9), (2, 0.3))
    ]
    same_time = [_record("tie", value, written, workflow_name="seeds", check="tie") for value in (0.2, 0.8)]
    return File(_text({"records": [*records, *repeated, *same_time]}), written)


def _legacy(now: datetime) -> File | None:
    """Without times of its own, so that the document's counts. There since day 2, not written again since day 15."""
    if now < day(2):
        return None
    written = _published(min(now, day(15)), 8 * HOUR)
    records = [
        _record(
            "metta.infra.cron.legacy.total",
            between(1, 9, written),
            None,
            workflow_name="legacy",
            check="total",
            condition="!= 5",
        ),
        _record("legacy.flag", 1, None, workflow_name="legacy", check="flag", condition=">= 1"),
    ]
    return File(_text(records), written)


def _faulty(now: datetime) -> File:
    """One good record among many that cannot be used, or hardly."""
    written = _published(now, 24 * HOUR)
    good = _record("fine", 1, written, workflow_name="faulty", check="fine")
    bad: list[Any] = [
        "text",
        {**good, "value": "0.5"},
        {**good, "value": True},
        {**good, "metric": "1st"},
        {**good, "metric": "metta.check.up"},
        {**good, "staus": "fail", "check": "near_miss", "timestmp": "2020-01-01"},
        {**good, "status": "green"},
        {**good, "timestamp": "yesterday", "check": "no_time"},
        {**good, "timestamp": time_text(written + timedelta(days=2)), "check": "future"},
        {**good, "timestamp": "2020-01-01T00:00:00Z", "check": "ancient"},
        {
            **good,
            "check": "tags",
            "tags": {"env": "x", "host": "y", "status": "z", "check": "own", "a b": 1, "flag": True, "9": 2},
        },
        {**good, "check": "bad_tags", "tags": {"list": [1]}},
        {key: value for key, value in good.items() if key != "check"},
        {**good, "workflow_name": "W" * 300, "check": "long"},
        {**good, "workflow_name": "commas, lines\nand more", "check": "awkward"},
    ]
    return File(_text([good, *bad]), written)


def _torn(now: datetime) -> File:
    """Whole on most days; on others cut off, with a NaN, as JSON Lines, in UTF-16, of another shape, or empty."""
    written = _published(now, 12 * HOUR)
    records = [_record("torn.value", between(0, 1, written), written, workflow_name="torn", check="value")]
    text = _text(records)
    number = (written - START) // (12 * HOUR)
    match {4: "cut", 5: "cut", 11: "nan", 17: "lines", 23: "utf-16", 29: "shape", 37: "empty", 38: "no records"}.get(
        number
    ):
        case "cut":
            text = text[: len(text) // 2]
        case "nan":
            text = _text([{**records[0], "value": float("nan")}])
        case "lines":
            text = b"\n".join(_text(record) for record in records * 2)
        case "utf-16":
            text = text.decode().encode("utf-16")
        case "shape":
            text = _text({"results": records})
        case "empty":
            text = b""
        case "no records":
            text = b"[]"
    return File(text, written)


def _crowded(now: datetime) -> File | None:
    """For two days there are more records than `max_records` allows."""
    written = _published(now, 24 * HOUR)
    many = 60 if _between(written, 9.0, 11.0) else 4
    records = [
        _record(
            "crowd", number, written, workflow_name="crowded", task=f"task{number}", check="crowd", condition=">= 1"
        )
        for number in range(many)
    ]
    return File(_text(records), written)


_MAKERS: Final = {
    "arena.json": _arena,
    "navigation.json": _navigation,
    "seeds.json": _seeds,
    "legacy.json": _legacy,
    "faulty.json": _faulty,
    "torn.json": _torn,
    "crowded.json": _crowded,
}


def _text(content: Any) -> bytes:
    return json.dumps(content).encode()
