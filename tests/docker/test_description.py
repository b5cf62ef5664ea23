"""The description of the end-to-end environment, as far as it can be tried without Docker."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from metta_checks.checks import CHECKS
from metta_checks.cli.main import main

HERE = Path(__file__).parent
SERVICES: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))["services"]
SHARED = "/shared"


def test_the_agents_configuration_reads_what_the_demo_serves(tmp_path: Path) -> None:
    """With the demo's own command, the volume being a folder here."""
    demo = SERVICES["demo"]
    arguments = [word.replace(SHARED, str(tmp_path)) for word in [*demo["entrypoint"][1:], *demo["command"]]]
    ports = ["--wandb-port", "0", "--github-port", "0"]
    variables = {name: value.replace(SHARED, str(tmp_path)) for name, value in demo["environment"].items()}
    simulator = subprocess.Popen([sys.executable, *arguments, *ports], env=variables, stdout=subprocess.PIPE, text=True)
    try:
        assert simulator.stdout is not None
        written = [line.strip() for line in iter(simulator.stdout.readline, "---\n")]
        # What the health check waits for is written last.
        assert written[-1] == demo["healthcheck"]["test"][-1].replace(SHARED, str(tmp_path))
        assert len(written) == len(CHECKS)
        done = CliRunner().invoke(main, ["collect", "all", "--config", str(tmp_path / "conf.d")])
        assert done.exit_code == 0, done.output
    finally:
        simulator.send_signal(signal.SIGTERM)
        simulator.wait(10)


def test_both_services_share_what_the_configuration_names() -> None:
    demo, agent = SERVICES["demo"], SERVICES["agent"]
    assert agent["network_mode"] == "service:demo"
    assert {volume.split(":")[1] for service in (demo, agent) for volume in service["volumes"]} == {SHARED}
    assert demo["environment"]["TMPDIR"] == SHARED
    assert f"cp -r {SHARED}/conf.d /etc/datadog-agent/" in agent["entrypoint"][-1]


def test_the_dockerfile_is_where_the_description_says() -> None:
    build = SERVICES["demo"]["build"]
    assert (HERE / build["context"] / build["dockerfile"]).is_file()
    assert {service["image"] for service in SERVICES.values()} == {"metta-checks-e2e"}
