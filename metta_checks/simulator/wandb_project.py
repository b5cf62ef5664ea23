"""W&B projects in memory: their runs start, send heartbeats, log values and end as real ones do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal
from zlib import crc32

DEMO_ENTITY: Final = "metta-research"
DEMO_PROJECT: Final = "metta"

RunState = Literal["running", "finished", "failed", "crashed", "killed", "pending", "preempting", "preempted"]

ACTIVE: tuple[RunState, ...] = ("running", "pending", "preempting")
ENDED: tuple[RunState, ...] = ("finished", "failed", "crashed", "killed", "preempted")

Blob = Mapping[str, Any] | str | None
"""A metrics field: its values, or the stored text where that is no plain JSON object, or null."""


@dataclass(slots=True, eq=False)
class DemoRun:
    """One run as the service holds it. Fields may be assigned at any time.

    `name` is the run id of URLs, `id` the GraphQL one. Times are aware and served to the second.
    `compute_seconds` is without the pauses of a resumed run, its whole life where it is None.
    `summary`, `system_metrics` and `config` are replaced, never edited in place: their encoding is kept.
    """

    name: str
    id: str
    display_name: str | None
    state: RunState
    created_at: datetime
    heartbeat_at: datetime | None
    sweep_name: str | None = None
    group: str | None = None
    job_type: str | None = None
    user: str = "demo-trainer"
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Blob = None
    system_metrics: Blob = None
    host: str | None = None
    history_line_count: int = 0
    description: str | None = None
    notes: str | None = None
    compute_seconds: int | None = None
    commit: str | None = None
    project_id: int = 0
    _encoded: dict[str, tuple[object, str]] = field(default_factory=dict, repr=False)

    @property
    def created_text(self) -> str:
        return time_text(self.created_at)

    @property
    def heartbeat_text(self) -> str | None:
        return None if self.heartbeat_at is None else time_text(self.heartbeat_at)

    @property
    def seconds(self) -> int | None:
        """How long the run has lived, as far as it was heard of."""
        return None if self.heartbeat_at is None else int((self.heartbeat_at - self.created_at).total_seconds())

    @property
    def config_text(self) -> str:
        """The configuration as W&B stores it: each value in an object of its own."""
        return self._text(
            "config", self.config, lambda config: {key: {"value": value} for key, value in config.items()}
        )

    @property
    def system_metrics_text(self) -> str | None:
        return self._blob_text("system_metrics", self.system_metrics)

    def summary_text(self, keys: Iterable[str] | None = None) -> str | None:
        """The summary as JSON text: all of it, or the named top-level keys. A stored text is given as it is."""
        if keys is None or not isinstance(self.summary, Mapping):
            return self._blob_text("summary", self.summary)
        return json.dumps({key: self.summary[key] for key in keys if key in self.summary})

    def _blob_text(self, name: str, blob: Blob) -> str | None:
        if blob is None or isinstance(blob, str):
            return blob
        return self._text(name, blob, dict)

    def _text(self, name: str, values: Mapping[str, Any], shape: Callable[[Mapping[str, Any]], dict[str, Any]]) -> str:
        """Encoding is what a page of whole summaries costs, so the text is kept until the values are replaced."""
        kept = self._encoded.get(name)
        if kept is None or kept[0] is not values:
            kept = self._encoded[name] = (values, json.dumps(shape(values)))
        return kept[1]


@dataclass(frozen=True, slots=True)
class DemoSweep:
    """A W&B sweep and its runs."""

    name: str
    runs: list[DemoRun]


class DemoProject:
    """The runs of one project, found by their `name`. `lock` is held while a page is made and while a run changes."""

    def __init__(
        self, entity: str, name: str, runs: Iterable[DemoRun] = (), *, created_at: datetime | None = None
    ) -> None:
        self.entity = entity
        self.name = name
        self.created_at = created_at or datetime(2024, 1, 1, tzinfo=UTC)
        self.internal_id = crc32(f"{entity}/{name}".encode())
        self.lock = threading.RLock()
        self._runs = {run.name: run for run in runs}

    @property
    def runs(self) -> list[DemoRun]:
        """The runs at this moment, in the order in which they came."""
        with self.lock:
            return list(self._runs.values())

    @property
    def sweeps(self) -> dict[str, DemoSweep]:
        """The W&B sweeps that the runs belong to, by name."""
        sweeps: dict[str, DemoSweep] = {}
        for run in self.runs:
            if run.sweep_name:
                sweeps.setdefault(run.sweep_name, DemoSweep(run.sweep_name, [])).runs.append(run)
        return sweeps

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, name: str) -> bool:
        return name in self._runs

    def __getitem__(self, name: str) -> DemoRun:
        return self._runs[name]

    def get(self, name: str) -> DemoRun | None:
        return self._runs.get(name)

    def start(self, name: str, now: datetime, **fields: Any) -> DemoRun:
        """A new run, `running` unless `fields` say otherwise."""
        given = {"display_name": name, "state": "running", "created_at": now, "heartbeat_at": now, **fields}
        run_id = global_id("Run", name, self.name, self.entity)
        run = DemoRun(name=name, id=run_id, project_id=self.internal_id, **given)
        with self.lock:
            self._runs[name] = run
        return run

    def beat(self, name: str, now: datetime, summary: Mapping[str, Any] | None = None) -> None:
        """A heartbeat, and where values are given a log of them."""
        with self.lock:
            run = self._runs[name]
            run.heartbeat_at = now
            if summary:
                run.summary = {**(run.summary if isinstance(run.summary, Mapping) else {}), **summary}
                run.summary["_timestamp"] = now.timestamp()

    def finish(self, name: str, now: datetime) -> None:
        self.end(name, "finished", now)

    def fail(self, name: str, now: datetime) -> None:
        self.end(name, "failed", now)

    def end(self, name: str, state: RunState, now: datetime) -> None:
        """The run says itself that it ended: state and heartbeat move together."""
        with self.lock:
            self._runs[name].state = state
            self._runs[name].heartbeat_at = now

    def crash(self, name: str, state: RunState = "crashed") -> None:
        """The service notices that the run is gone: the state changes, the heartbeat stays where it was."""
        with self.lock:
            self._runs[name].state = state

    def resume(self, name: str, now: datetime) -> None:
        """The same run runs again; its creation stays."""
        self.end(name, "running", now)

    def rename(self, name: str, display_name: str) -> None:
        """A rename is no heartbeat."""
        with self.lock:
            self._runs[name].display_name = display_name

    def move(self, name: str, by: timedelta) -> None:
        """Shift the whole life of a run."""
        with self.lock:
            run = self._runs[name]
            run.created_at += by
            if run.heartbeat_at is not None:
                run.heartbeat_at += by

    def delete(self, name: str) -> None:
        with self.lock:
            del self._runs[name]


@lru_cache(maxsize=65_536)
def time_text(moment: datetime) -> str:
    """W&B's own form, in UTC and whole seconds: `2026-01-02T03:04:05Z`. Kept, since filters ask on every page."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat()[:19]}Z"


def global_id(kind: str, *parts: str) -> str:
    """An opaque GraphQL id."""
    return base64.b64encode(":".join([kind, "v1", *parts]).encode("utf-8", "surrogatepass")).decode()
