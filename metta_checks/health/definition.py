"""What the definitions of metta_training and metta_eval share: the tag sets of their metrics, and what they cost."""

from __future__ import annotations

from typing import Any, Final

from metta_checks.core.cost import TELEMETRY, Cost, Formula, Item, Requests, Workload, collections_an_hour
from metta_checks.core.definition import CheckDefinition, MetricTags, TagSet
from metta_checks.core.tag_sets import any_value
from metta_checks.health.verdict import PREFIX, State


def metric_tags(definition: CheckDefinition) -> MetricTags:
    """The tag sets of the verdicts, and of the records' own metrics below the check's namespace."""
    origin = definition.records
    if origin is None:
        raise ValueError(f"{definition.name} reads no health records")
    suite: TagSet = {
        "source": frozenset({origin.source}),
        "workflow_category": frozenset({origin.workflow_category}),
    }
    verdict: TagSet = {**suite, **any_value(("workflow_name", "task", "check", "metric_name"))}
    statuses = frozenset(state.label for state in State)
    record: TagSet = {**suite, **any_value(("workflow_name", "task", "check", "condition")), "status": statuses}
    return {
        f"{PREFIX}data_missing": (suite,),
        **{f"{PREFIX}{name}": (verdict,) for name in ("state", "status", "value", "target", "age_seconds")},
        f"{origin.namespace}.": (record,),
    }


WALL: Final = ("state", "status", "value", "target", "age_seconds")


def cost(options: Any, workload: Workload) -> Cost:
    """Every record has its own series and five of the wall's; the instance has `data_missing`.

    A record whose tags change with each publication, such as a commit, is another series with each.
    """
    items = (
        Item("the records' metrics", workload.records),
        *(Item(f"metta.infra.health.{name}", workload.records) for name in WALL),
        Item("metta.infra.health.data_missing", 1),
        Item("metta.check.*", TELEMETRY),
    )
    requests = Requests(collections_an_hour(options), None, "one for each document; an unchanged one is not sent again")
    return Cost(items, requests, f"{workload.records:,} records")


FORMULA: Final = Formula(cost, ())
