"""Sends what a collection gave to the local Agent through DogStatsD, so that nothing of it is lost on the way."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from metta_checks.cli.dogstatsd import UNIX_DATAGRAM, Destination, NoAgentError
from metta_checks.cli.runner import Series

SOCKET_TIMEOUT: Final = 5.0
"""Seconds to wait for an Agent that reads slowly. Without waiting, the client drops most of a large batch silently."""

BURST: Final = 8
"""UDP datagrams that are sent at once: they fit into the receive buffer of an Agent that is busy for a while."""

PAUSE: Final = 0.02
"""Seconds between bursts, and for the news that nobody listens to come back."""


class MissingClientError(Exception):
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

    def __init__(self, destination: Destination, *, hostless: bool = False) -> None:
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
            told = f"only {already:,} datagrams were taken before one was refused, or not read in {SOCKET_TIMEOUT:g} s"
            raise NoAgentError(f"{self.destination}: {told}; {of:,} series were to be sent")

    def _pace(self, datagrams: int) -> None:
        if self.destination.socket_path is not None:
            return
        if datagrams == 1:
            self._require_listener(datagrams)
        elif datagrams % BURST == 0:
            time.sleep(PAUSE)

    def _require_listener(self, datagrams: int) -> None:
        """Over UDP on the same machine, the kernel tells afterwards that nobody listens; from elsewhere it may not."""
        if self.destination.socket_path is not None or not datagrams:
            return
        time.sleep(PAUSE)
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise NoAgentError(f"{self.destination}: nobody listens there; is the Agent running, with DogStatsD on?")


def require_client() -> None:
    """Raises MissingClientError, with the way to install it."""
    # It warns on its own, on import already, of what is told here as an error.
    logging.getLogger("datadog.dogstatsd").setLevel(logging.CRITICAL)
    try:
        import datadog  # noqa: F401 (whether it is there)
    except ImportError:
        raise MissingClientError(
            "--push needs the DogStatsD client, which is not installed: pip install 'metta-checks[push]'"
        ) from None


def _client(destination: Destination) -> Any:
    from datadog.dogstatsd.base import DogStatsd

    path = destination.socket_path
    client = DogStatsd(
        host=destination.host,
        port=destination.port,
        socket_path=None if path is None else f"{destination.scheme}://{path}",
        max_buffer_len=destination.datagram_bytes,
        socket_timeout=SOCKET_TIMEOUT,
        origin_detection_enabled=False,
        # Its counters tell of drops; the metrics that it would send about itself are nobody's wish.
        telemetry_min_flush_interval=10**9,
    )
    # DD_ENV, DD_SERVICE and DD_VERSION are on the series already, where they belong.
    client.constant_tags = []
    return client
