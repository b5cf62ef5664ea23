"""The Dockerfile, parsed: what it copies is there, what it starts from is pinned, and what it installs is checked."""

from __future__ import annotations

import re

import yaml
from deploy_support.dockerfile import copied, copied_for_the_wheel, stages
from deploy_support.manifests import DEPLOY, KUBERNETES, ROOT

from metta_checks.checks import CHECKS

DOCKERFILE = DEPLOY / "Dockerfile"
STAGES = stages(DOCKERFILE)
PYTHON = "/opt/datadog-agent/embedded/bin/python"
PIP = "/opt/datadog-agent/embedded/bin/pip"


def arguments() -> dict[str, str]:
    lines = [line.removeprefix("ARG ") for stage in STAGES.values() for line in stage if line.startswith("ARG ")]
    return dict(line.split("=", 1) for line in lines)


def commands(stage: str) -> list[str]:
    """The shell commands of a stage's RUN instructions."""
    runs = [line.removeprefix("RUN ") for line in STAGES[stage] if line.startswith("RUN ")]
    return [command.strip() for run in runs for command in re.sub(r"--mount=\S+ ", "", run).split("&&")]


def test_every_image_that_it_starts_from_is_pinned() -> None:
    assert re.fullmatch(r"7\.\d+\.\d+", arguments()["AGENT_VERSION"])
    assert re.fullmatch(r"3\.\d+\.\d+", arguments()["PYTHON_VERSION"])
    assert {name: stage[0] for name, stage in STAGES.items() if name} == {
        "wheel": "FROM python:${PYTHON_VERSION}-slim-bookworm AS wheel",
        "checks": "FROM datadog/agent:${AGENT_VERSION} AS checks",
        "configuration": "FROM scratch AS configuration",
        "sidecar": "FROM checks AS sidecar",
        # A build without a target is the plain Agent.
        "agent": "FROM checks AS agent",
    }
    assert list(STAGES)[-1] == "agent"
    assert STAGES["agent"][1:] == []


def test_every_package_that_it_fetches_is_pinned() -> None:
    fetched = [word for command in commands("wheel") for word in command.split() if "pip" not in word and "=" in word]
    assert [word for word in fetched if not re.fullmatch(r"[a-z]+==\d+(\.\d+)+", word)] == []
    assert {word.partition("=")[0] for word in fetched} == {"hatchling", "click"}


def test_what_it_copies_is_there_and_let_through() -> None:
    let_through = {
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    needed = {*copied_for_the_wheel(DOCKERFILE), *copied(STAGES["configuration"])}
    assert needed == let_through
    assert [name for name in needed if not (ROOT / name).exists()] == []
    assert [stage for stage in STAGES if copied(STAGES[stage])] == ["wheel", "configuration"]


def test_the_agent_gets_the_wheel_and_click_where_it_has_none() -> None:
    """Without an index, so that nothing but the two wheels can come; an Agent that has click keeps it."""
    assert commands("checks") == [
        f"{PIP} install --no-cache-dir --no-deps /wheels/metta_checks-*.whl",
        f'{PIP} install --no-cache-dir --no-index --find-links /wheels "click>=8.1.7"',
        f"{PYTHON} -m metta_checks install",
        f"{PYTHON} -m metta_checks install --check",
    ]


def test_an_injected_agent_is_configured_by_a_stage_that_a_build_context_replaces() -> None:
    """A folder outside the build context, too: BuildKit puts `--build-context NAME=FOLDER` in a stage's place."""
    assert copied(STAGES["configuration"]) == ["deploy/kubernetes/injected"]
    (copy,) = (line for line in STAGES["sidecar"] if line.startswith("COPY "))
    assert copy == "COPY --from=configuration --chown=dd-agent:root / /etc/datadog-agent/conf.d"
    assert "--build-context configuration=" in DOCKERFILE.read_text(encoding="utf-8")
    configured = {path.parent.name.removesuffix(".d"): path for path in (KUBERNETES / "injected").glob("*.d/*.yaml")}
    assert set(configured) <= {entry.name for entry in CHECKS}
    for path in configured.values():
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["instances"]
