"""Two counts of the same W&B project held against each other, while the project goes on."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from metta_checks.cli.independent_wandb import GPUS_IN_USE, Series

Figures = Mapping[Series, float]

Class = tuple[str | None, str | None]
"""A run type and a state."""

RELATIVE_TOLERANCE: Final = 1e-9
"""The same number, however it was added up."""

AGE: Final = "wandb.run.log_age_seconds"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the check submitted at one moment, and what the SDK's runs come to at that same moment."""

    ours: Figures
    theirs: Figures


@dataclass(frozen=True, slots=True)
class Difference:
    """A series on which the two counts do not agree; None where one of them has no such series."""

    series: Series
    ours: float | None
    theirs: float | None


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """`compared` series were held against each other, `unjudged` ones differ for what may have changed meanwhile.

    `moved` are the ids of runs that changed meanwhile.
    """

    compared: int
    differences: tuple[Difference, ...]
    moved: tuple[str, ...]
    unjudged: int


def verdict(before: Moment, after: Moment, unreadable: Collection[str]) -> SeriesVerdict:
    """The SDK read the project some time between `before` and `after`.

    A series is right when the two agree at one of the two moments. Where they do not and the run has changed in
    between, what the SDK should have seen is not known: the run has moved. A count of runs may differ by as many
    runs as came into its class or left it in between, and by no more: a heartbeat changes no count. `unreadable` runs
    are not looked at.
    """
    moved = _moved(before.ours, after.ours)
    changed_class = _changes_of_class(before.ours, after.ours)
    compared = unjudged = 0
    differences = []
    for series in sorted(before.ours.keys() | before.theirs.keys()):
        run_id = run_of(series)
        if run_id in unreadable:
            continue
        if _agree(series, before) or _agree(series, after):
            compared += 1
        elif series[0] == GPUS_IN_USE and (moved or unreadable):
            # A sum over runs: how much of it comes from each is not known.
            unjudged += 1
        elif run_id in moved or (run_id is None and _distance(series, before, after) <= changed_class[_class(series)]):
            unjudged += 1
        else:
            compared += 1
            differences.append(Difference(series, before.ours.get(series), before.theirs.get(series)))
    return SeriesVerdict(compared, tuple(differences), tuple(sorted(moved)), unjudged)


def run_of(series: Series) -> str | None:
    """The run that a series is about; None for a count of runs."""
    return tag_value(series, "run_id")


def tag_value(series: Series, key: str) -> str | None:
    """The value of the series' tag with this key."""
    return next((text.partition(":")[2] for text in series[1] if text.startswith(f"{key}:")), None)


def _moved(before: Figures, after: Figures) -> set[str]:
    """The runs that came, went or changed. That time goes by is no change."""
    return {
        run_id
        for series in before.keys() | after.keys()
        if series[0] != AGE and (run_id := run_of(series)) and not _same(before.get(series), after.get(series))
    }


def _changes_of_class(before: Figures, after: Figures) -> Counter[Class]:
    """How many runs came into each class or left it."""
    earlier, later = _classes(before), _classes(after)
    return Counter(one for run_id in earlier.keys() | later.keys() for one in earlier[run_id] ^ later[run_id])


def _classes(figures: Figures) -> defaultdict[str, set[Class]]:
    """The class of each run: a set, since one that has no figures is in none."""
    classes: defaultdict[str, set[Class]] = defaultdict(set)
    for series in figures:
        if run_id := run_of(series):
            classes[run_id].add(_class(series))
    return classes


def _class(series: Series) -> Class:
    return tag_value(series, "run_type"), tag_value(series, "state")


def _distance(series: Series, *moments: Moment) -> float:
    """By how many runs the two counts differ, at the moment at which they differ least."""
    pairs = [(moment.ours.get(series), moment.theirs.get(series)) for moment in moments]
    return min(
        (abs(ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None), default=math.inf
    )


def _agree(series: Series, moment: Moment) -> bool:
    return _same(moment.ours.get(series), moment.theirs.get(series))


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE)
