"""What the W&B API answers, as models, and how a node becomes a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from metta_checks.core import tag
from metta_checks.core.clock import in_utc
from metta_checks.wandb.blobs import Summary, SummarySelection, System, UnreadableError
from metta_checks.wandb.models import STATES, Run, RunTypes

MAX_NAME: Final = 1_000
"""Characters of a name. What is longer than any of W&B's is cut, since a run is kept for days."""

MAX_SECONDS: Final = 1e10
"""Some 300 years: no run has computed for longer."""

ApiTime = Annotated[datetime, AfterValidator(in_utc)]
"""W&B's times are UTC; older answers leave the zone out."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class User(TypedDict, total=False):
    username: str | None


class _NamedNode(TypedDict):
    name: Annotated[str, Field(min_length=1)]


class RunNode(_NamedNode, total=False):
    """One run. `name` is the id in URLs, `displayName` what people gave it; the two blobs are JSON in a string.

    Runs are dictionaries, since there are thousands of them and a model of each takes twice as long to make.
    """

    displayName: str | None
    state: str | None
    createdAt: ApiTime | None
    heartbeatAt: ApiTime | None
    sweepName: str | None
    group: str | None
    jobType: str | None
    host: str | None
    # An older server may have something else there; it costs the run its GPU hours and nothing more.
    computeSeconds: Any
    user: User | None
    # Bytes, since one character outside of Latin-1 makes text of it two or four times as large.
    summaryMetrics: bytes | None
    systemMetrics: bytes | None


class Edge(TypedDict):
    node: RunNode


class PageInfo(_Model):
    endCursor: str | None = None  # noqa: N815
    hasNextPage: bool  # noqa: N815


class RunConnection(_Model):
    edges: list[Edge]
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


class _Data(_Model):
    viewer: Viewer | None = None

    @property
    def shows(self) -> bool:
        """Whether there is anything but the user of the key."""
        raise NotImplementedError


class Data(_Data):
    project: Project | None = None

    @property
    def shows(self) -> bool:
        return self.project is not None


class RunsAnswer(ErrorsAnswer):
    """The whole answer to the runs query of one project."""

    data: Data | None = None


class BatchData(_Data):
    """The projects of a batch stand under their aliases."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Project | None]

    @property
    def projects(self) -> dict[str, Project | None]:
        return self.model_extra or {}

    @property
    def shows(self) -> bool:
        return any(self.projects.values())


class BatchAnswer(ErrorsAnswer):
    """The whole answer to the runs query of several projects."""

    data: BatchData | None = None


class NameNode(_Model):
    name: str


class NameEdge(_Model):
    node: NameNode


class NameConnection(_Model):
    edges: tuple[NameEdge, ...]
    pageInfo: PageInfo  # noqa: N815


class NamesData(_Data):
    models: NameConnection | None = None

    @property
    def shows(self) -> bool:
        return self.models is not None


class NamesAnswer(ErrorsAnswer):
    """The whole answer to the query for an entity's projects."""

    data: NamesData | None = None


LABELS: Final[Mapping[str, tuple[str, Callable[[RunNode], str | None]]]] = {
    "user": ("user", lambda node: (node.get("user") or {}).get("username")),
    "group": ("group", lambda node: node.get("group")),
    "job_type": ("job_type", lambda node: node.get("jobType")),
    "sweep": ("sweep", lambda node: node.get("sweepName")),
    # Not `host`: that tag is the Agent's own.
    "host": ("run_host", lambda node: node.get("host")),
}
"""What `run_tags` may name: the tag's key and where its value stands."""


class UnknownStateError(ValueError):
    """W&B reports a state that this version does not know."""


@dataclass(frozen=True, slots=True)
class RunReader:
    """Makes runs of nodes: which values of theirs are read, which types there are, and which fields become tags of the
    per-run gauges (`run_tags`) and of the GPU hours (`completed_tags`)."""

    selection: SummarySelection
    run_types: RunTypes
    run_tags: tuple[str, ...] = ()
    completed_tags: tuple[str, ...] = ()

    def run(self, node: RunNode) -> Run:
        """The run behind a node. Raises UnknownStateError, since a state decides what is counted as what."""
        run_id = node["name"][:MAX_NAME]
        wandb_state = node.get("state") or ""
        state = STATES.get(wandb_state)
        if state is None:
            raise UnknownStateError(f"run {run_id} has the state {wandb_state[:MAX_NAME]!r}")
        unreadable: tuple[str, ...] = ()
        summary, system = Summary(), System()
        try:
            summary = self.selection.summary(node.get("summaryMetrics"))
        except UnreadableError as error:
            unreadable = (f"the summary of run {run_id} ({error})",)
        try:
            system = self.selection.system(node.get("systemMetrics"))
        except UnreadableError as error:
            unreadable += (f"the system metrics of run {run_id} ({error})",)
        name = (node.get("displayName") or run_id)[:MAX_NAME]
        return Run(
            id=run_id,
            name=name,
            state=state,
            wandb_state=wandb_state,
            created_at=node.get("createdAt"),
            heartbeat_at=node.get("heartbeatAt"),
            logged_at=summary.logged_at,
            run_type=self.run_types.type_of(name, in_sweep=bool(node.get("sweepName"))),
            sps=summary.sps,
            metrics=summary.metrics,
            system=system.means,
            gpus=float(system.gpus) if summary.gpus is None else summary.gpus,
            compute_seconds=_seconds(node.get("computeSeconds")),
            labels=_labels(node, self.run_tags) if self.run_tags else (),
            completed_labels=_labels(node, self.completed_tags) if self.completed_tags else (),
            not_finite=summary.not_finite + system.not_finite,
            invalid=summary.invalid + system.invalid,
            unreadable=unreadable,
        )


def _labels(node: RunNode, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(tag(key, value[:MAX_NAME]) for key, read in map(LABELS.__getitem__, names) if (value := read(node)))


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        return None
    return float(value)
