"""What `metta-checks collect` shows of a configuration, held against what arrives at the intake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from agent_support.agent import HOST
from agent_support.payloads import Point
from metta_checks.cli.main import main

Series = tuple[str, str, tuple[str, ...], str]
"""Metric, type, sorted tags, host."""

MEASURED: Final = frozenset(
    {
        "metta.check.duration_seconds",
        "metta.check.quota_remaining",
        "metta.check.read_age_seconds",
        "metta.check.requests",
        "metta.check.series",
    }
)
"""Telemetry about a process, which no other process repeats."""


def series_of(point: Point) -> Series:
    return point.metric, point.kind, point.tags, point.host


def collected(configs: Iterable[Path]) -> dict[Series, float]:
    """The value of each series of one collection of every instance in these files. No series has a host."""
    figures: dict[Series, float] = {}
    for config in configs:
        check = config.parent.name.removesuffix(".d").removeprefix("metta_")
        done = CliRunner().invoke(main, ["collect", check, "--config", str(config), "--format", "json"])
        assert done.exit_code == 0, done.output
        found = [
            ((one["metric"], one["type"], _tags(one["tags"]), ""), float(one["value"]))
            for collection in json.loads(done.stdout)["collections"]
            for one in collection["metrics"]
            if one["type"] == "gauge"
        ]
        assert len({series for series, _ in found} - figures.keys()) == len(found)
        figures |= found
    return figures


def differences(
    points: Iterable[Point], before: Mapping[Series, float], after: Mapping[Series, float]
) -> list[tuple[Point, float, float]]:
    """The points that are not between what `collect` showed before and after: some figures move with the clock."""
    found = []
    for point in points:
        low, high = sorted((before[series_of(point)], after[series_of(point)]))
        slack = 1e-9 * max(abs(low), abs(high), 1)
        if point.metric not in MEASURED and not low - slack <= point.value <= high + slack:
            found.append((point, low, high))
    return found


def _tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Sorted; the tag `runner` is the Agent's host name, and another one where there is no Agent."""
    return tuple(sorted(f"runner:{HOST}" if tag.startswith("runner:") else tag for tag in tags))
