"""What metta_wandb costs."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

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
    hours_touched,
    kinds_seen,
    targets_assumed,
    targets_found,
)
from metta_checks.core.duration import hours, parse_duration
from metta_checks.core.names import NameSelection, name_selection
from metta_checks.wandb.models import EVERYTHING_ELSE, STATES, UNENDED_STATES, RunState
from metta_checks.wandb.query import NAMES_A_PAGE, asked_in_batch

QUOTA: Final = 50 * 60
"""W&B allows 50 requests a minute on a free account and 200 on a paid one; published in 2023, per user."""

ENDED_STATES: Final = len(RunState) - 1
OUTCOMES: Final = len(STATES) - len(UNENDED_STATES)


def cost(options: Any, workload: Workload) -> Cost:
    """Runs begin at any time; each has `mean_hours` of life and then keeps its series for `completed_runs`.

    `state` is a tag, so a run is counted as running and as ended in an hour that sees both. Every run is taken to have
    all of the metrics, which makes this an upper bound; a pattern with `*` counts as one key. Where more runs have
    series at once than `max_runs`, the running ones come first, and both shares shrink with the runs that are left.
    """
    begin = workload.runs_per_day / 24
    kept = hours(parse_duration(options.completed_runs))
    alive, ended = _fitting(begin * workload.mean_hours, begin * kept, options.max_runs)
    running = begin * hours_touched(workload.mean_hours) * alive
    completed = begin * hours_touched(kept) * ended
    seen = running + completed
    metrics, system = len(set(options.metrics)), len(set(options.system_metrics))
    types = len({*options.run_types, EVERYTHING_ELSE})
    selection = _selection(options)
    projects = 1 if selection is None else targets_found(selection, workload.projects)
    ends = kinds_seen(projects * types * ENDED_STATES, begin) if options.distributions else 0.0
    # Whom a tag in `completed_tags` names is not known: with one, each end may be a tag set of its own.
    kinds = projects * types * OUTCOMES
    outcomes = (begin if options.completed_tags else kinds_seen(kinds, begin)) if options.distributions else 0.0
    items = (
        Item("wandb.runs", projects * types * len(RunState)),
        Item("wandb.gpus_in_use", projects * types),
        Item("wandb.run.duration_hours", seen),
        Item("wandb.run.sps", seen if options.sps_keys else 0),
        Item("wandb.run.metric", seen * metrics),
        Item("wandb.run.system", seen * system),
        Item("wandb.run.log_age_seconds", running),
        Item("wandb.run.completed.duration_hours", ends, "distribution"),
        Item("wandb.run.completed.sps", ends if options.sps_keys else 0, "distribution"),
        Item("wandb.run.completed.gpu_hours", outcomes, "distribution"),
        Item("wandb.run.completed.metric", ends * metrics, "distribution"),
        Item("metta.check.*", TELEMETRY + 1 if options.projects is None else discovery_telemetry(projects)),
    )
    assumed = f"{workload.runs_per_day:g} runs a day of {workload.mean_hours:g} hours each"
    if selection is not None:
        assumed += " together, " + targets_assumed(selection, workload.projects, "--projects", "project", "projects")
    return Cost(items, _requests(options, begin, workload.mean_hours, selection, projects), assumed)


def _selection(options: Any) -> NameSelection | None:
    return None if options.projects is None else name_selection("projects", options.projects)


def _fitting(alive: float, ended: float, max_runs: int) -> tuple[float, float]:
    """The shares of running and of ended runs that get series under `max_runs`."""
    room = max(0.0, max_runs - alive)
    return (min(1.0, max_runs / alive) if alive else 1.0), (min(1.0, room / ended) if ended else 1.0)


def _requests(
    options: Any, begin: float, mean_hours: float, selection: NameSelection | None, projects: int
) -> Requests:
    """One request for each page: what is alive or was active lately in each collection, all active runs in a full
    refresh. Projects share requests; their list takes a request for each hundred of them."""
    pages = _pages(begin * mean_hours, projects, options.page_size)
    active = begin * (mean_hours + hours(parse_duration(options.timeframe)))
    full_pages = _pages(active, projects, options.page_size)
    full = min(1 / hours(parse_duration(options.full_refresh)), collections_an_hour(options))
    hourly = collections_an_hour(options) * pages + full * (full_pages - pages)
    if selection is not None and selection.needs_list:
        looks = min(3600 / selection.interval.total_seconds(), collections_an_hour(options))
        hourly += looks * ceil(projects / NAMES_A_PAGE)
    return Requests(hourly, QUOTA, "50 a minute on a free W&B account")


def _pages(runs: float, projects: int, page_size: int) -> int:
    """Requests for so many runs, equally many in each project: a project in a batch is asked for some more than it is
    known to have, and the sum is at most a page."""
    if projects < 2:
        return ceil(max(1.0, runs) / page_size)
    asked = asked_in_batch(runs / projects)
    if asked > page_size:
        return projects * ceil(runs / projects / page_size)
    return ceil(projects / (page_size // asked))


FORMULA: Final = Formula(
    cost,
    (
        WhatIf("max_runs: 100", {"max_runs": 100}),
        WhatIf("max_runs: 0", {"max_runs": 0}),
        WhatIf("completed_runs: 10m", {"completed_runs": "10m"}),
        WhatIf("completed_runs: 24h", {"completed_runs": "24h"}),
        WhatIf("metrics: one key", {"metrics": ["overview/reward"]}),
        WhatIf("metrics: none", {"metrics": []}),
        WhatIf("system_metrics: none", {"system_metrics": []}),
        WhatIf("distributions: false", {"distributions": False}),
        WhatIf("distributions: true", {"distributions": True}),
    ),
)
