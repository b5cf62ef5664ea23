"""What it costs to start the command: CPU time against that of a Python that imports click and PyYAML."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

PROGRAM = Path(sys.executable).with_name("metta-checks")
RUNS = 7
MOST = 2.0

pytestmark = pytest.mark.benchmark


def cpu_seconds(*command: object) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, command)], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_costs_little_more_than_the_libraries() -> None:
    # In turns, so that both see the same load of the machine.
    pairs = [(cpu_seconds("-c", "import click, yaml"), cpu_seconds(PROGRAM, "--help")) for _ in range(RUNS)]
    libraries, command = (median(column) for column in zip(*pairs, strict=True))
    sys.__stdout__.write(
        f"\nmetta-checks --help: {command:.3f} s of CPU, {command / libraries:.2f} times `import click, yaml`\n"
    )
    assert command <= MOST * libraries
