"""The Dockerfile, which cannot be built here: what it copies is there, and what it starts from is pinned."""

from __future__ import annotations

import re

import yaml
from deploy_support.dockerfile import copied, copied_for_the_wheel, stages
from deploy_support.manifests import DEPLOY, ROOT

from metta_checks.checks import CHECKS

DOCKERFILE = DEPLOY / "Dockerfile"


def arguments() -> dict[str, str]:
    lines = [
        line.removeprefix("ARG ") for stage in stages(DOCKERFILE).values() for line in stage if line.startswith("ARG ")
    ]
    return dict(line.split("=", 1) for line in lines)


def test_the_agents_version_is_an_argument_and_pinned() -> None:
    assert re.fullmatch(r"7\.\d+\.\d+", arguments()["AGENT_VERSION"])
    assert stages(DOCKERFILE)["checks"][0] == "FROM datadog/agent:${AGENT_VERSION} AS checks"


def test_a_build_without_a_target_is_the_plain_agent() -> None:
    assert list(stages(DOCKERFILE)) == ["", "wheel", "checks", "sidecar", "agent"]
    assert stages(DOCKERFILE)["agent"] == ["FROM checks AS agent"]


def test_what_it_copies_is_there_and_let_through() -> None:
    let_through = {
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    into_the_sidecar = [
        arguments()["CONFIGURATION"] if name == "${CONFIGURATION}" else name
        for name in copied(stages(DOCKERFILE)["sidecar"])
    ]
    needed = {*copied_for_the_wheel(DOCKERFILE), *into_the_sidecar}
    assert needed == let_through
    assert [name for name in needed if not (ROOT / name).exists()] == []


def test_nothing_but_the_wheel_is_installed() -> None:
    (installation,) = (line for line in stages(DOCKERFILE)["checks"] if " install " in line)
    assert "/opt/datadog-agent/embedded/bin/pip install --no-cache-dir --no-deps /wheels/*.whl" in installation
    assert installation.endswith("/opt/datadog-agent/embedded/bin/python -m metta_checks install")


def test_an_injected_agent_is_configured_by_its_image() -> None:
    configured = {
        path.parent.name.removesuffix(".d"): path for path in (ROOT / arguments()["CONFIGURATION"]).glob("*.d/*.yaml")
    }
    assert set(configured) <= {entry.name for entry in CHECKS}
    for path in configured.values():
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["instances"]
