"""Summaries and system metrics: ordinary ones, and ones with edge cases."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from metta_checks.simulator.wandb_project import Blob

FILLER = ("losses/policy_loss", "losses/value_loss", "losses/entropy", "experience/rewards", "env_agent/energy.gained")

NAN, INFINITY = float("nan"), float("inf")


def summary(rng: random.Random, steps: int) -> dict[str, Any]:
    """What a training run ends with. The speed stands under either of two keys, or under none."""
    values: dict[str, Any] = {
        "_step": steps,
        "_runtime": rng.uniform(60, 90_000),
        "_wandb": {"runtime": steps // 7},
        "overview/reward": rng.gauss(4, 2),
        "env_agent/heart.gained": rng.uniform(0, 12),
    }
    speed = rng.uniform(8_000, 400_000)
    match rng.randrange(5):
        case 0:
            values["overview/sps"] = speed
        case 1 | 2:
            values["overview/steps_per_second"] = speed
        case 3:
            values |= {"overview/steps_per_second": speed, "overview/sps": speed * 1.1}
    if rng.random() < 0.6:
        values["skypilot/queue_latency_s"] = rng.randrange(3_600)
    values |= {key: rng.gauss(0, 1) for key in FILLER}
    values |= {f"env_task/arena-{i}/score": rng.random() for i in range(rng.randrange(12))}
    return values


def system_metrics(rng: random.Random, gpus: int) -> dict[str, Any]:
    """The last sample of the machine. The `process` keys are the run's own share of a GPU, not a device."""
    values: dict[str, Any] = {
        "system.cpu": rng.uniform(5, 95),
        "system.memory_percent": rng.uniform(10, 90),
        "system.proc.memory.rssMB": rng.uniform(500, 60_000),
        "system.proc.cpu.threads": rng.randrange(8, 200),
        "system.disk./.usagePercent": rng.uniform(10, 95),
        "system.disk./.usageGB": rng.uniform(20, 900),
        "system.network.sent": rng.randrange(10**10),
        "system.network.recv": rng.randrange(10**10),
    }
    if rng.random() < 0.3:
        values["system.disk./data.usagePercent"] = rng.uniform(10, 95)
    for gpu in range(gpus):
        values |= gpu_metrics(rng, f"system.gpu.{gpu}")
        values |= gpu_metrics(rng, f"system.gpu.process.{gpu}")
    return values


def gpu_metrics(rng: random.Random, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}.gpu": rng.uniform(0, 100),
        f"{prefix}.memory": rng.uniform(0, 100),
        f"{prefix}.memoryAllocated": rng.uniform(0, 100),
        f"{prefix}.memoryAllocatedBytes": rng.randrange(80 * 2**30),
        f"{prefix}.temp": rng.uniform(30, 88),
        f"{prefix}.powerWatts": rng.uniform(60, 700),
        f"{prefix}.powerPercent": rng.uniform(10, 100),
    }


def awkward_summaries(rng: random.Random) -> Iterator[Blob]:
    """Summaries that the official SDK reads, each with a trap for whoever takes all values for numbers."""
    usual = summary(rng, 1_000)
    yield None
    yield {}
    yield "null"
    yield json.dumps(json.dumps(usual))
    yield {**usual, "overview/reward": NAN, "overview/steps_per_second": NAN, "overview/sps": 1_234.5}
    yield {**usual, "overview/reward": INFINITY, "env_agent/heart.gained": -INFINITY}
    yield {**usual, "overview/reward": "NaN", "env_agent/heart.gained": "Infinity"}
    yield {**usual, "overview/reward": "-Infinity", "skypilot/queue_latency_s": "17.5"}
    yield {**usual, "overview/reward": True, "env_agent/heart.gained": False}
    yield {**usual, "overview/reward": {"max": 9.5, "last": 3.25}, "skypilot/queue_latency_s": [1, 2, 3]}
    yield {**usual, "overview/reward": {"_type": "histogram", "bins": [0.0, 0.5, 1.0], "values": [3, 8]}}
    yield {**usual, "overview/reward": None, "overview/steps_per_second": None, "overview/sps": 900}
    yield {**usual, "overview/reward": 10**30, "env_agent/heart.gained": 1e308, "skypilot/queue_latency_s": -0.0}
    yield {**usual, "overview/reward": 0, "overview/steps_per_second": 0, "env_agent/heart.gained": 5e-324}
    yield {**usual, "overview": {"reward": 77.0, "sps": 88.0}, "env_agent": {"heart": {"gained": 99.0}}}
    yield {**usual, "note": "half a pair: \ud83d", "": 1.0}
    yield {"overview/reward": 2.5, "overview/sps": "fast", "overview/steps_per_second": "n/a"}
    yield '{"overview/reward": 1e999, "env_agent/heart.gained": 4}'
    yield '{"overview/reward": 1, "overview/reward": 2}'


def awkward_system_metrics(rng: random.Random) -> Iterator[Blob]:
    """System metrics that the official SDK reads, with devices missing, idle, or not there at all."""
    usual = system_metrics(rng, 2)
    yield None
    yield {}
    yield json.dumps(json.dumps(usual))
    yield {**usual, "system.gpu.0.gpu": NAN, "system.cpu": "NaN"}
    yield {**usual, "system.gpu.0.gpu": INFINITY, "system.gpu.1.gpu": -INFINITY}
    yield {**usual, "system.gpu.1.gpu": "42", "system.gpu.1.memoryAllocated": None, "system.memory_percent": True}
    yield system_metrics(rng, 0) | gpu_metrics(rng, "system.gpu.process.0")
    yield {**gpu_metrics(rng, "system.gpu.0"), **gpu_metrics(rng, "system.gpu.2"), **gpu_metrics(rng, "system.gpu.7")}
    yield {f"system.gpu.{gpu}.gpu": 0 for gpu in range(8)}
    yield {"system.cpu.0.cpu_percent": 12.0, "system.cpu.1.cpu_percent": 90.0, "system.gpu.0.enforcedPowerLimit": 700}


BROKEN_TEXTS = (
    "",
    "{",
    '{"overview/reward": 3.5, "overview/s',
    '{"overview/reward": }',
    "[1, 2, 3]",
    "<html>502</html>",
    "[" * 400 + "]" * 400,
)
"""Stored texts that are no JSON object: the official SDK raises on each of them."""
