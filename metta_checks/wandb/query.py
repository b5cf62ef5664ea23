"""The GraphQL that a collection sends to W&B."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from metta_checks.wandb.models import UNENDED_STATES

ORDER: Final = "+created_at"
"""Creation does not change while pages are read, and new runs come at the end; a heartbeat order would shuffle."""

OPTIONAL_FIELDS: Final = {"user": "user { username }", "host": "host"}
"""Node fields that cost bytes and are asked for only when `run_tags` names them."""

_RUNS: Final = """\
{%(count)s
    runs(filters: $filters%(part)s, order: $order, first: $first%(part)s, after: $after%(part)s) {
      edges { node { %(fields)s } }
      pageInfo { endCursor hasNextPage }
    }
  }"""

PROJECTS: Final = """\
query Projects($entity: String!, $first: Int!, $after: String) {
  viewer { id }
  models(entityName: $entity, first: $first, after: $after) {
    edges { node { name } }
    pageInfo { endCursor hasNextPage }
  }
}"""
"""The list of an entity's projects, as the SDK asks for it (`Api.projects`)."""

NAMES_A_PAGE: Final = 100
"""Projects of a page of their list."""

ALIAS: Final = "p"
"""What the aliases of several projects in one query begin with; the part's number follows."""

MARGIN: Final = 10
"""Runs more than expected that a project is asked for, where it shares a request with others."""

_BETWEEN: Final = "\n  "

_NEEDED: Final = ("name", "state", "createdAt", "heartbeatAt")
_FIELDS: Final = ("id", "displayName", "sweepName", "group", "jobType", "computeSeconds")

DISPENSABLE: Final[Mapping[str, str]] = {
    **dict.fromkeys((*_FIELDS, "host"), "tags and run types that it gives are absent"),
    **dict.fromkeys(("user", "username"), "the tag `user` is absent"),
    "computeSeconds": "GPU hours are counted at a run's first end only, from its duration",
    "systemMetrics": "system metrics and the GPUs they show are absent",
    "keys": "whole summaries are read, which is slower",
    "runCount": "a run that is lost between two pages may go unnoticed",
}
"""Fields and arguments of the query that older servers may not have, and what follows where they are left out."""


def runs_query(
    *, summary_keys: Collection[str] | None, extra: Iterable[str], without: Collection[str] = (), parts: int = 0
) -> str:
    """The query text. With `summary_keys` it takes `$keys` and asks for those alone; None asks for whole summaries,
    an empty collection for none. `extra` names optional fields, `without` those of `DISPENSABLE` to leave out.

    With `parts` it asks for a page of that many projects, under the aliases `p0`, `p1`, …; their variables end in the
    same numbers.
    """
    left_out = {*without, *({"user"} if "username" in without else ())}
    keys = None if "keys" in left_out else summary_keys
    fields = [*_NEEDED, *(name for name in _FIELDS if name not in left_out)]
    fields += [
        OPTIONAL_FIELDS[name] for name in dict.fromkeys(extra) if name in OPTIONAL_FIELDS and name not in left_out
    ]
    if keys is None:
        fields.append("summaryMetrics")
    elif keys:
        fields.append("summaryMetrics(keys: $keys)")
    if "systemMetrics" not in left_out:
        fields.append("systemMetrics")
    variables, selections = ["$entity: String!, $order: String!"], ["viewer { id }"]
    for part in map(str, range(parts)) if parts else ("",):
        count = "" if "runCount" in left_out else f"\n    runCount(filters: $filters{part})"
        variables += [
            f"$project{part}: String!, $filters{part}: JSONString!",
            f"$first{part}: Int!, $after{part}: String",
        ]
        runs = _RUNS % {"part": part, "count": count, "fields": " ".join(fields)}
        alias = f"{ALIAS}{part}: " if part else ""
        selections.append(f"{alias}project(name: $project{part}, entityName: $entity) {runs}")
    if keys:
        variables.append("$keys: [String!]")
    return f"query Runs({', '.join(variables)}) {{\n  {_BETWEEN.join(selections)}\n}}"


def active_filter(since: datetime, names: Iterable[str] = ()) -> str:
    """Runs that have not ended, those that sent a heartbeat or were created since then, and those in `names`: W&B's
    filter language as JSON. A run that ends before its first heartbeat has its creation alone.

    `names` are run ids: a crashed run changes its state without a heartbeat, so a run last seen running has to be
    asked for by name.
    """
    either: list[dict[str, Any]] = [
        {"state": {"$in": list(UNENDED_STATES)}},
        {"heartbeatAt": {"$gte": api_time(since)}},
        {"createdAt": {"$gte": api_time(since)}},
    ]
    if listed := sorted(names):
        either.append({"name": {"$in": listed}})
    return json.dumps({"$or": either}, separators=(",", ":"))


def api_time(moment: datetime) -> str:
    """`moment` in W&B's own form; without the `Z`, or with a fraction, the service matches nothing."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def asked_in_batch(expected: float) -> int:
    """How many runs a project is asked for in a batch, of which about so many are expected: those, and some more."""
    return ceil(expected + expected // 4 + MARGIN)
