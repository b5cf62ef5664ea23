"""The manifests: valid resources, known keys, and the same shims as in `checks.d`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deploy_support.manifests import (
    DEPLOY,
    HELM,
    KUBERNETES,
    RESOURCE_FILES,
    ROOT,
    documents,
    leaves,
    resources,
    values,
)

OLDEST, NEWEST = "1.27.0", kubernetes_validate.latest_version()
KNOWN = yaml.safe_load((Path(__file__).parent / "known_keys.yaml").read_text(encoding="utf-8"))
AGENT_SWITCHES = {
    "DD_APM_ENABLED",
    "DD_ENABLE_METADATA_COLLECTION",
    "DD_LOGS_ENABLED",
    "DD_PROCESS_AGENT_ENABLED",
    "DD_REMOTE_CONFIGURATION_ENABLED",
    "DD_USE_DOGSTATSD",
}


def identified(document: Mapping[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


CORE = [document for path in RESOURCE_FILES for document in documents(path) if document["kind"] != "DatadogAgent"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", CORE, ids=identified)
def test_resources_are_valid(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("section", ["runner", "sidecar", "operator"])
def test_what_is_passed_on_to_a_pod_is_valid_in_a_pod(section: str) -> None:
    container: dict[str, Any] = {"name": "agent", "image": "agent"}
    if section == "runner":
        runner = values("cluster-checks.yaml")["clusterChecksRunner"]
        container |= {"env": runner["env"], "resources": runner["resources"]}
    elif section == "sidecar":
        injection = values("sidecar.yaml")["clusterAgent"]["admissionController"]["agentSidecarInjection"]
        (profile,) = injection["profiles"]
        container |= profile
    else:
        (agent,) = resources("DatadogAgent")
        container["env"] = agent["spec"]["override"]["clusterChecksRunner"]["env"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"}, "spec": {"containers": [container]}}
    kubernetes_validate.validate(pod, NEWEST, strict=True)


def test_helm_values_hold_only_keys_that_the_chart_knows() -> None:
    """And the list holds no key that is no longer used."""
    assert used_keys([values(path.name) for path in HELM], "helm") == set(KNOWN["helm"]["keys"])


def test_the_operators_resource_holds_only_keys_that_it_knows() -> None:
    assert used_keys([agent["spec"] for agent in resources("DatadogAgent")], "operator") == set(
        KNOWN["operator"]["keys"]
    )


def used_keys(trees: list[dict[str, Any]], owner: str) -> set[str]:
    """The paths in `trees`, where a known path with stars covers one as the path itself."""
    patterns = {key: re.compile(re.escape(key).replace(r"\*", "[^ ]+")) for key in KNOWN[owner]["keys"]}
    paths = {".".join(path) for tree in trees for path in leaves(tree)}
    return {next((key for key, pattern in patterns.items() if pattern.fullmatch(path)), path) for path in paths}


@pytest.mark.parametrize("path", HELM, ids=lambda path: path.name)
def test_nothing_for_the_chart_looks_like_a_template(path: Path) -> None:
    assert "{{" not in path.read_text(encoding="utf-8")


def test_what_the_chart_puts_between_single_quotes_has_none() -> None:
    injection = values("sidecar.yaml")["clusterAgent"]["admissionController"]["agentSidecarInjection"]
    assert "'" not in yaml.safe_dump([injection["selectors"], injection["profiles"]], default_style='"')


def test_the_shims_are_those_of_the_source_tree() -> None:
    (shims,) = (one for one in resources("ConfigMap") if one["metadata"]["name"] == "metta-checks-shims")
    assert shims["data"] == {
        path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "checks.d").glob("*.py"))
    }


def test_names_that_refer_to_each_other_agree() -> None:
    config_maps = {one["metadata"]["name"]: set(one["data"]) for one in resources("ConfigMap")}
    (agent,) = resources("DatadogAgent")
    override = agent["spec"]["override"]
    assert override["clusterChecksRunner"]["extraChecksd"]["configMap"]["name"] in config_maps
    confd = override["clusterAgent"]["extraConfd"]["configMap"]
    (own,) = (one for one in documents(KUBERNETES / "operator" / "datadog-agent.yaml") if one["kind"] == "ConfigMap")
    assert own["metadata"]["name"] == confd["name"]
    assert set(own["data"]) == {item["key"] for item in confd["items"]}

    pod = sidecar_pod()
    claims = {one["metadata"]["name"] for one in resources("PersistentVolumeClaim")}
    for volume in pod["volumes"]:
        assert volume.get("configMap", {}).get("name", "metta-checks-conf") in config_maps
        assert volume.get("persistentVolumeClaim", {}).get("claimName", "metta-checks-run") in claims
    for name in ("environment.yaml", "aws.yaml"):
        beside = {(one["kind"], one["metadata"]["name"]) for one in documents(KUBERNETES / "pod" / name)}
        assert {("ServiceAccount", pod["serviceAccountName"]), ("ConfigMap", "metta-checks-environment")} <= beside


@pytest.mark.parametrize("way", ["pod", "injected"])
def test_an_agent_in_a_pod_runs_nothing_else_and_is_billed_as_its_node(way: str) -> None:
    if way == "pod":
        environment = agent_container()["env"]
    else:
        injection = values("sidecar.yaml")["clusterAgent"]["admissionController"]["agentSidecarInjection"]
        environment = injection["profiles"][0]["env"]
    given = {entry["name"]: entry for entry in environment}
    assert {name for name in given if given[name].get("value") == "false"} >= AGENT_SWITCHES
    assert given["DD_HOSTNAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_the_sidecars_probes_ask_its_health_port() -> None:
    agent = agent_container()
    (port,) = (entry["value"] for entry in agent["env"] if entry["name"] == "DD_HEALTH_PORT")
    asked = {probe: agent[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
    assert {request["port"] for request in asked.values()} == {int(port)}
    assert {probe: request["path"] for probe, request in asked.items()} == {
        "startup": "/startup",
        "liveness": "/live",
        "readiness": "/ready",
    }


def test_the_sidecar_is_one_agent_that_remembers() -> None:
    (deployment,) = resources("Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    mounts = {mount["name"]: mount["mountPath"] for mount in agent_container()["volumeMounts"]}
    assert mounts == {
        "health": "/shared/health",
        "run": "/opt/datadog-agent/run",
        "conf": "/etc/datadog-agent/conf.d",
    }
    pipeline = next(one for one in sidecar_pod()["containers"] if one["name"] == "pipeline")
    assert {"name": "health", "mountPath": "/shared/health"} in pipeline["volumeMounts"]


@pytest.mark.parametrize("name", ["environment.yaml", "aws.yaml"])
def test_the_environment_names_the_deployment_and_what_is_watched(name: str) -> None:
    (environment,) = (one["data"] for one in documents(KUBERNETES / "pod" / name) if one["kind"] == "ConfigMap")
    assert {"DD_ENV", "DD_SERVICE", "DD_VERSION", "WANDB_ENTITY", "WANDB_PROJECT", "GITHUB_REPOSITORY"} <= set(
        environment
    )


def test_no_secret_is_written_down() -> None:
    for secret in resources("Secret"):
        assert all(re.fullmatch(r"<[A-Z_]+>", value) for value in secret["stringData"].values())
    for path in [*HELM, *RESOURCE_FILES]:
        for line in path.read_text(encoding="utf-8").splitlines():
            found = re.search(r"(?:API_KEY|TOKEN|api_key|token): *(\S.*)", line)
            assert found is None or re.fullmatch(r"<[A-Z_]+>|ENC\[.*\]", found[1]), f"{path.name}: {line}"


def test_images_are_pinned_to_the_agent_that_the_dockerfile_builds_on() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ARG AGENT_VERSION=(\d+\.\d+\.\d+)$", dockerfile, re.MULTILINE)
    texts = [path.read_text(encoding="utf-8") for path in [*HELM, *RESOURCE_FILES, DEPLOY / "Dockerfile"]]
    named = [found for text in texts for found in re.findall(r"metta/agent(?:-sidecar)?:(\S+)", text)]
    tags = [str(tag) for text in texts for tag in re.findall(r"(?:imageTag|\btag): *(\S+)", text)]
    assert set(named) == {f"{version}-metta"}
    assert set(tags) == {version, f"{version}-metta"}


def sidecar_pod() -> dict[str, Any]:
    (deployment,) = resources("Deployment")
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def agent_container() -> dict[str, Any]:
    container: dict[str, Any] = next(one for one in sidecar_pod()["containers"] if one["name"] == "agent")
    return container


@pytest.mark.parametrize(
    "page", [*DEPLOY.glob("*.md"), ROOT / "tests" / "README.md"], ids=lambda page: page.parent.name
)
def test_what_the_pages_point_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:deploy|tests|kubernetes)/[\w./-]+)`|-f ((?:deploy|tests)/[\w./-]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = [next(filter(None, found)) for found in named]
    assert [path for path in paths if not (ROOT / path).exists() and not (page.parent / path).exists()] == []
