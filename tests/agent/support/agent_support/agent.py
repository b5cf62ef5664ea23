"""A real Datadog Agent as a process of its own, in a folder of its own, with the checks of this source tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[4]
USUAL_PLACE = Path("/opt/datadog-agent/bin/agent/agent")
BINARY, LIBRARIES, PYTHON = "DD_AGENT_BINARY", "DD_AGENT_LIBRARY_PATH", "DD_AGENT_PYTHONPATH"
API_KEY = "a1b2c3d4" * 4
HOST = "agent-under-test"

_GIVEN = {name: os.environ[name] for name in (BINARY, LIBRARIES, PYTHON) if os.environ.get(name)}
"""Read when this is imported: the tests' environment has no variable of the machine's own Agent."""

STOP_SECONDS = 60
BOUND = ("setpriv", "--pdeathsig", "KILL")
"""The Agent does not outlive the tests, however they end."""


@dataclass(frozen=True, slots=True)
class AgentProgram:
    """The executable, and the environment that it needs to find its libraries and its Python packages."""

    path: Path
    environment: Mapping[str, str]

    def command(self, home: Path, *arguments: str) -> list[str]:
        """The words of an `agent` command for the Agent whose folder is `home`."""
        return [str(self.path), *arguments, "--cfgpath", str(home)]

    def run(self, home: Path, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """An `agent` command to its end."""
        return subprocess.run(
            self.command(home, *arguments),
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            start_new_session=True,
        )

    @property
    def version(self) -> str:
        done = subprocess.run(
            [str(self.path), "version"], env=dict(self.environment), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def find_program() -> AgentProgram | None:
    """The Agent that DD_AGENT_BINARY names, else the one at the usual place; None where there is none.

    Raises FileNotFoundError when the variable names no file. DD_AGENT_LIBRARY_PATH and DD_AGENT_PYTHONPATH, for an
    Agent that was not installed by its package, are the folders of its libraries and of `datadog_checks`.
    """
    path = Path(_GIVEN.get(BINARY, USUAL_PLACE))
    if not path.is_file():
        if BINARY in _GIVEN:
            raise FileNotFoundError(f"{BINARY}={path}: there is no such file")
        return None
    environment = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [_GIVEN.get(PYTHON)])])
    if LIBRARIES in _GIVEN:
        environment["LD_LIBRARY_PATH"] = _GIVEN[LIBRARIES]
    return AgentProgram(path, environment)


class Agent:
    """One Agent; a context manager that kills it at the end. `settings` are added to its datadog.yaml.

    It is started, stopped and started again on the same folder, so that it keeps its state. It runs these checks and
    nothing else, and sends to `intake`.
    """

    def __init__(self, program: AgentProgram, home: Path, intake: str, **settings: Any) -> None:
        self.program = program
        self.home = home
        self.environment = dict(program.environment)
        self._process: subprocess.Popen[bytes] | None = None
        for folder in ("conf.d", "run", "auth"):
            (home / folder).mkdir(parents=True)
        whole = {**_settings(home, intake), **settings}
        (home / "datadog.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")

    def configure(self, check: str, instances: Sequence[Mapping[str, Any]], **init_config: Any) -> Path:
        """Write the check's configuration. Returns its path."""
        path = self.home / "conf.d" / f"{check}.d" / "conf.yaml"
        path.parent.mkdir(exist_ok=True)
        document = {"init_config": init_config, "instances": [dict(one) for one in instances]}
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return path

    def start(self) -> None:
        assert self._process is None
        bound = BOUND if shutil.which(BOUND[0]) else ()
        with (self.home / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                [*bound, *self.program.command(self.home, "run")],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop(self) -> int:
        """SIGTERM, as a service manager or a pod's end sends it. Returns the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        return self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the Agent wrote, into its log and to standard output."""
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in self.home.glob("agent.log*")]
        return "\n".join([*texts, (self.home / "output.txt").read_text(encoding="utf-8", errors="replace")])

    def errors(self, check: str) -> list[str]:
        """The error of the last collection of each instance of the check that failed, as `agent status` shows it."""
        instances = self.status()["runnerStats"]["Checks"].get(check, {}).values()
        return [one["LastError"] for one in instances if one["LastError"]]

    def status(self) -> dict[str, Any]:
        """What `agent status` reports."""
        done = self.program.run(self.home, "status", "collector", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        status: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
        return status

    def memory(self) -> int:
        """The resident memory of the process, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        (kib,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
        return int(kib) * 1024

    def cpu_seconds(self) -> float:
        """Processor time so far, its children left out."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.runs:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None
        assert process.poll() is None, f"the Agent ended by itself, with {process.returncode}\n{self.log[-4000:]}"
        process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def _settings(home: Path, intake: str) -> dict[str, Any]:
    """A datadog.yaml: everything stays in `home` and on loopback, and nothing but Python checks runs."""
    return {
        "api_key": API_KEY,
        "hostname": HOST,
        "dd_url": intake,
        "confd_path": str(home / "conf.d"),
        "additional_checksd": str(ROOT / "checks.d"),
        "run_path": str(home / "run"),
        "log_file": str(home / "agent.log"),
        "log_level": "info",
        "log_to_console": False,
        "disable_file_logging": False,
        "auth_token_file_path": str(home / "auth" / "token"),
        "ipc_cert_file_path": str(home / "auth" / "ipc_cert.pem"),
        "cmd_port": _free_port(),
        "expvar_port": _free_port(),
        "GUI_port": -1,
        # The Agent's default is zstd, which the standard library does not read.
        **({} if find_spec("zstandard") else {"serializer_compressor_kind": "zlib"}),
        "cloud_provider_metadata": [],
        "enable_metadata_collection": False,
        "inventories_enabled": False,
        "use_dogstatsd": False,
        "logs_enabled": False,
        "apm_config": {"enabled": False},
        "process_config": {
            "process_dd_url": intake,
            "process_discovery": {"enabled": False},
            "process_collection": {"enabled": False},
            "container_collection": {"enabled": False},
        },
        "remote_configuration": {"enabled": False},
        "agent_telemetry": {"enabled": False},
        "proxy": {"no_proxy": ["127.0.0.1"]},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
