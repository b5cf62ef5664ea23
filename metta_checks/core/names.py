"""Which names of a list an instance watches: the options `include`, `exclude`, `limit` and `interval`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from metta_checks.core.option_errors import OptionError
from metta_checks.core.patterns import MAX_TEXT, PatternError, compile_pattern
from metta_checks.core.printable import printable

LITERAL: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+")
"""An entry that is a name itself; every other one is a regular expression."""

DEFAULT_LIMIT: Final = 100
DEFAULT_INTERVAL: Final = 600


class NameOptions(Protocol):
    """The option as the generated models have it; `limit`, `exclude` and `interval` (seconds) may be None."""

    @property
    def include(self) -> Sequence[str]: ...

    @property
    def exclude(self) -> Sequence[str] | None: ...

    @property
    def limit(self) -> int | None: ...

    @property
    def interval(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class NameSelection:
    """The names that an instance watches: `literals`, which need no list, and those of the list that match.

    At most `limit` of them: the literals first, then by name. `interval` is the time between two looks at the list.
    `warnings` are about entries that cannot be meant.
    """

    literals: tuple[str, ...]
    includes: tuple[re.Pattern[str], ...]
    excludes: tuple[re.Pattern[str], ...]
    limit: int
    interval: timedelta
    key: str
    warnings: tuple[str, ...] = ()

    @property
    def needs_list(self) -> bool:
        """Whether there is an entry that is no literal name."""
        return bool(self.includes)

    @property
    def most(self) -> int:
        """How many names there may be: those that are spelt out, and with a pattern as many as `limit` allows."""
        return self.limit if self.needs_list else min(len(self.literals), self.limit)

    def matches(self, name: str) -> bool:
        """Whether a name of the list is to be watched; of a longer one than `MAX_TEXT` characters it never is."""
        return (
            len(name) <= MAX_TEXT
            and any(pattern.fullmatch(name) for pattern in self.includes)
            and not any(pattern.fullmatch(name) for pattern in self.excludes)
        )


def name_selection(
    option: str, given: NameOptions, *, ignore_case: bool = False, literal: re.Pattern[str] = LITERAL
) -> NameSelection:
    """The selection that the value of `option` stands for. Raises OptionError for one that cannot be meant."""
    entries = [entry.strip() for entry in given.include]
    if not entries:
        raise OptionError(option, "is empty: name at least one in `include`")
    excluded = [entry.strip() for entry in given.exclude or ()]
    includes, excludes = (
        {entry: _compiled(option, part, entry, literal, ignore_case=ignore_case) for entry in part_entries}
        for part, part_entries in (("include", entries), ("exclude", excluded))
    )
    names = {entry.casefold() if ignore_case else entry: entry for entry in entries if literal.fullmatch(entry)}
    literals = [name for name in names.values() if not any(found.fullmatch(name) for found in excludes.values())]
    patterns = [found for entry, found in includes.items() if not literal.fullmatch(entry)]
    if not literals and not patterns:
        raise OptionError(option, "is empty: `exclude` takes out every name of `include`")
    limit = DEFAULT_LIMIT if given.limit is None else given.limit
    interval = DEFAULT_INTERVAL if given.interval is None else given.interval
    key = repr((sorted(entries), sorted(excluded)))
    warnings = tuple(f"`{option}` {text}" for text in slips_of(given))
    return NameSelection(
        tuple(literals), tuple(patterns), tuple(excludes.values()), limit, timedelta(seconds=interval), key, warnings
    )


def _compiled(option: str, part: str, entry: str, literal: re.Pattern[str], *, ignore_case: bool) -> re.Pattern[str]:
    if not entry:
        raise OptionError(option, f"lists an entry in `{part}` that is empty")
    try:
        text = re.escape(entry) if literal.fullmatch(entry) else entry
        found = compile_pattern(text)
        return compile_pattern(f"(?i:{text})") if ignore_case else found
    except PatternError as error:
        raise OptionError(option, f"in `{part}`: {error.shown} {error.problem}") from None


_GLOB: Final = re.compile(r"[A-Za-z0-9._*?-]*[A-Za-z0-9_-]\*[A-Za-z0-9._*?-]*")
"""Characters of a name, and a `*` that follows one of them."""


def slips(part: str, entry: str) -> Iterator[str]:
    """What is wrong with a regular expression of `include` or `exclude` that is legal and cannot be meant."""
    entry = entry.strip()
    if "/" in entry:
        name = next((text for text in reversed(entry.split("/")) if text), "")
        yield f"in `{part}`: `{printable(entry, 60)}` matches no name: write the name without the owner, `{name}`"
    elif _GLOB.fullmatch(entry) and ".*" not in entry:
        meant = re.sub(r"\*+", ".*", entry)
        other = re.sub(r"\*+", lambda found: "2" if entry[: found.start()].endswith(("-", "_")) else "-2", entry)
        shown = f"`{printable(entry, 60)}` is a regular expression and does not match `{printable(other, 60)}`"
        yield f"in `{part}`: {shown}; write `{printable(meant, 60)}`"


def slips_of(options: NameOptions) -> Iterator[str]:
    """Those of every entry."""
    for part, entries in (("include", options.include), ("exclude", options.exclude or ())):
        for entry in entries:
            yield from slips(part, entry)
