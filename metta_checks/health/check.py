"""The check of a suite's health records; `training` and `eval` name theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from metta_checks.core import Dropped, DropReason, MettaCheck, Result, Target
from metta_checks.core.definition import RecordOrigin
from metta_checks.core.errors import SourceError
from metta_checks.core.option_errors import required
from metta_checks.core.sample import Sample
from metta_checks.core.state import TargetStates
from metta_checks.core.tags import keys_of
from metta_checks.core.target import first_three
from metta_checks.health.document import Document
from metta_checks.health.metrics import (
    DEFAULT_MAX_AGE,
    JudgeOptions,
    judge_entries,
    record_samples,
    record_warnings,
    split_by_name,
    split_by_time,
    unknown_verdicts,
)
from metta_checks.health.settings import Settings, is_local, source_name
from metta_checks.health.sources import Reader, SourceReading, newest_within
from metta_checks.health.state import HealthState, state_format
from metta_checks.health.verdict import data_missing_sample

OVER_LIMIT: Final = "the newest documents are read; keep fewer there, or raise `max_bytes` or `max_records`"


class HealthCheck(MettaCheck):
    """Reads health records from `source` and submits a gauge for each, and their verdicts."""

    SOURCE = "health records"

    ORIGIN: ClassVar[RecordOrigin]
    """Whose records these are."""

    def targets(self) -> Sequence[Target]:
        """The one source, also where the options do not hold: that its data are missing is true then too."""
        source = str(self.instance.get("source", "")).strip()
        return [Target(f"source {source_name(source)}", {"source": source})]

    def read(self, target: Target, now: datetime) -> Result:
        """The samples of all records that the source holds at `now`."""
        state: HealthState = self.states.of(target)
        cache = dict(state.cache)
        try:
            reading = self._reader.read(self.collection, self.settings.limits, cache)
        except SourceError as error:
            # What was read before the error is not read again.
            return replace(self.failed(target, error, now), state=replace(state, cache=cache))
        entries = [entry for document in reading.documents for entry in document.entries]
        allowed, forged = split_by_name(entries, self.ORIGIN)
        usable, undated = split_by_time(allowed, now)
        judged = judge_entries(usable, self._judging, now)
        faults = [fault for document in reading.documents for fault in document.faults] + forged + undated
        broken = reading.unread | {fault.document for fault in faults}
        unknown = self._unknown(replace(state, cache=cache), broken, reading.over_limit)
        present = {document.name: document for document in reading.documents}
        whole = {name: document for name, document in present.items() if name not in broken}
        return Result(
            target,
            [
                *record_samples(judged, unknown_verdicts(unknown.values(), judged, self._judging, now), now),
                self._data_missing(not usable),
            ],
            # Documents that the source no longer has are forgotten.
            state=HealthState(present, whole | unknown),
            dropped=[
                Dropped.of(DropReason.UNREADABLE, map(str, reading.unreadable)),
                Dropped.of(DropReason.INVALID, map(str, faults)),
                Dropped.of(
                    DropReason.OVER_LIMIT, sorted(reading.over_limit), note=OVER_LIMIT if reading.over_limit else ""
                ),
            ],
            warnings=[
                *first_three([f"kept: {warning}" for warning in record_warnings(judged)]),
                *self._source_warnings(reading),
            ],
        )

    def failed(self, target: Target, error: Exception, now: datetime) -> Result:
        """The result of a source that cannot be read: every verdict that was known is unknown."""
        state: HealthState = self.states.of(target)
        samples = [self._data_missing(True)]
        if state.whole:
            samples += record_samples((), unknown_verdicts(state.whole.values(), (), self._judging, now), now)
        return Result(target, samples, error=error)

    @cached_property
    def states(self) -> TargetStates[HealthState]:
        """What is known of the source's documents; of those that could be used, also after a restart."""
        return self.new_states(HealthState, state_format(lambda: self._judging))

    def validate_options(self) -> None:
        """Refuse a missing source, and a local one that the author of the configuration must not name."""
        required(self.config, "source", self.VARIABLES)
        provenance = self.provenance
        # Of the text that is read from.
        if provenance.named("source") is not None and is_local(self.config.source):
            cure = "Use s3:// or http(s)://, or put the configuration into a file in conf.d."
            provenance.refuse("source", "is a local path", "name files of the Agent's machine", cure)

    @cached_property
    def settings(self) -> Settings:
        """The settings of the loaded options."""
        return Settings.from_options(self.config, self.ORIGIN, self.instance_tags)

    @cached_property
    def _reader(self) -> Reader:
        return self.settings.reader(lambda: self.transport)

    @property
    def _judging(self) -> JudgeOptions:
        if self.config is None:
            # Options that do not hold: what a restart remembers is unknown then too.
            return JudgeOptions(self.ORIGIN, DEFAULT_MAX_AGE, frozenset(keys_of(self.instance_tags)))
        return self.settings.judging

    def _unknown(self, state: HealthState, broken: Set[str], over_limit: Set[str]) -> dict[str, Document]:
        """The documents that do not count now, in whole or in part, as they were when they did.

        A red verdict must not vanish with a torn file, nor behind a thousand newer ones.
        """
        known = {name: document for name, document in state.whole.items() if name in broken | over_limit}
        # One that is over the limit may have been read all the same, just now.
        read = {name: document for name, document in state.cache.items() if name in over_limit and not document.faults}
        return newest_within((known | read).values(), self.settings.limits)

    def _data_missing(self, missing: bool) -> Sample:
        origin = self.ORIGIN
        return data_missing_sample(source=origin.source, workflow_category=origin.workflow_category, missing=missing)

    def _source_warnings(self, reading: SourceReading) -> Iterator[str]:
        if not reading.documents:
            yield f"{self._reader.shown} holds no document: has the pipeline published?"
        yield from first_three([document.warning for document in reading.documents if document.warning])
