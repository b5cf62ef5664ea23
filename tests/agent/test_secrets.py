"""Secrets: `ENC[]` handles are resolved by the Agent's backend, and what they stand for is written nowhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from agent_support.agent import API_KEY, Agent
from agent_support.intake import Intake

from metta_checks.core.clock import utcnow
from metta_checks.simulator.github_sample import sample_repository
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_sample import sample_project
from metta_checks.simulator.wandb_server import WandbServer

MakeAgent = Callable[..., Agent]

WANDB_KEY = "5ec7e7aabbcc5ec7e7aabbcc5ec7e7aabbcc5ec7"
TOKEN = "ghp_5ec7e7Ab+/Cd5ec7e7AbCd5ec7e7AbCd5ec7e7"

COMMON = {"min_collection_interval": 5, "empty_default_hostname": True, "skip_proxy": True}
BACKEND = """#!/bin/sh
cat > /dev/null
cat <<'END'
{secrets}
END
"""


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A secret backend: what the Agent runs, with the modes that it asks for."""
    secrets = {"wandb": {"value": WANDB_KEY, "error": None}, "github": {"value": TOKEN, "error": None}}
    path = tmp_path / "backend"
    path.write_text(BACKEND.format(secrets=json.dumps(secrets)), encoding="utf-8")
    path.chmod(0o700)
    return path


def repeated(request: Request) -> Reply:
    """A source that shows what it was sent."""
    return Reply(500, f"cannot read {dict(request.headers)}".encode(), {"Content-Type": "text/plain"})


def test_a_secret_from_the_backend_is_used_and_written_nowhere(
    make_agent: MakeAgent, intake: Intake, backend: Path
) -> None:
    project, repository = sample_project(utcnow()), sample_repository(utcnow(), clock=utcnow)
    agent = make_agent(secret_backend_command=str(backend), log_level="trace")
    with WandbServer(project, api_key=WANDB_KEY) as wandb, GitHubServer(repository, token=TOKEN) as github:
        of_wandb = {"entity": project.entity, "project": project.name, "base_url": wandb.url, "api_key": "ENC[wandb]"}
        of_github = {"repo": repository.full_name, "api_url": github.url, "token": "ENC[github]"}
        agent.configure("metta_wandb", [{**COMMON, **of_wandb}])
        agent.configure("metta_ci", [{**COMMON, **of_github}])
        agent.start()
        for check in ("metta_wandb", "metta_ci"):
            intake.wait_for_metric("metta.check.up", 1, tag=f"check_name:{check}")
        wandb.intercept = github.intercept = repeated
        for check in ("metta_wandb", "metta_ci"):
            intake.wait_for_metric("metta.check.up", 0, tag=f"check_name:{check}")
            assert len(agent.errors(check)) == 1
        status = json.dumps(agent.status())
        diagnosis = agent.program.run(agent.home, "diagnose", "--include", "check-datadog", "-v")
        assert agent.stop() == 0
    written = {
        "agent status": status,
        "agent diagnose": diagnosis.stdout + diagnosis.stderr,
        "the log": agent.log,
        **{f"body {number}": body.decode(errors="replace") for number, body in enumerate(intake.bodies)},
        **{str(path): path.read_text(errors="replace") for path in agent.home.rglob("*") if path.is_file()},
    }
    assert any("metta_wandb" in name for name in written), "no state was kept"
    assert "TRACE" in agent.log
    forms = {form for secret in (WANDB_KEY, TOKEN) for form in forms_of(secret)}
    assert [name for name, text in written.items() if any(form in text for form in forms)] == []
    assert API_KEY not in agent.log


def forms_of(secret: str) -> Iterator[str]:
    """The secret as it may be sent or written; the first two thirds of it count too."""
    yield secret[: len(secret) * 2 // 3]
    yield quote(secret, safe="")
    for sent in (secret, f"api:{secret}"):
        yield base64.b64encode(sent.encode()).decode()
