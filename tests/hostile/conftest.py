"""The stages that faults befall, and the count of cases that held."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "ci" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "wandb" / "support"))

from core_support.certificate import write_certificate
from hostile_support.gate import Gate
from hostile_support.playing import Play, aws
from hostile_support.stages import Kind, Stage, stages

held: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and "hostile/test_matrix" in report.nodeid:
        held[report.outcome] += 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if total := held.total():
        terminalreporter.write_line(f"fault matrix: {held['passed']} of {total} cases held")


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
