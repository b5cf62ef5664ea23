"""A recording: all collections of one play, kept as compressed JSON lines, each as its changes from the one before."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1

Series = tuple[str, ...]
"""Metric, type, and the sorted tags."""

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Collection:
    """What one collection came to. `at` is the check's clock, `step` what the scenario does there.

    `warnings` are kinds and objects. `requests` counts what reached the source, None where threads race for it.
    `restored` is there after a restart: what of the collection before was not the same.
    """

    at: str
    step: str
    gauges: Mapping[Series, float]
    points: Sequence[tuple[Series, float]]
    events: Sequence[Event] = ()
    warnings: Sequence[str] = ()
    error: str | None = None
    requests: int | None = None
    twice: Sequence[str] = ()
    restored: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """`data` identifies the frozen data that the sources gave."""

    data: str
    collections: Sequence[Collection] = field(default_factory=list)


def save(recording: Recording, path: Path) -> None:
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in _lines(recording))
    # Without the time of writing, so that equal recordings are equal files.
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


def load(path: Path) -> Recording:
    """Raises FileNotFoundError; ValueError for a file of another format."""
    head, *rest = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    if head.get("format") != FORMAT:
        raise ValueError(f"{path.name} has the format {head.get('format')}, not {FORMAT}: record it again")
    table: list[Series] = []
    gauges: dict[Series, float] = {}
    collections = []
    for line in rest:
        table += [tuple(series) for series in line.get("new", ())]
        for place in line.get("gone", ()):
            del gauges[table[place]]
        gauges |= {table[int(place)]: value for place, value in line.get("set", {}).items()}
        collections.append(
            Collection(
                at=line["at"],
                step=line["step"],
                gauges=dict(gauges),
                points=[(table[place], value) for place, value in line.get("points", ())],
                events=line.get("events", ()),
                warnings=line.get("warnings", ()),
                error=line.get("error"),
                requests=line.get("requests"),
                twice=line.get("twice", ()),
                restored=line.get("restored"),
            )
        )
    return Recording(head["data"], collections)


def rounded(value: float) -> float:
    """Nine digits, which is more than any source measures, and the same on every processor."""
    return float(f"{value:.9g}")


def _lines(recording: Recording) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, "data": recording.data, "collections": len(recording.collections)}
    numbers: dict[Series, int] = {}
    before: Mapping[Series, float] = {}
    for one in recording.collections:
        new = [
            series
            for series in dict.fromkeys([*one.gauges, *(series for series, _ in one.points)])
            if series not in numbers
        ]
        numbers |= {series: len(numbers) + place for place, series in enumerate(new)}
        line: dict[str, Any] = {
            "new": new,
            "gone": [numbers[series] for series in before if series not in one.gauges],
            "set": {numbers[series]: value for series, value in one.gauges.items() if before.get(series) != value},
            "points": [(numbers[series], value) for series, value in one.points],
            "events": one.events,
            "warnings": one.warnings,
            "error": one.error,
            "requests": one.requests,
            "twice": one.twice,
            "restored": one.restored,
        }
        yield {
            "at": one.at,
            "step": one.step,
            **{key: value for key, value in line.items() if value not in (None, [], {}, ())},
        }
        before = one.gauges
