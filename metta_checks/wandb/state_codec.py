"""The registry's essence as plain JSON: what has to survive a restart of the Agent, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from metta_checks.wandb.registry import RunRegistry

VERSION: Final = 1


class _Saved(BaseModel):
    """`began` and the values of `ended` and `resumed` are epoch seconds. `settled` ended so long ago that the moment no
    longer matters; `told` left the timeframe, but must not give a second point when they are resumed. `counted` are
    the seconds of computing of those in `ended`, `settled` and `told`, in this order."""

    model_config = ConfigDict(strict=True)

    began: int
    alive: list[str]
    ended: dict[str, int]
    settled: list[str]
    told: list[str]
    # Not in documents of 0.1.1.
    resumed: dict[str, int] = {}
    counted: list[int | None] = []


def save(registry: RunRegistry, now: datetime, *, completed_runs: timedelta) -> dict[str, Any]:
    """`registry` as JSON material; run ids only, no values."""
    recent = {run_id: seen for run_id, seen in registry.ended_seen.items() if now - seen <= completed_runs}
    settled = [run_id for run_id in registry.ended_seen if run_id not in recent]
    told = [run_id for run_id in registry.reported if run_id not in registry.ended_seen]
    return _Saved(
        began=_epoch(registry.began or now),
        alive=sorted(registry.alive),
        ended={run_id: _epoch(seen) for run_id, seen in recent.items()},
        settled=settled,
        resumed={run_id: _epoch(seen) for run_id, seen in registry.resumed.items()},
        counted=[
            None if seconds is None else round(seconds)
            for seconds in map(registry.counted.get, (*recent, *settled, *told))
        ],
        told=told,
    ).model_dump()


def restore(document: Any) -> RunRegistry | None:
    """The registry in `document`; None when it is not ours. The runs themselves follow with a full listing."""
    try:
        saved = _Saved.model_validate(document)
        began = _moment(saved.began)
        ended_seen = dict.fromkeys(saved.settled, began) | {key: _moment(value) for key, value in saved.ended.items()}
        ids = (*saved.ended, *saved.settled, *saved.told)
        resumed = {key: _moment(value) for key, value in saved.resumed.items()}
    except (ValidationError, ValueError, OverflowError, OSError):
        return None
    return RunRegistry(
        began=began,
        alive=frozenset(saved.alive),
        ended_seen=ended_seen,
        reported=dict.fromkeys([*saved.told, *ended_seen]),
        resumed=resumed,
        counted={run_id: seconds for run_id, seconds in zip(ids, saved.counted, strict=False) if seconds is not None},
    )


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)
