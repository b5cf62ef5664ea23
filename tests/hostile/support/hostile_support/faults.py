"""The faults of connections and answers, as a table: what the source does, and what the operator has to be told."""

from __future__ import annotations

import gzip
import json
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from hostile_support.gate import Behaviour, Exchange
from hostile_support.stages import MOST_BYTES

from metta_checks.core import Kind

Resolve = Callable[..., Any]

OK: Final = b"HTTP/1.1 200 OK\r\n"
LONG: Final = b"Content-Length: 4000\r\n"


class Fault(NamedTuple):
    """`says` is a pattern for the message of the error, `kind` what it is to be called; `aws` is what S3's own client
    may make of it. `hangs` says that the time has to run out."""

    behave: Behaviour
    kind: Kind
    says: str
    aws: tuple[Kind, ...]
    hangs: bool = False


def answering(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, *, length: int | None = None
) -> Behaviour:
    """Answer with this, whatever was asked, and close."""

    def behave(exchange: Exchange) -> None:
        given = {"Content-Type": "application/json", **(headers or {}), "Connection": "close"}
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in given.items())]
        lines += [f"Content-Length: {len(body) if length is None else length}", "", ""]
        exchange.line.send("\r\n".join(lines).encode("latin-1") + body)

    return behave


def raw(data: bytes) -> Behaviour:
    return lambda exchange: exchange.line.send(data)


def silent(exchange: Exchange) -> None:
    exchange.line.hold()


def dripping(head: bytes, drops: bytes) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        exchange.line.send(head)
        exchange.line.drip(drops, pause=0.1)

    return behave


def endless_interim_answers(exchange: Exchange) -> None:
    while True:
        exchange.line.send(b"HTTP/1.1 100 Continue\r\n\r\n")


def resetting(data: bytes) -> Behaviour:
    """Send this much, then a TCP reset."""

    def behave(exchange: Exchange) -> None:
        connection = exchange.line.connection
        if data:
            connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    return behave


def cut_short(exchange: Exchange) -> None:
    body = exchange.fetch().body or b"{}"
    answering(body[:-1], length=len(body))(exchange)


def half_of_it(exchange: Exchange) -> None:
    """Half a document, told as a whole one."""
    body = exchange.fetch().body or b'{"data": {"project"'
    answering(body[: len(body) // 2])(exchange)


def redirecting(status: int, location: str) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        host = next(line for line in exchange.head.split(b"\r\n") if line.lower().startswith(b"host:"))
        here = host.split(b":", 1)[1].strip().decode()
        answering(b"", status, {"Location": location.replace("HERE", here)})(exchange)

    return behave


def endless_body(exchange: Exchange) -> None:
    """200 MB, without an end in sight."""
    exchange.line.send(OK + b"Content-Type: application/json\r\nConnection: close\r\n\r\n[")
    for _ in range(200):
        exchange.line.send(b" " * 1_000_000)


def echoing(status: int) -> Behaviour:
    """A proxy that repeats in its error what it was sent, credentials included."""

    def behave(exchange: Exchange) -> None:
        fields = exchange.head.decode("latin-1").split("\r\n")
        said = next((field for field in fields if field.lower().startswith("authorization:")), "") + fields[0]
        body = json.dumps({"message": f"cannot handle: {said}", "errors": [{"message": said}]}).encode()
        answering(body, status, {"X-Echo": " ".join(said.split())[:4000]})(exchange)

    return behave


def message(text: str) -> bytes:
    return json.dumps({"message": text, "errors": [{"message": text}]}).encode()


HTML: Final = b"<!DOCTYPE html><html><title>Sign in</title></html>"
GITHUB_LIMIT: Final = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1772370000", "x-ratelimit-limit": "5000"}
TIMED = (Kind.TIMED_OUT,)
AWAY = (Kind.UNREACHABLE, Kind.TIMED_OUT)
FAILED = (Kind.SERVER_ERROR, Kind.TIMED_OUT, Kind.REJECTED, Kind.RATE_LIMITED)
REFUSED = (Kind.REJECTED, Kind.REDIRECTED)
BROKEN = (Kind.MALFORMED,)

CONNECTIONS: Final[Mapping[str, Fault]] = {
    "it accepts and never answers": Fault(silent, Kind.TIMED_OUT, "1 s|stopped sending", TIMED, hangs=True),
    "a head of one byte at a time": Fault(
        dripping(b"", OK + LONG + b"\r\n"), Kind.TIMED_OUT, "collection's 1 s", TIMED, hangs=True
    ),
    "a body of one byte at a time": Fault(
        dripping(OK + LONG + b"\r\n", b"[" * 4000), Kind.TIMED_OUT, "collection's 1 s", TIMED, hangs=True
    ),
    "chunks of one byte at a time": Fault(
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 500),
        Kind.TIMED_OUT,
        "collection's 1 s",
        TIMED,
        hangs=True,
    ),
    "an error of one byte at a time": Fault(
        dripping(b"HTTP/1.1 500 Oh\r\n" + LONG + b"\r\n", b"x" * 4000),
        Kind.TIMED_OUT,
        "collection's 1 s",
        TIMED,
        hangs=True,
    ),
    "interim answers for ever": Fault(endless_interim_answers, Kind.TIMED_OUT, "collection's 1 s", TIMED, hangs=True),
    "a reset instead of a head": Fault(resetting(b""), Kind.UNREACHABLE, "connection", AWAY),
    "a reset in the head": Fault(resetting(b"HTTP/1.1 200 O"), Kind.UNREACHABLE, "connection", AWAY),
    "a reset in the body": Fault(resetting(OK + LONG + b"\r\n[1, 2"), Kind.UNREACHABLE, "connection", AWAY),
    "it hangs up without a word": Fault(lambda _: None, Kind.UNREACHABLE, "connection", AWAY),
    "an answer that is cut short": Fault(cut_short, Kind.UNREACHABLE, "connection|cut short", (*AWAY, Kind.MALFORMED)),
    "no HTTP at all": Fault(raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Kind.UNREACHABLE, "connection", AWAY),
    "a status line of noise": Fault(raw(b"HTTP/1.1 \xff\xfe what\r\n\r\n"), Kind.UNREACHABLE, "connection", AWAY),
    "a head without an end": Fault(
        raw(OK + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(400))), Kind.UNREACHABLE, "connection", AWAY
    ),
    "a header of a megabyte": Fault(
        raw(OK + b"X-Long: " + b"y" * 1_000_000 + b"\r\n\r\n"), Kind.UNREACHABLE, "connection", AWAY
    ),
    "chunks of a broken size": Fault(
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n"),
        Kind.UNREACHABLE,
        "connection",
        (*AWAY, Kind.MALFORMED),
    ),
    "a negative length": Fault(answering(b"{", length=-1), Kind.MALFORMED, "no valid JSON", (*AWAY, Kind.MALFORMED)),
}

STATUSES: Final[Mapping[str, Fault]] = {
    "a redirect in a circle": Fault(redirecting(302, "/again"), Kind.REDIRECTED, "redirect", REFUSED),
    "a redirect to another host": Fault(
        redirecting(302, "http://127.0.0.2:9/x?token=1"),
        Kind.REDIRECTED,
        r"http://127\.0\.0\.2:9/x: put",
        REFUSED,
    ),
    "a redirect to a host of like name": Fault(
        redirecting(307, "http://HERE@127.0.0.2:9/x"), Kind.REDIRECTED, "redirects to", REFUSED
    ),
    "a redirect to a file": Fault(redirecting(301, "file:///etc/passwd"), Kind.REDIRECTED, "redirects to", REFUSED),
    "a redirect to nowhere": Fault(redirecting(308, ""), Kind.REJECTED, "HTTP 308", REFUSED),
    "304 to what was no condition": Fault(answering(b"", 304), Kind.MALFORMED, "HTTP 304", (*REFUSED, Kind.MALFORMED)),
    "400": Fault(answering(message("bad"), 400), Kind.REJECTED, 'HTTP 400, "bad".*does not accept', REFUSED),
    "401": Fault(answering(message("no"), 401), Kind.UNAUTHORISED, "HTTP 401", (*REFUSED, Kind.UNAUTHORISED)),
    "403": Fault(answering(message("no"), 403), Kind.FORBIDDEN, "HTTP 403", (Kind.FORBIDDEN,)),
    "403 with a used up quota": Fault(
        answering(message("API rate limit exceeded"), 403, GITHUB_LIMIT),
        Kind.RATE_LIMITED,
        "2026-03-01T13:00",
        (Kind.FORBIDDEN,),
    ),
    "403 with a secondary limit": Fault(
        answering(message("You have exceeded a secondary rate limit"), 403),
        Kind.RATE_LIMITED,
        "HTTP 403.*secondary",
        (Kind.FORBIDDEN,),
    ),
    "403 as HTML": Fault(
        answering(HTML, 403, {"Content-Type": "text/html"}), Kind.FORBIDDEN, "HTML", (Kind.FORBIDDEN,)
    ),
    "404": Fault(answering(message("Not Found"), 404), Kind.NOT_FOUND, "HTTP 404", (Kind.NOT_FOUND,)),
    "407": Fault(answering(b"", 407), Kind.UNAUTHORISED, "proxy", REFUSED),
    "408": Fault(answering(b"", 408), Kind.REJECTED, "HTTP 408", REFUSED),
    "409": Fault(answering(message("conflict"), 409), Kind.REJECTED, "HTTP 409", REFUSED),
    "410": Fault(answering(b"", 410), Kind.NOT_FOUND, "HTTP 410", (*REFUSED, Kind.NOT_FOUND)),
    "413": Fault(answering(b"", 413), Kind.OVERSIZED, "HTTP 413", REFUSED),
    "429": Fault(answering(b"", 429), Kind.RATE_LIMITED, "HTTP 429", (*REFUSED, *FAILED)),
    "429 with Retry-After": Fault(
        answering(b"", 429, {"Retry-After": "120"}), Kind.RATE_LIMITED, "2026-03-01T12:1", (*REFUSED, *FAILED)
    ),
    "429 with a date": Fault(
        answering(b"", 429, {"Retry-After": "Sun, 01 Mar 2026 13:30:00 GMT"}),
        Kind.RATE_LIMITED,
        "2026-03-01T13:30",
        (*REFUSED, *FAILED),
    ),
    "429 with a wait beyond the calendar": Fault(
        answering(b"", 429, {"Retry-After": "999999999999"}), Kind.RATE_LIMITED, "HTTP 429", (*REFUSED, *FAILED)
    ),
    "429 with a wait that is none": Fault(
        answering(b"", 429, {"Retry-After": "soon\x7f", "RateLimit-Reset": "-1"}),
        Kind.RATE_LIMITED,
        "HTTP 429",
        (*REFUSED, *FAILED),
    ),
    "500": Fault(answering(message("oh"), 500), Kind.SERVER_ERROR, "HTTP 500", FAILED),
    "502 as HTML": Fault(
        answering(HTML, 502, {"Content-Type": "text/html"}), Kind.SERVER_ERROR, "HTTP 502, an HTML page", FAILED
    ),
    "503 with Retry-After": Fault(answering(b"", 503, {"Retry-After": "90"}), Kind.SERVER_ERROR, "HTTP 503", FAILED),
    "504": Fault(answering(b"", 504), Kind.SERVER_ERROR, "HTTP 504", FAILED),
    "600": Fault(answering(b"", 600), Kind.SERVER_ERROR, "HTTP 600", (*FAILED, *REFUSED)),
    "an error that repeats the request": Fault(echoing(400), Kind.REJECTED, "HTTP 400", REFUSED),
    "an outage that repeats the request": Fault(echoing(500), Kind.SERVER_ERROR, "HTTP 500", FAILED),
    "an error of 200 MB": Fault(answering(b" " * (MOST_BYTES + 1), 500), Kind.OVERSIZED, "more than", FAILED),
}

_SHAPE = "JSON|shape|list|data|HTML|empty|hold|place|answer|object"

BODIES: Final[Mapping[str, Fault]] = {
    "nothing": Fault(answering(b""), Kind.MALFORMED, _SHAPE, BROKEN),
    "spaces": Fault(answering(b" \r\n\t "), Kind.MALFORMED, _SHAPE, BROKEN),
    "half a document": Fault(half_of_it, Kind.MALFORMED, _SHAPE, BROKEN),
    "a login page": Fault(answering(HTML), Kind.MALFORMED, "HTML|JSON", BROKEN),
    "null": Fault(answering(b"null"), Kind.MALFORMED, _SHAPE, BROKEN),
    "a number": Fault(answering(b"42"), Kind.MALFORMED, _SHAPE, BROKEN),
    "a text": Fault(answering(b'"hello"'), Kind.MALFORMED, _SHAPE, BROKEN),
    "an object of something else": Fault(answering(b'{"status": "ok"}'), Kind.MALFORMED, _SHAPE, BROKEN),
    "NaN": Fault(answering(b"NaN"), Kind.MALFORMED, _SHAPE, BROKEN),
    "Infinity": Fault(answering(b"[Infinity, -Infinity]"), Kind.MALFORMED, _SHAPE, BROKEN),
    "100,000 brackets": Fault(answering(b"[" * 100_000 + b"]" * 100_000), Kind.MALFORMED, _SHAPE, BROKEN),
    "100,000 objects": Fault(answering(b'{"data":' * 100_000), Kind.MALFORMED, _SHAPE, BROKEN),
    "a number of 100,000 digits": Fault(answering(b"9" * 100_000), Kind.MALFORMED, _SHAPE, BROKEN),
    "Latin-1": Fault(answering('{"message": "Zürich"}'.encode("latin-1")), Kind.MALFORMED, _SHAPE, BROKEN),
    "UTF-16": Fault(answering('{"message": "x"}'.encode("utf-16")), Kind.MALFORMED, _SHAPE, BROKEN),
    "two documents": Fault(answering(b"{}{}"), Kind.MALFORMED, _SHAPE, BROKEN),
    "YAML": Fault(answering(b"- metric: hearts\n  value: 1\n"), Kind.MALFORMED, _SHAPE, BROKEN),
    "200 MB": Fault(endless_body, Kind.OVERSIZED, "more than 2,097,152 bytes", (Kind.OVERSIZED,)),
    "a gzip bomb": Fault(
        answering(100 * gzip.compress(b" " * 2_000_000, 9), headers={"Content-Encoding": "gzip"}),
        Kind.OVERSIZED,
        "more than 2,097,152 bytes",
        BROKEN,
    ),
    "a bomb in a bomb": Fault(
        answering(gzip.compress(gzip.compress(b" " * 5_000_000)), headers={"Content-Encoding": "gzip, gzip"}),
        Kind.MALFORMED,
        "compressed more than once",
        BROKEN,
    ),
    "gzip that is none": Fault(
        answering(b'{"a": "no gzip at all"}', headers={"Content-Encoding": "gzip"}),
        Kind.MALFORMED,
        "compression is broken",
        BROKEN,
    ),
}
