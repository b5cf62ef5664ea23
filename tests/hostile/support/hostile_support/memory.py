"""What a month of collections holds in memory."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import timedelta

DAYS = 30
STEP = timedelta(hours=3)
"""Between two collections."""


class Memory:
    """The bytes that a package's own lines hold, after a quarter of the month and at its end: they must not grow."""

    def __init__(self, package: str) -> None:
        self._own = [tracemalloc.Filter(True, f"*/metta_checks/{package}/*")]
        self._held: list[int] = []
        tracemalloc.start()

    def after(self, turn: int) -> None:
        if turn in (DAYS * 2, DAYS * 8 - 1):
            gc.collect()
            snapshot = tracemalloc.take_snapshot().filter_traces(self._own)
            self._held.append(sum(trace.size for trace in snapshot.statistics("filename")))

    def of_month(self) -> str:
        tracemalloc.stop()
        early, late = self._held
        assert late < 1.5 * early + 100_000
        return f"{early / 1e3:.0f} kB of memory after a quarter and {late / 1e3:.0f} kB at the end"
