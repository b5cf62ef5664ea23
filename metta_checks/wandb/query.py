"""The GraphQL that a collection sends to W&B."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from metta_checks.wandb.runs import UNENDED_STATES

ORDER: Final = "+created_at"
"""Creation does not change while pages are read, and new runs come at the end; a heartbeat order would shuffle."""

OPTIONAL_FIELDS: Final = {"user": "user { username }", "host": "host"}
"""Node fields that cost bytes and are asked for only when `run_tags` names them."""

_QUERY: Final = """\
query Runs(
  $entity: String!, $project: String!, $filters: JSONString!, $order: String!, $first: Int!, $after: String%(keys_type)s
) {
  viewer { id }
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, order: $order, first: $first, after: $after) {
      edges { node { %(fields)s } }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""

_FIELDS: Final = "id name displayName state createdAt heartbeatAt sweepName group jobType"


def runs_query(*, restrict_summary: bool, system: bool, extra: Iterable[str]) -> str:
    """The query text. `restrict_summary` asks for the summary keys in `$keys` only; `extra` names optional fields."""
    fields = [_FIELDS, *(OPTIONAL_FIELDS[name] for name in extra if name in OPTIONAL_FIELDS)]
    fields.append("summaryMetrics(keys: $keys)" if restrict_summary else "summaryMetrics")
    if system:
        fields.append("systemMetrics")
    keys_type = ", $keys: [String!]" if restrict_summary else ""
    return _QUERY % {"fields": " ".join(fields), "keys_type": keys_type}


def active_filter(since: datetime, names: Iterable[str] = ()) -> str:
    """Runs that have not ended, those heard of since then, and those in `names`: W&B's filter language as JSON.

    `names` are run ids: a crashed run changes its state without a heartbeat, so a run last seen running has to be
    asked for by name.
    """
    either: list[dict[str, Any]] = [
        {"state": {"$in": list(UNENDED_STATES)}},
        {"heartbeatAt": {"$gte": api_time(since)}},
    ]
    if listed := sorted(names):
        either.append({"name": {"$in": listed}})
    return json.dumps({"$or": either}, separators=(",", ":"))


def api_time(moment: datetime) -> str:
    """`moment` in W&B's own form; without the `Z`, or with a fraction, the service matches nothing."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
