"""What `metta-checks collect` shows of a configuration, in the form of what arrives at the intake."""

from __future__ import annotations

import json
from pathlib import Path

from agent_support.payloads import Point
from click.testing import CliRunner

from metta_checks.cli.main import main

Series = tuple[str, str, tuple[str, ...], str]
"""Metric, type, sorted tags, host."""


def series_of(point: Point) -> Series:
    return point.metric, point.kind, point.tags, point.host


def collected(config: Path) -> dict[Series, float]:
    """The value of each series of one collection of every instance in the file. No series has a host."""
    check = config.parent.name.removesuffix(".d").removeprefix("metta_")
    done = CliRunner().invoke(main, ["collect", check, "--config", str(config), "--format", "json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    return {
        (one["metric"], one["type"], tuple(sorted(one["tags"])), ""): one["value"]
        for collection in document["collections"]
        for one in collection["metrics"]
    }
