"""Benchmarks: outside of the default run; `pytest -m benchmark tests/benchmarks -s` prints the tables."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
