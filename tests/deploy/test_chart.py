"""The Helm values in the chart itself, rendered: where there are Helm and unpacked charts with their dependencies.

DATADOG_CHARTS names the folders of the chart, one for each version, separated as in PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from deploy_support.manifests import KUBERNETES, embedded, values

CHARTS = [Path(folder) for folder in os.environ.get("DATADOG_CHARTS", "").split(os.pathsep) if folder]
HELM = shutil.which("helm") or ""
KUBERNETES_VERSION = "1.33.0"
RELEASES = {
    "cluster-checks": ["cluster-checks.yaml"],
    "growth": ["cluster-checks.yaml", "growth.yaml"],
    "sidecar": ["sidecar.yaml"],
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHARTS or not HELM, reason="no helm, or no chart in DATADOG_CHARTS"),
]
every_chart = pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.parent.parent.name)
every_release = pytest.mark.parametrize("release", RELEASES)


def helm(*arguments: str | Path) -> str:
    done = subprocess.run([HELM, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(release: str) -> Iterator[str | Path]:
    for name in RELEASES[release]:
        yield from ("-f", KUBERNETES / "helm" / name)


def rendered(chart: Path, release: str) -> list[dict[str, Any]]:
    text = helm(
        "template", "datadog", chart, "--kube-version", KUBERNETES_VERSION, "--include-crds", *files_of(release)
    )
    return [document for document in yaml.safe_load_all(text) if document]


def containers(documents: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        pod = document.get("spec", {}).get("template", {}).get("spec", {})
        yield from [*pod.get("containers", []), *pod.get("initContainers", [])]


@every_chart
@every_release
def test_the_chart_takes_the_values(chart: Path, release: str) -> None:
    assert "0 chart(s) failed" in helm("lint", chart, *files_of(release))
    documents = rendered(chart, release)
    assert {"DaemonSet", "Deployment"} <= {document["kind"] for document in documents}
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES_VERSION[:-2], strict=True)


@every_chart
@every_release
def test_one_version_of_the_agent_and_neither_operator_nor_crds(chart: Path, release: str) -> None:
    documents = rendered(chart, release)
    assert [one["metadata"]["name"] for one in documents if one["kind"] == "CustomResourceDefinition"] == []
    images = {container["image"] for container in containers(documents)}
    assert [image for image in images if "operator" in image] == []
    assert {image.rpartition(":")[2].removesuffix("-metta") for image in images} == {
        values("cluster-checks.yaml")["agents"]["image"]["tag"]
    }


@every_chart
@pytest.mark.parametrize("release", ["cluster-checks", "growth"])
def test_the_cluster_agent_gets_each_configuration_as_it_is_written(chart: Path, release: str) -> None:
    texts = [
        text.strip()
        for document in rendered(chart, release)
        if document["kind"] == "ConfigMap"
        for text in document.get("data", {}).values()
    ]
    for one in embedded():
        if one.place.partition(":")[0] in RELEASES[release]:
            assert one.text.strip() in texts, one.place


@every_chart
def test_a_budget_keeps_the_runners_up(chart: Path) -> None:
    budgets = [one for one in rendered(chart, "cluster-checks") if one["kind"] == "PodDisruptionBudget"]
    assert [budget["metadata"]["name"] for budget in budgets] == ["datadog-clusterchecks"]


def test_the_newest_chart_has_every_key_that_the_values_use() -> None:
    known = yaml.safe_load((Path(__file__).parent / "known_keys.yaml").read_text(encoding="utf-8"))["helm"]
    (version,) = re.findall(r"\d+\.\d+\.\d+", known["read_from"])
    (chart,) = (path for path in CHARTS if f"version: {version}\n" in (path / "Chart.yaml").read_text(encoding="utf-8"))
    tree = yaml.safe_load((chart / "values.yaml").read_text(encoding="utf-8"))
    missing = []
    for key in known["keys"]:
        inner: Any = tree
        for part in key.partition(".*")[0].split("."):
            inner = inner.get(part, KeyError) if isinstance(inner, dict) else inner
        missing += [key] if inner is KeyError else []
    assert [key for key in missing if not key.startswith("clusterChecksRunner.resources.")] == []
