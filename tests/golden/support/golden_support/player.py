"""Plays a scenario: a check collects from a stage, step by step, and everything that the Agent receives is recorded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from datadog_checks.base.stubs import aggregator, datadog_agent
from golden_support.pinned import pinned
from golden_support.product import Probe, error_kind, error_kinds, option_names
from golden_support.recording import Collection, Event, Recording, Series, rounded

TELEMETRY = "metta.check."
UNSTEADY = "metta.check.duration_seconds"
COUNTED = ("metta.check.requests",)
TYPES = {number: name for name, number in aggregator.METRIC_ENUM_MAP.items()}


class Stage(AbstractContextManager["Stage"], Protocol):
    """The sources of one check. `address` is what differs from play to play, and must not be recorded."""

    address: str

    @property
    def objects(self) -> Sequence[str]:
        """The names that warnings may hold."""

    @property
    def data(self) -> str:
        """Identifies the frozen data."""

    def options(self) -> Mapping[str, Any]:
        """The instance that reads from here."""

    def go_to(self, now: datetime, fault: str) -> None:
        """Show the data of this moment, with this fault (none where it is empty)."""

    def requests(self) -> int:
        """How many requests came since the last call."""


@dataclass(frozen=True, slots=True)
class Step:
    """One collection. `at` is the time of the data, and of the check's clock unless that is wrong by `clock_off`.
    `restart` begins with a new check object; `forget` loses its state as well, `damage` tears it. `options` are changed
    from here on. A `racing` step sends requests that overtake each other, so that their number is not recorded."""

    at: datetime
    name: str
    fault: str = ""
    restart: bool = False
    forget: bool = False
    damage: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    clock_off: timedelta = timedelta()
    racing: bool = False


@dataclass(frozen=True, slots=True)
class Play:
    """A check, the stage it reads from, and the steps of the month."""

    check: str
    stage: Callable[[], Stage]
    steps: Sequence[Step]
    options: Mapping[str, Any] = field(default_factory=dict)


def perform(play: Play) -> Recording:
    """The recording of a play; the machine's own settings have no part in it."""
    with pinned(), play.stage() as stage:
        return Recording(stage.data, _Performance(play, stage).collections())


class _Performance:
    def __init__(self, play: Play, stage: Stage) -> None:
        self._play = play
        self._stage = stage
        self._options = {**stage.options(), **play.options}
        self._probe = Probe(play.check, self._options)
        self._objects = Vocabulary(stage.objects, option_names(play.check), error_kinds())

    def collections(self) -> list[Collection]:
        done: list[Collection] = []
        for step in self._play.steps:
            done.append(self._collection(step, done[-1] if done else None))
        return done

    def _collection(self, step: Step, before: Collection | None) -> Collection:
        self._stage.go_to(step.at, step.fault)
        self._prepare(step)
        state = dict(datadog_agent._cache)
        self._stage.requests()
        aggregator.reset()
        warnings = self._probe.collect(step.at + step.clock_off)
        error = self._probe.error
        gauges, twice = self._gauges()
        counted = not step.racing
        collection = Collection(
            at=(step.at + step.clock_off).strftime("%Y-%m-%dT%H:%M:%SZ"),
            step=step.name,
            gauges={series: value for series, value in gauges.items() if counted or series[0] not in COUNTED},
            points=sorted(self._points()),
            events=[self._event(event) for event in aggregator.events],
            warnings=sorted(map(self._objects.described, warnings)),
            error=None if error is None else f"{error_kind(error)} {self._objects.described(str(error))}".rstrip(),
            requests=self._stage.requests() if counted else None,
            twice=twice,
        )
        if not step.restart or step.forget or step.damage or step.options or before is None:
            return collection
        return _with_restored(collection, before, same_text=dict(datadog_agent._cache) == state)

    def _prepare(self, step: Step) -> None:
        self._options |= step.options
        if step.forget:
            datadog_agent._cache.clear()
        if step.damage:
            for key, text in datadog_agent._cache.items():
                datadog_agent._cache[key] = text[: len(text) // 2]
        if step.restart:
            self._probe = Probe(self._play.check, self._options)

    def _gauges(self) -> tuple[dict[Series, float], list[str]]:
        """What was submitted, and the names of what was submitted twice in one collection."""
        stubs = [stub for name in aggregator.metric_names for stub in aggregator.metrics(name)]
        found: dict[Series, float] = {}
        twice: Counter[str] = Counter()
        for stub in stubs:
            # Other types than a gauge, and host names, are there to be seen.
            host = [f"(host) {stub.hostname}"] if stub.hostname else []
            series = (stub.name, TYPES.get(stub.type, str(stub.type)), *sorted(map(self._plain, stub.tags)), *host)
            twice[stub.name] += series in found
            if stub.name != UNSTEADY:
                found[series] = rounded(float(stub.value))
        return dict(sorted(found.items())), sorted(twice.elements())

    def _points(self) -> Iterable[tuple[Series, float]]:
        for name, buckets in aggregator._histogram_buckets.items():
            for bucket in buckets:
                for _ in range(int(bucket.value)):
                    yield (name, "distribution", *sorted(map(self._plain, bucket.tags))), rounded(bucket.lower_bound)

    def _event(self, event: Mapping[str, Any]) -> Event:
        return {
            "key": self._plain(event.get("aggregation_key", "")),
            "title": self._plain(event.get("msg_title", "")),
            "text": self._plain(event.get("msg_text", "")),
            "alert": event.get("alert_type", ""),
            "at": event.get("timestamp"),
            "host": event.get("host", ""),
            "tags": sorted(event.get("tags", ())),
        }

    def _plain(self, text: str) -> str:
        return text.replace(self._stage.address, "SOURCE")


def _with_restored(collection: Collection, before: Collection, *, same_text: bool) -> Collection:
    """Held against the collection before, which was at the same moment: what a restart must not move."""
    mine, earlier = (_without_telemetry(one.gauges) for one in (collection, before))
    moved = sorted({series[0] for series in mine.keys() | earlier.keys() if mine.get(series) != earlier.get(series)})
    restored = {
        "state": "unchanged" if same_text else "changed",
        "points": len(collection.points),
        "events": len(collection.events),
        "moved": moved,
    }
    return replace(collection, restored=restored)


def _without_telemetry(gauges: Mapping[Series, float]) -> Mapping[Series, float]:
    return {series: value for series, value in gauges.items() if not series[0].startswith(TELEMETRY)}


class Vocabulary:
    """What is recorded of a message: the kinds of errors, the options and the objects it names, never its wording."""

    def __init__(self, objects: Iterable[str], options: Iterable[str], kinds: Iterable[str]) -> None:
        listed = list(objects)
        # Hundreds of ids in one pattern would be slow.
        self._ids = frozenset(name for name in listed if name.isalnum())
        self._objects = _any_of((name for name in listed if not name.isalnum()), r"(?<![\w.-]){}(?![\w-]|\.\w)")
        self._options = _any_of(options, r"`{}`")
        self._kinds = _any_of(kinds, r"\({}\)")

    def described(self, text: str) -> str:
        kinds = [f"<{kind}>" for kind in self._kinds.findall(text)]
        options = [f"`{option}`" for option in self._options.findall(text)]
        records = [f"record {number}" for number in _RECORD.findall(text)]
        ids = self._ids.intersection(_WORD.findall(text))
        names = sorted({*kinds, *options, *records, *ids, *self._objects.findall(text)})
        return ", ".join(names) or "(no object)"


_WORD = re.compile(r"(?<![\w.-])[A-Za-z0-9]+(?![\w-]|\.\w)")

_RECORD = re.compile(r"\brecord\W{1,3}([0-9]+)")
"""A record has no other name than its place in the document."""


def _any_of(names: Iterable[str], place: str) -> re.Pattern[str]:
    """Matches one of the names; the longest first."""
    listed = "|".join(re.escape(name) for name in sorted(set(names), key=lambda name: (-len(name), name)))
    return re.compile(place.format(f"({listed})") if listed else r"(?!)()")
