"""The stages that faults befall, and the count of cases that held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from core_support.certificate import write_certificate
from hostile_support.gate import Gate
from hostile_support.playing import Play, aws
from hostile_support.stages import Kind, Stage, stages

FIGURE: Final = "figure"

held: Counter[bool] = Counter()
figures: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Called where the summary is written, for every worker's reports."""
    if report.when == "teardown":
        figures.extend(str(value) for name, value in report.user_properties if name == FIGURE)
    if report.when == "call" and "hostile/test_matrix" in report.nodeid:
        held[report.passed] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in figures:
        terminalreporter.write_line(line)
    if total := held.total():
        terminalreporter.write_line(f"fault matrix: {held[True]} of {total} cases held")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says something at the end of the run: a figure is worth seeing when the test passes, too."""
    return partial(record_property, FIGURE)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def all_stages(certificate: Path) -> Iterator[Mapping[Kind, Stage]]:
    with stages(certificate) as built:
        yield built


@pytest.fixture
def play(all_stages: Mapping[Kind, Stage], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Sets the stage of this kind: `with play("wandb") as it`."""

    @contextmanager
    def set_up(kind: Kind) -> Iterator[Play]:
        stage = all_stages[kind]
        with Gate(stage.before) as gate:
            aws(monkeypatch, gate.url)
            yield Play(stage, gate)

    return set_up
