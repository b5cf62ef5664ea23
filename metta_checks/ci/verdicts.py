"""Figures held against their conditions."""

from __future__ import annotations

from collections.abc import Mapping

from metta_checks.ci.rules import CATEGORY, RULES, SOURCE, scope_tags
from metta_checks.ci.settings import Settings
from metta_checks.health.verdict import Verdict, judge


def verdicts_of(settings: Settings, values: Mapping[str, float]) -> dict[str, Verdict]:
    """The verdict on each metric that is on; unknown where there is no value."""
    return {metric: _verdict(settings, metric, values.get(metric)) for metric in settings.metrics}


def _verdict(settings: Settings, metric: str, value: float | None) -> Verdict:
    rule, condition = RULES[metric], settings.conditions[metric]
    return Verdict(
        metric_name=metric,
        source=SOURCE,
        workflow_category=CATEGORY,
        workflow_name=rule.workflow_name,
        task=rule.task,
        check=rule.check,
        state=judge(value, condition),
        value=None if value is None else float(value),
        target=condition.target,
        scope=scope_tags(settings.repo, settings.branch if rule.of_branch else None),
    )
