"""What each field of the W&B schema answers from a simulated project; the other fields are attributes of that name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from metta_checks.simulator.graphql_api import GraphQLApi, Resolver
from metta_checks.simulator.wandb_filters import FilterError, Predicate, compile_filter
from metta_checks.simulator.wandb_paging import Page, list_page, page_of
from metta_checks.simulator.wandb_project import DemoProject, DemoRun, DemoSweep, global_id, time_text


@dataclass(frozen=True, slots=True)
class DemoUser:
    username: str
    entity: str


@dataclass(frozen=True, slots=True)
class Root:
    """What a request may read: nothing at all if its key is not valid."""

    viewer: DemoUser | None
    projects: Mapping[tuple[str, str], DemoProject]


def _project(root: Root, name: str | None = None, entity_name: str | None = None) -> DemoProject | None:
    return root.projects.get((entity_name or "", name or ""))


def _models(root: Root, entity_name: str | None = None, **paging: Any) -> Page:
    entity = entity_name or (root.viewer.entity if root.viewer else "")
    return list_page([project for (owner, _), project in root.projects.items() if owner == entity], **paging)


def _runs(
    project: DemoProject,
    filters: object = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Page:
    return page_of(project, _predicate(filters), order=order, first=first, after=after)


def _run_count(project: DemoProject, filters: object = None) -> int:
    matches = _predicate(filters)
    return sum(1 for run in project.runs if matches(run))


def _predicate(filters: object) -> Predicate:
    if not isinstance(filters, str | None):
        raise FilterError(f"filters must be JSON in a string, not {filters!r}")
    return _compiled(filters or "{}")


@lru_cache(maxsize=32)
def _compiled(filters: str) -> Predicate:
    """Each page of a collection sends the same text again."""
    try:
        return compile_filter(json.loads(filters))
    except FilterError:
        raise
    except ValueError as error:
        raise FilterError(f"filters must be JSON in a string: {error}") from error
    except RecursionError as error:
        raise FilterError("the filter is nested too deeply") from error


def _always(value: Any) -> Resolver:
    return lambda _parent, **_arguments: value


def _compute_seconds(run: DemoRun) -> int | None:
    return run.seconds if run.compute_seconds is None else run.compute_seconds


def _sweep_state(sweep: DemoSweep) -> str:
    return "RUNNING" if any(run.state == "running" for run in sweep.runs) else "FINISHED"


RESOLVERS: Final[Mapping[str, Resolver]] = {
    "Query.project": _project,
    "Query.models": _models,
    "Query.serverInfo": _always({}),
    # None of the optional features, so that clients send what every server understands.
    "ServerInfo.features": _always([]),
    "User.id": lambda user: global_id("User", user.username),
    "User.name": lambda user: user.username.replace("-", " ").title(),
    "User.email": lambda user: f"{user.username}@example.com",
    "User.admin": _always(False),
    "User.flags": _always("{}"),
    "User.deletedAt": _always(None),
    "User.apiKeys": _always(list_page([])),
    "User.teams": lambda user: list_page([user.entity]),
    "Entity.name": lambda entity: entity,
    "Project.id": lambda project: global_id("Project", project.name, project.entity),
    "Project.entityName": lambda project: project.entity,
    "Project.createdAt": lambda project: time_text(project.created_at),
    "Project.isBenchmark": _always(False),
    "Project.readOnly": _always(False),
    "Project.user": _always(None),
    "Project.runCount": _run_count,
    "Project.runs": _runs,
    "Project.run": lambda project, name=None: project.get(name or ""),
    "Project.totalSweeps": lambda project: len(project.sweeps),
    "Project.sweeps": lambda project, **paging: list_page(list(project.sweeps.values()), **paging),
    "Project.sweep": lambda project, sweep_name=None: project.sweeps.get(sweep_name or ""),
    "Run.createdAt": lambda run: run.created_text,
    "Run.heartbeatAt": lambda run: run.heartbeat_text,
    "Run.user": lambda run: DemoUser(run.user, run.user),
    "Run.readOnly": _always(False),
    "Run.historyKeys": lambda run: {"lastStep": run.history_line_count - 1, "sets": [], "keys": {}},
    # The history itself is not kept: it reads as empty.
    "Run.history": _always([]),
    "Run.events": _always([]),
    "Run.sampledHistory": lambda _run, specs=None: [[] for _ in specs or []],
    "Run.computeSeconds": _compute_seconds,
    "Run.config": lambda run: run.config_text,
    "Run.summaryMetrics": lambda run, keys=None: run.summary_text(keys),
    "Run.systemMetrics": lambda run: run.system_metrics_text,
    "Sweep.id": lambda sweep: global_id("Sweep", sweep.name),
    "Sweep.displayName": lambda sweep: sweep.name,
    "Sweep.method": _always("bayes"),
    "Sweep.state": _sweep_state,
    "Sweep.config": _always("method: bayes\nparameters:\n  seed:\n    min: 0\n    max: 99\n"),
    "Sweep.createdAt": lambda sweep: min(run.created_text for run in sweep.runs),
    "Sweep.runCount": lambda sweep: len(sweep.runs),
    **{f"Sweep.{name}": _always(None) for name in ("description", "bestLoss", "updatedAt", "runCountExpected")},
    **{f"{node}Connection.pageInfo": lambda page: page for node in ("Project", "Run", "Sweep", "ApiKey", "Entity")},
}

API: Final = GraphQLApi("wandb.graphql", RESOLVERS)
