"""The part of GitHub's GraphQL schema that the demo server answers: types, fields, and where a value comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metta_checks.demo.github_json import HTML_URL, node_id, timestamp
from metta_checks.demo.github_limits import Quota
from metta_checks.demo.github_records import DemoIssue, DemoPullRequest, DemoWorkflow, DemoWorkflowRun
from metta_checks.demo.github_repository import DemoRepository
from metta_checks.demo.github_search import Found

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A value together with the name of its type: what a field with selections resolves to."""

    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class InRepository:
    """A record and the repository it belongs to."""

    repository: DemoRepository
    record: Any


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a connection: `items` are `(cursor, node)`, `total` counts all there is."""

    total: int
    items: Sequence[tuple[str, Node]]
    has_previous: bool
    has_next: bool


@dataclass(frozen=True, slots=True)
class Field:
    """How a field is answered; `type` names what is selected from. A paged one needs `first` when items are wanted."""

    resolve: Callable[[Any, Arguments], Any]
    type: str | None = None
    arguments: frozenset[str] = frozenset()
    paged: bool = False


PAGING = frozenset({"first", "after"})


def page(values: Sequence[Any], arguments: Arguments, node: Callable[[Any], Node]) -> Page:
    """`first` of the values behind the cursor `after`, as nodes; cursors are positions."""
    after = str(arguments.get("after") or "")
    start = int(after) if after.isdigit() else 0
    end = start + int(arguments.get("first") or 0)
    items = [(str(start + number + 1), node(value)) for number, value in enumerate(values[start:end])]
    return Page(len(values), items, start > 0, end < len(values))


def found_page(found: Sequence[Found], arguments: Arguments) -> Page:
    return page(found, arguments, lambda entry: Node(_item_type(entry), InRepository(entry.repository, entry.item)))


def workflow_node(repository: DemoRepository, workflow: DemoWorkflow | None) -> Node | None:
    return None if workflow is None else Node("Workflow", InRepository(repository, workflow))


def run_node(repository: DemoRepository, run: DemoWorkflowRun | None) -> Node | None:
    return None if run is None else Node("WorkflowRun", InRepository(repository, run))


def _item_type(entry: Found) -> str:
    return "PullRequest" if isinstance(entry.item, DemoPullRequest) else "Issue"


def _of(read: Callable[[Any], Any]) -> Field:
    """A plain field of a record."""
    return Field(lambda value, _: read(value.record))


def _workflow_runs(value: InRepository, arguments: Arguments) -> Node:
    runs = value.repository.runs_created(None, None, value.record.id)
    in_page = page(runs, arguments, lambda run: Node("WorkflowRun", InRepository(value.repository, run)))
    return Node("WorkflowRunConnection", in_page)


def _label(repository: DemoRepository, arguments: Arguments) -> Node | None:
    name = arguments.get("name")
    return Node("Label", name) if name in repository.labels else None


def _labels(repository: DemoRepository, arguments: Arguments) -> Page:
    query, order = str(arguments.get("query") or "").lower(), arguments.get("orderBy") or {}
    names = [name for name in repository.labels if query in name.lower()]
    if order.get("field") == "NAME":
        names.sort(key=str.lower)
    if order.get("direction") == "DESC":
        names.reverse()
    return page(names, arguments, lambda name: Node("Label", name))


def _pull_requests(repository: DemoRepository, arguments: Arguments) -> Page:
    """The filter wants labels in their very case, unlike the issue search; one of several is enough."""
    labels, states, order = arguments.get("labels"), arguments.get("states"), arguments.get("orderBy") or {}
    found = [
        one
        for one in repository.pull_requests
        if (labels is None or set(_listed(labels)) & set(one.labels))
        and (states is None or _item_state(one) in _listed(states))
        and arguments.get("baseRefName") in (None, one.base)
    ]
    key = "updated_at" if order.get("field") == "UPDATED_AT" else "created_at"
    found.sort(key=lambda one: (getattr(one, key), one.number), reverse=order.get("direction") == "DESC")
    return page(found, arguments, lambda one: Node("PullRequest", InRepository(repository, one)))


def _listed(value: Any) -> list[Any]:
    """A single value stands for a list of one, as everywhere in GraphQL."""
    return value if isinstance(value, list) else [value]


def _time_or_none(moment: Any) -> str | None:
    return None if moment is None else timestamp(moment)


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


def _connection(node_type: str, edge_type: str) -> dict[str, Field]:
    return {
        "totalCount": Field(lambda value, _: value.total),
        "nodes": Field(lambda value, _: [node for _cursor, node in value.items], node_type),
        "edges": Field(lambda value, _: [Node(edge_type, item) for item in value.items], edge_type),
        "pageInfo": Field(lambda value, _: Node("PageInfo", value), "PageInfo"),
    }


def _edge(node_type: str) -> dict[str, Field]:
    return {
        "cursor": Field(lambda value, _: value[0]),
        "node": Field(lambda value, _: value[1], node_type),
    }


def _issue_fields(kind: str, path: str) -> dict[str, Field]:
    return {
        "id": _of(lambda item: node_id(kind, item.number)),
        "number": _of(lambda item: item.number),
        "title": _of(lambda item: item.title),
        "createdAt": _of(lambda item: timestamp(item.created_at)),
        "updatedAt": _of(lambda item: timestamp(item.updated_at)),
        "closedAt": _of(lambda item: _time_or_none(item.closed_at)),
        "state": _of(_item_state),
        "url": Field(lambda value, _: f"{HTML_URL}/{value.repository.full_name}/{path}/{value.record.number}"),
        "labels": Field(
            lambda value, arguments: Node(
                "LabelConnection", page(value.record.labels, arguments, lambda name: Node("Label", name))
            ),
            "LabelConnection",
            PAGING,
            paged=True,
        ),
    }


def _item_state(item: DemoIssue | DemoPullRequest) -> str:
    if isinstance(item, DemoPullRequest) and item.merged_at is not None:
        return "MERGED"
    return "OPEN" if item.closed_at is None else "CLOSED"


def _quota(read: Callable[[Quota], Any]) -> Field:
    return Field(lambda value, _: read(value.quota))


def _object(repository: DemoRepository, arguments: Arguments) -> Node | None:
    branch, _, path = str(arguments.get("expression") or "").partition(":")
    there = path.strip("/") == ".github/workflows" and branch in repository.branches and repository.workflow_files
    return Node("Tree", repository.workflow_files) if there else None


PERMISSIONS = {("Repository", "pullRequests"): "pull_requests", ("Repository", "object"): "contents"}
"""Fields that need a permission; without it the object that they belong to is null."""

TYPES: dict[str, dict[str, Field]] = {
    "RateLimit": {
        "cost": Field(lambda value, _: value.cost),
        "nodeCount": Field(lambda value, _: value.node_count),
        "limit": _quota(lambda quota: quota.limit),
        "remaining": _quota(lambda quota: quota.remaining),
        "used": _quota(lambda quota: quota.used),
        "resetAt": _quota(lambda quota: timestamp(quota.resets_at)),
    },
    "User": {"login": Field(lambda value, _: value)},
    "Repository": {
        "id": Field(lambda value, _: node_id("R", value.id)),
        "databaseId": Field(lambda value, _: value.id),
        "name": Field(lambda value, _: value.full_name.partition("/")[2]),
        "nameWithOwner": Field(lambda value, _: value.full_name),
        "isPrivate": Field(lambda value, _: value.private),
        "createdAt": Field(lambda value, _: timestamp(value.created_at)),
        "url": Field(lambda value, _: f"{HTML_URL}/{value.full_name}"),
        "defaultBranchRef": Field(lambda value, _: Node("Ref", value.default_branch), "Ref"),
        "object": Field(_object, "GitObject", frozenset({"expression"})),
        "label": Field(_label, "Label", frozenset({"name"})),
        "labels": Field(
            lambda value, arguments: Node("LabelConnection", _labels(value, arguments)),
            "LabelConnection",
            PAGING | {"query", "orderBy"},
            paged=True,
        ),
        "pullRequests": Field(
            lambda value, arguments: Node("PullRequestConnection", _pull_requests(value, arguments)),
            "PullRequestConnection",
            PAGING | {"labels", "states", "baseRefName", "orderBy"},
            paged=True,
        ),
    },
    "GitObject": {},
    "Tree": {"entries": Field(lambda value, _: [Node("TreeEntry", name) for name in value], "TreeEntry")},
    "TreeEntry": {"name": Field(lambda value, _: value), "type": Field(lambda *_: "blob")},
    "Ref": {"name": Field(lambda value, _: value), "prefix": Field(lambda *_: "refs/heads/")},
    "Workflow": {
        "id": _of(lambda workflow: node_id("W", workflow.id)),
        "databaseId": _of(lambda workflow: workflow.id),
        "name": _of(lambda workflow: workflow.name),
        "state": _of(lambda workflow: _upper(workflow.state)),
        "createdAt": _of(lambda workflow: timestamp(workflow.created_at)),
        "updatedAt": _of(lambda workflow: timestamp(workflow.updated_at)),
        "resourcePath": Field(lambda value, _: _workflow_path(value)),
        "url": Field(lambda value, _: f"{HTML_URL}{_workflow_path(value)}"),
        "runs": Field(_workflow_runs, "WorkflowRunConnection", PAGING, paged=True),
    },
    "WorkflowRunConnection": _connection("WorkflowRun", "WorkflowRunEdge"),
    "WorkflowRunEdge": _edge("WorkflowRun"),
    "WorkflowRun": {
        "id": _of(lambda run: node_id("WFR", run.id)),
        "databaseId": _of(lambda run: run.id),
        "runNumber": _of(lambda run: run.number),
        "event": _of(lambda run: run.event),
        "createdAt": _of(lambda run: timestamp(run.created_at)),
        "updatedAt": _of(lambda run: timestamp(run.updated_at)),
        "resourcePath": Field(lambda value, _: f"/{value.repository.full_name}/actions/runs/{value.record.id}"),
        "url": Field(lambda value, _: f"{HTML_URL}/{value.repository.full_name}/actions/runs/{value.record.id}"),
        "checkSuite": Field(lambda value, _: Node("CheckSuite", value), "CheckSuite"),
        "workflow": Field(
            lambda value, _: workflow_node(value.repository, value.repository.workflow(value.record.workflow_id)),
            "Workflow",
        ),
    },
    "CheckSuite": {
        "id": _of(lambda run: node_id("CS", run.check_suite_id)),
        "databaseId": _of(lambda run: run.check_suite_id),
        "status": _of(lambda run: _upper(run.status)),
        "conclusion": _of(lambda run: _upper(run.conclusion)),
        "createdAt": _of(lambda run: timestamp(run.created_at)),
        "updatedAt": _of(lambda run: timestamp(run.updated_at)),
        # A fork's branch is told by its bare name, so that it looks like a branch of the repository.
        "branch": Field(lambda value, _: Node("Ref", value.record.branch), "Ref"),
        "workflowRun": Field(lambda value, _: Node("WorkflowRun", value), "WorkflowRun"),
    },
    "SearchResultItemConnection": {
        "issueCount": Field(lambda value, _: value.total),
        **{f"{kind}Count": Field(lambda *_: 0) for kind in ("code", "discussion", "repository", "user", "wiki")},
        **{
            name: field
            for name, field in _connection("SearchResultItem", "SearchResultItemEdge").items()
            if name != "totalCount"
        },
    },
    "SearchResultItemEdge": _edge("SearchResultItem"),
    "SearchResultItem": {},
    "Node": {"id": Field(lambda *_: None)},
    "Issue": _issue_fields("I", "issues"),
    "PullRequest": _issue_fields("PR", "pull")
    | {
        "merged": _of(lambda item: item.merged_at is not None),
        "mergedAt": _of(lambda item: _time_or_none(item.merged_at)),
        "baseRefName": _of(lambda item: item.base),
    },
    "PullRequestConnection": _connection("PullRequest", "PullRequestEdge"),
    "PullRequestEdge": _edge("PullRequest"),
    "LabelConnection": _connection("Label", "LabelEdge"),
    "LabelEdge": _edge("Label"),
    "Label": {"name": Field(lambda value, _: value)},
    "PageInfo": {
        "hasNextPage": Field(lambda value, _: value.has_next),
        "hasPreviousPage": Field(lambda value, _: value.has_previous),
        "startCursor": Field(lambda value, _: value.items[0][0] if value.items else None),
        "endCursor": Field(lambda value, _: value.items[-1][0] if value.items else None),
    },
}


def _workflow_path(value: InRepository) -> str:
    return f"/{value.repository.full_name}/actions/workflows/{value.record.path.rpartition('/')[2]}"
