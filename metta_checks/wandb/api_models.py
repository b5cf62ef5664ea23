"""Models of the W&B API's responses, and how a node becomes a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import getsizeof
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from metta_checks.core import tag
from metta_checks.core.clock import in_utc
from metta_checks.wandb.blobs import Summary, SummarySelection, System, UnreadableError
from metta_checks.wandb.models import STATES, Run, RunTypes

MAX_NAME: Final = 256
"""Characters of a name that are kept. W&B's own have 128 at most, and patterns look at no more than this."""

MAX_CURSOR: Final = 2_000
"""Characters of a cursor; it is sent back as it came, and remembered while pages are read."""

RUN_BYTES: Final = 600
VALUE_BYTES: Final = 80
"""What a run takes in memory beside its texts, and each of its values."""

OWN_KEY: Final = 64
"""Characters from which on each run has its own copy of a key; shorter ones are shared by the parser."""

MAX_SECONDS: Final = 1e10
"""Some 300 years: no run has computed for longer."""

_NUMBERS: Final = frozenset({int, float})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Blob = Annotated[bytes | Any, Field(union_mode="left_to_right")]
"""JSON in a string. As bytes, since one character outside of Latin-1 makes text of it two or four times as large."""


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _NamedNode(TypedDict):
    name: Annotated[str, Field(min_length=1)]


class RunNode(_NamedNode, total=False):
    """One run. `name` is the id in URLs, `displayName` what people gave it.

    Runs are dictionaries, since there are thousands of them and a model of each takes twice as long to make. A field
    that has another type than W&B's costs its run that field and nothing more, so the types are not required here.
    """

    displayName: Any
    state: Any
    createdAt: Any
    heartbeatAt: Any
    sweepName: Any
    group: Any
    jobType: Any
    host: Any
    computeSeconds: Any
    user: Any
    summaryMetrics: Blob
    systemMetrics: Blob


class Edge(TypedDict):
    node: RunNode


class RunPageInfo(_Model):
    endCursor: Annotated[str, Field(max_length=MAX_CURSOR)] | None = None  # noqa: N815
    hasNextPage: bool  # noqa: N815


class RunConnection(_Model):
    edges: list[Edge]
    pageInfo: RunPageInfo  # noqa: N815


class Project(_Model):
    """`runs` is null where the listing failed; the response's errors then say why. `runCount` is how many match."""

    runCount: int | None = None  # noqa: N815
    runs: RunConnection | None


class Viewer(_Model):
    id: str | None = None


class GraphQLError(_Model):
    """One error. `path` leads to the field that could not be read; an error of the query itself has none."""

    message: str | None = None
    path: Any = None
    extensions: Any = None


class ErrorsResponse(_Model):
    """A response as far as its errors go: with an error the data may have any shape.

    W&B also reports an error as a text, in a list or alone (the SDK's `parse_backend_error_messages`).
    """

    errors: Any = None
    error: Any = None
    message: Any = None
    data: Any = None

    @property
    def reported(self) -> list[GraphQLError]:
        """The errors, in whichever form."""
        listed = self.errors if isinstance(self.errors, list) else [self.errors] if self.errors else []
        alone = [self.error, *([self.message] if self.data is None else [])]
        return [_error_in(value) for value in (*listed, *filter(None, alone))]


def _error_in(value: Any) -> GraphQLError:
    found = value if isinstance(value, dict) else {"message": value}
    message = found.get("message")
    return GraphQLError(
        message=message if isinstance(message, str) else None,
        path=found.get("path"),
        extensions=found.get("extensions"),
    )


class _Data(_Model):
    viewer: Viewer | None = None

    @property
    def shows(self) -> bool:
        """Whether there is anything but the user of the key."""
        raise NotImplementedError


class ResponseData(_Data):
    project: Project | None = None

    @property
    def projects(self) -> dict[str, Project | None]:
        return {"project": self.project}

    @property
    def shows(self) -> bool:
        return self.project is not None


class RunsResponse(ErrorsResponse):
    """The whole response to the runs query of one project."""

    data: ResponseData | None = None


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


class BatchResponse(ErrorsResponse):
    """The whole response to the runs query of several projects."""

    data: BatchData | None = None


class NameNode(_Model):
    name: Annotated[str, Field(max_length=MAX_NAME)]


MAX_NAMES: Final = 200
"""Projects on a page of the list: twice what is asked for."""


class NameEdge(_Model):
    node: NameNode


class NameConnection(_Model):
    edges: Annotated[tuple[NameEdge, ...], Field(max_length=MAX_NAMES)]
    pageInfo: RunPageInfo  # noqa: N815


class NamesData(_Data):
    models: NameConnection | None = None

    @property
    def shows(self) -> bool:
        return self.models is not None


class NamesResponse(ErrorsResponse):
    """The whole response to the query for an entity's projects."""

    data: NamesData | None = None


LABELS: Final[Mapping[str, tuple[str, Callable[[RunNode], object]]]] = {
    "user": ("user", lambda node: user.get("username") if isinstance(user := node.get("user"), dict) else None),
    "group": ("group", lambda node: node.get("group")),
    "job_type": ("job_type", lambda node: node.get("jobType")),
    "sweep": ("sweep", lambda node: node.get("sweepName")),
    # Not `host`: that tag is the Agent's own.
    "host": ("run_host", lambda node: node.get("host")),
}
"""What `run_tags` may name: the tag's key and where its value stands."""


_NO_FAULTS: Final[Mapping[str, str]] = MappingProxyType({})


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

    def run(self, node: RunNode, faults: Mapping[str, str] = _NO_FAULTS) -> Run:
        """The run in a node; `faults` gives the reason for each field that the server could not read.

        Raises UnknownStateError, since a state decides what is counted as what.
        """
        run_id = node["name"][:MAX_NAME]
        wandb_state: str = node["state"] if isinstance(node.get("state"), str) else ""
        state = STATES.get(wandb_state)
        if state is None:
            raise UnknownStateError(f"run {run_id} has the state {wandb_state[:MAX_NAME]!r}")
        unreadable = dict(faults) if faults else {}
        summary, system = _UNKNOWN_SUMMARY, _UNKNOWN_SYSTEM
        if "summaryMetrics" not in unreadable:
            try:
                summary = self.selection.summary(node.get("summaryMetrics"))
            except UnreadableError as error:
                unreadable["summaryMetrics"] = str(error)
        if "systemMetrics" not in unreadable:
            try:
                system = self.selection.system(node.get("systemMetrics"))
            except UnreadableError as error:
                unreadable["systemMetrics"] = str(error)
        given, sweep = node.get("displayName"), node.get("sweepName")
        name = given[:MAX_NAME] if given and isinstance(given, str) else run_id
        labels = _labels(node, self.run_tags) if self.run_tags else ()
        completed_labels = _labels(node, self.completed_tags) if self.completed_tags else ()
        created_at, heartbeat_at = node.get("createdAt"), node.get("heartbeatAt")
        created, heartbeat = _time(created_at), _time(heartbeat_at)
        # Nearly always there are none of the following, and there are thousands of runs.
        invalid: tuple[str, ...] = ()
        if summary.invalid or system.invalid:
            invalid = tuple(f"{key} of run {run_id} is not a number" for key in summary.invalid + system.invalid)
        if created is None and _is_given(created_at):
            invalid += (f"createdAt of run {run_id} is not a time",)
        if heartbeat is None and _is_given(heartbeat_at):
            invalid += (f"heartbeatAt of run {run_id} is not a time",)
        failed = tuple(_unreadable(run_id, unreadable)) if unreadable else ()
        kept_bytes = RUN_BYTES + VALUE_BYTES * (len(summary.metrics) + len(system.means))
        kept_bytes += getsizeof(run_id) + getsizeof(name)
        if texts := labels + completed_labels + failed + invalid:
            kept_bytes += sum(map(getsizeof, texts))
        if self.selection.has_patterns:
            kept_bytes += sum(getsizeof(key) for key in summary.metrics if len(key) >= OWN_KEY)
        return Run(
            run_id,
            name,
            state,
            wandb_state,
            created,
            heartbeat,
            summary.logged_at,
            self.run_types.type_of(name, in_sweep=bool(sweep)),
            summary.sps,
            summary.metrics,
            system.means,
            float(system.gpus) if summary.gpus is None else summary.gpus,
            _seconds(node.get("computeSeconds")),
            labels,
            completed_labels,
            summary.not_finite + system.not_finite,
            invalid,
            failed,
            kept_bytes,
            summary.log_is_known,
        )


BLOBS: Final = {"summaryMetrics": "the summary", "systemMetrics": "the system metrics"}
"""What messages call the two fields."""

_UNKNOWN_SUMMARY: Final = Summary(log_is_known=False)
_UNKNOWN_SYSTEM: Final = System()


def _unreadable(run_id: str, reasons: Mapping[str, str]) -> Iterator[str]:
    for field, reason in reasons.items():
        yield f"{BLOBS.get(field, f'`{field}`')} of run {run_id} ({reason})"


def _labels(node: RunNode, names: Iterable[str]) -> tuple[str, ...]:
    found = ((key, read(node)) for key, read in map(LABELS.__getitem__, names))
    return tuple(tag(key, value[:MAX_NAME]) for key, value in found if value and isinstance(value, str))


def _time(value: Any) -> datetime | None:
    """One of W&B's times, which are UTC; older responses leave the zone out. None for what is no time, and for Go's
    zero time, which stands for none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not UTC:
            moment = in_utc(moment)
    except ValueError:
        return None
    return moment if moment >= _EPOCH else None


def _is_given(value: Any) -> bool:
    return bool(value) and not (isinstance(value, str) and value.startswith("0001-01-01"))


def _seconds(value: Any) -> float | None:
    # By its very type: True is an int too.
    return float(value) if type(value) in _NUMBERS and 0 <= value < MAX_SECONDS else None
