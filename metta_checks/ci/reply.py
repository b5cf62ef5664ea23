"""What GitHub's GraphQL answers, parsed at the door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from metta_checks.ci.api_models import MOST_LISTED, Moment, Number, Reference, Text
from metta_checks.ci.graphql import Data
from metta_checks.ci.models import Run, Workflow
from metta_checks.core.decode import first_problem
from metta_checks.core.errors import Kind, SourceError

NodeT = TypeVar("NodeT")
ModelT = TypeVar("ModelT")

IDS_PER_FIELD: Final = 100
"""GitHub refuses more in one `nodes(ids:)`; the fields are numbered in the order of the ids."""


class Pulse(NamedTuple):
    """When a run last changed and, where that was asked, how it ended (None: it has not)."""

    updated_at: datetime
    asked_outcome: bool
    outcome: str | None


class PastRun(NamedTuple):
    """A run of a quiet workflow. `branch` is told by its bare name: a fork's looks like one of the repository's."""

    run: Run
    branch: str | None
    event: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answers by id; those to the fields of the labels are in `data`. What no longer exists is left out; `gone` are
    such runs."""

    data: Data = field(default_factory=lambda: Data({}))
    states: Mapping[int, Workflow] = field(default_factory=dict)
    histories: Mapping[int, Sequence[PastRun]] = field(default_factory=dict)
    pulses: Mapping[int, Pulse] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()

    def joined(self, other: Reply) -> Reply:
        """Both together, for a question that was put in parts."""
        return Reply(
            Data({**self.data.values, **other.data.values}, {**self.data.faults, **other.data.faults}),
            {**self.states, **other.states},
            {**self.histories, **other.histories},
            {**self.pulses, **other.pulses},
            self.gone | other.gone,
        )


def parse_reply(
    data: Data,
    *,
    operation: str,
    states: Sequence[Workflow],
    histories: Sequence[Workflow],
    watched: Sequence[Run],
    closely_watched: Sequence[Run],
) -> Reply:
    """The reply to a question about these; `operation` is for the message of the SourceError that is raised when it is
    of another shape."""
    try:
        pulses = _pulses(watched, closely_watched, data.values)
        return Reply(
            data=data,
            states=_states(states, data.values),
            histories=_histories(histories, data.values),
            pulses=pulses,
            gone=frozenset(run.id for run in (*watched, *closely_watched) if run.id not in pulses),
        )
    except ValueError as error:
        raise _unknown_shape(error, operation) from None


class LabelledPage(NamedTuple):
    """One page of the merged pull requests with a label: number, when each was merged and when it last changed.

    `label` is the label's name in the repository, None where it has none of that name. `after` is the cursor of the
    next page, None behind the last one.
    """

    full_name: str
    web_url: str
    label: str | None
    merged: Sequence[tuple[int, datetime | None, datetime]]
    after: str | None


def labelled_page(data: Data, alias: str, *, operation: str) -> LabelledPage:
    """Raises SourceError: the error of that alias, or one for an answer of another shape."""
    parsed = _alone(data, alias, _LABELLED, operation)
    return LabelledPage(
        full_name=parsed.name_with_owner,
        web_url=parsed.url,
        label=parsed.label.name if parsed.label else None,
        merged=[(node.number, node.merged_at, node.updated_at) for node in parsed.pull_requests.nodes],
        after=parsed.pull_requests.page_info.after,
    )


def label_names(data: Data, alias: str, *, operation: str) -> tuple[list[str], str | None]:
    """One page of the names of a repository's labels, and the cursor of the next. Raises SourceError."""
    labels = _alone(data, alias, _LABELS, operation).labels
    return [node.name for node in labels.nodes], labels.page_info.after


def tree_names(data: Data, alias: str, *, operation: str) -> frozenset[str]:
    """The names in a folder of the repository; none where there is no such folder. Raises SourceError."""
    tree = _alone(data, alias, _TREES, operation).object
    return frozenset(entry.name for entry in tree.entries) if tree else frozenset()


def _alone(data: Data, alias: str, adapter: TypeAdapter[ModelT], operation: str) -> ModelT:
    """A value that may fail alone. What does not exist is null and an error beside it; that error counts only where
    the value cannot be read."""
    fault = data.faults.get(alias)
    if fault is not None and fault.kind is not Kind.NOT_FOUND:
        raise fault
    try:
        return adapter.validate_python(data.values.get(alias))
    except ValueError as error:
        raise fault or _unknown_shape(error, operation) from None


def _unknown_shape(error: ValueError, operation: str) -> SourceError:
    problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
    detail = f"an answer of an unknown shape ({problem})"
    remedy = "Is `api_url` the address of a GitHub API? If it is, this version does not know its answers."
    return SourceError(Kind.MALFORMED, operation, detail, remedy)


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class _PageInfo(_Wire):
    has_next_page: bool
    end_cursor: Reference | None

    @model_validator(mode="after")
    def _leads_on(self) -> _PageInfo:
        if self.has_next_page and not self.end_cursor:
            raise ValueError("a next page without a cursor")
        return self

    @property
    def after(self) -> str | None:
        return self.end_cursor if self.has_next_page else None


class _Label(_Wire):
    name: Text


class _Labels(_Wire):
    nodes: Annotated[list[_Label], Field(max_length=MOST_LISTED)]
    page_info: _PageInfo


class _WithLabels(_Wire):
    labels: _Labels


class _Entry(_Wire):
    name: Text


class _Tree(_Wire):
    entries: list[_Entry]


class _WithTree(_Wire):
    object: _Tree | None


class _MergedPull(_Wire):
    number: Number
    # GitHub promises none: a pull request that was imported has been merged, and nothing says when.
    merged_at: Moment | None
    updated_at: Moment


class _MergedPulls(_Wire):
    nodes: Annotated[list[_MergedPull], Field(max_length=MOST_LISTED)]
    page_info: _PageInfo


class _Labelled(_Wire):
    name_with_owner: Text
    url: Text
    label: _Label | None
    pull_requests: _MergedPulls


class _State(_Wire):
    name: Text
    state: Text


class _Branch(_Wire):
    name: Text


class _Suite(_Wire):
    status: Text
    conclusion: Text | None
    branch: _Branch | None = None

    @property
    def outcome(self) -> str | None:
        return self.conclusion.lower() if self.status == "COMPLETED" and self.conclusion else None


class _Pulse(_Wire):
    updated_at: Moment
    check_suite: _Suite | None = None


class _PastRun(_Wire):
    id: Reference
    # The database id has outgrown GraphQL's 32-bit Int; the path has it in full.
    resource_path: Annotated[Number, BeforeValidator(lambda path: str(path).rpartition("/")[2])]
    run_number: Number
    event: Text
    created_at: Moment
    updated_at: Moment
    check_suite: _Suite | None = None


class _PastRuns(_Wire):
    nodes: Annotated[list[_PastRun | None], Field(max_length=MOST_LISTED)]


class _History(_Wire):
    runs: _PastRuns


_LABELLED: Final = TypeAdapter(_Labelled)
_LABELS: Final = TypeAdapter(_WithLabels)
_TREES: Final = TypeAdapter(_WithTree)
_STATES: Final = TypeAdapter(list[_State | None])
_PULSES: Final = TypeAdapter(list[_Pulse | None])
_HISTORIES: Final = TypeAdapter(list[_History | None])

ItemT = TypeVar("ItemT", Run, Workflow)


def _states(workflows: Sequence[Workflow], data: Mapping[str, Any]) -> dict[int, Workflow]:
    return {
        workflow.id: Workflow(workflow.id, workflow.node_id, node.name, workflow.path, node.state.lower())
        for workflow, node in _nodes("state", workflows, data, _STATES)
    }


def _histories(workflows: Sequence[Workflow], data: Mapping[str, Any]) -> dict[int, Sequence[PastRun]]:
    """Without those that GitHub gave in part: what is missing may be the run that decides."""
    histories: dict[int, Sequence[PastRun]] = {}
    for workflow, history in _nodes("history", workflows, data, _HISTORIES):
        nodes = history.runs.nodes
        past_runs = [_past_run(workflow, node, node.check_suite) for node in nodes if node and node.check_suite]
        if len(past_runs) == len(nodes):
            histories[workflow.id] = past_runs
    return histories


def _pulses(watched: Sequence[Run], closely_watched: Sequence[Run], data: Mapping[str, Any]) -> dict[int, Pulse]:
    pulses = {
        run.id: Pulse(node.updated_at, asked_outcome=False, outcome=None)
        for run, node in _nodes("pulse", watched, data, _PULSES)
    }
    for run, node in _nodes("close", closely_watched, data, _PULSES):
        suite = node.check_suite
        outcome = suite.outcome if suite else None
        pulses[run.id] = Pulse(node.updated_at, asked_outcome=suite is not None, outcome=outcome)
    return pulses


def _nodes(
    prefix: str, items: Sequence[ItemT], data: Mapping[str, Any], adapter: TypeAdapter[list[NodeT | None]]
) -> Iterator[tuple[ItemT, NodeT]]:
    """Each item with its node, which GitHub gives in the order of the ids; those that are gone are left out."""
    for number, start in enumerate(range(0, len(items), IDS_PER_FIELD)):
        nodes = adapter.validate_python(data.get(f"{prefix}{number}"))
        for item, node in zip(items[start : start + IDS_PER_FIELD], nodes, strict=True):
            if node is not None:
                yield item, node


def _past_run(workflow: Workflow, node: _PastRun, suite: _Suite) -> PastRun:
    created_at = node.created_at
    run = Run(
        id=node.resource_path,
        node_id=node.id,
        workflow_id=workflow.id,
        file=workflow.file,
        number=node.run_number,
        # GraphQL tells neither attempts nor their start; a run that is asked for here is too old for either to matter.
        attempt=1,
        conclusion=suite.outcome,
        created_at=created_at,
        started_at=created_at,
        updated_at=node.updated_at,
        own=True,
        ended_at=node.updated_at,
        name=workflow.name,
    )
    return PastRun(run, suite.branch.name if suite.branch else None, node.event)
