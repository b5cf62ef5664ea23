"""What each check's metadata.csv and spec.yaml say of its metrics."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, cast

from metta_checks.checks import CHECKS
from metta_checks.core.bounded_yaml import parse_yaml
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.sample import SampleKind

_INTERVAL_KEY: Final = "min_collection_interval.value.example"
_PACKAGE: Final = "metta_checks"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one check."""

    check: CheckDefinition
    name: str
    kind: SampleKind
    description: str


@cache
def metric_rows() -> tuple[MetricRow, ...]:
    """Every row of every check; what all checks emit stands in each."""
    return tuple(row for definition in CHECKS for row in _rows(definition))


@cache
def interval_of(definition: CheckDefinition) -> int:
    """Seconds between collections, as the check's example configuration has it."""
    path = f"{definition.slug}/spec.yaml"
    for interval in _intervals_in(path):
        return interval
    raise LookupError(f"{path} does not give {_INTERVAL_KEY}")


def _intervals_in(path: str) -> Iterator[int]:
    """The interval that a specification gives, and those of the templates of this package that it includes."""
    document = parse_yaml(files(_PACKAGE).joinpath(path).read_text(encoding="utf-8"), path)
    for value in _values_of(_INTERVAL_KEY, document):
        yield int(cast(int, value))
    for template in _values_of("template", document):
        included = f"{template}.yaml"
        if files(_PACKAGE).joinpath(included).is_file():
            yield from _intervals_in(included)


def _rows(definition: CheckDefinition) -> Iterator[MetricRow]:
    text = files(_PACKAGE).joinpath(definition.slug, "metadata.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        yield MetricRow(
            check=definition,
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
