"""What the official SDK writes, without a network, is what the check reads: system metrics, labels, nested values.

There is no GPU here, so the keys of GPUs are those of the SDK's sources (`xpu/src/gpu_nvidia.rs`, `gpu_amd.rs`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from wandb_support import offline_run
from wandb_support.watch import START, Received, Watch, value_of

from metta_checks.cli.wandb_sdk import is_installed
from metta_checks.wandb.blobs import SYSTEM_KEYS

needs_sdk = pytest.mark.skipif(not is_installed(), reason="the official SDK is not installed: pip install wandb")

GPU_KEYS = ("gpu", "memory", "memoryAllocated", "memoryAllocatedBytes", "temp", "powerWatts", "enforcedPowerLimitWatts")

PASSED_OVER = re.compile(
    r"system\.(?:network|proc|disk\.[^/]+\.(?:in|out)|disk\..+\.usageGB|cpu\.\d+|gpu\.(?:process\.)?\d+|tpu|trn|ipu)"
    r"(?:\..*)?|system\.disk\..+\.usageGB"
)
"""System metrics that the check leaves out on purpose."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(None, id="no label"),
        pytest.param("rank-0", id="label", marks=pytest.mark.slow),
        pytest.param("node/1.eu", id="label with a slash"),
    ],
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run of the SDK writes, in a process of its own."""
    command = [
        sys.executable,
        offline_run.__file__,
        str(tmp_path_factory.mktemp("sdk")),
        *filter(None, [request.param]),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read(watch: Callable[..., Watch], summary: Mapping[str, Any], system: Mapping[str, Any]) -> Received:
    watched = watch(metrics=["*"], system_metrics=list(SYSTEM_KEYS))
    watched.project.start(
        "run",
        START - timedelta(hours=1),
        heartbeat_at=START - timedelta(seconds=20),
        summary=dict(summary),
        system_metrics=dict(system),
    )
    return watched.collect()


def by(received: Received, name: str, key: str) -> dict[str, float]:
    return {value_of(tags, key): value for (metric, tags), value in received.gauges.items() if metric == name}


@needs_sdk
def test_every_system_metric_is_read_or_left_out_on_purpose(
    written: dict[str, Any], watch: Callable[..., Watch]
) -> None:
    system = written["system"]
    assert system
    found = by(read(watch, {}, system), "wandb.run.system", "metric")
    for name, begin in (
        ("cpu_utilization", "system.cpu"),
        ("memory_utilization", "system.memory_percent"),
        ("disk_utilization", "system.disk./.usagePercent"),
    ):
        (value,) = (value for key, value in system.items() if key == begin or key.startswith(f"{begin}/l:"))
        assert found[name] == pytest.approx(value)
    known = [pattern for forms in SYSTEM_KEYS.values() for pattern in forms]
    unknown = [
        key
        for key in system
        if not any(pattern.fullmatch(key) for pattern in known) and not PASSED_OVER.fullmatch(key.partition("/l:")[0])
    ]
    assert unknown == [], "a system metric that no rule of the check knows: read it, or add it to PASSED_OVER"


@needs_sdk
def test_every_number_of_the_summary_is_read(written: dict[str, Any], watch: Callable[..., Watch]) -> None:
    received = read(watch, written["summary"], {})
    values = by(received, "wandb.run.metric", "metric_name")
    logged = {"val/acc.max": 0.75, "val/acc.min": 0.5, "stats.reward": 1.5, "stats.deep.er": -2, "plain": 3}
    assert {key: value for key, value in values.items() if key in logged} == logged
    assert values["dotted.key"] == 4.5
    assert not {key for key in values if key.startswith(("page", "text", "on"))}
    assert received.of_run("run")["log_age_seconds"] >= 0
    # Of what was logged the NaN alone is left out.
    dropped = {
        value_of(tags, "reason"): n for (name, tags), n in received.telemetry.items() if name.endswith("dropped")
    }
    assert dropped == {"not_finite": 1, "invalid": 0, "over_limit": 0, "unreadable": 0}


@pytest.mark.parametrize("label", ["", "/l:rank-0", "/l:node/1.eu"])
@pytest.mark.parametrize("devices", [1, 8])
def test_gpus_as_the_sdks_sources_name_them(watch: Callable[..., Watch], devices: int, label: str) -> None:
    system = {f"system.gpu.{n}.{key}{label}": 10.0 * n + 1 for n in range(devices) for key in GPU_KEYS}
    system |= {f"system.gpu.process.0.{key}{label}": 1.0 for key in GPU_KEYS}
    received = read(watch, {}, system)
    mean = 1 + 10 * (devices - 1) / 2
    found = by(received, "wandb.run.system", "metric")
    for name in ("gpu_utilization", "gpu_memory_utilization", "gpu_temperature", "gpu_power"):
        assert found[name] == pytest.approx(mean)
    assert sum(by(received, "wandb.gpus_in_use", "run_type").values()) == devices
