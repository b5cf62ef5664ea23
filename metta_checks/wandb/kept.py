"""Samples of runs that have ended, kept for as long as nothing about them changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from metta_checks.core import Sample
from metta_checks.wandb.metrics import MetricOptions, run_samples
from metta_checks.wandb.runs import Run


class KeptSamples:
    """The per-run gauges of one instance.

    Between two full listings nearly all runs are the same objects, and what was said about one that has ended still
    holds: making its samples anew would cost half of what it costs to submit them.
    """

    def __init__(self, options: MetricOptions) -> None:
        self._options = options
        self._kept: dict[str, tuple[Run, tuple[Sample, ...]]] = {}

    def of(self, runs: Iterable[Run], now: datetime, resumed: Mapping[str, datetime]) -> Iterator[Sample]:
        """As `run_samples`; those of runs that are not among `runs` are forgotten."""
        kept: dict[str, tuple[Run, tuple[Sample, ...]]] = {}
        for run in runs:
            known, samples = self._kept.get(run.id, (None, ()))
            if known is not run:
                samples = tuple(run_samples([run], self._options, now, resumed))
            if run.ended:
                kept[run.id] = (run, samples)
            yield from samples
        self._kept = kept
