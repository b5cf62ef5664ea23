"""What we say about health records: pure, no clock, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from metta_checks.core.definition import Origin
from metta_checks.core.sample import Sample
from metta_checks.core.tags import GENERIC_TAGS, tag
from metta_checks.health.condition import Condition, condition_problem, condition_tag, parse_condition
from metta_checks.health.document import Document, Entry, EntryFault
from metta_checks.health.origin import metric_name, problem_with
from metta_checks.health.record import Record, near_misses
from metta_checks.health.verdict import State, Verdict, judge, named_tags, verdict_samples

FUTURE: Final = timedelta(minutes=5)
"""How far ahead of ours a publisher's clock may be."""

HEALTH_TAGS: Final = frozenset({"source", "workflow_category", "workflow_name", "task", "check", "condition", "status"})
"""Tags of the named metric that those of a record never override."""

CLASH_PREFIX: Final = "record_"

_STATES: Final = {"pass": State.PASS, "fail": State.FAIL, "unknown": State.UNKNOWN}
_NOT_IN_A_KEY = re.compile(r"[^\w\-./]+")
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MetricOptions:
    """`max_age` is when a record turns unknown; `instance_keys` are the instance's tag keys, which are taken."""

    origin: Origin
    max_age: timedelta
    instance_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Judged:
    """A record with what it comes to. `contradicts` says that its published status is not what its value says."""

    entry: Entry
    name: str
    verdict: Verdict
    condition: Condition | None
    record_tags: tuple[str, ...]
    contradicts: bool

    @property
    def at(self) -> datetime:
        """When it was measured; of two, one whose time nobody knows is the older."""
        return self.entry.at or _NEVER


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


def split_by_name(entries: Iterable[Entry], origin: Origin) -> tuple[list[Entry], list[EntryFault]]:
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


def judge_entries(entries: Iterable[Entry], options: MetricOptions, now: datetime) -> list[Judged]:
    """What each record comes to at `now`.

    Of two that share metric, workflow_name, task, check and tags the later counts, or the last one named where they
    are of the same time.
    """
    latest: dict[tuple[object, ...], Judged] = {}
    for entry in entries:
        judged = _judged(entry, options, now)
        key = _identity(judged)
        if key not in latest or judged.at >= latest[key].at:
            latest[key] = judged
    return list(latest.values())


def unheard(
    documents: Iterable[Document], heard: Iterable[Judged], options: MetricOptions, now: datetime
) -> list[Verdict]:
    """The verdicts of documents, as they were last read, of which nothing can be said now: unknown, without a value.

    Without a time either, so that a verdict of the same tags that is still `heard` is shown instead. Not so a pass in
    place of a failure, unless a record that is as new replaces the failing one.
    """
    replaced_at = {_identity(judged): judged.at for judged in heard}
    entries = (entry for document in documents for entry in document.entries)
    return [
        replace(
            judged.verdict,
            state=State.UNKNOWN,
            value=None,
            at=None,
            was_failing=judged.verdict.state is State.FAIL and replaced_at.get(_identity(judged), _NEVER) < judged.at,
        )
        for judged in judge_entries(entries, options, now)
    ]


def record_samples(judged: Sequence[Judged], silent: Iterable[Verdict], now: datetime) -> Iterator[Sample]:
    """The named metric of each record, and the `metta.infra.health.*` gauges of all, of `silent` ones too."""
    for one in judged:
        tags = (*named_tags(one.verdict, condition_tag(one.entry.record.condition)), *one.record_tags)
        yield Sample(one.name, one.entry.record.value, tags)
    yield from verdict_samples((*silent, *(one.verdict for one in judged)), now)


def remarks(judged: Iterable[Judged]) -> Iterator[str]:
    """What the operator should know of records that count: fields that look like slips and are ignored, conditions that
    do not parse, statuses that contradict."""
    for one in judged:
        record = one.entry.record
        where = f"{one.entry.document}, record {one.entry.position}"
        for slip in near_misses(record.model_extra or {}):
            yield f"{where}: {slip}"
        if one.condition is None:
            stands = "its published status stands" if record.status else "its verdict is unknown"
            yield f"{where}: condition: {condition_problem(record.condition)}; {stands}"
        elif one.contradicts:
            said = f"{record.value:g} against `{record.condition}` says otherwise"
            yield f"{where}: status: the published `{record.status}` is kept, but {said}"


def record_tags(record: Record, taken: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The record's own tags. A key that is taken, a health tag or a generic name, gets the prefix `record_`."""
    return tuple(tag(_key(key, taken), _text(value)) for key, value in (record.tags or {}).items())


def _time_problem(entry: Entry, now: datetime) -> str | None:
    if entry.at is None:
        return "it has none, and neither has its document"
    if entry.at > now + FUTURE:
        whose = "its" if entry.record.timestamp else "its document's"
        return f"{whose} time {entry.at:%Y-%m-%dT%H:%M:%SZ} is in the future"
    return None


def _identity(judged: Judged) -> tuple[object, ...]:
    record = judged.entry.record
    return judged.name, record.workflow_name, record.task, record.check, frozenset(judged.record_tags)


def _judged(entry: Entry, options: MetricOptions, now: datetime) -> Judged:
    record = entry.record
    condition = _condition(record.condition)
    computed = judge(record.value, condition)
    published = computed if record.status is None else _STATES[record.status]
    stale = entry.at is None or now - entry.at > options.max_age
    verdict = Verdict(
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
    return Judged(
        entry=entry,
        name=metric_name(record.metric, options.origin),
        verdict=verdict,
        condition=condition,
        record_tags=record_tags(record, options.instance_keys),
        contradicts=State.UNKNOWN not in {computed, published} and computed is not published,
    )


def _condition(text: str) -> Condition | None:
    try:
        return parse_condition(text)
    except ValueError:
        return None


def _key(key: str, taken: frozenset[str]) -> str:
    # Datadog ends the key at the first colon, and drops what stands before the first letter.
    key = _NOT_IN_A_KEY.sub("_", key).strip("_")
    clashes = key.lower() in HEALTH_TAGS or key.lower() in GENERIC_TAGS or key.lower() in taken
    return f"{CLASH_PREFIX}{key}" if clashes or not key[:1].isalpha() else key


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
