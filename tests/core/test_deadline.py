"""However a server misbehaves, a collection ends with its deadline."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from core_support.certificate import server_context
from core_support.servers import Behaviour, Line, RawServer, answering, relaying

from metta_checks.core import Kind, SourceError

LIMIT = 0.25
MARGIN = 2.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"


def silent(line: Line) -> None:
    line.hold()


def silent_after_request(line: Line) -> None:
    line.head()
    line.hold()


def dripped_head(line: Line) -> None:
    line.head()
    line.drip(HEAD + b"\r\n")


def endless_interim_answers(line: Line) -> None:
    line.head()
    while True:
        line.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def dripped_body(head: bytes) -> Behaviour:
    def behave(line: Line) -> None:
        line.head()
        line.send(head + b"\r\n")
        line.drip(b"[" * 1000)

    return behave


def dripped_chunks(line: Line) -> None:
    line.head()
    line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    line.drip(b"1\r\n \r\n" * 200)


def assert_timed_out(fetch: Callable[[], Any]) -> SourceError:
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        fetch()
    assert time.monotonic() - started < LIMIT + MARGIN
    assert caught.value.kind is Kind.TIMED_OUT
    assert f"collection's {LIMIT:g} s" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(silent_after_request, id="silent"),
        pytest.param(dripped_head, id="dripped head"),
        pytest.param(endless_interim_answers, id="endless interim answers"),
        pytest.param(dripped_body(HEAD), id="dripped body"),
        pytest.param(dripped_body(HEAD + b"Connection: close\r\n"), id="dripped body of a closing connection"),
        pytest.param(dripped_body(b"HTTP/1.0 200 OK\r\n"), id="dripped body without a length"),
        pytest.param(dripped_body(HEAD + b"Content-Encoding: gzip\r\n"), id="dripped compressed body"),
        pytest.param(dripped_body(HEAD.replace(b"200 OK", b"500 Oh")), id="dripped error"),
        pytest.param(dripped_chunks, id="dripped chunks"),
    ],
)
def test_http(client: Callable[..., Any], behave: Behaviour) -> None:
    with RawServer(behave) as server:
        assert_timed_out(lambda: client().get(server.url, seconds=LIMIT))


def test_a_tls_handshake_that_is_not_answered(client: Callable[..., Any]) -> None:
    with RawServer(silent) as server:
        assert_timed_out(lambda: client().get(f"https://127.0.0.1:{server.port}", seconds=LIMIT))


def test_a_dripped_tls_handshake(client: Callable[..., Any], certificate: Path) -> None:
    with (
        RawServer(answering(b"{}"), tls=server_context(certificate)) as server,
        RawServer(relaying(server.port, pause=0.02)) as slow,
    ):
        assert_timed_out(lambda: client().get(f"https://127.0.0.1:{slow.port}", seconds=LIMIT))


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"], ids=["kept alive", "closing"])
def test_a_dripped_body_under_tls(client: Callable[..., Any], certificate: Path, close: bytes) -> None:
    with RawServer(dripped_body(HEAD + close), tls=server_context(certificate)) as server:
        assert_timed_out(lambda: client().get(server.url, seconds=LIMIT))


def test_a_proxy_that_does_not_answer_connect(client: Callable[..., Any]) -> None:
    with RawServer(silent) as proxy:
        proxied = client(proxy={"https": proxy.url})
        assert_timed_out(lambda: proxied.get("https://source.invalid/", seconds=LIMIT))


def test_a_name_that_resolves_too_slowly(client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*_: object, **__: object) -> list[Any]:
        release.wait(10)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        assert_timed_out(lambda: client().get("http://source.example/", seconds=LIMIT))
    finally:
        release.set()


def test_a_connection_that_comes_too_late_is_closed(
    client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, release, hung_up = socket.getaddrinfo, threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        release.wait(10)
        return resolve(*arguments, **options)

    def behave(line: Line) -> None:
        if line.head() == b"":
            hung_up.set()

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with RawServer(behave) as server:
        assert_timed_out(lambda: client().get(server.url, seconds=LIMIT))
        release.set()
        assert hung_up.wait(5)


def test_retries_stay_inside_it(client: Callable[..., Any]) -> None:
    def behave(line: Line) -> None:
        line.head()
        time.sleep(0.6 * LIMIT)
        line.send(b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n")

    with RawServer(behave) as server:
        assert_timed_out(lambda: client().get(server.url, seconds=LIMIT))
        assert server.accepted == 2


def test_no_request_follows_it(client: Callable[..., Any]) -> None:
    with RawServer(answering(b"{}")) as server:
        late = client()
        with late.transport.during(late.new_collection(LIMIT)):
            late.transport.send("GET", server.url, about="the probe")
            time.sleep(LIMIT)
            with pytest.raises(SourceError, match="timed out"):
                late.transport.send("GET", server.url, about="the probe")
        assert late.collection.requests == 1


def test_a_read_that_takes_too_long_is_told_apart(client: Callable[..., Any]) -> None:
    with RawServer(silent_after_request) as server:
        impatient = client(read_timeout=0.2)
        with pytest.raises(SourceError, match=r"the server stopped sending.*`read_timeout`") as caught:
            impatient.get(server.url)
    assert caught.value.kind is Kind.TIMED_OUT
    assert impatient.collection.requests == 1


def test_the_next_collection_starts_afresh(client: Callable[..., Any]) -> None:
    answers = iter([silent_after_request, answering(b"[1]")])
    with RawServer(lambda line: next(answers)(line)) as server:
        patient = client()
        with pytest.raises(SourceError):
            patient.get(server.url, seconds=0.2)
        assert patient.get(server.url, seconds=5).json() == [1]
