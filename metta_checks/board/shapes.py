"""The tags under which each room emits its metrics, and the values that they can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from metta_checks.board.filters import Match
from metta_checks.board.names import matches, normalised
from metta_checks.ci import rules as ci
from metta_checks.ci.records import CANCELLED, DECISIVE
from metta_checks.core.collection import PREFIX as TELEMETRY
from metta_checks.core.collection import Reason
from metta_checks.health.origin import ORIGINS
from metta_checks.health.verdict import PREFIX as HEALTH
from metta_checks.health.verdict import State
from metta_checks.wandb.blobs import SYSTEM_KEYS
from metta_checks.wandb.config_models import defaults
from metta_checks.wandb.nodes import LABELS
from metta_checks.wandb.run_types import EVERYTHING_ELSE
from metta_checks.wandb.runs import RunState

Values = frozenset[str] | None
"""The values that a tag can have; None: whatever the source says."""

CONCLUSIONS: Final = DECISIVE | {CANCELLED, "action_required", "neutral", "skipped", "stale"}
"""All that GitHub says of a completed run."""


RECORD_NAMESPACES: Final = tuple(dict.fromkeys(origin.namespace for origin in ORIGINS.values()))
"""Where health records put their metrics."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One set of tags under which series of a metric come."""

    values: Mapping[str, Values]

    def can_be(self, wanted: Match) -> bool:
        """Whether a series of this shape can have the tag."""
        if wanted.key not in self.values:
            return False
        known = self.values[wanted.key]
        return known is None or any(matches(wanted.value, value) for value in known)

    def must_be(self, wanted: Match) -> bool:
        """Whether every series of this shape has the tag."""
        known = self.values.get(wanted.key)
        return known is not None and all(matches(wanted.value, value) for value in known)


def shapes_of(room: str, metric: str) -> tuple[Shape, ...]:
    """The shapes of a metric that `room` emits. Raises LookupError for one that this table does not know."""
    if metric.startswith(TELEMETRY):
        return (_telemetry(room, metric),)
    if metric.startswith(HEALTH):
        return _health(room, metric)
    if room == "wandb":
        return (_wandb(metric),)
    if room == "ci":
        return (_ci(metric.removeprefix(f"{ci.NAMESPACE}.")),)
    raise LookupError(f"nothing says under which tags metta_{room} emits {metric}")


def _telemetry(room: str, metric: str) -> Shape:
    reason = {"reason": _of(*Reason)} if metric == f"{TELEMETRY}dropped" else {}
    return Shape({"check_name": _of(f"metta_{room}"), "runner": None, **reason, **_IDENTITY.get(room, {})})


def _health(room: str, metric: str) -> tuple[Shape, ...]:
    if room == "ci":
        return tuple(_verdict(name, rule) for name, rule in ci.RULES.items())
    origin = {
        "source": _of(ORIGINS[room].source),
        "workflow_category": _of(ORIGINS[room].workflow_category),
    }
    if metric == f"{HEALTH}data_missing":
        return (Shape(origin),)
    return (Shape({**origin, **dict.fromkeys(("workflow_name", "task", "check", "metric_name"))}),)


def _verdict(name: str, rule: ci.Rule) -> Shape:
    return Shape({**_CI_ORIGIN, **_place(rule), "metric_name": _of(name), **_scope(rule)})


def _wandb(metric: str) -> Shape:
    tags: dict[str, Values] = {
        **_IDENTITY["wandb"],
        "run_type": _of(*(entry["name"] for entry in defaults.instance_run_types()), EVERYTHING_ELSE),
        "state": _of(*RunState),
    }
    if metric == "wandb.runs":
        return Shape({**tags, "timeframe": _of(defaults.instance_timeframe())})
    if metric.endswith(".metric"):
        tags["metric_name"] = _of(*defaults.instance_metrics())
    if metric.startswith("wandb.run.completed."):
        return Shape(tags)
    if metric == "wandb.run.system":
        tags["metric"] = _of(*SYSTEM_KEYS)
    if metric == "wandb.run.heartbeat_age_seconds":
        tags["state"] = _of(RunState.RUNNING)
    return Shape({**tags, "run_id": None, "run_name": None, **dict.fromkeys(key for key, _ in LABELS.values())})


def _ci(metric: str) -> Shape:
    if rule := ci.RULES.get(metric):
        judged = {"condition": None, "status": _of(State.PASS.label, State.FAIL.label)}
        return Shape({**_CI_ORIGIN, **_place(rule), **judged, **_scope(rule)})
    tags = {**_CI_ORIGIN, **_IDENTITY["ci"]}
    if metric in {"ci.workflow.runs", "ci.run.duration_minutes"}:
        return Shape({**tags, "workflow": None, "conclusion": _of(*CONCLUSIONS)})
    if metric == "ci.workflow.latest_success":
        return Shape({**tags, "workflow": None})
    return Shape(tags)


def _place(rule: ci.Rule) -> dict[str, Values]:
    return {"workflow_name": _of(rule.workflow_name), "task": _of(rule.task), "check": _of(rule.check)}


def _scope(rule: ci.Rule) -> dict[str, Values]:
    return {"repo": None, "branch": None} if rule.of_branch else {"repo": None}


def _of(*values: str) -> Values:
    return frozenset(map(normalised, values))


@cache
def _record_shapes() -> Mapping[str, tuple[Shape, ...]]:
    """By namespace: what a record's metric carries beside the record's own tags."""
    found: dict[str, tuple[Shape, ...]] = dict.fromkeys(RECORD_NAMESPACES, ())
    for origin in ORIGINS.values():
        tags: dict[str, Values] = dict.fromkeys(("workflow_name", "task", "check", "condition"))
        tags |= {
            "source": _of(origin.source),
            "workflow_category": _of(origin.workflow_category),
            "status": _of(*(state.label for state in State)),
        }
        found[origin.namespace] += (Shape(tags),)
    return found


_IDENTITY: Final[Mapping[str, Mapping[str, Values]]] = {
    "wandb": {"wandb_entity": None, "wandb_project": None},
    "ci": {"repo": None, "branch": None},
}
_CI_ORIGIN: Final[Mapping[str, Values]] = {
    "source": _of(ci.SOURCE),
    "workflow_category": _of(ci.CATEGORY),
}
RECORD_SHAPES: Final = _record_shapes()
