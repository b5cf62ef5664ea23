"""The files in `deploy`: their documents, and the check configurations inside of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[4]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
HELM = sorted((KUBERNETES / "helm").glob("*.yaml"))
RESOURCE_FILES = sorted(
    [KUBERNETES / "shims.yaml", *(KUBERNETES / "pod").glob("*.yaml"), *(KUBERNETES / "operator").glob("*.yaml")]
)
FOLDERS = (KUBERNETES / "injected",)
"""Folders that become an Agent's conf.d."""


@dataclass(frozen=True)
class Embedded:
    """One configuration file for an Agent: what it is called there, and its text. `place` is where it stands here."""

    place: str
    check: str
    text: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self.text)
        return document

    @property
    def is_cluster_check(self) -> bool:
        return bool(self.document.get("cluster_check"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def resources(kind: str) -> Iterator[dict[str, Any]]:
    """All resources of that kind."""
    for path in RESOURCE_FILES:
        yield from (document for document in documents(path) if document["kind"] == kind)


def values(name: str) -> dict[str, Any]:
    """The Helm values in that file."""
    (document,) = documents(KUBERNETES / "helm" / name)
    return document


def embedded() -> Iterator[Embedded]:
    """Every check configuration, wherever it stands."""
    yield from _in_values()
    yield from _in_config_maps()
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.d/*.yaml")):
            yield Embedded(
                str(path.relative_to(ROOT)), path.parent.name.removesuffix(".d"), path.read_text(encoding="utf-8")
            )


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths to everything in nested mappings that is none itself."""
    if not isinstance(value, Mapping):
        yield path
        return
    for key, inner in value.items():
        yield from leaves(inner, (*path, key))


def _in_values() -> Iterator[Embedded]:
    for path in HELM:
        folders = values(path.name)["clusterAgent"].get("advancedConfd", {})
        for folder, files in folders.items():
            for name, text in files.items():
                yield Embedded(f"{path.name}: {folder}/{name}", folder.removesuffix(".d"), text)


def _in_config_maps() -> Iterator[Embedded]:
    paths = {
        item["key"]: item["path"]
        for agent in resources("DatadogAgent")
        for item in agent["spec"]["override"]["clusterAgent"]["extraConfd"]["configMap"]["items"]
    }
    for path in RESOURCE_FILES:
        for document in documents(path):
            if document["kind"] != "ConfigMap":
                continue
            for key, text in document["data"].items():
                if key.endswith(".yaml"):
                    target = Path(paths[key]).parent.name if key in paths else Path(key).stem
                    yield Embedded(f"{path.name}: {key}", target.removesuffix(".d"), text)
