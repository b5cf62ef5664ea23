"""The faults inside of answers whose shape is right: field by field, every value that it must not have."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from hostile_support.faults import answering
from hostile_support.gate import Behaviour, Exchange, Page

ABSENT: Final = object()

VALUES: Final[Mapping[str, Any]] = {
    "absent": ABSENT,
    "null": None,
    "true": True,
    "zero": 0,
    "negative": -(2**40),
    "huge": 10**30,
    "a float": 1e300,
    "an empty text": "",
    "a text": "neither here nor there",
    "half a surrogate pair": "\ud83d",
    "a NUL": "a\x00b\r\nc,d",
    "a long text": "x" * 5_000,
    "a date of year one": "0001-01-01T00:00:00+14:00",
    "a date of year 9999": "9999-12-31T23:59:59-14:00",
    "a leap second": "2016-12-31T23:59:60Z",
    "29 February of no leap year": "2025-02-29T00:00:00Z",
    "another zone": "2026-03-01T20:59:00+09:00",
    "a list": [1, [2]],
    "an object": {"a": {"b": 1}},
    "deep": json.loads("[" * 120 + "]" * 120),
}
"""What stands in a field instead. They are given one after the other, each to a collection of its own."""

SPELLINGS: Final = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "+1")
"""Numbers as JSON does not know them; they stand there without quotes."""

MARK: Final = "a-number-stands-here"

RUN_FIELDS: Final = (
    "name", "displayName", "state", "createdAt", "heartbeatAt", "sweepName", "group", "jobType",
    "summaryMetrics", "systemMetrics",
)  # fmt: skip
WORKFLOW_RUN_FIELDS: Final = (
    "id", "node_id", "workflow_id", "path", "run_number", "run_attempt", "status", "conclusion", "created_at",
    "run_started_at", "updated_at", "repository", "head_repository",
)  # fmt: skip
WORKFLOW_FIELDS: Final = ("id", "node_id", "name", "path", "state")
RECORD_FIELDS: Final = (
    "metric", "value", "workflow_name", "task", "check", "condition", "status", "timestamp", "tags",
)  # fmt: skip

Nodes = Callable[[Any], list[dict[str, Any]]]
"""The objects of an answer whose fields are changed; empty where the answer is another one."""


def wandb_nodes(document: Any) -> list[dict[str, Any]]:
    return [edge["node"] for edge in document["data"]["project"]["runs"]["edges"]]


def wandb_pages(document: Any) -> list[dict[str, Any]]:
    return [document["data"]["project"]["runs"]["pageInfo"]]


def workflow_runs(document: Any) -> list[dict[str, Any]]:
    return list(document.get("workflow_runs", ()))


def run_pages(document: Any) -> list[dict[str, Any]]:
    return [document] if "workflow_runs" in document else []


def workflows(document: Any) -> list[dict[str, Any]]:
    return list(document.get("workflows", ()))


def graphql_data(document: Any) -> list[dict[str, Any]]:
    return [document["data"]] if "data" in document else []


def records(document: Any) -> list[dict[str, Any]]:
    return list(document)


def changed(page: Page, nodes: Nodes, field: str, value: Any) -> bytes:
    """The answer with another value in the field of the last of its objects. A number's spelling replaces `MARK`."""
    document = json.loads(page.body)
    for node in nodes(document)[-1:]:
        if value is ABSENT:
            node.pop(field, None)
        else:
            node[field] = copy.deepcopy(value)
    return json.dumps(document).encode()


def with_field(nodes: Nodes, field: str, value: Any, spelling: str = "") -> Behaviour:
    """The source's true answer but for one field."""

    def behave(exchange: Exchange) -> None:
        page = exchange.fetch()
        if page.status != 200:
            exchange.line.send(page.raw())
            return
        body = changed(page, nodes, field, MARK if spelling else value)
        answering(body.replace(f'"{MARK}"'.encode(), spelling.encode()), headers=dict(page.headers))(exchange)

    return behave


def spoilt(nodes: Nodes, field: str) -> Iterator[tuple[str, Behaviour]]:
    """Every way in which a field is wrong."""
    for name, value in VALUES.items():
        yield name, with_field(nodes, field, value)
    for spelling in SPELLINGS:
        yield spelling, with_field(nodes, field, None, spelling)
