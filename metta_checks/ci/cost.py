"""What metta_ci costs."""

from __future__ import annotations

from typing import Any, Final

from metta_checks.ci.organization import PER_PAGE
from metta_checks.ci.rules import NAMESPACE
from metta_checks.ci.settings import Settings
from metta_checks.ci.target_reading import REPOSITORIES_PER_QUERY
from metta_checks.core.cost import (
    TELEMETRY,
    Cost,
    Formula,
    Item,
    Requests,
    WhatIf,
    Workload,
    collections_an_hour,
    discovery_telemetry,
    kinds_seen,
    targets_assumed,
    targets_found,
)

QUOTA: Final = 5000
"""Requests an hour that GitHub allows with a token; 60 without."""

COUNTED: Final = 3
"""Conclusions that every active workflow has a count for, zeros too: success, failure, cancelled."""

ENDINGS: Final = 2
"""Conclusions that a workflow's runs mostly have: success and failure."""

QUEUE: Final = 2
"""Conditional requests for the queue, and QUEUE_SERIES gauges that come of them."""
QUEUE_SERIES: Final = 3

JOBS: Final = 4
"""Jobs of a run, as far as this can be assumed."""

CHANGES: Final = 2
"""How often a run changes what GitHub lists: when it begins, and when it ends. The first collection after that reads
the listing anew, and the queue."""

WARM: Final = 3
"""Requests of a collection that has seen the repository before; most get a 304, which GitHub does not count."""


def cost(options: Any, workload: Workload) -> Cost:
    """Every judged metric that is on has its own series and four of the wall's: state, status, value, target.

    The own series has the tag `status`, so that an hour in which a verdict flips costs one more. Each active workflow
    has a count for three conclusions, and whether and when its latest run succeeded. A run with four jobs is assumed.
    The workload is that of an instance: workflows and runs are those of all its repositories together.
    """
    settings = Settings.from_options(options)
    repositories = 1 if settings.repos is None else targets_found(settings.repos, workload.repositories)
    judged = len(settings.metrics) * repositories
    runs = workload.runs_per_day / 24
    endings = kinds_seen(workload.workflows * ENDINGS, runs) if options.distributions else 0.0
    jobs = kinds_seen(workload.workflows * ENDINGS * JOBS, runs * JOBS) if options.jobs else 0.0
    items = (
        Item("the judged metrics", judged),
        *(Item(f"metta.infra.health.{name}", judged) for name in ("state", "status", "value", "target")),
        Item(f"{NAMESPACE}.ci.workflow.success_ratio", repositories),
        Item(f"{NAMESPACE}.ci.workflow.duration.p50", repositories),
        Item(f"{NAMESPACE}.ci.workflow.runs", workload.workflows * COUNTED),
        Item(f"{NAMESPACE}.ci.workflow.latest_success", workload.workflows),
        Item(f"{NAMESPACE}.ci.workflow.latest_age_hours", workload.workflows),
        Item(f"{NAMESPACE}.ci.runs.*", QUEUE_SERIES * repositories if options.queue else 0),
        Item(f"{NAMESPACE}.ci.run.duration_minutes", endings, "distribution"),
        Item(f"{NAMESPACE}.ci.job.duration_minutes", jobs, "distribution"),
        Item(f"{NAMESPACE}.ci.job.queue_minutes", jobs, "distribution"),
        Item("metta.check.*", TELEMETRY + 1 if settings.repos is None else discovery_telemetry(repositories) + 1),
    )
    queue = QUEUE if options.queue else 0
    each = (WARM + queue) * repositories
    collections = collections_an_hour(options)
    of_jobs = min(runs, collections * options.max_job_requests) if options.jobs else 0.0
    looks = 0.0
    # The repositories share a query; an unchanged list is free.
    queries = -(-repositories // REPOSITORIES_PER_QUERY)
    each -= repositories - queries
    if settings.repos is not None and settings.repos.needs_list:
        looks = min(3600 / settings.repos.interval.total_seconds(), collections) * -(-repositories // PER_PAGE)
    changed = kinds_seen(collections * repositories, CHANGES * runs)
    requests = Requests(
        hourly=collections * each + of_jobs + looks,
        quota=QUOTA,
        says="5,000 requests and 5,000 GraphQL points an hour with a GitHub token; what has not changed is free",
        counted=changed * (1 + queue) + of_jobs,
        points=collections * queries,
    )
    assumed = f"{workload.workflows:,} workflows with {workload.runs_per_day:g} runs a day together"
    if settings.repos is not None:
        given = workload.repositories
        assumed += ", " + targets_assumed(settings.repos, given, "--repositories", "repository", "repositories")
    return Cost(items, requests, assumed)


FORMULA: Final = Formula(
    cost,
    (
        WhatIf("distributions: false", {"distributions": False}),
        WhatIf("distributions: true", {"distributions": True}),
        WhatIf("jobs: true", {"jobs": True}),
        WhatIf("no label metrics", {"hotfix_labels": [], "force_merge_labels": [], "revert_labels": []}),
    ),
)
