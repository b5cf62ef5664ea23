"""Starts a way of reading a project in a process of its own, and measures what it costs server and machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulator_support.wandb_projects import bulk_project

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer

CLIENTS = Path(__file__).with_name("clients.py")


@dataclass(frozen=True)
class Measured:
    """One reading. `peak_mb` is that of the process, `children_mb` that of its children together; seconds, MB."""

    requests: int
    bytes: int
    wall: float
    cpu: float
    imported_mb: float
    peak_mb: float
    children_mb: float
    more: dict[str, Any]

    @property
    def above_import_mb(self) -> float:
        return self.peak_mb - self.imported_mb


class Client:
    """One process, which reads each time it is asked to."""

    def __init__(self, process: subprocess.Popen[str], server: WandbServer) -> None:
        self._process = process
        self._server = server
        self._imported_mb = self._line()["imported_mb"]

    def read(self) -> Measured:
        requests, sent = self._requests(), self._server.bytes_sent
        assert self._process.stdin is not None
        self._process.stdin.write("read\n")
        self._process.stdin.flush()
        told = self._line()
        return Measured(
            requests=self._requests() - requests,
            bytes=self._server.bytes_sent - sent,
            wall=told.pop("wall"),
            cpu=told.pop("cpu"),
            imported_mb=self._imported_mb,
            peak_mb=told.pop("peak_mb"),
            children_mb=sum(map(_peak_mb, _descendants(self._process.pid))),
            more=told,
        )

    def _requests(self) -> int:
        # What the SDK reports about itself is not counted.
        return sum(request.path == "/graphql" for request in self._server.requests)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        assert text, f"the client ended with status {self._process.wait()}"
        told: dict[str, Any] = json.loads(text)
        return told


@contextmanager
def client(way: str, server: WandbServer, project: DemoProject, home: Path, **options: Any) -> Iterator[Client]:
    """A process that reads the project in this way (a class of `clients`) for as long as the block lasts."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WANDB_", "DD_")) and not name.lower().endswith("_proxy")
    }
    environment |= {"HOME": str(home), "WANDB_DIR": str(home), "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    where = [server.url, DEMO_API_KEY, project.entity, project.name]
    command = [sys.executable, str(CLIENTS), way, *where, json.dumps(options)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield Client(process, server)
        finally:
            process.kill()


def project_of(runs: int, *, alive: int) -> DemoProject:
    """`runs` active runs with sixty summary keys each, of which `alive` run and the others have ended today."""
    now = datetime.now(UTC).replace(microsecond=0)
    project = bulk_project(now, runs=runs)
    for i, run in enumerate(project.runs):
        if i < alive:
            run.state, run.heartbeat_at = "running", now
        else:
            run.state = "finished" if run.state == "running" else run.state
            # Not within the minutes that a delta reaches back.
            run.heartbeat_at = now - timedelta(hours=2, seconds=i)
    return project


def beat(project: DemoProject, number: int) -> None:
    """Every run that runs sends a heartbeat and new values."""
    now = datetime.now(UTC).replace(microsecond=0)
    for run in project.runs:
        if run.state == "running":
            project.beat(run.name, now, {"overview/reward": float(number)})


def table(title: str, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """The first column flush left, the others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for first, *others in [header, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(["", title, *lines])


def _descendants(pid: int) -> list[int]:
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [int(child) for text in lists for child in text.split()]
    return children + [further for child in children for further in _descendants(child)]


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
