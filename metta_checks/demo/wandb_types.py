"""The types of the W&B GraphQL API, as far as its clients ask for them: type → field → what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from metta_checks.demo.wandb_filters import FilterError, Predicate, compile_filter
from metta_checks.demo.wandb_paging import Page, page_of
from metta_checks.demo.wandb_runs import DemoProject, DemoRun, global_id, time_text
from metta_checks.demo.wandb_schema import Arguments, FieldType, Tables

DEFAULT_PAGE = 50


@dataclass(frozen=True, slots=True)
class DemoUser:
    username: str
    entity: str


@dataclass(frozen=True, slots=True)
class Root:
    """What a request may see: nothing at all where the key is not valid."""

    viewer: DemoUser | None
    projects: Mapping[tuple[str, str], DemoProject]


def _of(get: Callable[[Any], Any], type: str | None = None) -> FieldType:
    """A field without arguments."""
    return FieldType(lambda parent, _: get(parent), type=type)


def _with(*arguments: str, get: Callable[[Any, Arguments], Any], type: str | None = None) -> FieldType:
    return FieldType(get, frozenset(arguments), type)


def _project(root: Root, arguments: Arguments) -> DemoProject | None:
    return root.projects.get((arguments.get("entityName") or "", arguments.get("name") or ""))


def _runs(project: DemoProject, arguments: Arguments) -> Page:
    first = arguments.get("first")
    return page_of(
        project,
        _predicate(arguments),
        order=arguments.get("order"),
        first=DEFAULT_PAGE if first is None else first,
        after=arguments.get("after"),
    )


def _run_count(project: DemoProject, arguments: Arguments) -> int:
    matches = _predicate(arguments)
    return sum(1 for run in project.runs if matches(run))


def _predicate(arguments: Arguments) -> Predicate:
    return _compiled(arguments.get("filters") or "{}")


@lru_cache(maxsize=32)
def _compiled(filters: str) -> Predicate:
    """Each page of a collection sends the same text again."""
    try:
        document = json.loads(filters)
    except (ValueError, TypeError) as error:
        raise FilterError(f"filters must be JSON in a string: {error}") from error
    return compile_filter(document)


def _summary(run: DemoRun, arguments: Arguments) -> str | None:
    return run.summary_text(arguments.get("keys"))


QUERY = {
    "viewer": _of(lambda root: root.viewer, "User"),
    "project": _with("name", "entityName", get=_project, type="Project"),
}

USER = {
    "id": _of(lambda user: global_id("User", user.username)),
    "name": _of(lambda user: user.username.replace("-", " ").title()),
    "username": _of(lambda user: user.username),
    "entity": _of(lambda user: user.entity),
}

PROJECT = {
    "id": _of(lambda project: global_id("Project", project.name, project.entity)),
    "internalId": _of(lambda project: "1"),
    "name": _of(lambda project: project.name),
    "entityName": _of(lambda project: project.entity),
    "createdAt": _of(lambda project: time_text(project.created_at)),
    "readOnly": _of(lambda project: False),
    "runCount": _with("filters", get=_run_count),
    "runs": _with("filters", "after", "first", "order", get=_runs, type="RunConnection"),
    "run": _with("name", get=lambda project, arguments: project.get(arguments["name"]), type="Run"),
}

RUN_CONNECTION = {
    "edges": _of(lambda page: page.edges, "RunEdge"),
    "pageInfo": _of(lambda page: page, "PageInfo"),
    "totalCount": _of(lambda page: page.total),
}

EDGE = {
    "node": _of(lambda edge: edge.node, "Run"),
    "cursor": _of(lambda edge: edge.cursor),
}

PAGE_INFO = {
    "endCursor": _of(lambda page: page.end_cursor),
    "hasNextPage": _of(lambda page: page.has_next),
}

RUN = {
    "id": _of(lambda run: run.id),
    "projectId": _of(lambda run: "1"),
    "name": _of(lambda run: run.name),
    "displayName": _of(lambda run: run.display_name),
    "state": _of(lambda run: run.state),
    "createdAt": _of(lambda run: run.created_text),
    "heartbeatAt": _of(lambda run: run.heartbeat_text),
    "sweepName": _of(lambda run: run.sweep_name),
    "group": _of(lambda run: run.group),
    "jobType": _of(lambda run: run.job_type),
    "tags": _of(lambda run: run.tags),
    "user": _of(lambda run: DemoUser(run.user, run.user), "User"),
    "host": _of(lambda run: run.host),
    "commit": _of(lambda run: run.commit),
    "description": _of(lambda run: run.description),
    "notes": _of(lambda run: run.notes),
    "readOnly": _of(lambda run: False),
    "historyLineCount": _of(lambda run: run.history_line_count),
    "historyKeys": _of(lambda run: None),
    "config": _of(lambda run: run.config_text),
    "summaryMetrics": _with("keys", get=_summary),
    "systemMetrics": _of(lambda run: run.system_metrics_text),
}

TABLES: Tables = {
    "Query": QUERY,
    "User": USER,
    "Project": PROJECT,
    "RunConnection": RUN_CONNECTION,
    "RunEdge": EDGE,
    "PageInfo": PAGE_INFO,
    "Run": RUN,
}
