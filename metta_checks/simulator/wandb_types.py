"""The types of the W&B GraphQL API, as far as its clients ask for them: type → field → what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from metta_checks.simulator.wandb_filters import FilterError, Predicate, compile_filter
from metta_checks.simulator.wandb_paging import Page, list_page, page_of
from metta_checks.simulator.wandb_runs import DemoProject, DemoRun, DemoSweep, global_id, time_text
from metta_checks.simulator.wandb_schema import Arguments, FieldType, Tables


@dataclass(frozen=True, slots=True)
class DemoUser:
    username: str
    entity: str


@dataclass(frozen=True, slots=True)
class Root:
    """What a request may see: nothing at all where the key is not valid."""

    viewer: DemoUser | None
    projects: Mapping[tuple[str, str], DemoProject]


def _of(get: Callable[[Any], Any], type_name: str | None = None) -> FieldType:
    """A field without arguments."""
    return FieldType(lambda parent, _: get(parent), type=type_name)


def _always(value: Any, type_name: str | None = None) -> FieldType:
    """A field that says the same of every parent."""
    return FieldType(lambda _parent, _arguments: value, type=type_name)


def _with(*arguments: str, get: Callable[[Any, Arguments], Any], type_name: str | None = None) -> FieldType:
    return FieldType(get, frozenset(arguments), type_name)


def _project(root: Root, arguments: Arguments) -> DemoProject | None:
    return root.projects.get((arguments.get("entityName") or "", arguments.get("name") or ""))


def _models(root: Root, arguments: Arguments) -> Page:
    entity = arguments.get("entityName") or (root.viewer.entity if root.viewer else "")
    owned = [project for (owner, _), project in root.projects.items() if owner == entity]
    return list_page(owned, first=arguments.get("first"), after=arguments.get("after"))


def _runs(project: DemoProject, arguments: Arguments) -> Page:
    return page_of(
        project,
        _predicate(arguments),
        order=arguments.get("order"),
        first=arguments.get("first"),
        after=arguments.get("after"),
    )


def _run_count(project: DemoProject, arguments: Arguments) -> int:
    matches = _predicate(arguments)
    return sum(1 for run in project.runs if matches(run))


def _predicate(arguments: Arguments) -> Predicate:
    filters = arguments.get("filters")
    if filters is None:
        filters = "{}"
    if not isinstance(filters, str):
        raise FilterError(f"filters must be JSON in a string, not {filters!r}")
    return _compiled(filters)


@lru_cache(maxsize=32)
def _compiled(filters: str) -> Predicate:
    """Each page of a collection sends the same text again."""
    try:
        document = json.loads(filters)
    except ValueError as error:
        raise FilterError(f"filters must be JSON in a string: {error}") from error
    return compile_filter(document)


def _sweep(project: DemoProject, arguments: Arguments) -> DemoSweep | None:
    return project.sweeps.get(arguments.get("sweepName") or "")


def _sweeps(project: DemoProject, arguments: Arguments) -> Page:
    return list_page(list(project.sweeps.values()), first=arguments.get("first"), after=arguments.get("after"))


def _summary(run: DemoRun, arguments: Arguments) -> str | None:
    return run.summary_text(arguments.get("keys"))


def _nothing(_run: DemoRun, _arguments: Arguments) -> list[str]:
    return []


_QUERY = {
    "viewer": _of(lambda root: root.viewer, "User"),
    "serverInfo": _of(lambda root: root, "ServerInfo"),
    "project": _with("name", "entityName", get=_project, type_name="Project"),
    "models": _with("entityName", "first", "after", get=_models, type_name="ProjectConnection"),
}

_SERVER_INFO = {
    # None of the optional features, so that clients send what every server understands.
    "features": _always([], "ServerFeature"),
}

_SERVER_FEATURE = {
    "name": _of(lambda feature: feature.name),
    "isEnabled": _always(True),
}

_USER = {
    "id": _of(lambda user: global_id("User", user.username)),
    "name": _of(lambda user: user.username.replace("-", " ").title()),
    "username": _of(lambda user: user.username),
    "email": _of(lambda user: f"{user.username}@example.com"),
    "admin": _always(False),
    "flags": _always("{}"),
    "entity": _of(lambda user: user.entity),
    "deletedAt": _always(None),
    "apiKeys": _always(list_page([]), "ApiKeyConnection"),
    "teams": _of(lambda user: list_page([user.entity]), "TeamConnection"),
}

_API_KEY = {name: _always(None) for name in ("id", "name", "description")}

_TEAM = {
    "name": _of(lambda entity: entity),
}

_PROJECT = {
    "id": _of(lambda project: global_id("Project", project.name, project.entity)),
    "internalId": _of(lambda project: str(project.internal_id)),
    "name": _of(lambda project: project.name),
    "entityName": _of(lambda project: project.entity),
    "createdAt": _of(lambda project: time_text(project.created_at)),
    "isBenchmark": _always(False),
    "readOnly": _always(False),
    "user": _always(None, "User"),
    "runCount": _with("filters", get=_run_count),
    "runs": _with("filters", "after", "first", "order", get=_runs, type_name="RunConnection"),
    "run": _with("name", get=lambda project, arguments: project.get(arguments.get("name") or ""), type_name="Run"),
    "totalSweeps": _of(lambda project: len(project.sweeps)),
    "sweeps": _with("first", "after", get=_sweeps, type_name="SweepConnection"),
    "sweep": _with("sweepName", get=_sweep, type_name="Sweep"),
}

_RUN = {
    "id": _of(lambda run: run.id),
    "projectId": _of(lambda run: str(run.project_id)),
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
    "readOnly": _always(False),
    "historyLineCount": _of(lambda run: run.history_line_count),
    "historyKeys": _of(lambda run: {"lastStep": run.history_line_count - 1, "sets": [], "keys": {}}),
    # The history itself is not kept: it reads as empty.
    "history": _with("samples", get=_nothing),
    "events": _with("samples", get=_nothing),
    "sampledHistory": _with("specs", get=lambda _run, arguments: [[] for _ in arguments.get("specs") or []]),
    "computeSeconds": _of(lambda run: run.seconds if run.compute_seconds is None else run.compute_seconds),
    "config": _of(lambda run: run.config_text),
    "summaryMetrics": _with("keys", get=_summary),
    "systemMetrics": _of(lambda run: run.system_metrics_text),
}

_SWEEP = {
    "id": _of(lambda sweep: global_id("Sweep", sweep.name)),
    "name": _of(lambda sweep: sweep.name),
    "displayName": _of(lambda sweep: sweep.name),
    "method": _always("bayes"),
    "state": _of(lambda sweep: "RUNNING" if any(run.state == "running" for run in sweep.runs) else "FINISHED"),
    "description": _always(None),
    "bestLoss": _always(None),
    "config": _always("method: bayes\nparameters:\n  seed:\n    min: 0\n    max: 99\n"),
    "createdAt": _of(lambda sweep: min(run.created_text for run in sweep.runs)),
    "updatedAt": _always(None),
    "runCount": _of(lambda sweep: len(sweep.runs)),
    "runCountExpected": _always(None),
}

_PAGE_INFO = {
    "endCursor": _of(lambda page: page.end_cursor),
    "hasNextPage": _of(lambda page: page.has_next),
}


def _connection(node: str) -> dict[str, dict[str, FieldType]]:
    """The two types around a list of `node`, by the convention of their names."""
    return {
        f"{node}Connection": {
            "edges": _of(lambda page: page.edges, f"{node}Edge"),
            "pageInfo": _of(lambda page: page, "PageInfo"),
        },
        f"{node}Edge": {
            "node": _of(lambda edge: edge.node, node),
            "cursor": _of(lambda edge: edge.cursor),
        },
    }


TABLES: Tables = {
    "Query": _QUERY,
    "ServerInfo": _SERVER_INFO,
    "ServerFeature": _SERVER_FEATURE,
    "User": _USER,
    "ApiKey": _API_KEY,
    "Team": _TEAM,
    "Project": _PROJECT,
    "Run": _RUN,
    "Sweep": _SWEEP,
    "PageInfo": _PAGE_INFO,
    **_connection("Project"),
    **_connection("Run"),
    **_connection("Sweep"),
    **_connection("ApiKey"),
    **_connection("Team"),
}
