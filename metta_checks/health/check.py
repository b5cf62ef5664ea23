"""The check of a suite's health records; `training` and `eval` name theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Final

from datadog_checks.base import ConfigurationError

from metta_checks.core.check import MettaCheck
from metta_checks.core.collection import Reason
from metta_checks.core.duration import parse_duration
from metta_checks.core.sample import Sample
from metta_checks.core.tags import keys_of
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
from metta_checks.health.options import is_local, reader_of
from metta_checks.health.origin import Origin
from metta_checks.health.reading import Reader, Reading, newest_within
from metta_checks.health.verdict import data_missing_sample

NAMED: Final = 10
"""Faults of one sort that `agent status` names; the rest is counted."""


class HealthCheck(MettaCheck):
    """Reads health records from `source` and submits a gauge for each, and their verdicts."""

    SOURCE = "health records"

    ORIGIN: ClassVar[Origin]
    """Whose records these are."""

    def collect(self, now: datetime) -> Iterator[Sample]:
        """The samples of all records that the source holds at `now`."""
        self._reading = reading = self._reader.read(self.collection, self._limits, self._kept)
        entries = (entry for document in reading.documents for entry in document.entries)
        own, forged = split_by_name(entries, self.ORIGIN)
        usable, late = split_by_time(own, now)
        judged = judge_entries(usable, self._metric_options, now)
        faults = [fault for document in reading.documents for fault in document.faults] + forged + late
        self._report(reading, [str(fault) for fault in faults], list(remarks(judged)))
        self._broken = reading.unread | {fault.document for fault in faults}
        self._silent = self._last_known(reading.over_limit)
        silent = unheard(self._silent.values(), judged, self._metric_options, now)
        yield from record_samples(judged, silent, now)
        yield self._data_missing(not usable)

    def commit(self) -> None:
        """Forget the documents that the source no longer has."""
        self._kept = {document.name: document for document in self._reading.documents}
        self._whole = {name: one for name, one in self._kept.items() if name not in self._broken} | self._silent

    def failure_samples(self, error: Exception) -> Iterable[Sample]:  # noqa: ARG002 (whatever it was, no data came)
        """What the wall shows when the source cannot be read: of what was known nothing is known now."""
        yield self._data_missing(True)
        if self._whole:
            now = self.collection.now
            yield from record_samples((), unheard(self._whole.values(), (), self._metric_options, now), now)

    def settle(self) -> None:
        """Refuse to go without a source, and a local one that whoever wrote the configuration must not name."""
        source: str | None = self.options.source
        if not source:
            variable = self.VARIABLES["source"].name
            raise ConfigurationError(f"no `source`: set the option, or the environment variable {variable}.")
        provenance = self.provenance
        if provenance.named("source") is not None and is_local(source):
            cure = "Use s3:// or http(s)://, or put the configuration into a file in conf.d."
            provenance.refuse("source", "is a local path", "name files of the Agent's machine", cure)

    def identity(self) -> Mapping[str, str]:
        """What is watched: the source."""
        return {"source": str(self.instance.get("source", ""))}

    def max_answer_bytes(self) -> int:
        """The largest answer is the largest document."""
        return int(self.options.max_bytes)

    @cached_property
    def _kept(self) -> dict[str, Document]:
        return {}

    @cached_property
    def _whole(self) -> dict[str, Document]:
        """Each document as it was when all of it could be used."""
        return {}

    @cached_property
    def _reader(self) -> Reader:
        return reader_of(self.options.source, region=self.options.aws_region, transport=lambda: self.transport)

    @cached_property
    def _limits(self) -> Limits:
        return Limits(self.options.max_bytes, self.options.max_records)

    @cached_property
    def _metric_options(self) -> MetricOptions:
        max_age = parse_duration(self.options.max_age)
        return MetricOptions(self.ORIGIN, max_age, frozenset(keys_of(self.instance_tags)))

    def _last_known(self, over_limit: Set[str]) -> dict[str, Document]:
        """What was known of the documents that do not count now, whole or in part: a red verdict must not vanish with a
        torn file, nor behind a thousand newer ones."""
        known = {name: document for name, document in self._whole.items() if name in self._broken | over_limit}
        # One that is too many may have been read all the same, just now.
        read = {name: document for name, document in self._kept.items() if name in over_limit and not document.faults}
        return newest_within((known | read).values(), self._limits)

    def _data_missing(self, missing: bool) -> Sample:
        origin = self.ORIGIN
        return data_missing_sample(source=origin.source, workflow_category=origin.workflow_category, missing=missing)

    def _report(self, reading: Reading, faults: Sequence[str], notes: Sequence[str]) -> None:
        """Count what was left out, and name it in `agent status`."""
        self.collection.drop(Reason.INVALID, len(faults))
        self.collection.drop(Reason.UNREADABLE, len(reading.unreadable))
        self.collection.drop(Reason.OVER_LIMIT, len(reading.over_limit))
        self._warn("left out", [str(error) for error in reading.unreadable])
        self._warn("left out", faults)
        self._warn("counted", notes)
        if reading.over_limit:
            too_many = len(reading.over_limit)
            self.warning("%d older documents of %s were left out: too many", too_many, self._reader.shown)
        if not reading.documents:
            self.warning("%s holds no document: has the pipeline published?", self._reader.shown)

    def _warn(self, what: str, messages: Sequence[str]) -> None:
        for message in messages[:NAMED]:
            self.warning("%s: %s", what, message)
        if len(messages) > NAMED:
            self.warning("%s: %d more like these", what, len(messages) - NAMED)
