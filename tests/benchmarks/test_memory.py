"""The most memory that a collection takes when its source sends the worst that the limits allow."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.simulator.server import LoopbackServer, Reply, Request

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from Linux's /proc"),
]

WORST = Path(__file__).parent / "support" / "bench_support" / "worst.py"
POD = Path(__file__).parents[2] / "deploy" / "kubernetes" / "pod" / "sidecar.yaml"

AGENT_MB = 160
"""What an Agent with these checks takes when it is idle."""

MAX_RESPONSE = 16 * 1024 * 1024
"""The default of `max_response_bytes` for W&B; for GitHub it is half of it."""

MAX_DOCUMENT = 10 * 1024 * 1024

BOUNDS_MB = {"wandb": 110, "ci": 110, "training": 130}
"""Above what the process had before its first collection. All three at once fit into the pod beside the Agent."""

EMOJI = "\U0001f600".encode()
"""One such character makes Python's text of a document four times as large."""


class Fixed(LoopbackServer):
    """Answers every request with the same body, compressed."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = gzip.compress(body, 1)

    def answer(self, _: Request) -> Reply:
        return Reply(200, self.body, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def filled(head: bytes, piece: bytes, tail: bytes, size: int = MAX_RESPONSE) -> bytes:
    """`head`, as many `piece` as there is room for, `tail`; a comma after the last piece is left out."""
    return head + (piece * ((size - len(head) - len(tail)) // len(piece))).removesuffix(b",") + tail


def noise(size: int) -> bytes:
    """Hexadecimal text that no compression makes small, so that it does not look like a bomb."""
    return os.urandom(size // 2).hex().encode()


def page_of(*nodes: dict[str, Any]) -> bytes:
    edges = [{"node": {"name": f"run{i}", "state": "running", **node}} for i, node in enumerate(nodes)]
    runs = {"edges": edges, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    return json.dumps({"data": {"viewer": {"id": "x"}, "project": {"runs": runs}}}, ensure_ascii=False).encode()


def many(values: int, piece: bytes) -> bytes:
    return b"[" + (piece * values).removesuffix(b",") + b"]"


WANDB: dict[str, Callable[[], bytes]] = {
    "tiny objects": lambda: filled(b'{"errors":[', b'{"":0},', b"]}"),
    "as many tiny objects as pass": lambda: (
        b'{"errors":[],"pad":"' + EMOJI + noise(15_500_000) + b'","data":' + many(49_000, b'{"":0},') + b"}"
    ),
    "a run whose summary has as many values as pass": lambda: page_of(
        {"summaryMetrics": json.dumps({f"{i:08x}": i + 0.5 for i in range(495_000)})},
    ),
    "a run whose summary has one value too many": lambda: page_of(
        {"summaryMetrics": json.dumps({f"{i:08x}": i + 0.5 for i in range(505_000)})},
    ),
    "a huge wanted value": lambda: page_of(
        {"summaryMetrics": json.dumps({"overview/reward": EMOJI.decode() + noise(15_500_000).decode()})}
    ),
    "a huge summary, as text": lambda: page_of(
        {
            "summaryMetrics": json.dumps(
                json.dumps(
                    {"overview/reward": 1, "x": EMOJI.decode() + noise(15_500_000).decode()}, ensure_ascii=False
                ),
                ensure_ascii=False,
            )
        }
    ),
    "a huge name": lambda: page_of({"displayName": EMOJI.decode() + noise(15_500_000).decode()}),
}


CI: dict[str, Callable[[], bytes]] = {
    "tiny objects": lambda: filled(b'{"x":[', b'{"":0},', b"]}", MAX_RESPONSE // 2),
    "as many tiny objects as pass": lambda: (
        b'{"total_count":1,"pad":"'
        + EMOJI
        + noise(7_900_000)
        + b'","workflow_runs":[],"x":'
        + many(49_000, b'{"":0},')
        + b"}"
    ),
    "a list of runs": lambda: runs_of(5_000),
}


def runs_of(number: int) -> bytes:
    stamp = "2026-01-10T12:00:00Z"
    runs = [
        {
            "id": i,
            "node_id": f"node{i}",
            "workflow_id": 1,
            "path": ".github/workflows/a.yml",
            "run_number": i,
            "status": "completed",
            "conclusion": "success",
            "created_at": stamp,
            "updated_at": stamp,
            "repository": {"id": 1, "full_name": "a/b", "html_url": "https://github.com/a/b"},
            "head_repository": {"id": 1},
        }
        for i in range(number)
    ]
    return json.dumps({"total_count": number, "workflow_runs": runs}).encode()


RECORD = {
    "metric": "hearts",
    "workflow_name": "arena",
    "task": "t",
    "check": "c",
    "condition": "> 0.5",
    "value": 0.91,
    "status": "pass",
    "timestamp": "2025-01-14T15:00:00Z",
    "tags": {"commit": "abc123", "workflow": "training"},
}

HEALTH: dict[str, Callable[[], bytes]] = {
    "tiny objects": lambda: filled(b"[", b'{"":0},', b"]", MAX_DOCUMENT),
    "10,000 records": lambda: json.dumps([{**RECORD, "task": f"task {i}"} for i in range(10_000)]).encode(),
    "10,000 records of 1,000 characters": lambda: json.dumps(
        [{**RECORD, "task": f"task {i}" + "\U0001f600" + "x" * 700} for i in range(10_000)], ensure_ascii=False
    ).encode(),
    "10,000 records of 20 tags": lambda: json.dumps(
        [{**RECORD, "task": f"task {i}", "tags": {f"t{j}": f"{i * j:08x}" for j in range(20)}} for i in range(10_000)]
    ).encode(),
    "10,000 broken records": lambda: json.dumps([{f"x{j}": [i] for j in range(12)} for i in range(10_000)]).encode(),
    "a record of 145,000 broken tags": lambda: json.dumps(
        [{**RECORD, "tags": {f"t{i}": [] for i in range(145_000)}}]
    ).encode(),
    "a record of 290,000 tags": lambda: json.dumps([{**RECORD, "tags": {f"t{i}": i for i in range(290_000)}}]).encode(),
    "a record of a huge field": lambda: json.dumps(
        [{**RECORD, "x": "\U0001f600" + noise(10_000_000).decode()}], ensure_ascii=False
    ).encode(),
    "a record of a huge tag": lambda: json.dumps(
        [{**RECORD, "tags": {"x": "\U0001f600" + noise(10_000_000).decode()}}], ensure_ascii=False
    ).encode(),
}


def worst_of(address: str, tmp_path: Path, instance: dict[str, Any], collections: int = 2) -> dict[str, Any]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "DD_", "GITHUB_"))
    }
    environment |= {"HOME": str(tmp_path), "DDEV_SKIP_GENERIC_TAGS_CHECK": "true"}
    command = [sys.executable, str(WORST), address, json.dumps(instance), str(collections)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def report(name: str, what: str, body: bytes, measured: dict[str, Any]) -> None:
    """Print one line, and fail above the bound."""
    above = measured["peak_mb"] - measured["before_mb"]
    outcome = (measured["error"] or (measured["warnings"] or ["read"])[0])[-70:]
    print(f"{name:<9}{what:<52}{len(body) / 1e6:6.1f} MB sent {above:6.0f} MB above import  {outcome}")  # noqa: T201
    assert above < BOUNDS_MB[name]


def test_three_checks_at_their_worst_fit_into_the_pod() -> None:
    limits = re.findall(r"limits:\n +memory: (\S+)", POD.read_text(encoding="utf-8"))
    (limit,) = set(limits)
    assert limit.endswith("Mi")
    assert AGENT_MB + sum(BOUNDS_MB.values()) < int(limit.removesuffix("Mi"))


@pytest.mark.parametrize("what", WANDB)
def test_wandb(what: str, tmp_path: Path) -> None:
    body = WANDB[what]()
    with Fixed(body) as server:
        instance = {"entity": "e", "project": "p", "base_url": server.url, "api_key": "k" * 40, "tls_verify": False}
        measured = worst_of("metta_checks.wandb.check:WandbCheck", tmp_path, instance)
        report("wandb", what, body, measured)


@pytest.mark.parametrize("what", CI)
def test_ci(what: str, tmp_path: Path) -> None:
    body = CI[what]()
    with Fixed(body) as server:
        instance = {"repo": "a/b", "api_url": server.url, "token": "k" * 40, "tls_verify": False}
        measured = worst_of("metta_checks.ci.check:CiCheck", tmp_path, instance)
        report("ci", what, body, measured)


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("what", HEALTH)
def test_health(what: str, number: int, tmp_path: Path) -> None:
    body = HEALTH[what]()
    for i in range(number):
        (tmp_path / f"{i}.json").write_bytes(body)
    measured = worst_of("metta_checks.training.check:TrainingCheck", tmp_path, {"source": str(tmp_path)})
    report("training", f"{number} x {what}", body, measured)
