"""Names: which ones the metrics of records may have, and which names are slips of others: `staus`, `timestmp`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from metta_checks.core.definition import RecordOrigin
from metta_checks.core.telemetry import PREFIX
from metta_checks.health.suites import ORIGINS

ROOT: Final = "metta."
"""How a name begins that has its namespace already."""

OWN_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "the checks' own metrics": (PREFIX, "metta.infra.health."),
    "the metrics of metta_ci": ("metta.infra.cron.ci.", "metta.infra.cron.github."),
}
"""What names begin with that no record may have, since it would pass for a figure of a check. A test compares them with
the metadata of all checks."""

_SEPARATOR: Final = "_*[.][._]*"
"""What Datadog makes a single dot of, between two words of a name."""


def metric_name(metric: str, origin: RecordOrigin) -> str:
    """The full name of a record's metric: under the origin's namespace, unless it has one."""
    return metric if metric.startswith(ROOT) else f"{origin.namespace}.{metric}"


def problem_with(metric: str, origin: RecordOrigin) -> str | None:
    """Why a record of `origin` must not have `metric`; None where it may."""
    if _FOREIGN.match(metric) and not metric.startswith(f"{origin.namespace}."):
        return f"a name with `{ROOT}` has to begin with {origin.namespace}."
    name = metric_name(metric, origin)
    if _OWN.match(name):
        return f"it would become {name}, but {owner_of(name)}"
    return None


def problem_of(metric: str, suite: str | None = None) -> str | None:
    """Why records of `suite` must not have `metric`; without a suite, why those of no suite may have it."""
    if suite is not None:
        return problem_with(metric, ORIGINS[suite])
    problems = [problem_with(metric, origin) for origin in ORIGINS.values()]
    namespaces = " or ".join(f"{origin.namespace}." for origin in ORIGINS.values())
    return None if None in problems else f"a name with `{ROOT}` has to begin with {namespaces}"


def owner_of(name: str) -> str:
    """A sentence about whose name a full `name` is; empty for one that a record may have."""
    for owner, families in OWN_FAMILIES.items():
        if any(re.match(_pattern(family), name) for family in families):
            return f"{' and '.join(f'{family}*' for family in families)} are the names of {owner}"
    return ""


def _pattern(family: str) -> str:
    # JSON Schema, which repeats it, has no flag for "in any case".
    words = ("".join(f"[{letter}{letter.upper()}]" for letter in word) for word in family.split(".")[:-1])
    return "^" + "".join(f"{word}{_SEPARATOR}" for word in words)


OWN_PATTERN: Final = "|".join(_pattern(family) for families in OWN_FAMILIES.values() for family in families)
"""Matches full names that belong to the checks' own metrics, or that Datadog makes one of them of."""

_OWN = re.compile(OWN_PATTERN)
_FOREIGN = re.compile(_pattern(ROOT))


SHORT: Final = 5
"""Letters up to which another first letter makes another word: `mask` is not `task`."""

LONG: Final = 8
"""Letters from which two slips are still a slip."""

LONGEST: Final = 50
"""Characters of a name from which on it is no slip, and is not kept: a record may have names of megabytes."""

OTHER_WORDS: Final = frozenset({"timestep", "timesteps"})
"""Words of this field that only look like a slip of `timestamp`."""

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W_]+")


def near_miss(name: str, known: frozenset[str]) -> str | None:
    """The one of `known` names, of lower-case words with `_` between them, that `name` is a slip of; None for none.

    A slip is the same letters in another case or with other separators (`Value`, `workflow-name`, `time_stamp`), or one
    letter more, less, other or swapped with its neighbour; two of these in names of eight letters and more. A name
    that has the known one's words and further ones (`task_id`, `valueStd`), or a number, is another name.
    """
    return None if len(name) > LONGEST else _near_miss(name, known)


@lru_cache(maxsize=1024)
def _near_miss(name: str, known: frozenset[str]) -> str | None:
    folded = _folded(name)
    if name in known or not folded:
        return None
    same = next((one for one in sorted(known) if _folded(one) == folded), None)
    if same is not None or folded in OTHER_WORDS or any(letter.isdigit() for letter in name):
        return same
    words = {word.lower() for word in _WORD.findall(name)}
    near = (one for one in sorted(known) if not _is_other_name(words, one) and _is_slip(folded, _folded(one)))
    return min(near, key=lambda one: _likelihood(folded, _folded(one)), default=None)


def _folded(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _is_other_name(words: set[str], known: str) -> bool:
    """Whether whole words were added or left out."""
    of_known = set(known.split("_"))
    return words > of_known or words < of_known


def _is_slip(name: str, known: str) -> bool:
    if abs(len(name) - len(known)) > 2:
        return False
    distance = _distance(name, known)
    if len(known) <= SHORT and name[0] != known[0]:
        return distance == 1 and sorted(name) == sorted(known)
    return distance <= (2 if len(known) >= LONG else 1)


def _likelihood(name: str, known: str) -> tuple[int, bool]:
    """Of two slips of one letter, a swap is likelier: `taks` is `task` rather than `tags`."""
    return _distance(name, known), sorted(name) != sorted(known)


def _distance(one: str, other: str) -> int:
    """The restricted Damerau-Levenshtein distance: letters inserted, deleted, replaced, or swapped with a neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        previous, row, earlier = row, [i], before
        for j, wanted in enumerate(other, 1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        before = previous
    return row[-1]
