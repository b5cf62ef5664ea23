"""The check of a suite's health records; `training` and `eval` name theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from metta_checks.core import Dropped, DropReason, MettaCheck, Result, Target
from metta_checks.core.definition import Origin
from metta_checks.core.duration import parse_duration
from metta_checks.core.errors import SourceError
from metta_checks.core.option_errors import required
from metta_checks.core.sample import Sample
from metta_checks.core.state import TargetStates
from metta_checks.core.tags import keys_of
from metta_checks.core.target import first_three
from metta_checks.health.document import Document, Limits
from metta_checks.health.metrics import (
    MetricOptions,
    judge_entries,
    record_samples,
    remarks,
    split_by_name,
    split_by_time,
    unheard,
)
from metta_checks.health.options import is_local, reader_of, source_name
from metta_checks.health.reading import Reader, Reading, newest_within
from metta_checks.health.verdict import data_missing_sample


@dataclass(frozen=True, slots=True)
class HealthState:
    """What is known of a source's documents, by name.

    `kept` are those that were read last: what is unchanged is not read again. `whole` is each as it was when all of it
    could be used: a red verdict must not vanish with a torn file.
    """

    kept: Mapping[str, Document] = field(default_factory=dict)
    whole: Mapping[str, Document] = field(default_factory=dict)


class HealthCheck(MettaCheck):
    """Reads health records from `source` and submits a gauge for each, and their verdicts."""

    SOURCE = "health records"

    ORIGIN: ClassVar[Origin]
    """Whose records these are."""

    def targets(self) -> Sequence[Target]:
        """The one source, also where the options do not hold: that its data are missing is true then too."""
        source = str(self.instance.get("source", "")).strip()
        return [Target(f"source {source_name(source)}", {"source": source})]

    def read(self, target: Target, now: datetime) -> Result:
        """The samples of all records that the source holds at `now`."""
        state: HealthState = self.states.of(target)
        kept = dict(state.kept)
        try:
            reading = self._reader.read(self.collection, self._limits, kept)
        except SourceError as error:
            # What was read before the error is not read again.
            return replace(self.failed(target, error, now), state=replace(state, kept=kept))
        entries = (entry for document in reading.documents for entry in document.entries)
        own, forged = split_by_name(entries, self.ORIGIN)
        usable, late = split_by_time(own, now)
        judged = judge_entries(usable, self._metric_options, now)
        faults = [fault for document in reading.documents for fault in document.faults] + forged + late
        broken = reading.unread | {fault.document for fault in faults}
        silent = self._silent(replace(state, kept=kept), broken, reading.over_limit)
        samples = list(record_samples(judged, unheard(silent.values(), judged, self._metric_options, now), now))
        samples.append(self._data_missing(not usable))
        present = {document.name: document for document in reading.documents}
        return Result(
            target,
            samples,
            # Documents that the source no longer has are forgotten.
            state=HealthState(present, {name: one for name, one in present.items() if name not in broken} | silent),
            dropped=[
                Dropped.of(DropReason.UNREADABLE, map(str, reading.unreadable)),
                Dropped.of(DropReason.INVALID, map(str, faults)),
                Dropped.of(DropReason.OVER_LIMIT, sorted(reading.over_limit)),
            ],
            warnings=[*first_three([f"counted: {remark}" for remark in remarks(judged)]), *self._remarks(reading)],
        )

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:
        """What the wall shows when the source cannot be read: of what was known nothing is known now."""
        state: HealthState = self.states.of(target)
        samples = [self._data_missing(True)]
        if state.whole:
            samples += record_samples((), unheard(state.whole.values(), (), self._metric_options, now), now)
        return Result(target, samples, error=error)

    @cached_property
    def states(self) -> TargetStates[HealthState]:
        """What is known of the source's documents, in this process."""
        return self.new_states(HealthState)

    def validate_options(self) -> None:
        """Refuse to go without a source, and a local one that whoever wrote the configuration must not name."""
        required(self.config, "source", self.VARIABLES)
        provenance = self.provenance
        # Of the very text that is read from.
        if provenance.named("source") is not None and is_local(self.config.source):
            cure = "Use s3:// or http(s)://, or put the configuration into a file in conf.d."
            provenance.refuse("source", "is a local path", "name files of the Agent's machine", cure)

    @cached_property
    def _reader(self) -> Reader:
        return reader_of(self.config.source, region=self.config.aws_region, transport=lambda: self.transport)

    @cached_property
    def _limits(self) -> Limits:
        return Limits(self.config.max_bytes, self.config.max_records)

    @cached_property
    def _metric_options(self) -> MetricOptions:
        max_age = parse_duration(self.config.max_age)
        annotations = frozenset(self.config.annotation_tags or ())
        return MetricOptions(self.ORIGIN, max_age, frozenset(keys_of(self.instance_tags)), annotations)

    def _silent(self, state: HealthState, broken: Set[str], over_limit: Set[str]) -> dict[str, Document]:
        """The documents that do not count now, whole or in part, as they were.

        A red verdict must not vanish with a torn file, nor behind a thousand newer ones.
        """
        known = {name: document for name, document in state.whole.items() if name in broken | over_limit}
        # One that is too many may have been read all the same, just now.
        read = {name: document for name, document in state.kept.items() if name in over_limit and not document.faults}
        return newest_within((known | read).values(), self._limits)

    def _data_missing(self, missing: bool) -> Sample:
        origin = self.ORIGIN
        return data_missing_sample(source=origin.source, workflow_category=origin.workflow_category, missing=missing)

    def _remarks(self, reading: Reading) -> Iterator[str]:
        if not reading.documents:
            yield f"{self._reader.shown} holds no document: has the pipeline published?"
