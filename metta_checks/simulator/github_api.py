"""What GitHub's GraphQL answers about simulated repositories, what it refuses, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeGuard

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    SelectionSetNode,
    get_named_type,
    get_operation_ast,
    value_from_ast_untyped,
)

from metta_checks.simulator.github_json import HTML_URL, database_id, node_id, timestamp
from metta_checks.simulator.github_limits import Quota
from metta_checks.simulator.github_records import DemoIssue, DemoPullRequest, DemoWorkflow, DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_search import parse_query
from metta_checks.simulator.graphql_api import GraphQLApi, Query, QueryError

API: Final = GraphQLApi("github.graphql")
PAGE_LIMIT: Final = 100

Value = Mapping[str, Any]
"""An object of the schema: values by field name, or functions of the field's arguments."""


def connections(query: Query) -> int:
    """How many connections GitHub would open for a query. Raises `QueryError` for pages that it does not give."""
    operation = get_operation_ast(query.document, query.operation_name)
    root = API.schema.query_type
    if operation is None or root is None:
        raise QueryError(GraphQLError("Must provide operation name if query contains multiple operations."))
    defaults = {
        variable.variable.name.value: value_from_ast_untyped(variable.default_value)
        for variable in operation.variable_definitions or ()
        if variable.default_value
    }
    walk = _Walk(query, {**defaults, **query.variables})
    total = walk.connections(root, operation.selection_set, 1, ())
    if walk.errors:
        raise QueryError(*walk.errors)
    return total


def points(requests: int) -> int:
    """The connections, divided by a hundred, at least one."""
    return max(1, round(requests / 100))


class _Walk:
    """Goes through a valid query without executing it: counts connections, and collects what is wrong with pages."""

    def __init__(self, query: Query, variables: Mapping[str, Any]) -> None:
        self.errors: list[GraphQLError] = []
        self._variables = dict(variables)
        self._fragments = {
            part.name.value: part for part in query.document.definitions if isinstance(part, FragmentDefinitionNode)
        }

    def connections(self, parent: Any, selections: SelectionSetNode, times: int, path: tuple[str, ...]) -> int:
        total = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                if selection.selection_set is not None:
                    total += self._field(parent, selection, selection.selection_set, times, path)
                continue
            fragment: Any = self._fragments[selection.name.value] if _is_spread(selection) else selection
            condition = fragment.type_condition
            on_type = API.schema.type_map[condition.name.value] if condition else parent
            total += self.connections(on_type, fragment.selection_set, times, path)
        return total

    def _field(
        self, parent: Any, field: FieldNode, selections: SelectionSetNode, times: int, path: tuple[str, ...]
    ) -> int:
        definition = parent.fields[field.name.value]
        arguments = {
            argument.name.value: value_from_ast_untyped(argument.value, self._variables)
            for argument in field.arguments or ()
        }
        path = (*path, field.alias.value if field.alias else field.name.value)
        opened, inner = 0, times
        if "ids" in arguments:
            count = len(arguments["ids"]) if isinstance(arguments["ids"], list) else 1
            inner = times * max(1, count)
            if count > PAGE_LIMIT:
                message = f"You may not provide more than {PAGE_LIMIT} node ids; you provided {count}."
                self._refuse("ARGUMENT_LIMIT", path, message)
        elif "first" in definition.args:
            first = arguments.get("first")
            self._check_page(field, selections, first, path)
            opened = 0 if first is None else times
            inner = times * (first if isinstance(first, int) and first > 0 else 1)
        return opened + self.connections(get_named_type(definition.type), selections, inner, path)

    def _check_page(self, field: FieldNode, selections: SelectionSetNode, first: Any, path: tuple[str, ...]) -> None:
        name = field.name.value
        items = {part.name.value for part in selections.selections if isinstance(part, FieldNode)} & {"nodes", "edges"}
        if first is None and items:
            message = f"You must provide a `first` or `last` value to properly paginate the `{name}` connection."
            self._refuse("MISSING_PAGINATION_BOUNDARIES", path, message)
        elif isinstance(first, int) and not 0 <= first <= PAGE_LIMIT:
            message = f"Requesting {first} records on the `{name}` connection exceeds the `first` limit of 100 records."
            self._refuse("EXCESSIVE_PAGINATION", path, message)

    def _refuse(self, kind: str, path: tuple[str, ...], message: str) -> None:
        self.errors.append(_error(kind, message, path))


def _is_spread(selection: Any) -> TypeGuard[FragmentSpreadNode]:
    return isinstance(selection, FragmentSpreadNode)


class GitHubRoot:
    """The fields of the schema's root, for a caller who is `lacking` permissions."""

    def __init__(
        self,
        repositories: Sequence[DemoRepository],
        *,
        lacking: Collection[str] = (),
        quota: Quota,
        requests: int,
    ) -> None:
        self._repositories = repositories
        self._lacking = lacking
        self.viewer: Value = {"login": "demo-viewer"}
        self.rate_limit: Value = {
            "cost": points(requests),
            "nodeCount": requests,
            "limit": quota.limit,
            "remaining": quota.remaining,
            "used": quota.used,
            "resetAt": timestamp(quota.resets_at),
        }

    def search(self, *, query: str, first: int = 0, after: str | None = None, **_type: Any) -> Value:
        try:
            found = parse_query(query).find(self._repositories, self._lacking)
        except ValueError as error:
            raise _error("UNPROCESSABLE", str(error)) from error
        page = _connection(found, first, after, lambda entry: _item(entry.repository, entry.item))
        others = {f"{kind}Count": 0 for kind in ("code", "discussion", "repository", "user", "wiki")}
        return {**page, "issueCount": page["totalCount"], **others}

    def nodes(self, *, ids: list[str]) -> list[Value | GraphQLError]:
        """An error in the place of each node that is not there: the others are answered."""
        return [self._node(node) for node in ids]

    def node(self, *, id: str) -> Value | GraphQLError:
        return self._node(id)

    def repository(self, *, owner: str, name: str, follow_renames: bool) -> Value | GraphQLError:
        full_name = f"{owner}/{name}"
        # A repository that has the name comes before one that had it.
        named = [one for one in self._repositories if one.full_name.lower() == full_name.lower()]
        renamed = [one for one in self._repositories if follow_renames and one.had_name(full_name)]
        for repository in (*named, *renamed):
            return _repository(repository, self._lacking)
        return _error("NOT_FOUND", f"Could not resolve to a Repository with the name '{full_name}'.")

    def _node(self, node: str) -> Value | GraphQLError:
        for repository in self._repositories:
            number = database_id("W", node)
            if number is not None and (workflow := repository.workflow(number)):
                return _workflow(repository, workflow)
            number = database_id("WFR", node)
            if number is not None and (run := repository.run(number)):
                return _run(repository, run)
        return _error("NOT_FOUND", f"Could not resolve to a node with the global id of '{node}'.")


def _error(kind: str, message: str, path: Sequence[str] | None = None) -> GraphQLError:
    return GraphQLError(message, path=path, extensions={"type": kind})


def error_json(error: GraphQLError) -> dict[str, Any]:
    """GitHub gives its errors a `type`; those of the query's text have none, and the path of the operation."""
    kind = (error.extensions or {}).get("type")
    if kind is None:
        return {"path": ["query"], "message": error.message}
    return {"type": kind, "path": error.path, "message": error.message}


def _repository(repository: DemoRepository, lacking: Collection[str]) -> Value:
    def git_object(*, expression: str = "") -> Value | None:
        if "contents" in lacking:
            raise _error("FORBIDDEN", "Resource not accessible by personal access token")
        branch, _, path = expression.partition(":")
        if path.strip("/") != ".github/workflows" or branch not in repository.branches or not repository.workflow_files:
            return None
        entries = [{"name": name, "type": "blob"} for name in repository.workflow_files]
        return {"__typename": "Tree", "id": node_id("T", repository.id), "entries": entries}

    def label(*, name: str) -> Value | None:
        return {"name": name} if name in repository.labels else None

    def labels(
        *, first: int = 0, after: str | None = None, query: str | None = None, order_by: Value | None = None
    ) -> Value:
        names = [name for name in repository.labels if (query or "").lower() in name.lower()]
        order = order_by or {}
        if order.get("field") == "NAME":
            names.sort(key=str.lower)
        if order.get("direction") == "DESC":
            names.reverse()
        return _connection(names, first, after, _label)

    def pull_requests(*, first: int = 0, after: str | None = None, **filters: Any) -> Value:
        if "pull_requests" in lacking:
            raise _error("FORBIDDEN", "Resource not accessible by personal access token")
        found = _filtered(repository.pull_requests, **filters)
        return _connection(found, first, after, lambda one: _item(repository, one))

    return {
        "id": node_id("R", repository.id),
        "databaseId": repository.id,
        "name": repository.full_name.partition("/")[2],
        "nameWithOwner": repository.full_name,
        "isPrivate": repository.private,
        "createdAt": timestamp(repository.created_at),
        "url": f"{HTML_URL}/{repository.full_name}",
        "defaultBranchRef": _ref(repository.default_branch),
        "object": git_object,
        "label": label,
        "labels": labels,
        "pullRequests": pull_requests,
    }


def _filtered(
    items: Sequence[DemoPullRequest],
    labels: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    base_ref_name: str | None = None,
    order_by: Value | None = None,
) -> list[DemoPullRequest]:
    """The filter wants labels in their very case, unlike the issue search; one of several is enough."""
    order = order_by or {}
    found = [
        one
        for one in items
        if (labels is None or set(labels) & set(one.labels))
        and (states is None or _state(one) in states)
        and base_ref_name in (None, one.base)
    ]
    key = "updated_at" if order.get("field") == "UPDATED_AT" else "created_at"
    return sorted(found, key=lambda one: (getattr(one, key), one.number), reverse=order.get("direction") == "DESC")


def _workflow(repository: DemoRepository, workflow: DemoWorkflow) -> Value:
    def runs(*, first: int = 0, after: str | None = None) -> Value:
        found = repository.runs_created(None, None, workflow.id)
        return _connection(found, first, after, lambda run: _run(repository, run))

    path = f"/{repository.full_name}/actions/workflows/{workflow.path.rpartition('/')[2]}"
    return {
        "__typename": "Workflow",
        "id": node_id("W", workflow.id),
        "databaseId": workflow.id,
        "name": workflow.name,
        "state": workflow.state.upper(),
        "createdAt": timestamp(workflow.created_at),
        "updatedAt": timestamp(workflow.updated_at),
        "resourcePath": path,
        "url": f"{HTML_URL}{path}",
        "runs": runs,
    }


def _run(repository: DemoRepository, run: DemoWorkflowRun) -> Value:
    def workflow() -> Value | None:
        found = repository.workflow(run.workflow_id)
        return None if found is None else _workflow(repository, found)

    def check_suite() -> Value:
        return {
            "id": node_id("CS", run.check_suite_id),
            "databaseId": run.check_suite_id,
            "status": run.status.upper(),
            "conclusion": run.conclusion and run.conclusion.upper(),
            "createdAt": timestamp(run.created_at),
            "updatedAt": timestamp(run.updated_at),
            # A fork's branch has its bare name, so that it looks like a branch of the repository.
            "branch": _ref(run.branch),
            "workflowRun": lambda: _run(repository, run),
        }

    path = f"/{repository.full_name}/actions/runs/{run.id}"
    return {
        "__typename": "WorkflowRun",
        "id": node_id("WFR", run.id),
        "databaseId": run.id,
        "runNumber": run.number,
        "event": run.event,
        "createdAt": timestamp(run.created_at),
        "updatedAt": timestamp(run.updated_at),
        "resourcePath": path,
        "url": f"{HTML_URL}{path}",
        "checkSuite": check_suite,
        "workflow": workflow,
    }


def _item(repository: DemoRepository, item: DemoIssue | DemoPullRequest) -> Value:
    pull_request = isinstance(item, DemoPullRequest)
    value: dict[str, Any] = {
        "__typename": "PullRequest" if pull_request else "Issue",
        "id": node_id("PR" if pull_request else "I", item.number),
        "number": item.number,
        "title": item.title,
        "createdAt": timestamp(item.created_at),
        "updatedAt": timestamp(item.updated_at),
        "closedAt": item.closed_at and timestamp(item.closed_at),
        "state": _state(item),
        "url": f"{HTML_URL}/{repository.full_name}/{'pull' if pull_request else 'issues'}/{item.number}",
        "labels": lambda *, first=0, after=None: _connection(item.labels, first, after, _label),
    }
    if isinstance(item, DemoPullRequest):
        value |= {
            "merged": item.merged_at is not None,
            "mergedAt": item.merged_at and timestamp(item.merged_at),
            "baseRefName": item.base,
        }
    return value


def _state(item: DemoIssue | DemoPullRequest) -> str:
    if isinstance(item, DemoPullRequest) and item.merged_at is not None:
        return "MERGED"
    return "OPEN" if item.closed_at is None else "CLOSED"


def _ref(name: str) -> Value:
    return {"name": name, "prefix": "refs/heads/"}


def _label(name: str) -> Value:
    return {"name": name}


def _connection(values: Sequence[Any], first: int | None, after: str | None, node: Callable[[Any], Value]) -> Value:
    """`first` of the values behind the cursor `after`; cursors are positions."""
    start = int(after) if after and after.isdigit() else 0
    nodes = [node(value) for value in values[start : start + (first or 0)]]
    cursors = [str(start + number + 1) for number in range(len(nodes))]
    return {
        "totalCount": len(values),
        "nodes": nodes,
        "edges": [{"cursor": cursor, "node": value} for cursor, value in zip(cursors, nodes, strict=True)],
        "pageInfo": {
            "hasNextPage": start + len(nodes) < len(values),
            "hasPreviousPage": start > 0,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }
