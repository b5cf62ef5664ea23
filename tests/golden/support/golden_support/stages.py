"""The sources that checks read from: the two APIs, a directory, a file and an address of health documents."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Self

from golden_support import github_data, health_data, wandb_data
from golden_support.faults import COMMON
from golden_support.github_api import FAULTS as GITHUB_FAULTS
from golden_support.github_api import TOKEN, GitHubApi
from golden_support.lot import MONTH, START
from golden_support.server import Reply, Request, Server
from golden_support.wandb_api import ENTITY, KEY, WandbApi
from golden_support.wandb_api import FAULTS as WANDB_FAULTS

CLOSED: Final = "closed:"


class ServedStage:
    """A stage behind a server on loopback."""

    def __init__(self) -> None:
        self.now = START
        self._server = Server(self.answer)
        self.address = self._server.url

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def requests(self) -> int:
        sent, self._server.requests = self._server.requests, 0
        return sent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


class WandbStage(ServedStage):
    def __init__(self) -> None:
        self._api = WandbApi(START)
        super().__init__()

    @property
    def objects(self) -> Sequence[str]:
        runs = [run.name for run in wandb_data.all_runs()]
        return [*runs, "hibernating", f"{ENTITY}/metta", f"{ENTITY}/metta-two", "summaryMetrics", "systemMetrics"]

    @property
    def data(self) -> str:
        ends = [run.node(START + MONTH) for run in wandb_data.all_runs()]
        return _digest(
            [[node["summaryMetrics"](), node["systemMetrics"](), node["heartbeatAt"], node["state"]] for node in ends]
        )

    def options(self) -> Mapping[str, Any]:
        return {"entity": ENTITY, "project": "metta", "base_url": self.address, "api_key": KEY, "tls_verify": False}

    def go_to(self, now: datetime, fault: str) -> None:
        self._api.now = now
        self._server.fault = ({**COMMON, **WANDB_FAULTS}[fault])() if fault else None

    def answer(self, request: Request) -> Reply:
        return self._api(request)


class GitHubStage(ServedStage):
    def __init__(self) -> None:
        self._api = GitHubApi(START, lambda: self.address)
        super().__init__()

    @property
    def objects(self) -> Sequence[str]:
        flows = github_data.WORKFLOWS.values()
        files = {part for flow in flows for part in (flow.path, flow.path.rpartition("/")[2], str(flow.id))}
        names = {flow.name for flow in flows if " " in flow.name}
        runs = {str(run.id) for run in github_data.all_runs()}
        return [*files, *names, *runs, *github_data.FULL_NAMES, *github_data.LABELS, "no-such.yml", "mian"]

    @property
    def data(self) -> str:
        return _digest([github_data.all_runs(), github_data.all_pull_requests(), github_data.WORKFLOWS])

    def options(self) -> Mapping[str, Any]:
        return {"repo": github_data.FULL_NAMES[0], "api_url": self.address, "token": TOKEN, "tls_verify": False}

    def go_to(self, now: datetime, fault: str) -> None:
        self._api.now = now
        closed = fault.startswith(CLOSED)
        self._api.closed = frozenset(fault.removeprefix(CLOSED).split(",")) if closed else frozenset()
        self._server.fault = ({**COMMON, **GITHUB_FAULTS}[fault])() if fault and not closed else None

    def answer(self, request: Request) -> Reply:
        return self._api(request)


class WebStage(ServedStage):
    """One document behind an address, with an ETag, and Last-Modified; in every other week without the ETag."""

    @property
    def objects(self) -> Sequence[str]:
        return ["health.json"]

    @property
    def data(self) -> str:
        return _digest([health_data.document(START + MONTH * part / 50) for part in range(50)])

    def options(self) -> Mapping[str, Any]:
        return {"source": f"{self.address}/suite/health.json", "tls_verify": False}

    def go_to(self, now: datetime, fault: str) -> None:
        self.now = now
        self._server.fault = COMMON[fault]() if fault else None

    def answer(self, request: Request) -> Reply:
        file = health_data.document(self.now)
        if file is None:
            return Reply(404, b"gone")
        headers = {"Date": _http(self.now), "Last-Modified": _http(file.written), "Content-Type": "application/json"}
        if (self.now - START).days // 7 % 2 == 0:
            headers["ETag"] = f'"{hashlib.sha256(file.content).hexdigest()[:20]}"'
        held = request.headers.get("if-none-match")
        same = (
            held == headers.get("ETag")
            if held
            else request.headers.get("if-modified-since") == headers["Last-Modified"]
        )
        return (
            Reply(304, b"", headers) if same and ("ETag" in headers or not held) else Reply(200, file.content, headers)
        )


class FolderStage:
    """The documents of a suite in a directory of the machine. `requests` are none."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="golden-")).resolve()
        self.folder = self._home / "published"
        self.folder.mkdir()
        self.address = str(self._home)

    @property
    def objects(self) -> Sequence[str]:
        return [*health_data.documents(START), "legacy.json", "dangling.json", "pipe.json"]

    @property
    def data(self) -> str:
        return _digest([health_data.documents(START + MONTH * part / 50) for part in range(50)])

    def options(self) -> Mapping[str, Any]:
        return {"source": str(self.folder)}

    def requests(self) -> int:
        return 0

    def go_to(self, now: datetime, fault: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True) if fault == "no folder" else self._publish(now)
        match fault:
            case "a dangling link":
                (self.folder / "dangling.json").symlink_to(self.folder / "nowhere")
            case "a pipe":
                os.mkfifo(self.folder / "pipe.json")
            case "all torn":
                for path in self.folder.glob("*.json"):
                    _write(path, path.read_bytes()[:-3], now)
            case "nothing in it":
                for path in self.folder.iterdir():
                    path.unlink()

    def _publish(self, now: datetime) -> None:
        self.folder.mkdir(exist_ok=True)
        wanted = health_data.documents(now)
        for path in self.folder.iterdir():
            if path.name not in wanted:
                path.unlink()
        for name, file in wanted.items():
            path = self.folder / name
            if (
                not path.exists()
                or path.read_bytes() != file.content
                or path.stat().st_mtime != file.written.timestamp()
            ):
                _write(path, file.content, file.written)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._home, ignore_errors=True)


class FileStage(FolderStage):
    """One of the documents, named by itself."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__()

    def options(self) -> Mapping[str, Any]:
        return {"source": str(self.folder / self._name)}


def _write(path: Path, content: bytes, written: datetime) -> None:
    """As publishers do: another file, renamed into place."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    os.utime(beside, (written.timestamp(), written.timestamp()))
    beside.replace(path)


def _digest(data: object) -> str:
    return hashlib.sha256(repr(data).encode()).hexdigest()[:16]


def _http(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
