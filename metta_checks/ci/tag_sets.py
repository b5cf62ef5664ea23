"""Under which tags metta_ci submits its metrics."""

from __future__ import annotations

from typing import Final

from metta_checks.ci.models import CANCELLED, DECISIVE
from metta_checks.ci.rules import CATEGORY, NAMESPACE, RULES, SOURCE, VerdictRule
from metta_checks.core.definition import CheckDefinition, MetricTags, TagSet
from metta_checks.core.tag_sets import any_value
from metta_checks.health.verdict import PREFIX as HEALTH
from metta_checks.health.verdict import State

CONCLUSIONS: Final = DECISIVE | {CANCELLED, "action_required", "neutral", "skipped", "stale"}
"""All conclusions that GitHub gives a completed run."""

_ORIGIN: Final[TagSet] = {"source": frozenset({SOURCE}), "workflow_category": frozenset({CATEGORY})}


def metric_tags(definition: CheckDefinition) -> MetricTags:
    """The tag sets of the judged metrics, of the other figures, and of the verdicts."""
    figure: TagSet = {**_ORIGIN, **any_value(definition.identity_tags)}
    runs: TagSet = {**figure, "workflow": None, "conclusion": frozenset(CONCLUSIONS)}
    verdicts = tuple({**_place(rule), "metric_name": frozenset({metric})} for metric, rule in RULES.items())
    judged: TagSet = {"condition": None, "status": frozenset({State.PASS.label, State.FAIL.label})}
    return {
        **{f"{NAMESPACE}.{metric}": ({**_place(rule), **judged},) for metric, rule in RULES.items()},
        f"{NAMESPACE}.ci.workflow.success_ratio": (figure,),
        f"{NAMESPACE}.ci.workflow.duration.p50": (figure,),
        f"{NAMESPACE}.ci.workflow.runs": (runs,),
        f"{NAMESPACE}.ci.workflow.latest_success": ({**figure, "workflow": None},),
        f"{NAMESPACE}.ci.workflow.latest_age_hours": ({**figure, "workflow": None},),
        **{
            f"{NAMESPACE}.ci.runs.{name}": ({**_ORIGIN, **any_value(("repo",))},)
            for name in ("queued", "in_progress", "oldest_queued_minutes")
        },
        f"{NAMESPACE}.ci.run.duration_minutes": (runs,),
        f"{NAMESPACE}.ci.job.duration_minutes": ({**runs, "job": None},),
        f"{NAMESPACE}.ci.job.queue_minutes": ({**runs, "job": None, "runner": None},),
        **{f"{HEALTH}{name}": verdicts for name in ("state", "status", "value", "target")},
    }


def _place(rule: VerdictRule) -> TagSet:
    """The tags that a judged figure has on the wall: what it is, and the repository or branch that it is about."""
    return {
        **_ORIGIN,
        "workflow_name": frozenset({rule.workflow_name}),
        "task": frozenset({rule.task}),
        "check": frozenset({rule.check}),
        **any_value(("repo", "branch") if rule.of_branch else ("repo",)),
    }
