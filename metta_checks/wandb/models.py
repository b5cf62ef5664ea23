"""Projects and runs: what a run is, and of which type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from metta_checks.core.patterns import MAX_TEXT, compile_pattern


@dataclass(frozen=True, slots=True)
class ProjectPath:
    """Which project of which entity, on which server."""

    entity: str
    name: str
    base_url: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"


class RunState(StrEnum):
    """The three states that the metrics distinguish."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


UNENDED_STATES: Final = ("running", "pending", "preempting")
"""W&B's names for runs that have not ended; a preempting run may yet be resumed."""

STATES: Final[Mapping[str, RunState]] = {
    **dict.fromkeys(UNENDED_STATES, RunState.RUNNING),
    "finished": RunState.FINISHED,
    **dict.fromkeys(("failed", "crashed", "killed", "preempted"), RunState.FAILED),
}
"""Each of W&B's states and what the metrics call it."""


# Not `frozen`, which makes each of ten thousand twice as slow to make; nothing changes one.
@dataclass(slots=True)
class Run:
    """One W&B run as the API reports it, reduced to what the configuration asks for.

    `id` is the one in URLs (the API's `name`); `name` is what people gave it. `wandb_state` is W&B's own name of the
    state. Times are UTC; `heartbeat_at` is its last heartbeat, `logged_at` when it last logged: the SDK sends
    heartbeats without any logging. `sps` is in steps per second; `metrics` are summary values by key; `system` are
    means over the run's devices by metric name. `gpus` is how many GPUs it holds, a lower bound where it does not say
    so itself and not all of its nodes report. `compute_seconds` is without the pauses of a resumed run, None where the
    server has none. `labels` are tags from the run's own fields (`user:…`), `completed_labels` those of its GPU
    hours. `not_finite` counts NaN and infinities among the selected values; `invalid` names the values that are no
    numbers and the times that are none, `unreadable` the fields that could not be read, each with the run.
    `kept_bytes` is about its size in memory. `log_is_known` is False where the run may have logged at a moment that
    could not be read.
    """

    id: str
    name: str
    state: RunState
    wandb_state: str
    created_at: datetime | None
    heartbeat_at: datetime | None
    logged_at: datetime | None
    run_type: str
    sps: float | None
    metrics: Mapping[str, float]
    system: Mapping[str, float]
    gpus: float
    compute_seconds: float | None
    labels: tuple[str, ...]
    completed_labels: tuple[str, ...]
    not_finite: int
    invalid: tuple[str, ...]
    unreadable: tuple[str, ...]
    kept_bytes: int = 0
    log_is_known: bool = True

    @property
    def ended(self) -> bool:
        return self.state is not RunState.RUNNING

    @property
    def duration_hours(self) -> float | None:
        """Hours from creation to the last heartbeat; None before the first one, or when the two contradict."""
        if self.created_at is None or self.heartbeat_at is None or self.heartbeat_at < self.created_at:
            return None
        return (self.heartbeat_at - self.created_at).total_seconds() / 3600

    @property
    def computed(self) -> float | None:
        """Seconds of computing: W&B's own count, else the duration; None where neither is known."""
        if self.compute_seconds is not None:
            return self.compute_seconds
        return None if self.duration_hours is None else self.duration_hours * 3600

    @property
    def last_sign(self) -> datetime | None:
        """The last heartbeat, or the creation of a run that never sent one."""
        return self.created_at if self.heartbeat_at is None else self.heartbeat_at

    def log_age(self, now: datetime, resumed_at: datetime | None) -> float | None:
        """Seconds since the last log, the creation, or `resumed_at`, when the run was seen running again: whichever
        was last. Never below zero; None where nothing of it is known, or not the last log."""
        if not self.log_is_known:
            return None
        moments = [moment for moment in (self.logged_at, self.created_at, resumed_at) if moment is not None]
        return max(0.0, (now - max(moments)).total_seconds()) if moments else None

    def active(self, now: datetime, timeframe: timedelta) -> bool:
        """Whether the run belongs to the timeframe: not ended, or its last sign of life is inside it."""
        return not self.ended or (self.last_sign is not None and self.last_sign >= now - timeframe)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a run, which may be resumed and end again: the seconds that it computed since the previous one."""

    run: Run
    seconds: float


EVERYTHING_ELSE: Final = "all"
"""The last type, which takes what no other took; dashboards label it "other"."""

SWEEP: Final = "sweep"
"""The type that a member of a W&B sweep has too, whatever its name."""


class RunTypes:
    """An ordered table of type name and pattern, searched in the run's display name; the first hit wins.

    Of a longer name the first `MAX_TEXT` characters are searched. A name may stand in the table more than once. Raises
    ValueError for a pattern that `compile_pattern` refuses, and for a name that cannot be a tag value of its own.
    """

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._patterns = [(name, _compiled(name, pattern)) for name, pattern in patterns]
        self.names = (*dict.fromkeys(name for name, _ in self._patterns), EVERYTHING_ELSE)

    def type_of(self, name: str, *, in_sweep: bool) -> str:
        """The type of a run with this display name."""
        searched = name[:MAX_TEXT]
        for run_type, pattern in self._patterns:
            if pattern.search(searched) or (in_sweep and run_type == SWEEP):
                return run_type
        return EVERYTHING_ELSE


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    if not name or name == EVERYTHING_ELSE:
        raise ValueError(f"a run type cannot be called {name!r}: {EVERYTHING_ELSE!r} is what no pattern matched")
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"the pattern of run type {name!r} {error}") from None
