"""The GraphQL that a collection sends to W&B."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
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


def runs_query(*, summary_keys: Collection[str] | None, system: bool, extra: Iterable[str]) -> str:
    """The query text. With `summary_keys` it takes `$keys` and asks for those alone; None asks for whole summaries,
    an empty collection for none. `extra` names optional fields."""
    fields = [_FIELDS, *(OPTIONAL_FIELDS[name] for name in extra if name in OPTIONAL_FIELDS)]
    if summary_keys is None:
        fields.append("summaryMetrics")
    elif summary_keys:
        fields.append("summaryMetrics(keys: $keys)")
    if system:
        fields.append("systemMetrics")
    return _QUERY % {"fields": " ".join(fields), "keys_type": ", $keys: [String!]" if summary_keys else ""}


def active_filter(since: datetime, names: Iterable[str] = ()) -> str:
    """Runs that have not ended, those heard of or created since then, and those in `names`: W&B's filter language as
    JSON. A run that ends before its first heartbeat has its creation alone.

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
