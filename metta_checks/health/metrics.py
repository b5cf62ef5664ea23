"""What we say about health records: pure, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from metta_checks.core.definition import RecordOrigin
from metta_checks.core.sample import Sample
from metta_checks.health.condition import Condition, condition_problem, condition_tag, parse_condition
from metta_checks.health.document import Document, Entry, EntryFault
from metta_checks.health.identity import ANNOTATION_TAGS, NEVER, Identity, Superseded, identity_of, newest, record_tags
from metta_checks.health.names import metric_name, problem_with
from metta_checks.health.record import Record, near_misses, timestamp_text
from metta_checks.health.verdict import State, Verdict, judge, named_tags, verdict_samples

DEFAULT_MAX_AGE: Final = timedelta(hours=26)
"""The default of the option `max_age`; a test compares them."""

FUTURE: Final = timedelta(minutes=5)
"""How far ahead of ours a publisher's clock may be."""

_STATES: Final = {"pass": State.PASS, "fail": State.FAIL, "unknown": State.UNKNOWN}


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """`max_age` is when a record turns unknown; `instance_keys` are the instance's tag keys, which are taken;
    `annotations` are the keys of the record tags that are no part of its identity."""

    origin: RecordOrigin
    max_age: timedelta
    instance_keys: frozenset[str] = frozenset()
    annotations: frozenset[str] = frozenset(ANNOTATION_TAGS)


@dataclass(frozen=True, slots=True)
class Judged:
    """A record with what it comes to. `contradicts` says that its published status is not what its value says."""

    entry: Entry
    name: str
    identity: Identity
    verdict: Verdict
    condition: Condition | None
    record_tags: tuple[str, ...]
    contradicts: bool

    @property
    def at(self) -> datetime:
        """When it was measured; of two, one whose time nobody knows is the older."""
        return self.entry.at or NEVER


def split_by_time(entries: Iterable[Entry], now: datetime) -> tuple[list[Entry], list[EntryFault]]:
    """The entries whose time can be used, and the faults of the others: none is known, or it is in the future."""
    usable: list[Entry] = []
    faults: list[EntryFault] = []
    for entry in entries:
        problem = _time_problem(entry, now)
        if problem is None:
            usable.append(entry)
        else:
            faults.append(EntryFault(entry.document, entry.position, f"timestamp: {problem}"))
    return usable, faults


def split_by_name(entries: Iterable[Entry], origin: RecordOrigin) -> tuple[list[Entry], list[EntryFault]]:
    """The entries whose metric may have its name, and the faults of the others, which would forge figures."""
    usable: list[Entry] = []
    faults: list[EntryFault] = []
    for entry in entries:
        problem = problem_with(entry.record.metric, origin)
        if problem is None:
            usable.append(entry)
        else:
            faults.append(EntryFault(entry.document, entry.position, f"metric: {problem}"))
    return usable, faults


def judge_entries(entries: Iterable[Entry], options: JudgeOptions, now: datetime) -> list[Judged]:
    """What each record comes to at `now`: of those of one identity the newest."""
    return judge_newest(entries, options, now)[0]


def judge_newest(
    entries: Iterable[Entry], options: JudgeOptions, now: datetime
) -> tuple[list[Judged], list[Superseded]]:
    """What each record comes to at `now`, and which entries a newer one of the same identity replaces."""
    judged = (_judged(entry, options, now) for entry in entries)
    return newest((one.identity, one.entry.at, one) for one in judged)


def unknown_verdicts(
    documents: Iterable[Document], heard: Iterable[Judged], options: JudgeOptions, now: datetime
) -> list[Verdict]:
    """The verdicts of documents, as they were last read, of which nothing can be said now: unknown, without a value.

    Without a time either, so that a verdict of the same tags that is still `heard` is shown instead. Not so a pass in
    place of a failure, unless a record that is as new replaces the failing one.
    """
    replaced_at = {judged.identity: judged.at for judged in heard}
    entries = (entry for document in documents for entry in document.entries)
    return [
        replace(
            judged.verdict,
            state=State.UNKNOWN,
            value=None,
            at=None,
            was_failing=judged.verdict.state is State.FAIL and replaced_at.get(judged.identity, NEVER) < judged.at,
        )
        for judged in judge_entries(entries, options, now)
    ]


def record_samples(judged: Sequence[Judged], silent: Iterable[Verdict], now: datetime) -> Iterator[Sample]:
    """The named metric of each record, and the `metta.infra.health.*` gauges of all, of `silent` ones too."""
    for one in judged:
        tags = (*named_tags(one.verdict, condition_tag(one.entry.record.condition)), *one.record_tags)
        yield Sample(one.name, one.entry.record.value, tags)
    yield from verdict_samples((*silent, *(one.verdict for one in judged)), now)


def record_warnings(judged: Iterable[Judged]) -> Iterator[str]:
    """What the operator should know of records that count: fields that look like slips and are ignored, conditions that
    do not parse, statuses that contradict."""
    for one in judged:
        record = one.entry.record
        where = f"{one.entry.document}, record {one.entry.position}"
        for slip in near_misses(record.model_extra or {}):
            yield f"{where}: {slip}"
        if one.condition is None:
            stands = "its published status is kept" if record.status else "its verdict is unknown"
            yield f"{where}: condition: {condition_problem(record.condition)}; {stands}"
        elif one.contradicts:
            said = f"{record.value:g} against `{record.condition}` says otherwise"
            yield f"{where}: status: the published `{record.status}` is kept, but {said}"


def superseded_warnings(superseded: Iterable[Superseded]) -> Iterator[str]:
    """What a publisher should know of records of which a newer one of the same identity is shown."""
    for one in superseded:
        yield (
            f"record {one.position} is superseded by record {one.by}: they have the same metric, workflow_name, task, "
            "check and tags (without annotations); to show both, give each a tag of its own"
        )


def stale_warnings(records: Iterable[tuple[int, Record]], now: datetime) -> Iterator[str]:
    """A warning for the publisher of each record, by position, that is stale at `now` for a check with the default
    `max_age`."""
    for position, record in records:
        if record.timestamp is not None and now - record.timestamp > DEFAULT_MAX_AGE:
            hours = DEFAULT_MAX_AGE.total_seconds() / 3600
            yield (
                f"record {position}: timestamp: {timestamp_text(record.timestamp)} is older than {hours:g} hours, the "
                "default `max_age` of the checks, which show it as unknown: set it to the time of the measurement"
            )


def _time_problem(entry: Entry, now: datetime) -> str | None:
    if entry.at is None:
        return "it has none, and neither has its document"
    if entry.at > now + FUTURE:
        whose = "its" if entry.record.timestamp else "its document's"
        return f"{whose} time {entry.at:%Y-%m-%dT%H:%M:%SZ} is in the future"
    return None


def verdict_of(entry: Entry, options: JudgeOptions, now: datetime) -> Verdict:
    """The verdict of one record at `now`: the published status, else what its value and condition come to; unknown once
    it is older than `max_age`."""
    record = entry.record
    condition = _condition(record.condition)
    stale = entry.at is None or now - entry.at > options.max_age
    published = judge(record.value, condition) if record.status is None else _STATES[record.status]
    return Verdict(
        metric_name=record.metric,
        source=options.origin.source,
        workflow_category=options.origin.workflow_category,
        workflow_name=record.workflow_name,
        task=record.task,
        check=record.check,
        state=State.UNKNOWN if stale else published,
        value=record.value,
        target=condition.target if condition else None,
        at=entry.at,
    )


def _judged(entry: Entry, options: JudgeOptions, now: datetime) -> Judged:
    record = entry.record
    condition = _condition(record.condition)
    computed = judge(record.value, condition)
    published = computed if record.status is None else _STATES[record.status]
    name = metric_name(record.metric, options.origin)
    return Judged(
        entry=entry,
        name=name,
        identity=identity_of(record, options.annotations, name),
        verdict=verdict_of(entry, options, now),
        condition=condition,
        record_tags=record_tags(record, options.instance_keys),
        contradicts=State.UNKNOWN not in {computed, published} and computed is not published,
    )


def _condition(text: str) -> Condition | None:
    try:
        return parse_condition(text)
    except ValueError:
        return None
