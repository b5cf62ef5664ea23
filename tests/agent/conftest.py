"""A real Agent on loopback: the program, an intake, and a factory of Agents; the parts live in `support`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from agent_support.agent import BINARY, USUAL_PLACE, Agent, AgentProgram, find_program
from agent_support.intake import Intake

from metta_checks.simulator.sandbox import DemoSandbox, sandbox

HERE = Path(__file__).parent

MakeAgent = Callable[..., Agent]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.agent)


@pytest.fixture(scope="session")
def program() -> AgentProgram:
    """The Agent's executable."""
    found = find_program()
    if found is None:
        pytest.skip(f"no Datadog Agent: {BINARY} is not set, and there is no {USUAL_PLACE}")
    return found


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as server:
        yield server
        assert server.unreadable == []


@pytest.fixture
def make_agent(program: AgentProgram, intake: Intake, tmp_path: Path) -> Iterator[MakeAgent]:
    """`make_agent(**settings)`: an Agent that sends to `intake`, not started yet."""
    with ExitStack() as agents:
        made: list[Agent] = []

        def make(**settings: Any) -> Agent:
            agent = Agent(program, tmp_path / f"agent-{len(made)}", intake.url, **settings)
            made.append(agents.enter_context(agent))
            return agent

        yield make


@pytest.fixture
def demo() -> Iterator[DemoSandbox]:
    """The sample data, and an instance of each check that reads it."""
    with sandbox() as servers:
        yield servers
