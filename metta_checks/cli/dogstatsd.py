"""DogStatsD: where the local Agent listens, by the environment, and sending a collection to it without any loss."""

from __future__ import annotations

import logging
import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from metta_checks.cli.group import install_command
from metta_checks.cli.runner import Series

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 8125

UDP_DATAGRAM: Final = 1432
"""Bytes that pass through an Ethernet without being split."""

UNIX_DATAGRAM: Final = 8192
"""Bytes that the Agent reads at once (its `dogstatsd_buffer_size`); what is longer arrives cut."""


SOCKET_TIMEOUT: Final = 5.0
"""Seconds to wait for an Agent that reads slowly. Without waiting, the client drops most of a large batch silently."""

BURST: Final = 8
"""UDP datagrams that are sent at once: they fit into the receive buffer of an Agent that is busy for a while."""

PAUSE: Final = 0.02
"""Seconds between bursts, and for the news that nobody listens to come back."""


class AddressError(Exception):
    """The environment names no address that can be used."""


class NoAgentError(Exception):
    """No Agent can be at the address, or it did not take what was sent."""


@dataclass(frozen=True, slots=True)
class DogstatsdAddress:
    """A Unix socket (`socket_path` is set), or a UDP address."""

    socket_path: str | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    scheme: str = "udp"

    def __str__(self) -> str:
        if self.socket_path is not None:
            return f"{self.scheme}://{self.socket_path}"
        return f"udp://[{self.host}]:{self.port}" if ":" in self.host else f"udp://{self.host}:{self.port}"

    @property
    def datagram_bytes(self) -> int:
        """How large a datagram may be there."""
        return UDP_DATAGRAM if self.socket_path is None else UNIX_DATAGRAM

    def require_socket(self) -> None:
        """Raises NoAgentError where a Unix socket is meant and there is none. Of UDP nothing can be known."""
        if self.socket_path is None:
            return
        path = Path(self.socket_path)
        try:
            is_socket = stat.S_ISSOCK(path.stat().st_mode)
        except FileNotFoundError:
            remedy = "is the Agent running, and `dogstatsd_socket` set to this path?"
            raise NoAgentError(f"{self}: there is no socket; {remedy}") from None
        except OSError as error:
            raise NoAgentError(f"{self}: {error.strerror or 'cannot be looked at'}") from None
        if not is_socket:
            raise NoAgentError(f"{self}: this is no socket")


def destination() -> DogstatsdAddress:
    """DD_DOGSTATSD_URL, else DD_AGENT_HOST and DD_DOGSTATSD_PORT, else udp://localhost:8125. Raises AddressError."""
    if os.environ.get("DD_DOGSTATSD_DISABLE", "").lower() in {"true", "yes", "1"}:
        raise AddressError("DD_DOGSTATSD_DISABLE is set, so that the DogStatsD client sends nothing: unset it to push")
    url = os.environ.get("DD_DOGSTATSD_URL", "").strip()
    if url:
        return _of_url(url)
    port = os.environ.get("DD_DOGSTATSD_PORT", "").strip()
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise AddressError("DD_DOGSTATSD_PORT is not a port number from 1 to 65535")
    host = os.environ.get("DD_AGENT_HOST", "").strip()
    return DogstatsdAddress(host=host or DEFAULT_HOST, port=int(port or DEFAULT_PORT))


def _of_url(url: str) -> DogstatsdAddress:
    wrong = AddressError("DD_DOGSTATSD_URL is not an address: write unix:///path/to/socket or udp://host:port")
    scheme, _, rest = url.partition("://")
    if scheme in {"unix", "unixgram", "unixstream"}:
        if not rest.startswith("/"):
            raise wrong
        return DogstatsdAddress(socket_path=rest, scheme=scheme)
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or DEFAULT_PORT
    except ValueError:
        raise wrong from None
    if scheme != "udp" or not host:
        raise wrong
    return DogstatsdAddress(host=host, port=port)


class MissingDogstatsdError(Exception):
    """The DogStatsD client is not installed."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out: gauge series, distribution points, the datagrams that held them, and lines that fit into none."""

    gauges: int = 0
    points: int = 0
    datagrams: int = 0
    too_long: int = 0


class Pusher:
    """A connection to the Agent; use it as a context manager.

    `send` raises NoAgentError as soon as a datagram is refused or not taken in time. `hostless` adds an empty `host:`
    tag, by which the Agent leaves its own host off, as it does for an instance with `empty_default_hostname`.
    """

    def __init__(self, destination: DogstatsdAddress, *, hostless: bool = False) -> None:
        self.destination = destination
        self._own_tags = ["host:"] if hostless else []
        self._client = _client(destination)
        # What follows the tags of each line, when the pod's admission controller has set it.
        self._overhead = len("|e:") + len(os.environ.get("DD_EXTERNAL_ENV", "").encode())

    def __enter__(self) -> Self:
        self.destination.require_socket()
        try:
            self._socket: socket.socket = self._client.get_socket()
        except OSError as error:
            raise NoAgentError(f"{self.destination}: {error.strerror or 'cannot be reached'}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close_socket()

    def send(self, all_series: Sequence[Series]) -> Sent:
        """Send every series: gauges as gauges, distributions as distributions. Flushed when it returns."""
        fitting = [series for series in all_series if self._bytes(series) <= UNIX_DATAGRAM]
        datagrams = 0
        for batch in self._batches(fitting):
            self._send_datagram(batch, datagrams, len(fitting))
            datagrams += 1
            self._pace(datagrams)
        self._require_listener(datagrams)
        gauges = sum(series.kind == "gauge" for series in fitting)
        return Sent(gauges, len(fitting) - gauges, datagrams, len(all_series) - len(fitting))

    def _batches(self, all_series: Iterable[Series]) -> Iterator[list[Series]]:
        """Series that make one datagram each; one that is too long for the wire's best size goes alone."""
        batch: list[Series] = []
        room = self.destination.datagram_bytes
        for series in all_series:
            needed = self._bytes(series)
            if batch and needed > room:
                yield batch
                batch, room = [], self.destination.datagram_bytes
            batch.append(series)
            room -= needed
        if batch:
            yield batch

    def _bytes(self, series: Series) -> int:
        # Counted here, since the client counts characters, and a run may be named in any script. What it does to
        # tags makes them shorter at most.
        tags = ",".join([*series.tags, *self._own_tags])
        return len(f"{series.metric}:{series.value}|g|#{tags}\n".encode()) + self._overhead

    def _send_datagram(self, batch: Iterable[Series], already: int, of: int) -> None:
        # Leaving the block sends what is in the client's buffer.
        with self._client:
            for series in batch:
                report = self._client.gauge if series.kind == "gauge" else self._client.distribution
                report(series.metric, series.value, tags=[*series.tags, *self._own_tags])
        if self._client.packets_dropped:
            taken = f"only {already:,} datagrams were taken before one was refused, or not read in {SOCKET_TIMEOUT:g} s"
            raise NoAgentError(f"{self.destination}: {taken}; {of:,} series were to be sent")

    def _pace(self, datagrams: int) -> None:
        if self.destination.socket_path is not None:
            return
        if datagrams == 1:
            self._require_listener(datagrams)
        elif datagrams % BURST == 0:
            time.sleep(PAUSE)

    def _require_listener(self, datagrams: int) -> None:
        """After a datagram over UDP, the local kernel reports an unused port; a remote host may not."""
        if self.destination.socket_path is not None or not datagrams:
            return
        time.sleep(PAUSE)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise NoAgentError(f"{self.destination}: nothing listens there; is the Agent running, with DogStatsD on?")


def require_client() -> None:
    """Raises MissingClientError, with the way to install it."""
    # It warns on its own, on import already, of what is reported here as an error.
    logging.getLogger("datadog.dogstatsd").setLevel(logging.CRITICAL)
    try:
        import datadog  # noqa: F401 (whether it is there)
    except ImportError:
        raise MissingDogstatsdError(
            f"--push needs the DogStatsD client, which is not installed: {install_command('push')}"
        ) from None


def _client(destination: DogstatsdAddress) -> Any:
    from datadog.dogstatsd.base import DogStatsd

    path = destination.socket_path
    client = DogStatsd(
        host=destination.host,
        port=destination.port,
        socket_path=None if path is None else f"{destination.scheme}://{path}",
        max_buffer_len=destination.datagram_bytes,
        socket_timeout=SOCKET_TIMEOUT,
        origin_detection_enabled=False,
        # Its counters show drops; the metrics that it would send about itself are not wanted.
        telemetry_min_flush_interval=10**9,
    )
    # DD_ENV, DD_SERVICE and DD_VERSION are on the series already, where they belong.
    client.constant_tags = []
    return client
