"""What each check's metadata.csv says of its metrics."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, cast

from metta_checks.core.bounded_yaml import parse_yaml
from metta_checks.core.sample import SampleKind

ROOMS: Final = ("wandb", "ci", "training", "eval")
"""The packages of the checks, each with a metadata.csv and a spec.yaml."""

_INTERVAL_KEY: Final = "min_collection_interval.value.example"
_SHARED_OPTIONS: Final = "health/options.yaml"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one room."""

    room: str
    name: str
    kind: SampleKind
    description: str


@cache
def metric_rows() -> tuple[MetricRow, ...]:
    """Every row of every room; what all checks emit stands in each."""
    return tuple(row for room in ROOMS for row in _rows(room))


@cache
def interval_of(room: str) -> int:
    """Seconds between collections, as the room's example configuration has it."""
    for path in (f"{room}/spec.yaml", _SHARED_OPTIONS):
        document = parse_yaml(files("metta_checks").joinpath(path).read_text(encoding="utf-8"), path)
        for value in _values_of(_INTERVAL_KEY, document):
            return int(cast(int, value))
    raise LookupError(f"no specification gives {_INTERVAL_KEY} for {room}")


def _rows(room: str) -> Iterator[MetricRow]:
    text = files("metta_checks").joinpath(room, "metadata.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield MetricRow(
            room=room,
            name=row["metric_name"],
            kind=cast(SampleKind, row["metric_type"]),
            description=row["description"],
        )


def _values_of(key: str, node: object) -> Iterator[object]:
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for inner in node.values():
            yield from _values_of(key, inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _values_of(key, inner)
