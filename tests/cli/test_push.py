"""`collect --push`: what an Agent that listens for DogStatsD receives, and what is said when none does."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.cli.dogstatsd import UDP_DATAGRAM, UNIX_DATAGRAM, DogstatsdAddress, Pusher, Sent
from metta_checks.cli.runner import Series
from metta_checks.simulator.sandbox import sandbox

Line = tuple[str, str, float, tuple[str, ...]]


class Receiver:
    """Reads datagrams from `handle` until the block ends, and takes them apart as the Agent does."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle
        self._handle.settimeout(0.3)
        self._ending = False
        self.datagrams: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def lines(self) -> list[Line]:
        """Metric, DogStatsD type, value and tags, sorted. Waits for what is still under way."""
        self._ending = True
        self._thread.join()
        return sorted(_line(text) for data in self.datagrams for text in data.decode().splitlines())

    def _read(self) -> None:
        while True:
            try:
                self.datagrams.append(self._handle.recv(65536))
            except TimeoutError:
                if self._ending:
                    return
            except OSError:
                return


def _line(text: str) -> Line:
    head, kind, *fields = text.split("|")
    metric, _, value = head.rpartition(":")
    tags = next((field[1:].split(",") for field in fields if field.startswith("#")), [])
    return metric, kind, float(value), tuple(sorted(tags))


@contextmanager
def unix_receiver(path: Path) -> Iterator[Receiver]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as handle:
        handle.bind(str(path))
        yield Receiver(handle)


@contextmanager
def udp_receiver() -> Iterator[tuple[Receiver, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.bind(("127.0.0.1", 0))
        yield Receiver(handle), handle.getsockname()[1]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A configuration for the demo's W&B server, whose project does not move between two collections."""
    with sandbox() as demo:
        path = tmp_path / "conf.yaml"
        instance = {**demo.instances["wandb"], "service": "training"}
        path.write_text(yaml.safe_dump({"init_config": None, "instances": [instance]}))
        yield path


def collect(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["collect", "wandb", *map(str, arguments)])


def dry_run(config: Path) -> Counter[tuple[str, str, tuple[str, ...]]]:
    """Metric, DogStatsD type and tags of every series of a dry run, as the client writes tags."""
    result = collect("--config", config, "--dry-run", "--format", "json")
    kinds = {"gauge": "g", "distribution": "d"}
    return Counter(
        (one["metric"], kinds[one["type"]], tuple(sorted(re.sub(r"[^\w\-:/.]", "_", text) for text in one["tags"])))
        for one in json.loads(result.stdout)["collections"][0]["metrics"]
    )


def without_values(lines: list[Line]) -> Counter[tuple[str, str, tuple[str, ...]]]:
    return Counter((metric, kind, tags) for metric, kind, _, tags in lines)


def test_the_unix_socket_receives_every_series_of_the_dry_run(config: Path, tmp_path: Path, monkeypatch: Any) -> None:
    expected = dry_run(config)
    monkeypatch.setenv("DD_DOGSTATSD_URL", f"unix://{tmp_path}/dsd.socket")
    with unix_receiver(tmp_path / "dsd.socket") as receiver:
        result = collect("--config", config, "--push")
        lines = receiver.lines()
    assert result.exit_code == 0, result.stderr
    assert without_values(lines) == expected
    assert sum(expected.values()) > 500
    told = f"pushed {sum(expected.values()):,} series in {len(receiver.datagrams)} datagrams to unix://"
    assert told in " ".join(result.stdout.split())
    assert max(map(len, receiver.datagrams)) <= UNIX_DATAGRAM


@pytest.mark.parametrize("by", ["url", "host and port"])
def test_the_udp_port_receives_every_series_of_the_dry_run(config: Path, monkeypatch: Any, by: str) -> None:
    expected = dry_run(config)
    with udp_receiver() as (receiver, port):
        if by == "url":
            monkeypatch.setenv("DD_DOGSTATSD_URL", f"udp://127.0.0.1:{port}")
            monkeypatch.setenv("DD_DOGSTATSD_PORT", "1")
        else:
            monkeypatch.setenv("DD_AGENT_HOST", "127.0.0.1")
            monkeypatch.setenv("DD_DOGSTATSD_PORT", str(port))
        result = collect("--config", config, "--push", "--format", "json")
        lines = receiver.lines()
    assert result.exit_code == 0, result.stderr
    assert without_values(lines) == expected
    assert len(json.loads(result.stdout)["collections"]) == 1
    assert "UDP gives no receipt" in " ".join(result.stderr.split())
    assert max(map(len, receiver.datagrams)) <= UDP_DATAGRAM


def test_unified_tags_come_once_each(config: Path, tmp_path: Path, monkeypatch: Any) -> None:
    for name, value in (("DD_ENV", "prod"), ("DD_SERVICE", "other"), ("DD_VERSION", "7"), ("DATADOG_TAGS", "a:b")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DD_DOGSTATSD_URL", f"unix://{tmp_path}/dsd.socket")
    with unix_receiver(tmp_path / "dsd.socket") as receiver:
        collect("--config", config, "--push")
        lines = receiver.lines()
    for _, _, _, tags in lines:
        # The instance's own win: it says env:demo and service:training.
        assert Counter(tags)["env:demo"] == Counter(tags)["version:7"] == Counter(tags)["service:training"] == 1
        assert {"env:prod", "service:other", "a:b"}.isdisjoint(tags)


def test_hostless_keeps_the_host_off(config: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DD_DOGSTATSD_URL", f"unix://{tmp_path}/dsd.socket")
    with unix_receiver(tmp_path / "dsd.socket") as receiver:
        collect("--config", config, "--push", "--hostless")
        lines = receiver.lines()
    assert all("host:" in tags for _, _, _, tags in lines)


def test_a_failed_collection_pushes_that_it_failed(config: Path, tmp_path: Path, monkeypatch: Any) -> None:
    document = yaml.safe_load(config.read_text())
    document["instances"][0]["api_key"] = "wrong" * 8
    config.write_text(yaml.safe_dump(document))
    monkeypatch.setenv("DD_DOGSTATSD_URL", f"unix://{tmp_path}/dsd.socket")
    with unix_receiver(tmp_path / "dsd.socket") as receiver:
        result = collect("--config", config, "--push")
        values = {metric: value for metric, _, value, _ in receiver.lines()}
    assert result.exit_code == 1
    assert values["metta.check.up"] == 0
    assert not [metric for metric in values if metric.startswith("wandb.")]


@pytest.mark.parametrize(
    ("environment", "arguments", "status", "said"),
    [
        ({}, ["--push", "--dry-run"], 2, "--push sends and --dry-run does not"),
        ({}, ["--hostless"], 2, "give --push too"),
        ({"DD_DOGSTATSD_URL": "unix:///no/such/socket"}, ["--push"], 1, "there is no socket; is the Agent running"),
        ({"DD_DOGSTATSD_URL": "unix:///etc/hostname"}, ["--push"], 1, "this is no socket"),
        ({"DD_DOGSTATSD_URL": "unix://relative"}, ["--push"], 2, "DD_DOGSTATSD_URL is not an address"),
        ({"DD_DOGSTATSD_URL": "http://localhost"}, ["--push"], 2, "DD_DOGSTATSD_URL is not an address"),
        ({"DD_DOGSTATSD_URL": "udp://localhost:99999"}, ["--push"], 2, "DD_DOGSTATSD_URL is not an address"),
        ({"DD_DOGSTATSD_PORT": "http"}, ["--push"], 2, "DD_DOGSTATSD_PORT is not a port number"),
        ({"DD_DOGSTATSD_DISABLE": "true"}, ["--push"], 2, "DD_DOGSTATSD_DISABLE is set"),
    ],
)
def test_refusals(
    config: Path, monkeypatch: Any, environment: dict[str, str], arguments: list[str], status: int, said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = collect("--config", config, *arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert said in result.stderr


def test_nobody_at_the_udp_port_of_this_machine(config: Path, monkeypatch: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        # Nobody else gets the port, and a socket that listens to one peer alone refuses all others.
        handle.bind(("127.0.0.1", 0))
        handle.connect(("127.0.0.1", 9))
        monkeypatch.setenv("DD_DOGSTATSD_URL", f"udp://127.0.0.1:{handle.getsockname()[1]}")
        result = collect("--config", config, "--push")
    assert result.exit_code == 1
    assert "nothing listens there" in result.stderr


def test_without_the_client(config: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "datadog", None)
    result = collect("--config", config, "--push")
    assert result.exit_code == 2
    assert "-m pip install 'datadog>=" in " ".join(result.stderr.split())


def many(count: int) -> list[Series]:
    """`count` gauges and a tenth as many distribution points; the names in several scripts take several bytes each."""
    names = ("github.sky.main", "запуск", "実行", "run \N{ROCKET} one")
    common = ("env:prod", "team:research", "wandb_entity:metta", "wandb_project:arena")
    gauges = [
        Series("wandb.run.sps", "gauge", float(n), (f"run_id:{n}", f"run_name:{names[n % 4]}", *common))
        for n in range(count)
    ]
    points = [
        Series("wandb.run.completed.sps", "distribution", float(n), ("run_type:all", *common))
        for n in range(count // 10)
    ]
    return gauges + points


def assert_complete(receiver: Receiver, pushed: list[Series], limit: int) -> None:
    received = Counter((metric, kind, value) for metric, kind, value, _ in receiver.lines())
    kinds = {"gauge": "g", "distribution": "d"}
    assert received == Counter((one.metric, kinds[one.kind], one.value) for one in pushed)
    assert max(map(len, receiver.datagrams)) <= limit


def test_a_hundred_thousand_series_through_a_unix_socket(tmp_path: Path) -> None:
    pushed = many(100_000)
    with unix_receiver(tmp_path / "dsd.socket") as receiver:
        with Pusher(DogstatsdAddress(socket_path=str(tmp_path / "dsd.socket"), scheme="unix")) as pusher:
            sent = pusher.send(pushed)
        assert_complete(receiver, pushed, UNIX_DATAGRAM)
    assert sent == Sent(100_000, 10_000, len(receiver.datagrams), 0)


@pytest.mark.slow
def test_twenty_thousand_series_through_udp() -> None:
    pushed = many(20_000)
    with udp_receiver() as (receiver, port):
        with Pusher(DogstatsdAddress(host="127.0.0.1", port=port)) as pusher:
            sent = pusher.send(pushed)
        assert_complete(receiver, pushed, UDP_DATAGRAM)
    assert sent == Sent(20_000, 2_000, len(receiver.datagrams), 0)


def test_a_series_longer_than_a_packet_goes_alone_and_one_longer_than_the_agent_reads_not_at_all() -> None:
    short, long, endless = (
        Series("a.metric", "gauge", 1.0, tuple(f"tag{n}:{'x' * 190}" for n in range(tags))) for tags in (1, 20, 50)
    )
    with udp_receiver() as (receiver, port):
        with Pusher(DogstatsdAddress(host="127.0.0.1", port=port)) as pusher:
            sent = pusher.send([short, long, endless, short])
        assert [len(tags) for _, _, _, tags in receiver.lines()] == [1, 1, 20]
    assert sent == Sent(3, 0, 3, 1)


def test_an_agent_that_does_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("metta_checks.cli.dogstatsd.SOCKET_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as handle:
        handle.bind(str(tmp_path / "dsd.socket"))
        destination = DogstatsdAddress(socket_path=str(tmp_path / "dsd.socket"), scheme="unix")
        with Pusher(destination) as pusher, pytest.raises(Exception, match="was refused, or not read"):
            pusher.send(many(20_000))
