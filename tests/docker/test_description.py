"""The description of the end-to-end environment, as far as it can be tried without Docker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.checks import find_check
from metta_checks.simulator.sandbox import sandbox

HERE = Path(__file__).parent
SERVICES: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text(encoding="utf-8"))["services"]
ADDRESSES = {"metta_wandb": ("base_url", "--wandb-port"), "metta_ci": ("api_url", "--github-port")}


def instance_of(check: str) -> dict[str, Any]:
    (instance,) = yaml.safe_load((HERE / "conf.d" / f"{check}.d" / "conf.yaml").read_text(encoding="utf-8"))[
        "instances"
    ]
    return dict(instance)


@pytest.mark.parametrize("check", ADDRESSES)
def test_the_agents_configuration_reads_what_the_demo_serves(
    check: str, aggregator: AggregatorStub, dd_run_check: Callable[..., str]
) -> None:
    option, flag = ADDRESSES[check]
    served = dict(zip(*[iter(SERVICES["demo"]["command"])] * 2, strict=True))
    instance = instance_of(check)
    assert instance[option] == f"http://demo:{served[flag]}"
    with sandbox() as demo:
        here = {**instance, option: demo.instances[check.removeprefix("metta_")][option]}
        dd_run_check(find_check(check).check_class()(check, {}, [here]), extract_message=True)
    aggregator.assert_metric("metta.check.up", value=1)


def test_the_dockerfile_and_the_configuration_are_where_the_description_says() -> None:
    build = SERVICES["demo"]["build"]
    assert (HERE / build["context"] / build["dockerfile"]).is_file()
    (mount,) = SERVICES["agent"]["volumes"]
    assert (HERE / mount.partition(":")[0]).is_dir()
    assert {service["image"] for service in SERVICES.values()} == {"metta-checks-e2e"}
