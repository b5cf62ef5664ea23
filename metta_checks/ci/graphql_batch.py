"""The GraphQL query of a collection: labels, workflow files and states, quiet workflows, and which runs changed.

Each kind of field owns its text, its variables and the parser of its answer; the fields of the labels and of the
workflow files belong to those modules, and go along.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial, reduce
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter

from metta_checks.ci.api_models import MOST_LISTED, Moment, Number, Reference, Text
from metta_checks.ci.client import GitHub, run_concurrently
from metta_checks.ci.graphql import Data, GraphQLModel, QueryField, unknown_shape
from metta_checks.ci.ledger import BATCH_SIZE, AnsweredSize
from metta_checks.ci.models import Workflow, WorkflowRun
from metta_checks.ci.pages import MAY_BE_TOO_LARGE
from metta_checks.core.errors import Kind, SourceError

HISTORY: Final = 20
"""How many of a quiet workflow's latest runs are asked for: those of all branches, since none can be named."""

IDS_PER_FIELD: Final = 100
"""GitHub refuses more in one `nodes(ids:)`; the fields are numbered in the order of the ids."""

SIZES: Final = (BATCH_SIZE, 400, 100)
"""How many runs one query asks for, from the usual number to the smallest that is tried."""

ItemT = TypeVar("ItemT", WorkflowRun, Workflow)
NodeT = TypeVar("NodeT", bound=GraphQLModel)


class RunStatus(NamedTuple):
    """When a run last changed and, where that was asked, how it ended (None: it has not)."""

    updated_at: datetime
    asked_outcome: bool
    outcome: str | None


class PastRun(NamedTuple):
    """A run of a quiet workflow. `branch` is its bare name: a fork's looks like one of the repository's."""

    run: WorkflowRun
    branch: str | None
    event: str


class _State(GraphQLModel):
    name: Text
    state: Text


class _Branch(GraphQLModel):
    name: Text


class _Suite(GraphQLModel):
    status: Text
    conclusion: Text | None
    branch: _Branch | None = None

    @property
    def outcome(self) -> str | None:
        return self.conclusion.lower() if self.status == "COMPLETED" and self.conclusion else None


class _Change(GraphQLModel):
    updated_at: Moment
    check_suite: _Suite | None = None


class _PastRun(GraphQLModel):
    id: Reference
    # The database id has outgrown GraphQL's 32-bit Int; the path has it in full.
    resource_path: Annotated[Number, BeforeValidator(lambda path: str(path).rpartition("/")[2])]
    run_number: Number
    event: Text
    created_at: Moment
    updated_at: Moment
    check_suite: _Suite | None = None


class _PastRuns(GraphQLModel):
    nodes: Annotated[list[_PastRun | None], Field(max_length=MOST_LISTED)]


class _History(GraphQLModel):
    runs: _PastRuns


class NodeFields(Generic[NodeT]):
    """Asks for objects by their ids, in numbered fields of at most `IDS_PER_FIELD`."""

    def __init__(self, alias: str, fragment: str, model: type[NodeT]) -> None:
        self.alias = alias
        self._fragment = fragment
        self._adapter: TypeAdapter[list[NodeT | None]] = TypeAdapter(list[model | None])  # type: ignore[valid-type]

    def fields(self, items: Sequence[WorkflowRun] | Sequence[Workflow]) -> Iterator[QueryField]:
        """The fields that ask for `items`."""
        for number, start in enumerate(range(0, len(items), IDS_PER_FIELD)):
            alias = f"{self.alias}{number}"
            ids = [item.node_id for item in items[start : start + IDS_PER_FIELD]]
            yield QueryField(alias, f"{alias}: nodes(ids: ${alias}) {{ {self._fragment} }}", {alias: ("[ID!]!", ids)})

    def parse(self, items: Sequence[ItemT], data: Mapping[str, Any]) -> Iterator[tuple[ItemT, NodeT]]:
        """Each item with its node, which GitHub gives in the order of the ids; those that are gone are left out.
        Raises ValueError for an answer of another shape."""
        for number, start in enumerate(range(0, len(items), IDS_PER_FIELD)):
            nodes = self._adapter.validate_python(data.get(f"{self.alias}{number}"))
            for item, node in zip(items[start : start + IDS_PER_FIELD], nodes, strict=True):
                if node is not None:
                    yield item, node


STATES: Final = NodeFields("state", "... on Workflow { name state }", _State)
CHANGES: Final = NodeFields("pulse", "... on WorkflowRun { updatedAt }", _Change)
CHANGES_WITH_OUTCOME: Final = NodeFields(
    "close", "... on WorkflowRun { updatedAt checkSuite { status conclusion } }", _Change
)
HISTORIES: Final = NodeFields(
    "history",
    f"... on Workflow {{ runs(first: {HISTORY}) {{ nodes {{ id resourcePath runNumber event createdAt updatedAt "
    "checkSuite { status conclusion branch { name } } } } }",
    _History,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What to ask. `labels` are the fields of the label counts and `files` that of the workflow files: each may fail
    alone. `watched` and `closely_watched` are runs that may have changed since they were read; of the latter the
    outcome is asked too."""

    labels: Sequence[QueryField] = ()
    states: Sequence[Workflow] = ()
    histories: Sequence[Workflow] = ()
    watched: Sequence[WorkflowRun] = ()
    closely_watched: Sequence[WorkflowRun] = ()
    files: Sequence[QueryField] = ()

    @property
    def weight(self) -> int:
        """How many runs it asks for."""
        return HISTORY * len(self.histories) + len(self.closely_watched) + len(self.watched)

    @property
    def fields(self) -> list[QueryField]:
        """The fields of the query."""
        return [
            *self.labels,
            *self.files,
            *STATES.fields(self.states),
            *HISTORIES.fields(self.histories),
            *CHANGES.fields(self.watched),
            *CHANGES_WITH_OUTCOME.fields(self.closely_watched),
        ]

    @property
    def apart(self) -> frozenset[str]:
        """The aliases that may fail alone."""
        return frozenset(field.alias for field in (*self.labels, *self.files))

    def parts(self, size: int) -> Iterator[Batch]:
        """Batches of at most `size` runs; the first has all that asks for none."""
        others = Batch(self.labels, self.states, files=self.files)
        histories, close, watched = self.histories, self.closely_watched, self.watched
        while True:
            past = histories[: max(size // HISTORY, 1)]
            left = max(size - HISTORY * len(past), 0)
            near, far = close[:left], watched[: max(left - len(close), 0)]
            yield replace(others, histories=past, closely_watched=near, watched=far)
            others = Batch()
            histories, close, watched = histories[len(past) :], close[len(near) :], watched[len(far) :]
            if not (histories or close or watched):
                return

    def without_check_suites(self) -> Batch:
        """The batch for a token that may not read them: when the closely watched runs changed, not how they ended."""
        return replace(self, histories=(), watched=(*self.watched, *self.closely_watched), closely_watched=())

    def is_refused_check_suites(self, error: SourceError) -> bool:
        """Whether the error may be that the token cannot read check suites, or that the server has no such field.
        Fine-grained tokens cannot be given the permission "Checks"
        (https://github.com/orgs/community/discussions/179545)."""
        if not self.histories and not self.closely_watched:
            return False
        if error.kind is Kind.REJECTED:
            return True
        of_a_field = error.kind is Kind.FORBIDDEN and error.status == 200
        aliases = (HISTORIES.alias, CHANGES_WITH_OUTCOME.alias)
        return of_a_field and (error.field is None or error.field.startswith(aliases))


@dataclass(frozen=True, slots=True)
class BatchReply:
    """The answers by id; those to the fields of the labels and of the files are in `data`. What no longer exists is
    left out; `gone` are such runs."""

    data: Data = field(default_factory=lambda: Data({}))
    states: Mapping[int, Workflow] = field(default_factory=dict)
    histories: Mapping[int, Sequence[PastRun]] = field(default_factory=dict)
    statuses: Mapping[int, RunStatus] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()

    def joined(self, other: BatchReply) -> BatchReply:
        """Both together, for a batch that was sent in parts."""
        return BatchReply(
            Data({**self.data.values, **other.data.values}, {**self.data.faults, **other.data.faults}),
            {**self.states, **other.states},
            {**self.histories, **other.histories},
            {**self.statuses, **other.statuses},
            self.gone | other.gone,
        )


class BatchSender:
    """Sends batches as the server answers them: in the size that is not too much for it, which is `answered`, and
    without what the token must not read."""

    def __init__(self, github: GitHub, answered: AnsweredSize, now: datetime) -> None:
        self.answered = answered.at(now, SIZES)
        self._github = github
        self._now = now

    def send(self, batch: Batch) -> BatchReply:
        """The reply; for a token that must not read check suites, the one without them. Raises SourceError."""
        if not self._github.session.reads_check_suites:
            return self._send_in_size(batch.without_check_suites())
        try:
            return self._send_in_size(batch)
        except SourceError as error:
            if not batch.is_refused_check_suites(error):
                raise
        reply = self._send_in_size(batch.without_check_suites())
        self._github.session.note_refused_check_suites()
        return reply

    def attempt(self, batch: Batch) -> BatchReply | SourceError:
        """The reply, or the error that sending ended in."""
        try:
            return self.send(batch)
        except SourceError as error:
            return error

    def _send_in_size(self, batch: Batch) -> BatchReply:
        size = self.answered.size
        while True:
            try:
                reply = send(self._github, batch, size)
                break
            except SourceError as error:
                smaller = next((one for one in SIZES if 2 * one <= min(size, batch.weight)), None)
                if error.kind not in MAY_BE_TOO_LARGE or smaller is None or not self._github.has_time:
                    raise
                size = smaller
        if size != self.answered.size:
            self.answered = AnsweredSize(size, self._now)
        return reply


def send(github: GitHub, batch: Batch, size: int = BATCH_SIZE) -> BatchReply:
    """The reply to a batch, by one request unless it asks for more than `size` runs. Raises SourceError."""
    replies = run_concurrently([partial(_send_part, github, part) for part in batch.parts(size)])
    return reduce(BatchReply.joined, replies, BatchReply())


def _send_part(github: GitHub, part: Batch) -> BatchReply:
    fields = part.fields
    if not fields:
        return BatchReply()
    data = github.query(fields, about=f"labels and runs of {github.settings.repo}", apart=part.apart)
    return parse_reply(data, part, operation=f"{github.source}: POST {github.settings.graphql_url}")


def parse_reply(data: Data, batch: Batch, *, operation: str) -> BatchReply:
    """The reply to a batch that was not divided; `operation` is for the message of the SourceError that is raised when
    it is of another shape."""
    try:
        statuses = _statuses(batch, data.values)
        return BatchReply(
            data=data,
            states={
                workflow.id: replace(workflow, name=node.name, state=node.state.lower())
                for workflow, node in STATES.parse(batch.states, data.values)
            },
            histories=_histories(batch, data.values),
            statuses=statuses,
            gone=frozenset(run.id for run in (*batch.watched, *batch.closely_watched) if run.id not in statuses),
        )
    except ValueError as error:
        raise unknown_shape(error, operation) from None


def _histories(batch: Batch, data: Mapping[str, Any]) -> dict[int, Sequence[PastRun]]:
    """Without those that GitHub gave in part: what is missing may be the run that decides."""
    histories: dict[int, Sequence[PastRun]] = {}
    for workflow, history in HISTORIES.parse(batch.histories, data):
        nodes = history.runs.nodes
        past_runs = [_past_run(workflow, node, node.check_suite) for node in nodes if node and node.check_suite]
        if len(past_runs) == len(nodes):
            histories[workflow.id] = past_runs
    return histories


def _statuses(batch: Batch, data: Mapping[str, Any]) -> dict[int, RunStatus]:
    statuses = {
        run.id: RunStatus(node.updated_at, asked_outcome=False, outcome=None)
        for run, node in CHANGES.parse(batch.watched, data)
    }
    for run, node in CHANGES_WITH_OUTCOME.parse(batch.closely_watched, data):
        suite = node.check_suite
        outcome = suite.outcome if suite else None
        statuses[run.id] = RunStatus(node.updated_at, asked_outcome=suite is not None, outcome=outcome)
    return statuses


def _past_run(workflow: Workflow, node: _PastRun, suite: _Suite) -> PastRun:
    created_at = node.created_at
    run = WorkflowRun(
        id=node.resource_path,
        node_id=node.id,
        workflow_id=workflow.id,
        file=workflow.file,
        number=node.run_number,
        # GraphQL has neither attempts nor their start; a run that is asked for here is too old for either to matter.
        attempt=1,
        conclusion=suite.outcome,
        created_at=created_at,
        started_at=created_at,
        updated_at=node.updated_at,
        from_this_repo=True,
        ended_at=node.updated_at,
        name=workflow.name,
    )
    return PastRun(run, suite.branch.name if suite.branch else None, node.event)
