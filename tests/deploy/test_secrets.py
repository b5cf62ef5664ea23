"""The Secrets: every one that a container refers to is named for its reader, and no printed command overwrites it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from deploy_support.manifests import DEPLOY, HELM, KUBERNETES, ROOT, documents, resources, values

POD = sorted((KUBERNETES / "pod").glob("*.yaml"))
README = DEPLOY / "README.md"

Key = tuple[str, str]
"""A Secret's name and one of its keys."""

INJECTED: Mapping[str, Key] = {"DD_API_KEY": ("datadog-secret", "api-key")}
WITH_CLUSTER_AGENT: Mapping[str, Key] = {"DD_CLUSTER_AGENT_AUTH_TOKEN": ("datadog-secret", "token")}
"""What the Cluster Agent's webhook gives an injected Agent, whatever the Secrets of the chart are called; the second
where `clusterAgentCommunicationEnabled`, which the chart has on by default. Read in the Agent's
`pkg/clusteragent/admission/mutate/agent_sidecar`."""


def commands(text: str) -> list[str]:
    """The kubectl commands in a console block or a comment, each on one line."""
    joined = re.sub(r" *\\\n[# ]*", " ", text)
    return re.findall(r"^[$#] *(kubectl .+)$", joined, re.MULTILINE)


def created(text: str) -> set[Key]:
    """Every key of every Secret that the commands create."""
    return {
        (found[1], key)
        for command in commands(text)
        if (found := re.search(r"create secret generic (\S+)", command))
        for key in re.findall(r"--from-literal=(\w[\w-]*)=", command)
    }


def referred(environment: list[dict[str, Any]]) -> dict[str, Key]:
    """By variable: what a container does not start without."""
    found = {}
    for variable in environment:
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and not reference.get("optional"):
            found[variable["name"]] = reference["name"], reference["key"]
    return found


def applied(command: str) -> list[dict[str, Any]]:
    """The resources that `kubectl apply` takes from its files."""
    return [one for name in re.findall(r"-f (\S+)", command) for one in documents(ROOT / name)]


def identified(document: Mapping[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def test_an_injected_agent_finds_every_secret_under_the_name_that_the_readme_gives_it() -> None:
    """The profile's variables take the place of those of the same name."""
    injection = values("sidecar.yaml")["clusterAgent"]["admissionController"]["agentSidecarInjection"]
    talks = injection.get("clusterAgentCommunicationEnabled", True)
    (profile,) = injection["profiles"]
    needed = {**INJECTED, **(WITH_CLUSTER_AGENT if talks else {}), **referred(profile["env"])}
    section = README.read_text(encoding="utf-8").partition("## The Helm chart\n")[2].partition("\n## ")[0]
    assert set(needed.values()) == created(section)


def test_the_api_key_of_an_injected_agent_is_the_charts() -> None:
    chart = values("sidecar.yaml")
    (profile,) = chart["clusterAgent"]["admissionController"]["agentSidecarInjection"]["profiles"]
    assert referred(profile["env"])["DD_API_KEY"] == (chart["datadog"]["apiKeyExistingSecret"], "api-key")


def test_a_secret_with_placeholders_has_a_file_of_its_own() -> None:
    """Else whoever applies the rest overwrites the real one."""
    mixed = {
        path.name
        for path in POD
        if (kinds := {one["kind"] for one in documents(path)}) & {"Secret"} and kinds != {"Secret"}
    }
    assert mixed == set()
    assert [identified(secret) for secret in resources("Secret")] == ["Secret metta-checks-credentials"]


def printed() -> Iterator[Any]:
    """Every run of commands that a reader would copy: a block of the README, the head of a file."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    yield from (pytest.param(block, id=f"README-{number}") for number, block in enumerate(blocks, 1) if commands(block))
    for path in [*POD, *HELM]:
        if commands(text := path.read_text(encoding="utf-8")):
            yield pytest.param(text, id=path.name)


@pytest.mark.parametrize("text", printed())
def test_no_printed_commands_create_a_secret_and_overwrite_it(text: str) -> None:
    secrets = {
        one["metadata"]["name"] for command in commands(text) for one in applied(command) if one["kind"] == "Secret"
    }
    assert secrets & {name for name, _ in created(text)} == set()


@pytest.mark.parametrize("text", printed())
def test_no_printed_command_applies_a_resource_twice(text: str) -> None:
    for command in commands(text):
        names = [identified(one) for one in applied(command)]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", [README, KUBERNETES / "pod" / "sidecar.yaml"], ids=lambda page: page.name)
def test_what_the_pod_refers_to_is_applied_with_it(page: Path) -> None:
    with_pod = [
        {identified(one) for one in applied(command)}
        for command in commands(page.read_text(encoding="utf-8"))
        if "pod/sidecar.yaml" in command
    ]
    assert with_pod
    for names in with_pod:
        assert {"ServiceAccount metta-checks", "ConfigMap metta-checks-environment"} <= names


def test_the_command_and_the_file_make_the_same_secret() -> None:
    (secret,) = resources("Secret")
    keys = {(secret["metadata"]["name"], key) for key in secret["stringData"]}
    pod = README.read_text(encoding="utf-8").partition("## The pod\n")[2].partition("\n## ")[0]
    assert created(pod) == keys
    assert created((KUBERNETES / "pod" / "credentials.yaml").read_text(encoding="utf-8")) == keys
