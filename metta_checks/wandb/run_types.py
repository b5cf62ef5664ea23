"""Which type a run is of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from metta_checks.core.patterns import MAX_TEXT, compile_pattern

EVERYTHING_ELSE: Final = "all"
"""The last type, which takes what no other took; dashboards label it "other"."""

SWEEP: Final = "sweep"
"""The type that a member of a W&B sweep has too, whatever its name."""


class RunTypes:
    """An ordered table of type name and pattern, searched in the run's display name; the first hit wins.

    Of a longer name the first `MAX_TEXT` characters are searched. A name may stand in the table more than once. Raises
    ValueError for a pattern that `compile_pattern` refuses, and for a name that cannot be a tag value of its own.
    """

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        self._patterns = [(name, _compiled(name, pattern)) for name, pattern in patterns]
        self.names = (*dict.fromkeys(name for name, _ in self._patterns), EVERYTHING_ELSE)

    def type_of(self, name: str, *, in_sweep: bool) -> str:
        """The type of a run with this display name."""
        searched = name[:MAX_TEXT]
        for run_type, pattern in self._patterns:
            if pattern.search(searched) or (in_sweep and run_type == SWEEP):
                return run_type
        return EVERYTHING_ELSE


def _compiled(name: str, pattern: str) -> re.Pattern[str]:
    if not name or name == EVERYTHING_ELSE:
        raise ValueError(f"a run type cannot be called {name!r}: {EVERYTHING_ELSE!r} is what no pattern matched")
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"the pattern of run type {name!r} {error}") from None
