"""Names that are slips of others: `staus`, `timestmp`, `Workflow-Name`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

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
