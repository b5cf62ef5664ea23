"""The simulated servers in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.checks import CHECKS, find_check

COMMAND = [sys.executable, "-m", "metta_checks.simulator", "--wandb-port", "0", "--github-port", "0"]


@pytest.mark.parametrize("interruption", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_every_check_reads_what_it_says_it_serves_until_it_is_interrupted(
    aggregator: AggregatorStub, dd_run_check: Callable[..., str], interruption: signal.Signals
) -> None:
    with subprocess.Popen(
        COMMAND, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as demo:
        assert demo.stdout is not None
        instances = yaml.safe_load("".join(iter(demo.stdout.readline, "---\n")))
        assert set(instances) == {entry.name for entry in CHECKS}
        for name, instance in instances.items():
            dd_run_check(find_check(name).check_class()(name, {}, [instance]), extract_message=True)
        demo.send_signal(interruption)
        assert demo.wait(timeout=30) == 0

    ups = aggregator.metrics("metta.check.up")
    assert [stub.value for stub in ups] == [1] * len(CHECKS)
    for metric in ("wandb.runs", "metta.infra.cron.ci.workflow.success", "metta.infra.stablesuite.hearts"):
        aggregator.assert_metric(metric)


def test_a_port_that_is_taken_is_an_error() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        taken = yaml.safe_load("".join(iter(demo.stdout.readline, "---\n")))["metta_wandb"]["base_url"].rpartition(":")[
            2
        ]
        second = subprocess.run(
            [*COMMAND[:3], "--wandb-port", taken, "--github-port", "0"], capture_output=True, text=True, check=False
        )
        demo.terminate()
    assert second.returncode == 1
    assert second.stderr == "Error: cannot listen on 127.0.0.1: Address already in use\n"


def test_written_configurations_are_those_that_the_command_accepts(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, "--write", str(tmp_path)], stdout=subprocess.PIPE, text=True) as simulator:
        assert simulator.stdout is not None
        written = [line.strip() for line in iter(simulator.stdout.readline, "---\n")]
        assert written == [f"{tmp_path}/conf.d/{definition.name}.d/conf.yaml" for definition in CHECKS]
        validated = metta_checks("validate", tmp_path / "conf.d")
        collected = metta_checks("collect", "all", "--config", tmp_path / "conf.d", "--quiet")
        simulator.terminate()
    assert validated.returncode == 0, validated.stdout
    assert ": 0 faults, " in validated.stdout
    assert (collected.returncode, collected.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is led astray")
@pytest.mark.parametrize(
    "link",
    [
        "conf.d",
        *(
            pytest.param(link, marks=pytest.mark.slow)
            for link in ("conf.d/metta_wandb.d", "conf.d/metta_wandb.d/conf.yaml")
        ),
    ],
)
def test_root_follows_no_link_of_the_owner_of_the_folder(tmp_path: Path, link: str) -> None:
    target = tmp_path / "target"
    target.write_text("theirs", encoding="utf-8") if link.endswith(".yaml") else target.mkdir()
    path = tmp_path / "folder" / link
    path.parent.mkdir(parents=True)
    path.symlink_to(target)
    os.lchown(path, 12_345, 12_345)

    ran = subprocess.run([*COMMAND, "--write", str(tmp_path / "folder")], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert "is a symbolic link of user 12345, and root does not follow it" in ran.stderr
    assert target.read_text(encoding="utf-8") == "theirs" if target.is_file() else not list(target.iterdir())


@pytest.mark.parametrize("command", [("demo",), ("board", "preview")])
def test_without_the_extra_the_command_says_in_one_line_what_to_install(command: tuple[str, ...]) -> None:
    without = "import sys; sys.modules['graphql'] = None; from metta_checks.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", without, *command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("Error: graphql-core, which the simulated servers need, is not installed")
    assert ran.stderr.endswith("pip install 'graphql-core>=3.2'\n")


def metta_checks(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metta_checks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
