"""Servers on loopback for what a well-behaved HTTP server cannot do: raw sockets, TLS, proxies."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from metta_checks.simulator.server import LoopbackServer, Reply, Request

Behaviour = Callable[["Line"], None]


class Source(LoopbackServer):
    """Answers each path with what was put there last; anything else is 404."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Reply] = {}

    def put(self, path: str, document: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer `path` with `document` as JSON, or as it stands where it is bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.pages[path] = Reply(status, body, headers or {})

    def answer(self, request: Request) -> Reply:
        return self.pages.get(request.path, Reply(404, b'{"message": "Not Found"}'))


class Line:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, closing: threading.Event) -> None:
        self.connection = connection
        self._closing = closing

    def head(self) -> bytes:
        """Read up to the empty line that ends the head of a request; empty where the client hung up."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.connection.recv(65536)
            if not piece:
                return b""
            data += piece
        return data

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, data: bytes, pause: float = 0.05) -> None:
        """Send byte by byte, until the server closes."""
        for byte in data:
            self.connection.sendall(bytes([byte]))
            if self._closing.wait(pause):
                return

    def hold(self) -> None:
        """Say nothing until the server closes."""
        self._closing.wait(30)


class RawServer:
    """Hands each connection on 127.0.0.1 to `behave` on a thread of its own; a context manager.

    `behave` may raise OSError: the client hung up. With `tls`, connections are handed over after the handshake.
    """

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.tls = tls
        self.accepted = 0
        self.heads: list[bytes] = []
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for handle in [self._listener, *self._open]:
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
            handle.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                self.behave(Line(connection, self._closing))


def answering(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> Behaviour:
    """Answer every request on the connection with `body`."""

    def behave(line: Line) -> None:
        while line.head():
            line.send(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return behave


def relaying(port: int, *, pause: float = 0.0) -> Behaviour:
    """Pass bytes on to `port`, and its answers back, one byte per `pause` where that is set."""

    def behave(line: Line) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            threading.Thread(target=_pump, args=(line.connection, target), daemon=True).start()
            while data := target.recv(65536):
                if pause:
                    line.drip(data, pause)
                else:
                    line.send(data)

    return behave


def proxying(seen: list[bytes]) -> Behaviour:
    """An HTTP proxy: CONNECT opens a tunnel, an absolute address is fetched. The heads it reads go to `seen`."""

    def behave(line: Line) -> None:
        head = line.head()
        seen.append(head)
        method, address, rest = head.split(b" ", 2)
        if method == b"CONNECT":
            line.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relaying(int(address.rpartition(b":")[2]))(line)
            return
        server, _, path = address.removeprefix(b"http://").partition(b"/")
        with socket.create_connection(("127.0.0.1", int(server.rpartition(b":")[2]))) as target:
            target.sendall(method + b" /" + path + b" " + rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            while data := target.recv(65536):
                line.send(data)

    return behave


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
