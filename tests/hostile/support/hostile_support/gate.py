"""A gate between a check and its source, which lets everything through until a fault stands in it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from core_support.servers import Line, RawServer

TLS_HELLO = b"\x16"
"""The first byte of a client that speaks TLS."""

_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Page:
    """One whole answer of the source."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def raw(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Status", *(f"{name}: {value}" for name, value in self.headers)]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


@dataclass(frozen=True)
class Exchange:
    """One request at the gate: `fetch` gives the source's true answer, `head` is the request's as it came."""

    line: Line
    head: bytes
    target: str
    body: bytes
    fetch: Callable[[], Page]


Behaviour = Callable[[Exchange], None]
"""What is done with a request instead of answering it well; the connection is closed afterwards."""


class Gate:
    """Listens on loopback for a source on the port `upstream`; a context manager.

    `fault`, where set, takes each request but the first `spared` ones. `tls` is the certificate that is shown; None
    speaks plain HTTP. `heads` are the requests that came while a fault stood.
    """

    def __init__(self, upstream: int, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self.fault: Behaviour | None = None
        self.spared = 0
        self._server = RawServer(self._serve, tls=tls)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def tls(self) -> ssl.SSLContext | None:
        return self._server.tls

    @tls.setter
    def tls(self, context: ssl.SSLContext | None) -> None:
        self._server.tls = context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def stand(self, fault: Behaviour | None, *, spared: int = 0) -> None:
        """Put a fault into the gate, or take it out."""
        self.fault, self.spared = fault, spared

    def _serve(self, line: Line) -> None:
        if self.tls is None and line.connection.recv(1, socket.MSG_PEEK) == TLS_HELLO:
            line.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        while data := line.head():
            head, _, body = data.partition(b"\r\n\r\n")
            exchange = self._exchange(line, head, _rest(line, head, body))
            if self.fault is None:
                line.send(exchange.fetch().raw())
            elif self.spared > 0:
                self.spared -= 1
                line.send(exchange.fetch().raw())
            else:
                self.fault(exchange)
                return

    def _exchange(self, line: Line, head: bytes, body: bytes) -> Exchange:
        method, target, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
        fields = (field.partition(":") for field in head.decode("latin-1").split("\r\n")[1:])
        headers = {name: value.strip() for name, _, value in fields if name.lower() not in _HOP_BY_HOP}

        def fetch() -> Page:
            connection = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=30)
            try:
                connection.request(method, target, body, {**headers, "Connection": "close"})
                answer = connection.getresponse()
                kept = tuple(pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP)
                return Page(answer.status, kept, answer.read())
            finally:
                connection.close()

        return Exchange(line, head, target, body, fetch)


def _rest(line: Line, head: bytes, body: bytes) -> bytes:
    length = next(
        (int(field.split(b":")[1]) for field in head.split(b"\r\n") if field.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length and (piece := line.connection.recv(65536)):
        body += piece
    return body
