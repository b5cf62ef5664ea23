"""W&B's GraphQL API over the frozen project."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from golden_support.faults import JSON, answering
from golden_support.graphql_api import GraphQLApi
from golden_support.server import Fault, Reply, Request
from golden_support.wandb_data import RENAMED_AT, all_runs

ENTITY: Final = "golden-lab"
KEY: Final = "0123456789abcdef0123456789abcdef01234567"

SCHEMA: Final = """
scalar JSONString
scalar JSON
scalar DateTime
scalar Duration
scalar Int64
type Query {
  viewer: User
  entity(name: String!): Entity
  project(name: String, entityName: String): Project
  models(entityName: String, after: String, first: Int, order: String): ProjectConnection
}
type User { id: ID! username: String name: String entity: String admin: Boolean flags: JSONString }
type Entity { id: ID! name: String projects(after: String, first: Int, order: String): ProjectConnection }
type ProjectConnection { edges: [ProjectEdge!]! pageInfo: PageInfo! totalCount: Int }
type ProjectEdge { node: Project cursor: String }
type PageInfo { endCursor: String hasNextPage: Boolean! }
type Project {
  id: ID! name: String! entityName: String createdAt: DateTime isBenchmark: Boolean access: String
  runCount(filters: JSONString): Int
  runs(filters: JSONString, after: String, first: Int, last: Int, before: String, order: String): RunConnection
  run(name: String!): Run
}
type RunConnection { edges: [RunEdge!]! pageInfo: PageInfo! totalCount: Int }
type RunEdge { node: Run! cursor: String }
type Sweep { name: String! }
type Run {
  id: ID! name: String! displayName: String state: String createdAt: DateTime heartbeatAt: DateTime
  computeSeconds: Int sweepName: String sweep: Sweep group: String jobType: String host: String tags: [String!]
  user: User username: String notes: String config: JSONString historyLineCount: Int
  summaryMetrics(keys: [String!]): JSONString systemMetrics: JSONString
}
"""

FILTERED: Final[Mapping[str, str]] = {"sweep": "sweepName", "displayName": "displayName", "username": "username"}
"""Keys of the filter language that are called otherwise in a node."""

ORDERED: Final = {
    "created_at": "createdAt",
    "createdAt": "createdAt",
    "heartbeat_at": "heartbeatAt",
    "heartbeatAt": "heartbeatAt",
}

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": lambda have, want: want in have if isinstance(have, list) else have == want,
    "$ne": lambda have, want: want not in have if isinstance(have, list) else have != want,
    "$gt": lambda have, want: have is not None and have > want,
    "$gte": lambda have, want: have is not None and have >= want,
    "$lt": lambda have, want: have is not None and have < want,
    "$lte": lambda have, want: have is not None and have <= want,
    "$in": lambda have, want: have in want,
    "$nin": lambda have, want: have not in want,
    "$exists": lambda have, want: (have is not None) is want,
    "$regex": lambda have, want: have is not None and re.search(want, have) is not None,
}


class WandbApi:
    """Answers as of `now`."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._graphql = GraphQLApi(SCHEMA)

    def __call__(self, request: Request) -> Reply:
        if request.path != "/graphql":
            return Reply(404, b'{"error": "no such page"}', JSON)
        valid, answer = self._graphql.answer(json.loads(request.body), self._root())
        # NaN in a blob is inside of a string, so that this is JSON.
        return Reply(200 if valid else 400, json.dumps(answer).encode(), JSON)

    @property
    def project(self) -> str:
        """What the project is called now."""
        return "metta" if self.now < RENAMED_AT else "metta-two"

    def _root(self) -> dict[str, Any]:
        return {
            "viewer": {"id": "VXNlcjox", "username": "golden", "name": "Golden", "entity": ENTITY},
            "project": self._project,
            "models": self._projects,
            "entity": lambda name: {"id": name, "name": name, "projects": self._projects} if name == ENTITY else None,
        }

    def _project(self, name: str | None = None, entityName: str | None = None) -> dict[str, Any] | None:  # noqa: N803
        if (entityName, name) != (ENTITY, self.project):
            return None
        return {
            "id": f"UHJvamVjdDp2MTo{name}",
            "name": name,
            "entityName": ENTITY,
            "runCount": lambda filters=None: len(self._matching(filters)),
            "runs": self._runs,
            "run": lambda name: next((node for node in self._matching(None) if node["name"] == name), None),
        }

    def _projects(self, first: int | None = None, after: str | None = None, **_: Any) -> dict[str, Any]:
        return _page([self._project(self.project, ENTITY)], first, after)

    def _runs(
        self,
        filters: str | None = None,
        order: str | None = None,
        first: int | None = None,
        after: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        nodes = self._matching(filters)
        text = order or "-created_at"
        key = ORDERED[text.lstrip("+-")]
        nodes.sort(key=lambda node: (node[key] or "", node["name"]), reverse=text.startswith("-"))
        return _page(nodes, first, after)

    def _matching(self, filters: str | None) -> list[dict[str, Any]]:
        wanted = json.loads(filters or "{}")
        nodes = (run.node(self.now) for run in all_runs() if run.exists(self.now))
        return [node for node in nodes if _matches(node, wanted)]


def _matches(node: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_holds(node, key, value) for key, value in wanted.items())


def _holds(node: Mapping[str, Any], key: str, value: Any) -> bool:
    match key:
        case "$and":
            return all(_matches(node, one) for one in value)
        case "$or":
            return any(_matches(node, one) for one in value)
        case "$nor":
            return not any(_matches(node, one) for one in value)
        case "$not":
            return not _matches(node, value)
    have = _value(node, key)
    if not isinstance(value, dict):
        return COMPARISONS["$eq"](have, value)
    return all(COMPARISONS[operator](have, want) for operator, want in value.items())


def _value(node: Mapping[str, Any], key: str) -> Any:
    head, _, rest = key.partition(".")
    if head == "summary_metrics":
        values = json.loads(node["summaryMetrics"](None) or "{}")
        return values.get(rest) if isinstance(values, dict) else None
    if head == "config":
        return json.loads(node["config"]).get(rest.partition(".")[0], {}).get("value")
    return node[FILTERED.get(key, key)]


def _page(nodes: list[Any], first: int | None, after: str | None) -> dict[str, Any]:
    start = int(after or 0)
    end = start + (50 if first is None else first)
    shown = nodes[start:end]
    return {
        "edges": [{"node": node, "cursor": str(start + place + 1)} for place, node in enumerate(shown)],
        "pageInfo": {"endCursor": str(start + len(shown)) if shown else None, "hasNextPage": end < len(nodes)},
        "totalCount": len(nodes),
    }


def _error(message: str, **data: Any) -> Fault:
    return answering(200, {"errors": [{"message": message, "path": ["project"]}], "data": data or None})


FAULTS: Final[Mapping[str, Callable[[], Fault]]] = {
    "429": lambda: answering(
        429, {"error": "rate limit exceeded"}, {"RateLimit-Remaining": "0", "RateLimit-Reset": "900"}
    ),
    "no viewer": lambda: answering(200, {"data": {"viewer": None, "project": None}}),
    "a slow database": lambda: _error("context deadline exceeded", project=None),
    "a refused key": lambda: _error("relogin required"),
    "no permission": lambda: _error("permission denied", project=None),
    "no listing": lambda: answering(200, {"data": {"viewer": {"id": "x"}, "project": {"runs": None}}}),
    "an unknown field": lambda: answering(
        400, {"errors": [{"message": 'Cannot query field "computeSeconds" on type "Run".'}]}
    ),
}
