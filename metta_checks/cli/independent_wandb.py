"""The W&B figures counted a second time, in the plainest way, from what the official SDK returns.

It shares nothing with the check but the list of options and the spelling of tags, so that a mistake has to be made
twice to go unnoticed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from metta_checks.core import tag
from metta_checks.core.duration import parse_duration

Series = tuple[str, tuple[str, ...]]
"""A metric and its sorted tags."""

GPUS_IN_USE: Final = "wandb.gpus_in_use"

ALIVE: Final = ("running", "pending", "preempting")
"""W&B's states of a run that has not ended."""

DEVICE_KEYS: Final = {
    "gpu_utilization": ("system.gpu.", ".gpu"),
    "gpu_memory_utilization": ("system.gpu.", ".memoryAllocated"),
    "gpu_temperature": ("system.gpu.", ".temp"),
    "gpu_power": ("system.gpu.", ".powerWatts"),
}
"""What stands before and behind the number of a GPU."""

MACHINE_KEYS: Final = {"cpu_utilization": "system.cpu", "memory_utilization": "system.memory_percent"}
OLD_KEYS: Final = {"memory_utilization": "system.memory", "disk_utilization": "system.disk"}
"""What SDKs before wandb-core write; it counts for a node that writes nothing newer."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an instance asks for, as its options have it; `run_types` are names and patterns in order."""

    entity: str
    project: str
    timeframe: str
    metrics: Sequence[str]
    sps_keys: Sequence[str]
    system_metrics: Sequence[str]
    gpu_devices: str
    gpus_key: str | None
    run_types: Sequence[tuple[str, str]]
    run_tags: Sequence[str]
    max_runs: int

    @classmethod
    def of(cls, options: Any) -> Scope:
        """From the validated instance options of the check."""
        return cls(
            entity=options.entity.strip(),
            project=options.project.strip(),
            timeframe=options.timeframe.strip(),
            metrics=options.metrics,
            sps_keys=options.sps_keys,
            system_metrics=options.system_metrics,
            gpu_devices=options.gpu_devices,
            gpus_key=options.gpus_key,
            run_types=[(entry.name, entry.pattern) for entry in options.run_types],
            run_tags=options.run_tags,
            max_runs=options.max_runs,
        )

    def since(self, now: datetime) -> datetime:
        """The beginning of the timeframe that ends at `now`."""
        return now - parse_duration(self.timeframe)


@dataclass(frozen=True, slots=True)
class SdkRun:
    """One run as the SDK returns it. Times are UTC; `summary` and `system` are its dictionaries."""

    id: str
    name: str | None
    state: str
    created_at: datetime | None
    heartbeat_at: datetime | None
    sweep: str | None
    group: str | None
    job_type: str | None
    user: str | None
    summary: Mapping[str, Any]
    system: Mapping[str, Any]

    @property
    def ended(self) -> bool:
        return self.state not in ALIVE

    @property
    def hours(self) -> float | None:
        if self.created_at is None or self.heartbeat_at is None or self.heartbeat_at < self.created_at:
            return None
        return (self.heartbeat_at - self.created_at).total_seconds() / 3600

    def active(self, since: datetime) -> bool:
        last_sign = self.created_at if self.heartbeat_at is None else self.heartbeat_at
        return not self.ended or (last_sign is not None and last_sign >= since)


def independent_count(
    runs: Iterable[SdkRun],
    asked: Scope,
    now: datetime,
    silent: Collection[str] = frozenset(),
    resumed: Mapping[str, datetime] | None = None,
) -> dict[Series, float]:
    """Every gauge that the check has to give at `now`; `silent` are the ended runs that have had their hour, and
    `resumed` is when the check saw runs running again."""
    active = [run for run in runs if run.active(asked.since(now))]
    speaking = [run for run in active if run.id not in silent]
    speaking.sort(key=lambda run: (run.ended, -run.created_at.timestamp() if run.created_at else 0.0, run.id))
    figures = _counts(active, asked)
    for run in speaking[: asked.max_runs]:
        figures |= _figures_of(run, asked, now, (resumed or {}).get(run.id))
    return figures


def independent_points(ended: Iterable[SdkRun], asked: Scope) -> list[tuple[Series, float]]:
    """The distribution points of runs that have just ended, sorted."""
    points = []
    for run in ended:
        tags = _class_tags(run, asked) + _project_tags(asked)
        for metric, value, own in _values(run, asked):
            completed = metric.replace("wandb.run.", "wandb.run.completed.")
            points.append(((completed, tuple(sorted(tags + own))), value))
    return sorted(points)


def _counts(active: Iterable[SdkRun], asked: Scope) -> dict[Series, float]:
    def series(run_type: str, state: str) -> Series:
        own = (tag("run_type", run_type), tag("state", state), tag("timeframe", asked.timeframe))
        return "wandb.runs", tuple(sorted(own + _project_tags(asked)))

    types = [*(name for name, _ in asked.run_types), "all"]
    figures = {series(run_type, state): 0.0 for run_type in types for state in ("running", "finished", "failed")}
    gpus = dict.fromkeys(types, 0.0)
    for run in active:
        figures[series(_run_type(run, asked), _state(run))] += 1.0
        if not run.ended:
            gpus[_run_type(run, asked)] += _gpus(run, asked)
    for run_type, number in gpus.items():
        figures[GPUS_IN_USE, tuple(sorted((tag("run_type", run_type), *_project_tags(asked))))] = number
    return figures


def _gpus(run: SdkRun, asked: Scope) -> float:
    number: Any = _named_values(run).get(asked.gpus_key) if asked.gpus_key else None
    if _is_number(number) and number >= 0:
        return float(number)
    keys = [key for key in run.system if re.match(r"system\.gpu\.[0-9]+\.[^/]+(/l:|$)", key)]
    if asked.gpu_devices == "used":
        keys = [key for key in keys if _is_used(key, run.system)]
    return float(len({(_node(key), key.split(".")[2]) for key in keys}))


def _figures_of(run: SdkRun, asked: Scope, now: datetime, resumed_at: datetime | None) -> dict[Series, float]:
    tags = (
        tag("run_id", run.id),
        tag("run_name", run.name or run.id),
        *_class_tags(run, asked),
        *_project_tags(asked),
        *(tag(name, value) for name in asked.run_tags if (value := getattr(run, name, None))),
    )
    values = [*_values(run, asked), *_system_values(run, asked)]
    logged = _logged_at(run)
    signs = [moment for moment in (run.created_at, resumed_at, logged) if moment is not None]
    # A run that logged at a moment that cannot be read may have logged just now.
    if not run.ended and signs and (logged is not None or run.summary.get("_timestamp") is None):
        values.append(("wandb.run.log_age_seconds", max(0.0, (now - max(signs)).total_seconds()), ()))
    return {(metric, tuple(sorted(tags + own))): value for metric, value, own in values}


def _values(run: SdkRun, asked: Scope) -> Iterator[tuple[str, float, tuple[str, ...]]]:
    """Duration, speed and summary values: metric, value, and tags beside those of the run."""
    if run.hours is not None:
        yield "wandb.run.duration_hours", run.hours, ()
    named = _named_values(run)
    for key in asked.sps_keys:
        if _is_number(named.get(key)):
            yield "wandb.run.sps", float(named[key]), ()
            break
    matchable = {".".join(path) for path, _ in _paths(run.summary, media=False)}
    for key, value in named.items():
        fits = key in asked.metrics or (key in matchable and any(_fits(key, pattern) for pattern in asked.metrics))
        if fits and _is_number(value):
            yield "wandb.run.metric", float(value), (tag("metric_name", key),)


def _named_values(run: SdkRun) -> dict[str, Any]:
    """The values of a summary by the names that W&B's interface gives them."""
    # Of two with one name, the one in fewer objects comes last and wins.
    found = sorted(_paths(run.summary, media=True), key=lambda one: len(one[0]), reverse=True)
    return {".".join(path): value for path, value in found if value is not None}


def _paths(
    values: Mapping[str, Any], *, media: bool, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything in a summary that is no object, by the keys that lead to it; `media` opens media too."""
    for key, value in values.items():
        if isinstance(value, Mapping) and (media or "_type" not in value):
            yield from _paths(value, media=media, before=(*before, key))
        else:
            yield (*before, key), value


def _system_values(run: SdkRun, asked: Scope) -> Iterator[tuple[str, float, tuple[str, ...]]]:
    for name in asked.system_metrics:
        keys = [key for key in run.system if _is_device(key, name)]
        nodes = {_node(key) for key in keys}
        keys += [key for key in run.system if key.split("/l:")[0] == OLD_KEYS.get(name) and _node(key) not in nodes]
        if asked.gpu_devices == "used" and name in DEVICE_KEYS:
            keys = [key for key in keys if _is_used(key, run.system)]
        devices = [float(run.system[key]) for key in keys if _is_number(run.system[key])]
        if devices and math.isfinite(sum(devices)):
            yield "wandb.run.system", sum(devices) / len(devices), (tag("metric", name),)


def _node(key: str) -> str | None:
    """The label of the node that wrote `key`; None where it has none."""
    plain, mark, label = key.rpartition("/l:")
    return label if mark and plain else None


def _is_used(key: str, system: Mapping[str, Any]) -> bool:
    """Whether the node's processes use the device of `key`, or the node reports none of theirs."""
    start = "system.gpu.process."
    used = {other.split(".")[3] for other in system if other.startswith(start) and _node(other) == _node(key)}
    return not used or key.split(".")[2] in used


def _is_device(key: str, name: str) -> bool:
    """Whether `key` is one of the metric's, with or without a node's label (`/l:LABEL`) at its end."""
    return _is_plain_device(key, name) or _is_plain_device(key.rpartition("/l:")[0], name)


def _is_plain_device(key: str, name: str) -> bool:
    if name in MACHINE_KEYS:
        return key == MACHINE_KEYS[name]
    before, behind = DEVICE_KEYS.get(name, ("system.disk.", ".usagePercent"))
    device = key.removeprefix(before).removesuffix(behind)
    if key != f"{before}{device}{behind}":
        return False
    return device.isdecimal() if name in DEVICE_KEYS else device != ""


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _logged_at(run: SdkRun) -> datetime | None:
    logged: Any = run.summary.get("_timestamp")
    try:
        return datetime.fromtimestamp(logged, UTC) if _is_number(logged) else None
    except (ValueError, OverflowError, OSError):
        return None


def _fits(key: str, pattern: str) -> bool:
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts), key, re.DOTALL) is not None


def _class_tags(run: SdkRun, asked: Scope) -> tuple[str, ...]:
    return tag("run_type", _run_type(run, asked)), tag("state", _state(run))


def _project_tags(asked: Scope) -> tuple[str, ...]:
    return tag("wandb_entity", asked.entity), tag("wandb_project", asked.project)


def _run_type(run: SdkRun, asked: Scope) -> str:
    for name, pattern in asked.run_types:
        if re.search(pattern, run.name or run.id) or (name == "sweep" and run.sweep):
            return name
    return "all"


def _state(run: SdkRun) -> str:
    if not run.ended:
        return "running"
    return "finished" if run.state == "finished" else "failed"
