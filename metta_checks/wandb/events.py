"""The event of a run that failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote, urlsplit

from metta_checks.core import Event
from metta_checks.core.event_text import MAX_WORD, aggregation_key_of, code, escaped, framed, link, title_of
from metta_checks.core.printable import printable
from metta_checks.wandb.client import ProjectPath
from metta_checks.wandb.metrics import SampleOptions, run_tags
from metta_checks.wandb.models import Run, RunState

MAX_VALUES: Final = 30
"""How many of the run's values the text shows."""


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
    for name, value in islice((values | dict(run.metrics)).items(), MAX_VALUES):
        yield f"{code(name)}: {value:g}"
