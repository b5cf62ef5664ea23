"""What one collection came to, and what must hold of it whatever the source did."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from datadog_checks.base.stubs import aggregator as agent

from metta_checks.core import MettaCheck

UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,199}")

Series = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Outcome:
    """`said` is every text that the collection gave away, the log at DEBUG among them."""

    gauges: Mapping[Series, float]
    points: Sequence[tuple[Series, float]]
    events: Sequence[Mapping[str, Any]]
    telemetry: Mapping[Series, float]
    error: Exception | None
    message: str
    warnings: Sequence[str]
    said: str
    seconds: float

    def figures(self, url: str) -> tuple[Mapping[Series, float], Sequence[tuple[Series, float]], str]:
        """All that was submitted but telemetry; links to `url`, the source's address, are alike whatever it is."""
        return self.gauges, self.points, json.dumps(self.events).replace(url, "")

    @property
    def up(self) -> float:
        return self.value("up")

    @property
    def dropped(self) -> float:
        return sum(value for (name, _), value in self.telemetry.items() if name == "metta.check.dropped")

    def value(self, name: str) -> float:
        """The only series of `metta.check.<name>`."""
        (found,) = (value for (metric, _), value in self.telemetry.items() if metric == f"metta.check.{name}")
        return found


class Listener(logging.Handler):
    """Everything that is logged, as a file would show it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def collect(check: MettaCheck) -> Outcome:
    """One run of the check as the Agent makes it."""
    agent.reset()
    root, listener = logging.getLogger(), Listener()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(listener)
    started = time.monotonic()
    try:
        report = check.run()
    finally:
        seconds = time.monotonic() - started
        root.removeHandler(listener)
        root.setLevel(level)
    warnings = check.get_warnings()
    (told,) = json.loads(report) if report else [{"message": "", "traceback": ""}]
    gauges = {(stub.name, tuple(sorted(stub.tags))): float(stub.value) for stub in _stubs()}
    points = sorted(
        ((name, tuple(sorted(bucket.tags))), float(bucket.lower_bound))
        for name, buckets in agent._histogram_buckets.items()
        for bucket in buckets
    )
    submitted = repr((gauges, points, agent.events))
    return Outcome(
        gauges={series: value for series, value in gauges.items() if not series[0].startswith("metta.check.")},
        points=points,
        events=list(agent.events),
        telemetry={series: value for series, value in gauges.items() if series[0].startswith("metta.check.")},
        error=check.collection.error,
        message=told["message"],
        warnings=warnings,
        said="\n".join([report, *warnings, *listener.lines, submitted]),
        seconds=seconds,
    )


def assert_fit_for_datadog(outcome: Outcome) -> None:
    """Names, values and tags that the Agent takes as they are, each series once."""
    for (name, tags), value in [*outcome.gauges.items(), *outcome.points, *outcome.telemetry.items()]:
        assert NAME.fullmatch(name), name
        assert isfinite(value), (name, value)
        assert all(len(tag) <= 200 and not UNSAFE.search(tag) for tag in tags), tags


def assert_no_secret(outcome: Outcome, secrets: Iterable[str]) -> None:
    for secret in secrets:
        place = outcome.said.find(secret)
        assert place < 0, f"a credential was given away: …{outcome.said[max(0, place - 200) : place + 40]}…"


def _stubs() -> list[Any]:
    return [stub for name in agent.metric_names for stub in agent.metrics(name)]
