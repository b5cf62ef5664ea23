"""A small HTTP server on loopback: an API answers from frozen data, a fault may come between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `headers` have lower-case names; `query` keeps the last value of a repeated key."""

    method: str
    path: str
    query: Mapping[str, str]
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `announced` is the Content-Length where it shall not be true; the connection then closes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None


Api = Callable[[Request], Reply]
Fault = Callable[[Request, Callable[[], Reply]], "Reply | None"]
"""Gets the request and a way to the true answer. None hangs up without an answer."""


class Server:
    """Serves `api` until closed; a context manager. `requests` counts what came."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.fault: Fault | None = None
        self.requests = 0
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def respond(self, request: Request) -> Reply | None:
        with self._lock:
            self.requests += 1
        fault = self.fault
        return self.api(request) if fault is None else fault(request, lambda: self.api(request))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, owner: Server) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=split.path,
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            target=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        try:
            reply = self.server.owner.respond(request)
        except Exception as error:
            # A recording that holds this shows where the frozen API fell short.
            reply = Reply(500, f"the frozen API failed: {type(error).__name__}: {error}".encode())
        if reply is None:
            self.close_connection = True
            return
        length = len(reply.body) if reply.announced is None else reply.announced
        head = [f"HTTP/1.1 {reply.status} Status", f"Content-Length: {length}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.announced is not None:
            self.close_connection = True
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1") + reply.body)

    do_POST = do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""
