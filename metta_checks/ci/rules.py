"""The figures that are judged: where each stands on the wall, and when it passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from metta_checks.core.tags import tag

NAMESPACE: Final = "metta.infra.cron"
SOURCE: Final = "cron"
CATEGORY: Final = "ci"


@dataclass(frozen=True, slots=True)
class VerdictRule:
    """The tags of a judged figure and its default condition; `of_branch` is False where no branch is looked at."""

    workflow_name: str
    task: str
    check: str
    condition: str
    of_branch: bool = True


RULES: Final[Mapping[str, VerdictRule]] = {
    "ci.workflow.success": VerdictRule("latest_state_of_main", "tests_blocking_merge", "success_ratio", ">= 1"),
    "ci.workflow.flaky_tests": VerdictRule("latest_state_of_main", "tests_blocking_merge", "flaky_tests", "< 10"),
    "ci.workflow.tests_blocking_merge": VerdictRule(
        "latest_state_of_main", "tests_blocking_merge", "workflow_passing", ">= 1"
    ),
    "ci.workflow.benchmarks": VerdictRule("latest_state_of_main", "benchmarks", "workflow_passing", ">= 1"),
    "ci.workflow.other_failing": VerdictRule("latest_state_of_main", "other_workflows", "failing_count", "< 2"),
    "ci.workflow.duration.p90": VerdictRule("ci_smoothness", "workflow_duration", "p90_minutes", "< 5"),
    "ci.workflow.cancelled": VerdictRule("ci_smoothness", "jobs_cancelled", "count", "< 10"),
    "github.hotfix.count": VerdictRule("commit_history", "hotfix_commits", "weekly_count", "< 5", of_branch=False),
    "github.force_merge.count": VerdictRule("commit_history", "force_merges", "weekly_count", "< 7", of_branch=False),
    "github.reverts.count": VerdictRule("commit_history", "reverts", "weekly_count", "<= 1", of_branch=False),
}
"""By metric, without the namespace."""


def scope_tags(repo: str, branch: str | None) -> tuple[str, ...]:
    """The tags that say what was looked at: the repository, and the branch where one was."""
    return (tag("repo", repo),) if branch is None else (tag("repo", repo), tag("branch", branch))
