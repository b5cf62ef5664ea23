"""What the rest of the product needs to know of metta_ci."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from metta_checks.core.definition import CheckDefinition, Sandbox


def _example(sandbox: Sandbox) -> Mapping[str, Any]:
    server = sandbox.servers["github"]
    return {
        "repo": server.names["repo"],
        "api_url": server.url,
        "token": server.credential,
        "tests_blocking_merge_workflows": list(server.names["tests_blocking_merge"]),
        "benchmarks_workflows": list(server.names["benchmarks"]),
        "jobs": True,
    }


DEFINITION: Final = CheckDefinition(
    slug="ci",
    class_path="metta_checks.ci.check.CiCheck",
    credential_hint="`gh auth token` prints your own token where the GitHub CLI is logged in; it is not run here",
    description="GitHub CI: workflow health, flaky and cancelled runs, weekly labels",
    variables=("GITHUB_REPOSITORY", "GITHUB_TOKEN"),
    cost_path="metta_checks.ci.cost.FORMULA",
    tags_path="metta_checks.ci.tag_sets.metric_tags",
    example=_example,
    identity_tags=("repo", "branch"),
    counts=frozenset(
        {
            "metta.infra.cron.ci.runs.in_progress",
            "metta.infra.cron.ci.runs.queued",
            "metta.infra.cron.ci.workflow.cancelled",
            "metta.infra.cron.ci.workflow.flaky_tests",
            "metta.infra.cron.ci.workflow.other_failing",
            "metta.infra.cron.ci.workflow.runs",
            "metta.infra.cron.github.force_merge.count",
            "metta.infra.cron.github.hotfix.count",
            "metta.infra.cron.github.reverts.count",
        }
    ),
    shares=frozenset({"metta.infra.health.status"}),
)
