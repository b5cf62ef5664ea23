"""The official SDK reads the demo server as it reads the service: same runs, same figures."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from simulator_support.wandb_projects import edge_case_project

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("wandb") is None, reason="the official SDK is not installed: pip install wandb"
)

# In a process of its own: the SDK starts a child and replaces sys.exit.
SCRIPT = """
import json, sys
import wandb

base_url, api_key, path = sys.argv[1:4]
api = wandb.Api(overrides={"base_url": base_url}, api_key=api_key)

def told(run):
    return {
        "id": run.id, "storage_id": run.storage_id, "name": run.name, "state": run.state, "sweep": run.sweep_name,
        "created_at": run.created_at, "heartbeat_at": run.heartbeat_at, "tags": list(run.tags),
        "config": run.config, "summary": run.summary_metrics, "keys": sorted(dict(run.summary)),
        "system": run.system_metrics,
    }

lazy = api.runs(path, per_page=100)
running = api.runs(path, filters={"state": {"$in": ["running"]}}, order="-heartbeat_at", per_page=1000, lazy=False)
swept = next(run for run in lazy if run.sweep_name)
one = api.run(f"{path}/{swept.id}")
print(json.dumps({
    "viewer": [api.viewer.username, api.default_entity],
    "projects": [project.name for project in api.projects(path.split("/")[0])],
    "lazy": [told(run) for run in lazy],
    "full": [told(run) for run in api.runs(path, per_page=1000, lazy=False)],
    "running": [run.id for run in running],
    "lengths": [len(lazy), len(running)],
    "sweep": [one.sweep.id, len(list(one.sweep.runs)), len(list(api.project(*reversed(path.split("/"))).sweeps()))],
    "history": one.history(pandas=False),
}))
"""

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


def read_with_sdk(server: WandbServer, project: DemoProject, home: Path) -> dict[str, Any]:
    """What the SDK makes of the project, in a home directory where it finds no account."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "WANDB_DIR": str(home),
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "NO_PROXY": "127.0.0.1",
    }
    path = f"{project.entity}/{project.name}"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, server.url, DEMO_API_KEY, path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def stored(blob: Any) -> Any:
    """The values of a metrics field, however often they were put into strings."""
    while isinstance(blob, str):
        blob = json.loads(blob)
    return {} if blob is None else blob


def expected(project: DemoProject) -> list[dict[str, Any]]:
    runs = sorted(project.runs, key=lambda run: (run.created_at, run.id))
    return [
        {
            "id": run.name,
            "storage_id": run.id,
            "name": run.display_name,
            "state": run.state,
            "sweep": run.sweep_name,
            "created_at": run.created_text,
            "heartbeat_at": run.heartbeat_text,
            "tags": list(run.tags),
            "config": run.config,
            "summary": stored(run.summary),
            "keys": sorted(stored(run.summary)),
            "system": stored(run.system_metrics),
        }
        for run in runs
    ]


def comparable(runs: list[dict[str, Any]]) -> list[str]:
    """As text, in which a NaN equals a NaN."""
    return [json.dumps(run, sort_keys=True) for run in runs]


def test_the_sdk_reads_what_the_project_holds(tmp_path: Path) -> None:
    project = edge_case_project(NOW, runs=320, broken=False)
    with WandbServer(project) as server:
        read = read_with_sdk(server, project, tmp_path)
        assert not any(request.path not in ("/graphql", "/sdk/otel/v1/metrics") for request in server.requests)
    running = [run for run in project.runs if run.state == "running"]
    swept = next(run for run in expected(project) if run["sweep"])
    assert comparable(read["lazy"]) == comparable(expected(project))
    assert comparable(read["full"]) == comparable(expected(project))
    assert sorted(read["running"]) == sorted(run.name for run in running)
    assert read["lengths"] == [320, len(running)]
    assert (read["viewer"], read["projects"]) == (["demo-viewer", project.entity], [project.name])
    assert read["sweep"] == [swept["sweep"], len(project.sweeps[swept["sweep"]].runs), len(project.sweeps)]
    assert read["history"] == []
