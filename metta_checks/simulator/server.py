"""A small HTTP server on loopback whose answers and latency are set from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server read it. `query` keeps the last value of a repeated key."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Path and query as one string: what a conditional request is about."""
        return self.path if not self.query else f"{self.path}?{'&'.join(f'{k}={v}' for k, v in self.query.items())}"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `Content-Length` is added when `headers` does not have it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Send = Callable[["Handler", bytes, bytes], None]
"""Sends head and body of an answer in a way of its own; the connection is closed after it."""

Address = tuple[str, int]

ON_LOOPBACK: Final[Address] = ("127.0.0.1", 0)

_PLAIN: Final = {"Content-Type": "text/plain; charset=utf-8"}
Interceptor = Callable[[Request], Reply | Send | None]


class LoopbackServer:
    """Serves `answer(request)` until `close()`; a context manager. `address` is a host and a port, 0 for a free one.

    `latency` is slept before each answer (seconds). `intercept`, where set, is asked first: what it
    returns is sent instead, `None` lets the real answer through, and a function sends the real answer in a way of its
    own: late, in parts, or not to its end. `requests` lists what came, in order;
    `bytes_sent` counts the bodies.
    """

    def __init__(self, *, latency: float = 0.0, address: Address = ON_LOOPBACK) -> None:
        self.latency = latency
        self.intercept: Interceptor | None = None
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(self, address)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name=type(self).__name__, daemon=True
        )
        self._thread.start()

    def answer(self, request: Request) -> Reply:
        """The real answer; subclasses say what it is."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address for clients on this machine."""
        host = str(self._server.server_address[0])
        return f"http://{'127.0.0.1' if ip_address(host).is_unspecified else host}:{self.port}"

    def close(self) -> None:
        """Stop listening and let every waiting answer go. Safe to call twice."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _respond(self, request: Request) -> tuple[Reply, Send | None]:
        with self._lock:
            self.requests.append(request)
        if self.latency:
            time.sleep(self.latency)
        instead = self.intercept(request) if self.intercept else None
        if isinstance(instead, Reply):
            return instead, None
        return self.answer(request), instead

    def pause(self, seconds: float) -> bool:
        """Sleep, and return whether the server still runs."""
        return not self._closing.wait(seconds)

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_sent += size


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, owner: LoopbackServer, address: Address) -> None:
        self.owner = owner
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is the normal end of a fault, not something to print."""


class Handler(BaseHTTPRequestHandler):
    """One connection. `owner` is the server that it belongs to."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    @property
    def owner(self) -> LoopbackServer:
        return self.server.owner

    def do_GET(self) -> None:
        owner = self.owner
        split = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=split.path,
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        try:
            response, send = owner._respond(request)
        except Exception as error:
            # Said aloud: a connection that merely closes looks like a fault that was asked for.
            response, send = Reply(500, f"{type(error).__name__}: {error}".encode(), _PLAIN), None
        headers = dict(response.headers)
        if not any(name.lower() == "content-length" for name in headers):
            headers["Content-Length"] = str(len(response.body))
        head = [f"HTTP/1.1 {response.status} {self.responses.get(response.status, ('Status',))[0]}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        whole_head = "\r\n".join([*head, "", ""]).encode("latin-1")
        if send is not None:
            self.close_connection = True
            send(self, whole_head, response.body)
            return
        # Before it is sent: whoever has the answer may ask for the count at once.
        owner._count(len(response.body))
        self.wfile.write(whole_head + response.body)

    do_POST = do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr: what came is in `requests`."""
