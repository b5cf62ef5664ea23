"""Figures held against their conditions, and an event for each verdict that flips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote

from metta_checks.ci.figures import Snapshot, other_failing
from metta_checks.ci.labels import label_searches
from metta_checks.ci.models import CANCELLED, TIMED, WorkflowRun
from metta_checks.ci.rules import CATEGORY, RULES, SOURCE, scope_tags
from metta_checks.ci.runs import TrackedRun
from metta_checks.ci.settings import Settings
from metta_checks.core.event_text import MAX_WORD, aggregation_key_of, escaped, framed, link, title_of
from metta_checks.core.printable import printable
from metta_checks.core.sample import Event
from metta_checks.core.tags import tag
from metta_checks.health.condition import Condition
from metta_checks.health.verdict import State, Verdict, judge


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


SHOWN: Final = 5
"""Runs that an event names."""

Decided = tuple[bool, float]
"""Whether a verdict passed, and the value it was about."""


def flip_events(
    settings: Settings, verdicts: Mapping[str, Verdict], before: Mapping[str, Decided], snapshot: Snapshot
) -> Iterator[Event]:
    """An event for each verdict that is decided otherwise than when it was last decided; none for the first time."""
    for metric, (passes, value) in decided(verdicts).items():
        if metric in before and before[metric][0] is not passes:
            yield _event(settings, metric, verdicts[metric], before[metric][1], value, snapshot)


def decided(verdicts: Mapping[str, Verdict]) -> dict[str, Decided]:
    """The verdicts that are known, by metric."""
    return {
        metric: (verdict.state is State.PASS, verdict.value)
        for metric, verdict in verdicts.items()
        if verdict.value is not None and verdict.state is not State.UNKNOWN
    }


def _event(settings: Settings, metric: str, verdict: Verdict, before: float, now: float, snapshot: Snapshot) -> Event:
    passes = verdict.state is State.PASS
    branch = printable(settings.branch, MAX_WORD)
    place = settings.repo if metric in settings.labels else f"{branch} of {settings.repo}"
    moved = f"{metric} went from {before:g} to {now:g}; it passes when {_words(settings.conditions[metric])}."
    paragraphs = [moved, *_evidence(settings, metric, snapshot)]
    return Event(
        title=title_of(f"{metric} {'passes again' if passes else 'fails'} on {place}"),
        text=framed(paragraphs),
        tags=(
            *verdict.scope,
            tag("metric_name", metric),
            tag("workflow_name", verdict.workflow_name),
            tag("task", verdict.task),
            tag("check", verdict.check),
            tag("status", verdict.state.label),
        ),
        aggregation_key=aggregation_key_of(f"{settings.repo}/{settings.branch}/{metric}"),
        alert_type="success" if passes else "error",
    )


def _words(condition: Condition) -> str:
    operands = ", ".join(f"{operand:g}" for operand in condition.operands)
    return f"in [{operands}]" if condition.operator == "in" else f"{condition.operator} {operands}"


def _evidence(settings: Settings, metric: str, snapshot: Snapshot) -> Iterator[str]:
    """Links to what the value is made of: the runs, or the search that finds the pull requests."""
    if metric in settings.labels:
        labels = {metric: settings.labels[metric]}
        query = label_searches(snapshot.repo, labels, snapshot.now - settings.label_window)[metric]
        yield link("The pull requests", f"{snapshot.web_url}/pulls?q={quote(query)}")
        return
    runs = list(_runs_behind(metric, snapshot))
    for run in runs[:SHOWN]:
        attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
        outcome = f"{escaped(run.conclusion)} after {run.duration_minutes:.1f} min"
        label = f"{printable(run.file, MAX_WORD - 30)} #{run.number}{attempt}"
        yield f"{link(label, f'{snapshot.web_url}/actions/runs/{run.id}')}: {outcome}"
    if len(runs) > SHOWN:
        yield f"… and {len(runs) - SHOWN} more"
    if not runs:
        yield link("The workflow runs", f"{snapshot.web_url}/actions?query={quote(f'branch:{settings.branch}')}")


def _runs_behind(metric: str, snapshot: Snapshot) -> Iterable[WorkflowRun]:
    """The runs that make a metric what it is, the most telling first."""
    in_window = sorted(snapshot.runs, key=lambda known: known.run.started_at, reverse=True)
    match metric:
        case "ci.workflow.success":
            return [known.run for known in in_window if known.run.decisive and not known.run.succeeded]
        case "ci.workflow.flaky_tests":
            return [known.run for known in in_window if known.flaky]
        case "ci.workflow.cancelled":
            return [known.run for known in in_window if known.run.conclusion == CANCELLED]
        case "ci.workflow.duration.p90":
            return _slowest(in_window)
        case "ci.workflow.other_failing":
            return other_failing(snapshot)
        case _:
            listed = [snapshot.latest[one] for one in snapshot.lists[metric].ids if one in snapshot.latest]
            return sorted(listed, key=lambda run: (run.succeeded, -run.id))


def _slowest(in_window: Iterable[TrackedRun]) -> list[WorkflowRun]:
    timed = [known.run for known in in_window if known.run.conclusion in TIMED]
    return sorted(timed, key=lambda run: run.duration_minutes, reverse=True)
