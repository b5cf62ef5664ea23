"""Under which tags a check of health records submits its metrics."""

from __future__ import annotations

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
