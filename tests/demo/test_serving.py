"""The demo's servers in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.checks import CHECKS, find_check

COMMAND = [sys.executable, "-m", "metta_checks.demo", "--wandb-port", "0", "--github-port", "0"]


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
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
