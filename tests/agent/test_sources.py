"""A source that fails, hangs and comes back: its own check reports it, and no other check waits for it."""

from __future__ import annotations

from collections.abc import Callable

from agent_support.agent import Agent
from agent_support.intake import Intake
from simulator_support.wandb_projects import bulk_project

from metta_checks.core.clock import utcnow
from metta_checks.simulator.sandbox import DemoSandbox
from metta_checks.simulator.server import Fault, Request, Response
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

MakeAgent = Callable[..., Agent]

COMMON = {"min_collection_interval": 3, "empty_default_hostname": True, "skip_proxy": True}
TIMEOUT = 5

FAULTS: dict[str, Response | Fault] = {
    "503": Response(503, b"try again later"),
    "reset": Fault("reset_headers"),
    "silent": Fault("silent"),
    "drip": Fault("drip_headers", pause=0.5),
}


def test_a_source_that_fails_and_hangs_and_comes_back(make_agent: MakeAgent, intake: Intake, demo: DemoSandbox) -> None:
    agent = make_agent(check_runners=2)
    project = bulk_project(utcnow(), runs=20, keys=2, name="fails")
    with WandbServer(project) as server:
        failing = {"entity": project.entity, "project": "fails", "base_url": server.url, "api_key": DEMO_API_KEY}
        agent.configure("metta_wandb", [{**COMMON, **failing, "collection_timeout": TIMEOUT}])
        agent.configure("metta_eval", [{**COMMON, **demo.instances["eval"]}])
        agent.start()
        intake.wait_for_metric("metta.check.up", 1, tag="check_name:metta_wandb")
        for name, fault in FAULTS.items():

            def fail(_: Request, fault: Response | Fault = fault) -> Response | Fault:
                return fault

            server.intercept = fail
            intake.wait_for_metric("metta.check.up", 0, tag="check_name:metta_wandb")
            # From here on, a flush has nothing from before the fault.
            since = len(intake.points)
            intake.wait_for_metric("metta.check.up", 0, tag="check_name:metta_wandb")
            intake.wait_for_metric("metta.check.up", 1, tag="check_name:metta_eval")
            during = intake.points[since:]
            assert [point for point in during if point.metric == "wandb.runs"] == [], name
            seconds = [p.value for p in during if p.metric == "metta.check.duration_seconds" and is_wandb(p.tags)]
            assert max(seconds) < TIMEOUT + 1.5, name
            (error,) = agent.errors("metta_wandb")
            assert "W&B" in error
            assert DEMO_API_KEY not in error
            server.intercept = None
            intake.wait_for_metric("metta.check.up", 1, tag="check_name:metta_wandb")
            intake.wait_for_metric("wandb.runs")
        assert agent.errors("metta_wandb") == []
        assert agent.stop() == 0


def is_wandb(tags: tuple[str, ...]) -> bool:
    return "check_name:metta_wandb" in tags
