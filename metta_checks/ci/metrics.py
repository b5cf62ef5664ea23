"""Figures, verdicts and completed runs as samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from metta_checks.ci.figures import Figures
from metta_checks.ci.jobs import EndedJob, job_name, runner_name
from metta_checks.ci.models import WorkflowRun
from metta_checks.ci.queue import Queue
from metta_checks.ci.rules import CATEGORY, NAMESPACE, SOURCE, scope_tags
from metta_checks.ci.settings import Settings
from metta_checks.core.sample import Sample
from metta_checks.core.tags import tag
from metta_checks.health.verdict import Verdict, named_tags, verdict_samples

COMMON = (tag("source", SOURCE), tag("workflow_category", CATEGORY))


def judged_samples(settings: Settings, verdicts: Mapping[str, Verdict], now: datetime) -> Iterator[Sample]:
    """Each judged metric under its own name, where it has a value, and the gauges of its verdict."""
    for metric, verdict in verdicts.items():
        if verdict.value is not None:
            tags = named_tags(verdict, settings.conditions[metric].tag_value)
            yield Sample(f"{NAMESPACE}.{metric}", verdict.value, tags)
    yield from verdict_samples(verdicts.values(), now)


def plain_samples(settings: Settings, figures: Figures, now: datetime) -> Iterator[Sample]:
    """The figures that nobody judges."""
    scope = scope_tags(settings.repo, settings.branch)
    if figures.success_ratio is not None:
        yield Sample(f"{NAMESPACE}.ci.workflow.success_ratio", figures.success_ratio, (*COMMON, *scope))
    if figures.p50 is not None:
        yield Sample(f"{NAMESPACE}.ci.workflow.duration.p50", figures.p50, (*COMMON, *scope))
    for (file, conclusion), count in figures.outcomes.items():
        tags = (*COMMON, tag("workflow", file), tag("conclusion", conclusion), *scope)
        yield Sample(f"{NAMESPACE}.ci.workflow.runs", float(count), tags)
    for file, run in figures.latest.items():
        tags = (*COMMON, tag("workflow", file), *scope)
        yield Sample(f"{NAMESPACE}.ci.workflow.latest_success", float(run.succeeded), tags)
        # GitHub's clock may be ahead of this one.
        age = max((now - run.ended_at).total_seconds(), 0.0) / 3600
        yield Sample(f"{NAMESPACE}.ci.workflow.latest_age_hours", age, tags)


def queue_samples(settings: Settings, queue: Queue) -> Iterator[Sample]:
    """What waits and what runs, in the whole repository."""
    tags = (*COMMON, *scope_tags(settings.repo, None))
    minutes = max(queue.oldest_queued.total_seconds(), 0.0) / 60
    yield Sample(f"{NAMESPACE}.ci.runs.queued", float(queue.queued), tags)
    yield Sample(f"{NAMESPACE}.ci.runs.in_progress", float(queue.in_progress), tags)
    yield Sample(f"{NAMESPACE}.ci.runs.oldest_queued_minutes", minutes, tags)


def duration_samples(settings: Settings, completed: Iterable[WorkflowRun]) -> Iterator[Sample]:
    """A point for each run that was seen to end."""
    scope = scope_tags(settings.repo, settings.branch)
    for run in completed:
        tags = (*COMMON, tag("workflow", run.file), tag("conclusion", run.conclusion), *scope)
        yield Sample(f"{NAMESPACE}.ci.run.duration_minutes", run.duration_minutes, tags, "distribution")


def job_samples(settings: Settings, jobs: Iterable[EndedJob]) -> Iterator[Sample]:
    """Two points for each job: how long it took, and how long it waited for a runner."""
    scope = scope_tags(settings.repo, settings.branch)
    for workflow, job in jobs:
        ended = tag("conclusion", job.conclusion)
        tags = (*COMMON, tag("workflow", workflow), tag("job", job_name(job.name)), ended, *scope)
        yield Sample(f"{NAMESPACE}.ci.job.duration_minutes", job.duration_minutes, tags, "distribution")
        tags = (*tags, tag("runner", runner_name(job)))
        yield Sample(f"{NAMESPACE}.ci.job.queue_minutes", job.queue_minutes, tags, "distribution")
