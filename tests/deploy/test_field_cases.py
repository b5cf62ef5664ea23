"""What went wrong with these files in real clusters, and what is written about it where an operator looks."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from deploy_support.dockerfile import stages
from deploy_support.manifests import DEPLOY, HELM, KUBERNETES, RESOURCE_FILES, ROOT, documents, resources, values

README = (DEPLOY / "README.md").read_text(encoding="utf-8")
GROWTH = (DEPLOY / "growth.md").read_text(encoding="utf-8")
OPERATOR = KUBERNETES / "operator" / "datadog-agent.yaml"
RELEASES = [path.name for path in HELM if path.name != "growth.yaml"]
"""The values that are a release by themselves; growth.yaml goes on top of one."""

ALTERNATIVES = {"environment.yaml", "aws.yaml"}


def section(heading: str, page: str = README) -> str:
    return page.partition(f"# {heading}\n")[2].partition("\n## ")[0]


def operator() -> Mapping[str, Any]:
    (agent,) = resources("DatadogAgent")
    spec: Mapping[str, Any] = agent["spec"]
    return spec


def test_what_kubectl_applies_for_the_operator_is_applied_on_the_servers_side() -> None:
    """Without it kubectl keeps each resource in an annotation: 503 and 503 files are too many."""
    commands = re.findall(r"kubectl apply [^\n]*operator[^\n]*", README + OPERATOR.read_text(encoding="utf-8"))
    assert len(commands) >= 2
    assert [command for command in commands if "--server-side" not in command] == []
    assert "503" in GROWTH


@pytest.mark.parametrize("name", RELEASES)
def test_no_release_brings_the_operator_and_its_crds(name: str) -> None:
    assert values(name)["datadog"]["operator"] == {"enabled": False}


def test_no_two_files_that_are_applied_together_claim_the_same_name() -> None:
    claims = Counter(
        (document["kind"], document["metadata"]["name"])
        for path in RESOURCE_FILES
        if path.name != "aws.yaml"
        for document in documents(path)
    )
    assert [claim for claim, number in claims.items() if number > 1] == []


def test_the_terraform_provider_is_one_that_converges() -> None:
    text = (DEPLOY / "terraform" / "versions.tf").read_text(encoding="utf-8")
    (version,) = re.findall(r'\bversion = ">= (\d+)\.(\d+)"', text)
    assert tuple(map(int, version)) >= (4, 16)


def test_a_slip_in_the_name_of_a_monitor_ends_the_plan() -> None:
    """Without it, the plan destroys what the name no longer selects."""
    outputs = (DEPLOY / "terraform" / "outputs.tf").read_text(encoding="utf-8")
    assert outputs.count("precondition {") == 2


def test_no_values_use_a_deprecated_option() -> None:
    for path in HELM:
        assert "createPodDisruptionBudget" not in path.read_text(encoding="utf-8")
    assert values("cluster-checks.yaml")["clusterChecksRunner"]["pdb"] == {"create": True}


def test_every_agent_sends_to_the_site_that_is_written_down() -> None:
    sites = [values(name)["datadog"]["site"] for name in RELEASES]
    sites.append(operator()["global"]["site"])
    sites += [
        document["data"]["DD_SITE"]
        for name in ALTERNATIVES
        for document in documents(KUBERNETES / "pod" / name)
        if document["kind"] == "ConfigMap"
    ]
    assert set(sites) == {"datadoghq.com"}
    assert "site" in section("Before you begin")


def test_every_component_has_the_same_version() -> None:
    found = {values(name)[component]["image"]["tag"] for name in RELEASES for component in ("agents", "clusterAgent")}
    override = operator()["override"]
    found |= {override[component]["image"]["tag"] for component in ("nodeAgent", "clusterAgent")}
    (version,) = found
    assert values("cluster-checks.yaml")["clusterChecksRunner"]["image"]["tag"] == f"{version}-metta"
    assert override["clusterChecksRunner"]["image"]["name"].endswith(f":{version}-metta")
    assert f"ARG AGENT_VERSION={version}" in stages(DEPLOY / "Dockerfile")[""]


def test_runners_have_the_same_resources_whoever_starts_them() -> None:
    of_operator = operator()["override"]["clusterChecksRunner"]["containers"]["agent"]["resources"]
    assert of_operator == values("cluster-checks.yaml")["clusterChecksRunner"]["resources"]
    assert set(of_operator) == {"requests", "limits"}


def violations(pod: Mapping[str, Any]) -> set[str]:
    """What the Pod Security level `restricted` refuses in a pod, as its standard of Kubernetes 1.33 lists it."""
    whole = pod.get("securityContext", {})
    found = set()
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for volume in pod.get("volumes", []):
        found |= {f"volume {kind}" for kind in volume.keys() - {"name"} - allowed}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            found.add("allowPrivilegeEscalation")
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot", False)):
            found.add("runAsNonRoot")
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            found.add("runAsUser")
        if own.get("seccompProfile", whole.get("seccompProfile", {})).get("type") not in (
            "RuntimeDefault",
            "Localhost",
        ):
            found.add("seccompProfile")
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            found.add("capabilities")
        if any("hostPort" in port for port in container.get("ports", [])) or own.get("privileged"):
            found.add("host")
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        found.add("host")
    return found


def the_pod() -> dict[str, Any]:
    (deployment,) = resources("Deployment")
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def test_the_pod_is_one_that_the_level_restricted_admits() -> None:
    assert violations(the_pod()) == set()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda pod: pod["securityContext"].pop("seccompProfile"), "seccompProfile"),
        (lambda pod: pod["containers"][0].pop("securityContext"), "capabilities"),
        (lambda pod: pod["containers"][1]["securityContext"].update(runAsUser=0), "runAsUser"),
        (
            lambda pod: pod["containers"][1]["securityContext"]["capabilities"].update(add=["SYS_PTRACE"]),
            "capabilities",
        ),
        (lambda pod: pod["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "volume hostPath"),
        (lambda pod: pod.update(hostNetwork=True), "host"),
    ],
    ids=["no profile", "no context", "root", "a capability", "a host path", "the host's network"],
)
def test_what_the_level_restricted_refuses_is_found(change: Callable[[dict[str, Any]], Any], found: str) -> None:
    pod = copy.deepcopy(the_pod())
    change(pod)
    assert found in violations(pod)


@pytest.mark.parametrize(
    ("page", "heading", "words"),
    [
        ("deploy/README.md", "Change a configuration", ["kubectl rollout restart", "restart"]),
        ("deploy/README.md", "Change a key", ["operations.md#rotate-a-key", "restart"]),
        ("docs/operations.md", "Rotate a key", ["secret_refresh_interval", "restart"]),
        ("deploy/README.md", "State", ["operations.md#state", "operations.md#ownership", "volume"]),
        ("docs/operations.md", "Ownership", ["chown -R", "agent check", "stopped"]),
        ("deploy/README.md", "The image", ["--build-context configuration=", "click"]),
        ("deploy/README.md", "The Helm chart", ["datadog.operator.enabled"]),
        ("docs/boards.md", "Import", ["HTTP 409", "terraform import", "datadog_metric_tag_configuration.percentiles["]),
    ],
)
def test_the_pages_have_what_operators_ran_into(page: str, heading: str, words: list[str]) -> None:
    text = section(heading, (ROOT / page).read_text(encoding="utf-8"))
    assert [word for word in words if word not in text] == []


def test_no_page_names_an_address_that_is_not_there() -> None:
    for name in re.findall(r"\]\(([\w./-]+)\)", README + GROWTH):
        assert (DEPLOY / name).exists() or (ROOT / name).exists(), name
