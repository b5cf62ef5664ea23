"""The names by which filters and orders speak of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from metta_checks.simulator.wandb_runs import DemoRun

Getter = Callable[[DemoRun], Any]

TIME_FIELDS = frozenset({"createdAt", "created_at", "heartbeatAt", "heartbeat_at"})

_FIELDS: Mapping[str, Getter] = {
    "createdAt": lambda run: run.created_text,
    "heartbeatAt": lambda run: run.heartbeat_text,
    "state": lambda run: run.state,
    "name": lambda run: run.name,
    "displayName": lambda run: run.display_name,
    "sweep": lambda run: run.sweep_name,
    "sweepName": lambda run: run.sweep_name,
    "tags": lambda run: run.tags,
    "group": lambda run: run.group,
    "jobType": lambda run: run.job_type,
    "host": lambda run: run.host,
    "username": lambda run: run.user,
    "duration": lambda run: run.seconds,
}

_SNAKE_CASE = {
    "created_at": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "display_name": "displayName",
    "sweep_name": "sweepName",
    "job_type": "jobType",
}


def getter(name: str) -> Getter | None:
    """How to read the field from a run; None where there is no such field. An absent value reads as None."""
    field = _FIELDS.get(_SNAKE_CASE.get(name, name))
    if field is not None:
        return field
    section, _, path = name.partition(".")
    if not path:
        return None
    if section == "config":
        path = path.removesuffix(".value")
        return lambda run: _inside(run.config, path)
    if section in ("summary_metrics", "summaryMetrics"):
        return lambda run: _inside(run.summary, path)
    return None


def _inside(values: Any, path: str) -> Any:
    """The value under a key that may itself hold dots, or further down the tree."""
    if not isinstance(values, Mapping):
        return None
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in values and (found := _inside(values[head], rest)) is not None:
            return found
        further, dot, rest = rest.partition(".")
        head = f"{head}.{further}"
    return None
