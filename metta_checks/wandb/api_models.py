"""What the W&B API answers, as models, and how a node becomes a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from metta_checks.core import tag
from metta_checks.core.clock import in_utc
from metta_checks.wandb.blobs import Summary, SummarySelection, System, UnreadableError
from metta_checks.wandb.models import STATES, Run

MAX_TEXT: Final = 1_000

MAX_SECONDS: Final = 1e10
"""Some 300 years: no run has computed for longer."""

ApiTime = Annotated[datetime, AfterValidator(in_utc)]
"""W&B's times are UTC; older answers leave the zone out."""


_Text = Annotated[str, AfterValidator(lambda text: text[:MAX_TEXT])]
"""A name. What is longer than any of W&B's is cut, since a run is kept for days."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class User(_Model):
    username: _Text | None = None


class RunNode(_Model):
    """One run. `name` is the id in URLs, `displayName` what people gave it; the two blobs are JSON in a string."""

    name: Annotated[_Text, Field(min_length=1)]
    displayName: _Text | None = None  # noqa: N815 (the API's own names)
    state: _Text | None = None
    createdAt: ApiTime | None = None  # noqa: N815
    heartbeatAt: ApiTime | None = None  # noqa: N815
    sweepName: _Text | None = None  # noqa: N815
    group: _Text | None = None
    jobType: _Text | None = None  # noqa: N815
    host: _Text | None = None
    # An older server may have something else there; it costs the run its GPU hours and nothing more.
    computeSeconds: Any = None  # noqa: N815
    user: User | None = None
    # Bytes, since one character outside of Latin-1 makes text of it two or four times as large.
    summaryMetrics: bytes | None = None  # noqa: N815
    systemMetrics: bytes | None = None  # noqa: N815


class Edge(_Model):
    node: RunNode


class PageInfo(_Model):
    endCursor: str | None = None  # noqa: N815
    hasNextPage: bool  # noqa: N815


class RunConnection(_Model):
    edges: tuple[Edge, ...]
    pageInfo: PageInfo  # noqa: N815


class Project(_Model):
    """`runs` is null where the listing failed; the answer's errors then say why. `runCount` is how many match."""

    runCount: int | None = None  # noqa: N815
    runs: RunConnection | None


class Viewer(_Model):
    id: str | None = None


class GraphQLError(_Model):
    """One error. `path` leads to the field that could not be read; an error of the query itself has none."""

    message: str | None = None
    path: Any = None
    extensions: Any = None


class ErrorsAnswer(_Model):
    """An answer as far as its errors go: beside an error the data may have any shape."""

    errors: tuple[GraphQLError, ...] | None = None
    data: Any = None


class Data(_Model):
    viewer: Viewer | None = None
    project: Project | None = None


class RunsAnswer(ErrorsAnswer):
    """The whole answer to the runs query."""

    data: Data | None = None


LABELS: Final[Mapping[str, tuple[str, Callable[[RunNode], str | None]]]] = {
    "user": ("user", lambda node: node.user.username if node.user else None),
    "group": ("group", lambda node: node.group),
    "job_type": ("job_type", lambda node: node.jobType),
    "sweep": ("sweep", lambda node: node.sweepName),
    # Not `host`: that tag is the Agent's own.
    "host": ("run_host", lambda node: node.host),
}
"""What `run_tags` may name: the tag's key and where its value stands."""


class UnknownStateError(ValueError):
    """W&B reports a state that this version does not know."""


def run_of(
    node: RunNode, wanted: SummarySelection, run_tags: tuple[str, ...], completed_tags: tuple[str, ...] = ()
) -> Run:
    """The run behind a node. Raises UnknownStateError, since a state decides what is counted as what."""
    state = STATES.get(node.state or "")
    if state is None:
        raise UnknownStateError(f"run {node.name} has the state {node.state!r}")
    unreadable: list[str] = []
    summary, system = Summary(), System()
    try:
        summary = wanted.summary(node.summaryMetrics)
    except UnreadableError as error:
        unreadable.append(f"the summary of run {node.name} ({error})")
    try:
        system = wanted.system(node.systemMetrics)
    except UnreadableError as error:
        unreadable.append(f"the system metrics of run {node.name} ({error})")
    return Run(
        id=node.name,
        name=node.displayName or node.name,
        state=state,
        wandb_state=node.state or "",
        created_at=node.createdAt,
        heartbeat_at=node.heartbeatAt,
        logged_at=summary.logged_at,
        in_sweep=bool(node.sweepName),
        sps=summary.sps,
        metrics=summary.metrics,
        system=system.means,
        gpus=float(system.gpus) if summary.gpus is None else summary.gpus,
        compute_seconds=_seconds(node.computeSeconds),
        labels=_labels(node, run_tags),
        completed_labels=_labels(node, completed_tags),
        not_finite=summary.not_finite + system.not_finite,
        invalid=summary.invalid + system.invalid,
        unreadable=tuple(unreadable),
    )


def _labels(node: RunNode, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(tag(key, value) for key, read in (LABELS[name] for name in names) if (value := read(node)))


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        return None
    return float(value)
