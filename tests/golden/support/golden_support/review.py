"""Two recordings held against each other: every difference, those that repeat as one entry with a count."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any, Final

from golden_support.recording import Collection, Recording, Series

PAIRED: Final = 400
"""Series of one metric that are held against each other to find those whose tags moved."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `key` is what those that repeat share; `where` is the series or object."""

    number: int
    at: str
    step: str
    key: Key
    where: str
    was: str
    now: str


@dataclass(slots=True)
class Entry:
    """Differences that share a key."""

    key: Key
    all: list[Difference] = field(default_factory=list)

    @property
    def collections(self) -> int:
        return len({one.number for one in self.all})


def differences(old: Recording, new: Recording) -> list[Difference]:
    """Everything in which `new` is not as `old`. Collections are held against each other by time and step."""
    found: list[Difference] = []
    if old.data != new.data:
        found.append(Difference(0, "", "", ("frozen data", "are others"), "what the sources give", old.data, new.data))
    before, after = _by_moment(old.collections), _by_moment(new.collections)
    for moment in before.keys() | after.keys():
        was, now = before.get(moment), after.get(moment)
        if was is None or now is None:
            number = (now or was or (0, None))[0]
            texts = ("not there", "there") if was is None else ("there", "not there")
            found.append(Difference(number, moment[0], moment[1], ("scenario", "collection"), "a collection", *texts))
        else:
            found += [
                Difference(now[0], moment[0], moment[1], key, where, first, second)
                for key, where, first, second in _within(was[1], now[1])
            ]
    return sorted(found, key=lambda one: (one.number, one.key, one.where))


def grouped(found: Iterable[Difference]) -> list[Entry]:
    """In the order of what comes first in the month."""
    entries: dict[Key, Entry] = {}
    for one in found:
        entries.setdefault(one.key, Entry(one.key)).all.append(one)
    return list(entries.values())


def review(name: str, found: Sequence[Difference], collections: int) -> str:
    """The text that a developer reads; one line where nothing differs."""
    if not found:
        return f"{name}: {collections} collections, no difference\n"
    entries = grouped(found)
    places = len({one.number for one in found})
    head = f"{name}: {len(found)} differences of {len(entries)} kinds, in {places} of {collections} collections\n"
    return head + "".join(_entry_text(entry) for entry in entries)


def _entry_text(entry: Entry) -> str:
    first, last = entry.all[0], entry.all[-1]
    series = len({one.where for one in entry.all})
    many = (
        f"{len(entry.all)} times in {entry.collections} collections, {series} different"
        if len(entry.all) > 1
        else "once"
    )
    lines = [f"  {' '.join(entry.key)}: {many}"]
    lines.append(f"    first #{first.number} {first.at} ({first.step}): {first.where}")
    lines.append(f"      was {_short(first.was)}")
    lines.append(f"      is  {_short(first.now)}")
    changes = Counter((one.was, one.now) for one in entry.all)
    if len(entry.all) > 1:
        if len(changes) <= 4:
            lines += [f"    {count} of {_short(was)} → {_short(now)}" for (was, now), count in changes.most_common()]
        lines.append(
            f"    last  #{last.number} {last.at} ({last.step}): {last.where}: {_short(last.was)} → {_short(last.now)}"
        )
    return "\n".join(lines) + "\n"


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:300]}…"


def _by_moment(collections: Sequence[Collection]) -> dict[tuple[str, str, int], tuple[int, Collection]]:
    """Each with its number. Two at the same moment and step are told apart by their order."""
    seen: Counter[tuple[str, str]] = Counter()
    found = {}
    for number, one in enumerate(collections, 1):
        found[one.at, one.step, seen[one.at, one.step]] = (number, one)
        seen[one.at, one.step] += 1
    return found


Found = tuple[Key, str, str, str]
"""Key, place, was, is."""


def _within(was: Collection, now: Collection) -> Iterator[Found]:
    if (was.error is None) != (now.error is None):
        yield (
            ("series", "of a collection that " + ("succeeds now" if now.error is None else "fails now")),
            "all",
            *_sums(was, now),
        )
    else:
        yield from _series_differences(was.gauges, now.gauges)
        yield from _point_differences(was.points, now.points)
    yield from _event_differences(was.events, now.events)
    for text, count in _counted(was.warnings, now.warnings):
        # Those that differ in a run's or a record's number are of one sort.
        sort = re.sub(r"\d+", "#", text)
        yield (("warning", "appeared" if count > 0 else "vanished", sort), text, *_presence(count))
    for metric, count in _counted(was.twice, now.twice):
        yield (("submitted twice", metric), metric, *_presence(count))
    if was.error != now.error:
        yield ("error", f"{_kind(was.error)} → {_kind(now.error)}"), "the collection", str(was.error), str(now.error)
    if was.requests != now.requests:
        yield ("requests",), "to the source", str(was.requests), str(now.requests)
    if was.restored != now.restored:
        yield ("restart", "state"), "what a restart moved", str(was.restored), str(now.restored)


def _sums(was: Collection, now: Collection) -> tuple[str, str]:
    """Everything differs between a good collection and a failed one: how much there was has to do."""
    was_text, now_text = (f"{len(one.gauges)} series and {len(one.points)} points" for one in (was, now))
    return was_text, now_text


def _kind(error: str | None) -> str:
    return "none" if error is None else error.partition(" <")[0].partition(" `")[0]


def _series_differences(was: Mapping[Series, float], now: Mapping[Series, float]) -> Iterator[Found]:
    for series in was.keys() & now.keys():
        if not isclose(was[series], now[series], rel_tol=1e-7, abs_tol=1e-9):
            yield ("value", series[0]), _text(series), f"{was[series]:.9g}", f"{now[series]:.9g}"
    gone, come = (
        {one: values[one] for one in values if one not in others} for values, others in ((was, now), (now, was))
    )
    for before, after in _moved(gone, come):
        yield _tags_moved(before, after)
        if not isclose(gone[before], come[after], rel_tol=1e-7, abs_tol=1e-9):
            yield ("value, with tags moved", before[0]), _text(before), f"{gone[before]:.9g}", f"{come[after]:.9g}"
        del gone[before], come[after]
    for series, value in gone.items():
        yield ("series vanished", series[0]), _text(series), f"{value:.9g}", "not there"
    for series, value in come.items():
        yield ("series appeared", series[0]), _text(series), "not there", f"{value:.9g}"


def _tags_moved(before: Series, after: Series) -> Found:
    lost, gained = sorted(set(before[1:]) - set(after[1:])), sorted(set(after[1:]) - set(before[1:]))
    change = " ".join(
        [*(f"-{tag.partition(':')[0]}" for tag in lost), *(f"+{tag.partition(':')[0]}" for tag in gained)]
    )
    return ("tags moved", change), _text(before), " ".join(lost) or "(none)", " ".join(gained) or "(none)"


def _moved(gone: Mapping[Series, float], come: Mapping[Series, float]) -> list[tuple[Series, Series]]:
    """Series of one metric of which one went and one came, whose tags are the same but for a few: the likest first."""
    by_metric: dict[str, tuple[list[Series], list[Series]]] = defaultdict(lambda: ([], []))
    for place, group in enumerate((gone, come)):
        for series in group:
            by_metric[series[0]][place].append(series)
    moved = []
    for left, right in by_metric.values():
        if not left or not right or len(left) * len(right) > PAIRED**2:
            continue
        pairs = sorted((_unlikeness(a, b, gone[a] == come[b]), a, b) for a in left for b in right)
        taken: set[Series] = set()
        for (tags, _), a, b in pairs:
            if tags <= max(2, len(a) // 2) and a not in taken and b not in taken:
                taken |= {a, b}
                moved.append((a, b))
    return moved


def _unlikeness(a: Series, b: Series, same_value: bool) -> tuple[int, bool]:
    return len(set(a) ^ set(b)), not same_value


def _point_differences(was: Sequence[tuple[Series, float]], now: Sequence[tuple[Series, float]]) -> Iterator[Found]:
    changed = _counted(was, now)
    for (series, value), count in changed:
        what = "appeared" if count > 0 else "vanished"
        yield (f"points {what}", series[0]), _text(series), *_presence(count, f"{value:.9g}")


def _event_differences(was: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    """Events of one aggregation key are held against each other field by field."""
    keys = [Counter(event["key"] for event in events) for events in (was, now)]
    for key in keys[0] | keys[1]:
        old, new = ([event for event in events if event["key"] == key] for events in (was, now))
        if len(old) != len(new):
            more = len(new) - len(old)
            title = str((new or old)[0]["title"])
            yield ("event", "appeared" if more > 0 else "vanished"), f"{key}: {title}", *_presence(more)
            continue
        for before, after in zip(old, new, strict=True):
            for name in before.keys() | after.keys():
                if before.get(name) != after.get(name):
                    yield ("event", name), key, str(before.get(name)), str(after.get(name))


def _counted(was: Iterable[Any], now: Iterable[Any]) -> list[tuple[Any, int]]:
    counts = Counter(now)
    counts.subtract(Counter(was))
    return sorted((item, count) for item, count in counts.items() if count)


def _presence(count: int, value: str = "") -> tuple[str, str]:
    there = f"{abs(count)} of {value}".removesuffix(" of ")
    return ("not there", there) if count > 0 else (there, "not there")


def _text(series: Series) -> str:
    return f"{series[0]} ({series[1]}) {' '.join(series[2:])}"
