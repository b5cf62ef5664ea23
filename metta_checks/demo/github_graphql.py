"""Answers GraphQL queries from demo repositories, the way GitHub does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metta_checks.demo.github_graphql_document import FieldSelection, Operation, Selection, Variable
from metta_checks.demo.github_graphql_types import (
    PAGING,
    PERMISSIONS,
    TYPES,
    Arguments,
    Field,
    Node,
    found_page,
    run_node,
    workflow_node,
)
from metta_checks.demo.github_json import database_id
from metta_checks.demo.github_limits import Quota
from metta_checks.demo.github_repository import DemoRepository
from metta_checks.demo.github_search import parse_query

ABSTRACT = frozenset({"Node", "SearchResultItem"})
"""An interface and a union: what is selected from them depends on the type of the value."""
PAGE_LIMIT = 100


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """What `rateLimit { … }` tells."""

    quota: Quota
    cost: int
    node_count: int


class QueryError(Exception):
    """The query asks for what is not there; GitHub then sends errors and no data. `errors` are in its shape."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__(*(error["message"] for error in errors))
        self.errors = errors


class _NullError(Exception):
    """A field that is never null could not be answered: the object around it is null."""


class GraphQLQuery:
    """One query about `repositories`: checked on creation (raises QueryError), priced, then answered. The caller is
    `lacking` permissions."""

    def __init__(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        repositories: Sequence[DemoRepository],
        viewer: str,
        *,
        lacking: Collection[str] = (),
    ) -> None:
        self.repositories = repositories
        self.viewer = viewer
        self.lacking = lacking
        self.errors: list[dict[str, Any]] = []
        self._operation = operation
        self._variables = {**operation.defaults, **variables}
        self._rate_limit: RateLimitState | None = None
        self._types: dict[str, dict[str, Field]] = {**TYPES, "Query": self._root_fields()}
        refusals = [*self._refusals("Query", operation.selections, ("query",))]
        if refusals:
            raise QueryError(*refusals)

    @property
    def requests(self) -> int:
        """How many connections GitHub would open for it."""
        return self._connections(self._operation.selections, 1)

    @property
    def cost(self) -> int:
        """Points: the connections, divided by a hundred, at least one."""
        return max(1, round(self.requests / 100))

    def answer(self, quota: Quota) -> dict[str, Any]:
        """The whole body: `data`, and `errors` where there are any. `quota` is what is left after this query."""
        self._rate_limit = RateLimitState(quota, self.cost, self.requests)
        data = self._select(Node("Query", None), self._operation.selections, ())
        return {"data": data, "errors": self.errors} if self.errors else {"data": data}

    def _root_fields(self) -> dict[str, Field]:
        return {
            "search": Field(self._search, "SearchResultItemConnection", PAGING | {"query", "type"}, paged=True),
            "nodes": Field(self._nodes, "Node", frozenset({"ids"})),
            "node": Field(lambda _, arguments: self._node(arguments.get("id"), ("node",)), "Node", frozenset({"id"})),
            "repository": Field(self._repository, "Repository", frozenset({"owner", "name", "followRenames"})),
            "rateLimit": Field(lambda *_: Node("RateLimit", self._rate_limit), "RateLimit"),
            "viewer": Field(lambda *_: Node("User", self.viewer), "User"),
        }

    def _search(self, _: Any, arguments: Arguments) -> Node:
        try:
            found = parse_query(str(arguments.get("query", ""))).find(self.repositories, self.lacking)
        except ValueError as error:
            raise QueryError({"type": "UNPROCESSABLE", "message": str(error)}) from error
        return Node("SearchResultItemConnection", found_page(found, arguments))

    def _nodes(self, _: Any, arguments: Arguments) -> list[Node | None]:
        ids = _ids(arguments)
        if len(ids) > PAGE_LIMIT:
            message = f"You may not provide more than {PAGE_LIMIT} node ids; you provided {len(ids)}."
            raise QueryError({"type": "ARGUMENT_LIMIT", "path": ["nodes"], "message": message})
        return [self._node(node, ("nodes", position)) for position, node in enumerate(ids)]

    def _node(self, node: Any, path: tuple[str | int, ...]) -> Node | None:
        for repository in self.repositories:
            for kind, find in (("W", _find_workflow), ("WFR", _find_run)):
                number = database_id(kind, str(node))
                found = None if number is None else find(repository, number)
                if found is not None:
                    return found
        message = f"Could not resolve to a node with the global id of '{node}'."
        self.errors.append({"type": "NOT_FOUND", "path": list(path), "message": message})
        return None

    def _repository(self, _: Any, arguments: Arguments) -> Node | None:
        full_name = f"{arguments.get('owner')}/{arguments.get('name')}"
        for repository in self.repositories:
            follows = arguments.get("followRenames", True) and repository.had_name(full_name)
            if follows or repository.full_name.lower() == full_name.lower():
                return Node("Repository", repository)
        message = f"Could not resolve to a Repository with the name '{full_name}'."
        self.errors.append({"type": "NOT_FOUND", "path": ["repository"], "message": message})
        return None

    def _refusals(
        self, type_name: str, selections: Sequence[Selection], path: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        """What is wrong with the query, before anything is looked up."""
        for selection in selections:
            if not isinstance(selection, FieldSelection):
                on_type = selection.on_type or type_name
                if on_type not in self._types:
                    message = f"No such type {on_type}, so it can't be a fragment condition"
                    yield _refusal("undefinedType", message, (*path, f"... on {on_type}"))
                else:
                    yield from self._refusals(on_type, selection.selections, (*path, f"... on {on_type}"))
            elif selection.name != "__typename":
                yield from self._field_refusals(type_name, selection, (*path, selection.alias))

    def _field_refusals(
        self, type_name: str, selection: FieldSelection, path: tuple[str, ...]
    ) -> Iterator[dict[str, Any]]:
        field = self._types[type_name].get(selection.name)
        if field is None:
            message = f"Field '{selection.name}' doesn't exist on type '{type_name}'"
            yield _refusal("undefinedField", message, path)
            return
        for name in selection.arguments.keys() - field.arguments:
            message = f"Field '{selection.name}' doesn't accept argument '{name}'"
            yield _refusal("argumentNotAccepted", message, (*path, name))
        if (field.type is None) == bool(selection.selections):
            yield _refusal("selectionMismatch", f"Field '{selection.name}' has the wrong selections", path)
        yield from _paging_refusals(selection, field, self._arguments(selection), path)
        if field.type is not None:
            yield from self._refusals(field.type, selection.selections, path)

    def _select(self, node: Node, selections: Sequence[Selection], path: tuple[str | int, ...]) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for selection in self._applying(node, selections):
            if selection.name == "__typename":
                answer[selection.alias] = node.type
                continue
            if PERMISSIONS.get((node.type, selection.name)) in self.lacking:
                message = "Resource not accessible by personal access token"
                self.errors.append({"type": "FORBIDDEN", "path": [*path, selection.alias], "message": message})
                raise _NullError
            field = self._types[node.type][selection.name]
            value = field.resolve(node.value, self._arguments(selection))
            found = self._complete(value, selection, (*path, selection.alias))
            previous = answer.get(selection.alias)
            answer[selection.alias] = previous | found if isinstance(previous, dict) else found
        return answer

    def _complete(self, value: Any, selection: FieldSelection, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, Node):
            try:
                return self._select(value, selection.selections, path)
            except _NullError:
                return None
        if isinstance(value, list):
            return [self._complete(entry, selection, (*path, position)) for position, entry in enumerate(value)]
        return value

    def _applying(self, node: Node, selections: Sequence[Selection]) -> Iterator[FieldSelection]:
        """The fields asked of this node: its own, and those of the fragments on its type."""
        for selection in selections:
            if isinstance(selection, FieldSelection):
                yield selection
            elif selection.on_type is None or selection.on_type == node.type or selection.on_type in ABSTRACT:
                yield from self._applying(node, selection.selections)

    def _arguments(self, selection: FieldSelection) -> dict[str, Any]:
        return {name: self._resolved(value) for name, value in selection.arguments.items()}

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(entry) for entry in value]
        if not isinstance(value, Variable):
            return value
        if value.name not in self._variables:
            raise QueryError(_refusal("variableNotDefined", f"Variable ${value.name} is not defined", ("query",)))
        return self._variables[value.name]

    def _connections(self, selections: Sequence[Selection], times: int) -> int:
        total = 0
        for selection in selections:
            inner = times
            if isinstance(selection, FieldSelection):
                arguments = self._arguments(selection)
                if selection.name == "nodes" and "ids" in arguments:
                    inner = times * max(1, len(_ids(arguments)))
                elif "first" in arguments:
                    total += times
                    inner = times * int(arguments["first"] or 1)
            total += self._connections(selection.selections, inner)
        return total


def _ids(arguments: Arguments) -> list[Any]:
    """A single value stands for a list of one, as everywhere in GraphQL."""
    ids = arguments.get("ids")
    return ids if isinstance(ids, list) else [ids]


def _paging_refusals(
    selection: FieldSelection, field: Field, arguments: Arguments, path: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    if not field.paged:
        return
    first = arguments.get("first")
    asks_for_items = any(isinstance(s, FieldSelection) and s.name in ("nodes", "edges") for s in selection.selections)
    if first is None and asks_for_items:
        message = f"You must provide a `first` or `last` value to properly paginate the `{selection.name}` connection."
        yield {"type": "MISSING_PAGINATION_BOUNDARIES", "path": list(path), "message": message}
    elif first is not None and (not isinstance(first, int) or not 0 <= first <= PAGE_LIMIT):
        message = (
            f"Requesting {first} records on the `{selection.name}` connection exceeds the `first` limit of 100 records."
        )
        yield {"type": "EXCESSIVE_PAGINATION", "path": list(path), "message": message}


def _refusal(code: str, message: str, path: tuple[str, ...]) -> dict[str, Any]:
    return {"path": list(path), "extensions": {"code": code}, "message": message}


def _find_workflow(repository: DemoRepository, number: int) -> Node | None:
    return workflow_node(repository, repository.workflow(number))


def _find_run(repository: DemoRepository, number: int) -> Node | None:
    return run_node(repository, repository.run(number))
