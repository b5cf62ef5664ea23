"""Sources that fail, hang and come back: each check reports its own, and no other check waits for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from agent_support.agent import Agent
from agent_support.intake import Intake
from agent_support.payloads import Point
from simulator_support.faults import Fault
from simulator_support.wandb_projects import bulk_project

from metta_checks.core.clock import utcnow
from metta_checks.simulator.sandbox import DemoSandbox
from metta_checks.simulator.server import Reply
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

MakeAgent = Callable[..., Agent]

COMMON = {"min_collection_interval": 3, "empty_default_hostname": True, "skip_proxy": True}
TIMEOUT = 5
WORKERS = 4

FAULTS: dict[str, Reply | Fault] = {
    "fails": Reply(503, b"try again later"),
    "resets": Fault("reset_headers"),
    "hangs": Fault("silent"),
    "drips": Fault("drip_headers", pause=0.5),
}


def test_sources_that_fail_and_hang_and_come_back(make_agent: MakeAgent, intake: Intake, demo: DemoSandbox) -> None:
    agent = make_agent(check_runners=WORKERS)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(WandbServer(bulk_project(utcnow(), runs=20, keys=2, name=name)))
            for name in FAULTS
        }
        entity = next(entity for entity, _ in servers["fails"].projects)
        agent.configure(
            "metta_wandb",
            [
                {**COMMON, "entity": entity, "project": name, "base_url": server.url, "api_key": DEMO_API_KEY}
                | {"collection_timeout": TIMEOUT}
                for name, server in servers.items()
            ],
        )
        agent.configure("metta_eval", [{**COMMON, **demo.instances["eval"]}])
        agent.start()
        all_are(intake, 1)
        for name, server in servers.items():
            server.intercept = lambda _, name=name: FAULTS[name]
        all_are(intake, 0)
        # From here on, a flush has nothing from before the faults.
        since = len(intake.points)
        intake.wait_for_metric("metta.check.up", 1, tag="check_name:metta_eval")
        all_are(intake, 0)
        intake.wait_for_metric("metta.check.up", 1, tag="check_name:metta_eval")
        during = intake.points[since:]
        assert [point for point in during if point.metric == "wandb.runs"] == []
        assert max(durations(during, "check_name:metta_wandb")) < TIMEOUT + 1.5
        assert max(durations(during, "check_name:metta_eval")) < 1.5
        errors = agent.errors("metta_wandb")
        assert len(errors) == len(FAULTS)
        assert all("W&B" in error and DEMO_API_KEY not in error for error in errors)
        for server in servers.values():
            server.intercept = None
        all_are(intake, 1)
        for name in FAULTS:
            intake.wait_for_metric("wandb.runs", tag=f"wandb_project:{name}")
        assert agent.errors("metta_wandb") == []
        assert agent.stop() == 0


def all_are(intake: Intake, up: float) -> None:
    """Until each project has reported itself so."""
    since = len(intake.points)

    def came() -> bool:
        reported = [
            point.tags for point in intake.points[since:] if (point.metric, point.value) == ("metta.check.up", up)
        ]
        return all(any(f"wandb_project:{name}" in tags for tags in reported) for name in FAULTS)

    assert intake.wait_for(came, 120), f"not all projects are {up}"


def durations(points: list[Point], tag: str) -> list[float]:
    return [one.value for one in points if one.metric == "metta.check.duration_seconds" and tag in one.tags]
