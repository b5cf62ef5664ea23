"""The DatadogAgent resource against the schema that the Operator publishes, in its Go module."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy_support.manifests import resources
from jsonschema import Draft7Validator

KNOWN = yaml.safe_load((Path(__file__).parent / "known_keys.yaml").read_text(encoding="utf-8"))
SCHEMA = "config/crd/bases/v1/datadoghq.com_datadogagents_v2alpha1.json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The schema of the version whose keys are listed; fetched by the go command, which keeps the module."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("the schema comes as a Go module, and there is no go command here")
    (version,) = re.findall(r"datadog-operator (\d+\.\d+\.\d+)", KNOWN["operator"]["read_from"])
    module = f"github.com/DataDog/datadog-operator@v{version}"
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("go"),
        check=False,
    )
    # It also tells where the archive is when the module asks for a newer compiler, which nobody here needs.
    archive = json.loads(done.stdout or "{}").get("Zip")
    if archive is None:
        pytest.skip(f"go cannot fetch {module}: {done.stderr or done.stdout}")
    with zipfile.ZipFile(archive) as module_files:
        published: dict[str, Any] = json.loads(module_files.read(f"{module}/{SCHEMA}"))
    return published


def test_the_resource_is_what_the_operator_takes(schema: dict[str, Any]) -> None:
    (agent,) = resources("DatadogAgent")
    assert [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(agent)] == []


def test_the_schema_refuses_what_it_does_not_know(schema: dict[str, Any]) -> None:
    """So that the test above says something."""
    (agent,) = resources("DatadogAgent")
    agent["spec"]["override"]["clusterChecksRunner"]["extraChecks"] = {}
    (error,) = Draft7Validator(schema).iter_errors(agent)
    assert "extraChecks" in error.message
