"""What the check loads: nothing that an Agent does not ship, since there it is installed without dependencies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

# What an Agent's own Python has, by distribution: datadog-checks-base with its extra `deps`, and the Agent's lock.
SHIPPED = {
    "annotated-types",
    "attrs",
    "binary",
    "boto3",
    "botocore",
    "bytecode",
    "cachetools",
    "certifi",
    "cffi",
    "charset-normalizer",
    "click",
    "cryptography",
    "datadog-checks-base",
    "ddtrace",
    "envier",
    "idna",
    "importlib-metadata",
    "jellyfish",
    "jmespath",
    "kubernetes",
    "lazy-loader",
    "opentelemetry-api",
    "orjson",
    "packaging",
    "platformdirs",
    "prometheus-client",
    "protobuf",
    "psutil",
    "pydantic",
    "pydantic-core",
    "pyjwt",
    "python-dateutil",
    "pytz",
    "pyyaml",
    "requests",
    "requests-unixsocket2",
    "s3transfer",
    "simplejson",
    "six",
    "typing-extensions",
    "typing-inspection",
    "urllib3",
    "wrapt",
    "zipp",
}

MODULES = [
    "metta_checks.wandb.check",
    "metta_checks.ci.check",
    # The modules of the commands, which are imported when a command runs.
    *(f"metta_checks.cli.{name}" for name in ("board", "collect", "demo", "estimate", "install", "list")),
    *(f"metta_checks.cli.{name}" for name in ("publish", "validate", "verify")),
]

# One interpreter for all of them, which forks for each. What every check loads is loaded before, and counted for each.
LOADED = """
import importlib, json, os, sys
before = set(sys.modules)
import metta_checks.core.check
for module in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(module)
        files = {name: getattr(sys.modules[name], "__file__", None) for name in set(sys.modules) - before}
        print(json.dumps([module, files]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def loaded_by() -> dict[str, dict[str, str | None]]:
    """What the import of each module loads into a fresh interpreter, with its files."""
    command = [sys.executable, "-c", LOADED, *MODULES]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return dict(json.loads(line) for line in ran.stdout.splitlines())


@pytest.fixture(scope="module")
def owners() -> Mapping[str, list[str]]:
    """The distributions of each top-level package."""
    return packages_distributions()


@pytest.mark.parametrize("module", MODULES)
def test_only_what_an_agent_ships_is_loaded(
    module: str, loaded_by: dict[str, dict[str, str | None]], owners: Mapping[str, list[str]]
) -> None:
    loaded = loaded_by[module]
    assert module in loaded
    # Without a file are those that compiled modules make up at run time.
    installed = {name: file for name, file in loaded.items() if file and "site-packages" in Path(file).parts}
    foreign = {name.partition(".")[0] for name in installed} - {"metta_checks"}
    assert "pydantic" in foreign
    assert {
        name: owners.get(name)
        for name in foreign
        if not {owner.lower().replace("_", "-") for owner in owners.get(name, [])} & SHIPPED
    } == {}
    # It shares its top-level name with the base package.
    assert [name for name in loaded if name.startswith("datadog_checks.dev")] == []
    # botocore takes a second and 30 MB: only a secret in AWS is worth it.
    assert [name for name in foreign if name in {"boto3", "botocore"}] == []
