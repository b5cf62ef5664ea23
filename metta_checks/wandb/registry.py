"""What the check knows of a project's runs between collections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from metta_checks.wandb.models import End, Run

OVERLAP: Final = timedelta(minutes=2)
"""How far a delta reaches back behind the newest heartbeat: W&B's stores are not all updated at once."""

REMEMBERED_POINTS: Final = 20_000
"""How many runs that left the timeframe are still known to have given their distribution point, newest kept."""


@dataclass(frozen=True, slots=True)
class RunRegistry:
    """The state after one collection; the next one makes a new one and leaves this alone.

    `runs` are the active runs by id, `alive` the ids of those that have not ended, and `ended_seen` says when the check
    first saw each of the others as ended. After a restart the ids are known again, the runs not yet.
    `reported` are the runs whose end was reported (by a point or an event), or never will be: those that had ended
    before the first collection ever. `resumed` says of runs that had ended when the check saw them running again.
    `counted` is how many seconds of computing of a reported run were counted, or passed unseen.
    `began` is when the first collection was. `refreshed_at` is the last full listing of this process, None before it;
    `newest_heartbeat` is the newest heartbeat seen, never later than `now`.
    """

    began: datetime | None = None
    runs: Mapping[str, Run] = field(default_factory=dict)
    alive: frozenset[str] = frozenset()
    ended_seen: Mapping[str, datetime] = field(default_factory=dict)
    reported: Mapping[str, None] = field(default_factory=dict)
    resumed: Mapping[str, datetime] = field(default_factory=dict)
    counted: Mapping[str, float] = field(default_factory=dict)
    refreshed_at: datetime | None = None
    newest_heartbeat: datetime | None = None

    def needs_full(self, now: datetime, every: timedelta) -> bool:
        """Whether the next listing has to be a full one. A clock that was set back asks for one too."""
        return self.refreshed_at is None or not timedelta(0) <= now - self.refreshed_at < every

    def delta_since(self) -> datetime | None:
        """From which heartbeat on a delta has to ask."""
        return None if self.newest_heartbeat is None else self.newest_heartbeat - OVERLAP


@dataclass(frozen=True, slots=True)
class RegistryUpdate:
    """New registry, the runs whose end this collection is the first to see, and every end that it is the first to
    see, also of runs that had been resumed."""

    registry: RunRegistry
    just_ended: tuple[Run, ...]
    ends: tuple[End, ...]


def refreshed(
    known: RunRegistry, listed: Mapping[str, Run], now: datetime, timeframe: timedelta, *, full: bool
) -> RegistryUpdate:
    """What is known after `listed` came in: all active runs when `full`, else what has changed; either way the runs
    that were last seen alive, by name. One of those that is not among the listed ones is gone.
    """
    merged = dict(listed) if full else _merged(known, listed)
    just_ended: list[Run] = []
    ends: list[End] = []
    counted = dict(known.counted)
    reported = dict(known.reported)
    resumed = {run_id: _no_later(seen, now) for run_id, seen in known.resumed.items()}
    for run in merged.values():
        had_ended_before = _had_ended_before(known, run, timeframe)
        if not run.ended and run.id not in known.alive and (had_ended_before or run.id in known.reported):
            resumed[run.id] = now.replace(microsecond=0)
        if not run.ended and not had_ended_before:
            continue
        if run.id in known.ended_seen and not _ended_again(run, known):
            continue
        is_first = run.id not in known.reported and not had_ended_before
        if is_first:
            just_ended.append(run)
        if run.ended and not had_ended_before and (seconds := _uncounted(run, counted.get(run.id), is_first=is_first)):
            ends.append(End(run, seconds))
        if run.ended or run.id not in known.reported:
            _count(run, counted)
        # Moved to the end, so that the oldest are the first to be forgotten.
        reported.pop(run.id, None)
        reported[run.id] = None
    runs: Mapping[str, Run] = {run_id: run for run_id, run in merged.items() if run.active(now, timeframe)}
    reported = _bounded(reported, runs)
    registry = RunRegistry(
        # In whole seconds, as W&B's times are: a run of the same second counts as ours.
        began=_no_later(known.began, now).replace(microsecond=0),
        runs=runs,
        alive=frozenset(run_id for run_id, run in runs.items() if not run.ended),
        ended_seen={run_id: _no_later(known.ended_seen.get(run_id), now) for run_id, run in runs.items() if run.ended},
        reported=reported,
        counted={run_id: seconds for run_id, seconds in counted.items() if run_id in reported},
        resumed={run_id: seen for run_id, seen in resumed.items() if run_id in runs and not runs[run_id].ended},
        refreshed_at=now if full else known.refreshed_at,
        newest_heartbeat=_newest(known, listed, now),
    )
    return RegistryUpdate(registry, tuple(just_ended), tuple(ends))


def _merged(known: RunRegistry, listed: Mapping[str, Run]) -> dict[str, Run]:
    kept = {run_id: run for run_id, run in known.runs.items() if run.ended or run_id in listed}
    return kept | dict(listed)


def _had_ended_before(known: RunRegistry, run: Run, timeframe: timedelta) -> bool:
    """Whether the run had ended before the first collection ever, and so never gives a point.

    That collection listed every run that had not ended, and those that had inside the timeframe. So a run from before
    the timeframe that turns up only now had ended by then and has been resumed; one that is younger is new to W&B.
    """
    if known.began is None:
        return run.ended
    if run.id in known.alive:
        return False
    if run.ended and (run.last_sign is None or run.last_sign < known.began):
        # Uploaded after its end.
        return True
    return run.created_at is None or run.created_at < known.began - timeframe


def _ended_again(run: Run, known: RunRegistry) -> bool:
    """Whether a run was resumed and ended once more between two collections: it sent heartbeats after its end was seen,
    and computed."""
    seen, counted = known.ended_seen[run.id], known.counted.get(run.id)
    if not run.ended or run.compute_seconds is None or counted is None or run.heartbeat_at is None:
        return False
    # After a restart this stands for any earlier moment. What was computed since is counted at the next end.
    if known.began is not None and seen <= known.began + timedelta(seconds=1):
        return False
    return run.heartbeat_at > seen and run.compute_seconds >= counted + 1


def _uncounted(run: Run, counted: float | None, *, is_first: bool) -> float | None:
    """The seconds of computing that this end adds. Without W&B's own count only the first end has one, the duration."""
    if is_first:
        return run.computed
    if run.compute_seconds is None or counted is None:
        return None
    return max(0.0, run.compute_seconds - counted)


def _count(run: Run, counted: dict[str, float]) -> None:
    if run.computed is not None:
        counted[run.id] = max(run.computed, counted.get(run.id, 0.0))


def _newest(known: RunRegistry, listed: Mapping[str, Run], now: datetime) -> datetime | None:
    heartbeats = [run.heartbeat_at for run in listed.values() if run.heartbeat_at is not None]
    if known.newest_heartbeat is not None:
        heartbeats.append(known.newest_heartbeat)
    # A trainer whose clock runs ahead must not hide the others' heartbeats.
    return min(max(heartbeats), now) if heartbeats else None


def _no_later(then: datetime | None, now: datetime) -> datetime:
    """`then`, unless the clock was set back since: a moment in the future would keep series alive until it comes."""
    return now if then is None else min(then, now)


def _bounded(reported: dict[str, None], present: Mapping[str, Run]) -> dict[str, None]:
    gone = [run_id for run_id in reported if run_id not in present]
    for run_id in gone[: max(0, len(gone) - REMEMBERED_POINTS)]:
        del reported[run_id]
    return reported
