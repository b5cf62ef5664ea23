"""Runs in, samples and events out; no clock, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from urllib.parse import quote, urlsplit

from metta_checks.core import Event, Sample, tag
from metta_checks.core.event_text import MAX_WORD, aggregation_key_of, code, escaped, framed, link, title_of
from metta_checks.core.printable import printable
from metta_checks.wandb.models import End, ProjectPath, Run, RunState, RunTypes

MAX_EVENT_VALUES: Final = 30
"""How many values of its run the text of an event shows."""

_recurring_tag: Final = lru_cache(maxsize=1024)(tag)
"""Types, states and metric names come again with every run; ids and names do not."""


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What the metrics need to know of the configuration. `identity` is `wandb_entity:…`, `wandb_project:…`."""

    run_types: RunTypes
    timeframe: str
    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesSelection:
    """The runs that get series of their own, and those that are over `max_runs`."""

    runs: tuple[Run, ...]
    over_limit: tuple[Run, ...]


def selected(
    runs: Iterable[Run], ended_seen: Mapping[str, datetime], now: datetime, completed_runs: timedelta, max_runs: int
) -> SeriesSelection:
    """Runs that have not ended, and those first seen as ended no longer than `completed_runs` ago.

    At most `max_runs` of them: running ones first, then the newest by creation, so that membership does not flap.
    """
    candidates = [run for run in runs if not run.ended or now - ended_seen[run.id] <= completed_runs]
    if len(candidates) > max_runs:
        candidates.sort(key=_precedence)
    return SeriesSelection(tuple(candidates[:max_runs]), tuple(candidates[max_runs:]))


def count_samples(runs: Iterable[Run], options: SampleOptions) -> Iterator[Sample]:
    """`wandb.runs`: every run type in every state, zeros too."""
    counts = Counter((run.run_type, run.state) for run in runs)
    for run_type in options.run_types.names:
        for state in RunState:
            tags = (tag("run_type", run_type), tag("state", state), tag("timeframe", options.timeframe))
            yield Sample("wandb.runs", float(counts[run_type, state]), tags + options.identity)


def gpu_samples(runs: Iterable[Run], options: SampleOptions) -> Iterator[Sample]:
    """`wandb.gpus_in_use`: the GPUs of the runs that have not ended, of every run type, zeros too."""
    gpus = dict.fromkeys(options.run_types.names, 0.0)
    for run in runs:
        if not run.ended:
            gpus[run.run_type] += run.gpus
    for run_type, number in gpus.items():
        yield Sample("wandb.gpus_in_use", number, (tag("run_type", run_type), *options.identity))


def run_samples(run: Run, options: SampleOptions, now: datetime, resumed_at: datetime | None) -> list[Sample]:
    """The per-run gauges of a run that was seen running again at `resumed_at`.

    Hours, steps per second, the metrics' own units, per cent, °C, watts, seconds.
    """
    tags = run_tags(run, options)
    samples = []
    if (hours := run.duration_hours) is not None:
        samples.append(Sample("wandb.run.duration_hours", hours, tags))
    if run.sps is not None:
        samples.append(Sample("wandb.run.sps", run.sps, tags))
    for name, value in run.metrics.items():
        samples.append(Sample("wandb.run.metric", value, (_recurring_tag("metric_name", name), *tags)))
    for name, value in run.system.items():
        samples.append(Sample("wandb.run.system", value, (_recurring_tag("metric", name), *tags)))
    if not run.ended and (age := run.log_age(now, resumed_at)) is not None:
        samples.append(Sample("wandb.run.log_age_seconds", age, tags))
    return samples


def completed_samples(runs: Iterable[Run], options: SampleOptions) -> Iterator[Sample]:
    """The distribution points of runs that have just ended, tagged by type and state alone: percentiles *over runs*."""
    for run in runs:
        tags = (*_class_tags(run), *options.identity)
        if (hours := run.duration_hours) is not None:
            yield Sample("wandb.run.completed.duration_hours", hours, tags, "distribution")
        if run.sps is not None:
            yield Sample("wandb.run.completed.sps", run.sps, tags, "distribution")
        for name, value in run.metrics.items():
            named = (_recurring_tag("metric_name", name), *tags)
            yield Sample("wandb.run.completed.metric", value, named, "distribution")


def gpu_hour_samples(ends: Iterable[End], options: SampleOptions) -> Iterator[Sample]:
    """`wandb.run.completed.gpu_hours`: a point per end of a run that computed on GPUs."""
    for end in ends:
        run = end.run
        if (hours := end.seconds / 3600 * run.gpus) > 0:
            outcome = _recurring_tag("outcome", run.wandb_state)
            tags = (_recurring_tag("run_type", run.run_type), outcome, *run.completed_labels)
            yield Sample("wandb.run.completed.gpu_hours", hours, (*tags, *options.identity), "distribution")


def run_tags(run: Run, options: SampleOptions) -> tuple[str, ...]:
    """The tags of everything that speaks of one run."""
    return (
        tag("run_id", run.id),
        *_class_tags(run),
        tag("run_name", run.name),
        *run.labels,
        *options.identity,
    )


def failure_events(runs: Iterable[Run], project: ProjectPath, options: SampleOptions) -> Iterator[Event]:
    """One event per failed run: which, W&B's own state, how long it ran, its last metrics, and where to look."""
    for run in runs:
        if run.state is not RunState.FAILED:
            continue
        yield Event(
            title=title_of(f"W&B run {run.wandb_state}: {printable(run.name, MAX_WORD)}"),
            text=framed(_paragraphs(run, project)),
            tags=run_tags(run, options),
            aggregation_key=aggregation_key_of(f"wandb:{project}:{run.id}"),
            # A preempted run was stopped by its cluster, which often starts it again.
            alert_type="warning" if run.wandb_state == "preempted" else "error",
        )


def run_url(run_id: str, project: ProjectPath) -> str:
    """The run's page. W&B's own cloud has its pages on another host than its API; a server of one's own does not."""
    base = "https://wandb.ai" if urlsplit(project.base_url).hostname == "api.wandb.ai" else project.base_url
    path = "/".join(quote(part, safe="") for part in (project.entity, project.name, "runs", run_id))
    return f"{base}/{path}"


def _paragraphs(run: Run, project: ProjectPath) -> Iterator[str]:
    yield f"{link(run.id, run_url(run.id, project))} in {escaped(project)}"
    if (hours := run.duration_hours) is not None:
        yield f"It ran for {hours:.2f} h."
    yield f"State in W&B: {escaped(run.wandb_state)}"
    values = {"sps": run.sps} if run.sps is not None else {}
    for name, value in islice((values | dict(run.metrics)).items(), MAX_EVENT_VALUES):
        yield f"{code(name)}: {value:g}"


class SampleCache:
    """The per-run gauges of one instance.

    Between two full listings nearly all runs are the same objects, and what was said about one that has ended still
    holds: making its samples anew would cost half of what it costs to submit them.
    """

    def __init__(self, options: SampleOptions) -> None:
        self._options = options
        # Apart, since a pair for each run is one more object that Python's garbage collection visits.
        self._runs: dict[str, Run] = {}
        self._samples: dict[str, list[Sample]] = {}

    def of(self, runs: Iterable[Run], now: datetime, resumed: Mapping[str, datetime]) -> list[Sample]:
        """The per-run gauges of `runs`; `resumed` says when runs were seen running again, by id. Those of runs that are
        not among them are forgotten."""
        kept_runs: dict[str, Run] = {}
        kept: dict[str, list[Sample]] = {}
        samples: list[Sample] = []
        for run in runs:
            run_id = run.id
            if self._runs.get(run_id) is run:
                own = self._samples[run_id]
            else:
                own = run_samples(run, self._options, now, resumed.get(run_id))
            if run.ended:
                kept_runs[run_id], kept[run_id] = run, own
            samples += own
        self._runs, self._samples = kept_runs, kept
        return samples


def _class_tags(run: Run) -> tuple[str, ...]:
    return (_recurring_tag("run_type", run.run_type), _recurring_tag("state", run.state))


def _precedence(run: Run) -> tuple[bool, float, str]:
    created = run.created_at.timestamp() if run.created_at else 0.0
    return run.ended, -created, run.id
