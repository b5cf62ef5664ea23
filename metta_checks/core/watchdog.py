"""A watchdog that closes every connection of a session when the time is up.

A timeout per read does not bound a server that drips one byte a second: each byte starts the timeout anew. So the
connections of a session are known here by their sockets, and a timer shuts those down at the deadline; whatever
thread was reading then gets the end of the stream.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError

from metta_checks.core.deadline import Deadline
from metta_checks.core.http_errors import tls_errors_in_disguise
from metta_checks.core.work import LateError, Work

PoolClasses = Mapping[str, type[HTTPConnectionPool]]
"""urllib3's classes of connection pools, by scheme."""


class Watchdog:
    """Bounds what a `requests.Session` does by a deadline, for as long as the `with` block lasts.

    `watch(session)` once per session; then `with watchdog.guard(deadline):` around each collection. At the deadline
    every open socket is shut down and new connections are refused. Leaving the block closes the sockets: collections
    are minutes apart, and a server has long hung up on an idle connection by then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self._deadline: Deadline | None = None
        self._pools = watched_pools(lambda: self, {"http": HTTPConnectionPool, "https": HTTPSConnectionPool})

    def watch(self, session: requests.Session) -> None:
        """Make every connection that `session` opens from now on a watched one, whatever adapter it uses."""
        choose, mount = session.get_adapter, session.mount
        # The Agent's wrapper mounts its TLS adapter anew for each request, which re-orders the table that another
        # thread may be looking through.
        table = threading.Lock()

        def get_adapter(url: str | bytes) -> Any:
            with table:
                adapter = choose(url=cast(str, url))
                if isinstance(adapter, HTTPAdapter):
                    self._adopt(adapter)
            return adapter

        def mount_one(prefix: str | bytes, adapter: Any) -> None:
            with table:
                if session.adapters.get(cast(str, prefix)) is not adapter:
                    mount(prefix, adapter)

        session.get_adapter = get_adapter  # type: ignore[method-assign]
        session.mount = mount_one  # type: ignore[method-assign]

    def guard(self, deadline: Deadline) -> _Guard:
        """A context manager that enforces `deadline`."""
        return _Guard(self, deadline)

    def _adopt(self, adapter: HTTPAdapter) -> None:
        if "_metta_watchdog" in adapter.__dict__:
            return
        proxy_manager_for = adapter.proxy_manager_for

        def watched_proxy_manager_for(proxy: Any, **options: Any) -> Any:
            manager = proxy_manager_for(proxy, **options)
            self._arm(manager)
            return manager

        send = adapter.send

        def send_once(request: requests.PreparedRequest, **options: Any) -> requests.Response:
            # The Agent's wrapper answers a TLS error by looking for certificates, on connections of its own.
            with tls_errors_in_disguise():
                return send(request, **options)

        self._arm(adapter.poolmanager)
        adapter.send = send_once  # type: ignore[method-assign, assignment]
        adapter.proxy_manager_for = watched_proxy_manager_for  # type: ignore[method-assign]
        adapter.__dict__["_metta_watchdog"] = self

    def _arm(self, manager: Any) -> None:
        # A SOCKS manager brings connection classes of its own; there the timeout per read has to do.
        schemes = manager.pool_classes_by_scheme
        if schemes.get("http") is HTTPConnectionPool and schemes.get("https") is HTTPSConnectionPool:
            manager.pool_classes_by_scheme = self._pools

    def start(self, deadline: Deadline) -> None:
        with self._lock:
            self._deadline = deadline

    def close_all(self) -> None:
        """Shut every watched socket down: blocked readers see the end of the stream at once."""
        with self._lock:
            held = list(self._sockets.values())
        for handle in held:
            _shut_down(handle)

    def stop(self) -> None:
        self.close_all()
        with self._lock:
            self._deadline = None
            held = list(self._sockets.values())
            self._sockets.clear()
        for handle in held:
            handle.close()

    def connect(self, connection: HTTPConnection, open_socket: Callable[[], socket.socket]) -> socket.socket:
        """Open a socket inside the deadline, name resolution included, and keep a handle on it.

        Resolving a name cannot be interrupted, so it happens on a thread of its own that is left behind when it
        takes too long. The handle is a duplicate: TLS detaches the original, and shutting down either ends both.
        """
        with self._lock:
            deadline = self._deadline
        if deadline is None:
            return open_socket()
        opened = _within(deadline, open_socket)
        if opened is None:
            raise ConnectTimeoutError(connection, f"no connection to {connection.host} within the time left")
        handle = opened.dup()
        with self._lock:
            stale = self._sockets.pop(id(connection), None)
            self._sockets[id(connection)] = handle
        if stale is not None:
            stale.close()
        if deadline.expired:
            _shut_down(handle)
        return opened

    def forget(self, connection: HTTPConnection) -> None:
        with self._lock:
            handle = self._sockets.pop(id(connection), None)
        if handle is not None:
            handle.close()


class _Guard:
    def __init__(self, watchdog: Watchdog, deadline: Deadline) -> None:
        self._watchdog = watchdog
        self._timer = threading.Timer(deadline.remaining, watchdog.close_all)
        self._timer.daemon = True
        self._deadline = deadline

    def __enter__(self) -> Self:
        self._watchdog.start(self._deadline)
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._watchdog.stop()


def _within(deadline: Deadline, open_socket: Callable[[], socket.socket]) -> socket.socket | None:
    """What `open_socket` returns or raises; None when the deadline comes first, and the late socket is closed."""
    opening = Work(open_socket, "metta-connect", discard=socket.socket.close)
    try:
        return opening.result(deadline.remaining)
    except LateError:
        opening.give_up()
        return None


def _shut_down(handle: socket.socket) -> None:
    # An error says that the other side closed it already, which is what is wanted.
    with suppress(OSError):
        # Not the method of a TLS socket, which would touch state that the reading thread is using.
        socket.socket.shutdown(handle, socket.SHUT_RDWR)


def watched_pools(choose: Callable[[], Watchdog | None], pools: PoolClasses) -> PoolClasses:
    """Pool classes like `pools`, each of whose connections is watched, from its opening on, by what `choose` returns
    then; None watches nothing."""
    return {scheme: _watched_pool(choose, pool) for scheme, pool in pools.items()}


def _watched_pool(choose: Callable[[], Watchdog | None], pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    base: Any = pool.ConnectionCls

    class WatchedConnection(base):  # type: ignore[misc]
        _hands_over = False
        _watchdog: Watchdog | None = None

        def _new_conn(self) -> socket.socket:
            self._watchdog = choose()
            if self._watchdog is None:
                return cast(socket.socket, super()._new_conn())
            return self._watchdog.connect(cast(HTTPConnection, self), super()._new_conn)

        def getresponse(self) -> Any:
            # Where the server will not keep the connection alive, `http.client` closes it in here while the response
            # goes on reading the socket: that one must stay watched.
            self._hands_over = True
            try:
                return super().getresponse()
            finally:
                self._hands_over = False

        def close(self) -> None:
            if self._watchdog is not None and not self._hands_over:
                self._watchdog.forget(cast(HTTPConnection, self))
            super().close()

    return type("WatchedPool", (pool,), {"ConnectionCls": WatchedConnection})
