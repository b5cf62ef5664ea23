"""What a month of collections holds in memory."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import timedelta

TURNS = 120
STEP = timedelta(hours=6)
"""So many collections, so far apart, are a month."""


class Memory:
    """The bytes that a package's own lines hold, after a quarter of the month and at its end: they must not grow."""

    def __init__(self, package: str) -> None:
        self._own = [tracemalloc.Filter(True, f"*/metta_checks/{package}/*")]
        self._held: list[int] = []
        tracemalloc.start()

    def after(self, turn: int) -> None:
        if turn in (TURNS // 4, TURNS - 1):
            gc.collect()
            snapshot = tracemalloc.take_snapshot().filter_traces(self._own)
            self._held.append(sum(trace.size for trace in snapshot.statistics("filename")))

    def of_month(self) -> str:
        tracemalloc.stop()
        early, late = self._held
        assert late < 1.5 * early + 100_000
        return f"{early / 1e3:.0f} kB of memory after a quarter and {late / 1e3:.0f} kB at the end"
