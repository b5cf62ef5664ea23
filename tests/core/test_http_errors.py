"""What the operator reads when a source cannot be read."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from core_support.certificate import server_context
from core_support.servers import RawServer, Source, answering
from simulator_support.faults import Fault

from metta_checks.core import Kind, SourceError
from metta_checks.core.http_errors import display_url
from metta_checks.core.transport import BearerAuth
from metta_checks.simulator.server import Reply

LIMITED = "raise `min_collection_interval`"


@pytest.mark.parametrize(
    ("status", "headers", "kind", "remedy"),
    [
        (401, {}, Kind.UNAUTHORISED, "Check that the credential is whole, not expired"),
        (403, {}, Kind.FORBIDDEN, "check its permissions"),
        (403, {"X-RateLimit-Remaining": "12"}, Kind.FORBIDDEN, "check its permissions"),
        (403, {"X-RateLimit-Remaining": "0"}, Kind.RATE_LIMITED, "It does not state when the limit resets"),
        (403, {"Retry-After": "60"}, Kind.RATE_LIMITED, "resets at 2026-03-01T12:01:00Z"),
        (404, {}, Kind.NOT_FOUND, "Check the address and the names"),
        (410, {}, Kind.NOT_FOUND, "Check the address and the names"),
        (407, {}, Kind.UNAUTHORISED, "check the `proxy` option"),
        (429, {}, Kind.RATE_LIMITED, LIMITED),
        (400, {}, Kind.REJECTED, "is it the right one?"),
        (305, {}, Kind.REJECTED, "is it the right one?"),
        (422, {}, Kind.REJECTED, "is it the right one?"),
        (500, {}, Kind.SERVER_ERROR, "look at its status page"),
        (503, {}, Kind.SERVER_ERROR, "look at its status page"),
    ],
)
def test_a_bad_status(
    client: Callable[..., Any], source: Source, status: int, headers: dict[str, str], kind: Kind, remedy: str
) -> None:
    source.pages["/page"] = Reply(status, headers=headers)
    with pytest.raises(SourceError) as caught:
        client().get(source.url + "/page")
    text = str(caught.value)
    assert text.startswith(f"Probe: GET {source.url}/page for the probe: HTTP {status} ({kind}). ")
    assert remedy in text
    assert (caught.value.kind, caught.value.status) == (kind, status)


@pytest.mark.parametrize(
    ("headers", "reset_at"),
    [
        ({"Retry-After": "90"}, datetime(2026, 3, 1, 12, 1, 30, tzinfo=UTC)),
        ({"Retry-After": "Sun, 01 Mar 2026 13:00:00 GMT"}, datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ({"Retry-After": "Sun, 01 Mar 2026 14:00:00 +0100"}, datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ({"X-RateLimit-Reset": "1772370000"}, datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ({"RateLimit-Reset": "3600"}, datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ({"Retry-After": "60", "X-RateLimit-Reset": "1772370000"}, datetime(2026, 3, 1, 12, 1, tzinfo=UTC)),
        ({"Retry-After": "soon", "RateLimit-Reset": "3600"}, datetime(2026, 3, 1, 13, tzinfo=UTC)),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "\xb2"}, None),
        ({"Retry-After": "9" * 5000}, None),
        ({"Retry-After": "999999999999"}, None),
        ({"X-RateLimit-Reset": "999999999999"}, None),
    ],
)
def test_when_a_rate_limit_ends(
    client: Callable[..., Any], source: Source, headers: dict[str, str], reset_at: datetime | None
) -> None:
    source.pages["/"] = Reply(429, headers=headers)
    with pytest.raises(SourceError) as caught:
        client().get(source.url + "/")
    told = caught.value.reset_at
    # Counted from the answer on, which came some milliseconds after the collection began.
    assert (told and told.replace(microsecond=0)) == reset_at


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "Bad credentials"}', ', "Bad credentials"'),
        (b'{"error": "no such project"}', ', "no such project"'),
        (b'{"errors": [{"message": "one"}, {"message": "two"}]}', ', "one"'),
        (b'{"message": "line\\none\\u0000\\u001b[31m\\u2028two"}', ', "line one [31m two"'),
        (b'{"message": "' + b"x" * 500 + b'"}', f', "{"x" * 200}"'),
        (b"<html><title>Oops</title></html>", ", an HTML page"),
        (b'{"message": {"deep": 1}}', ""),
        (b'{"errors": []}', ""),
        (b'["a list"]', ""),
        (b"plain", ""),
        (b"", ""),
    ],
)
def test_what_the_server_said_about_it(client: Callable[..., Any], source: Source, body: bytes, said: str) -> None:
    source.put("/", body, status=400)
    with pytest.raises(SourceError) as caught:
        client().get(source.url + "/")
    assert caught.value.detail == f"HTTP 400{said}"


NOBODY = Kind.UNREACHABLE
THROUGH_CLOSED = {"http": "http://127.0.0.1:{closed}"}
THROUGH_REFUSER = {"https": "http://127.0.0.1:{refuser}"}


@pytest.mark.parametrize(
    ("url", "options", "kind", "said"),
    [
        ("http://127.0.0.1:{closed}/", {}, NOBODY, r"127\.0\.0\.1:\d+ refused the connection .* Nothing listens"),
        ("http://source.invalid/", {}, NOBODY, r"the name source\.invalid does not resolve .* spelling"),
        (
            "https://127.0.0.1:{tls}/",
            {"tls_ca_cert": None},
            NOBODY,
            "TLS failed: self.signed certificate .*`tls_ca_cert`",
        ),
        ("https://127.0.0.1:{tls}/", {"tls_ca_cert": __file__}, NOBODY, "TLS failed: .*`tls_ca_cert`"),
        ("https://localhost:{tls}/", {}, NOBODY, "TLS failed: Hostname mismatch"),
        ("https://127.0.0.1:{http}/", {}, NOBODY, "TLS failed: .* Check the address"),
        ("http://127.0.0.1:{tls}/", {}, NOBODY, "the connection failed"),
        ("http://source.invalid/", {"proxy": THROUGH_CLOSED}, NOBODY, "the proxy did not let it through: .*refused"),
        ("https://source.invalid/", {"proxy": THROUGH_REFUSER}, NOBODY, "the proxy .*: Tunnel .*: 407 Who are you"),
        ("https://source.invalid/", {"proxy": {"https": "socks5://127.0.0.1:1"}}, NOBODY, "`proxy` option"),
        (f"http://{'a' * 70}.invalid/", {}, NOBODY, "cannot be used"),
        ("http://a b.invalid/", {}, NOBODY, "cannot be used|does not resolve"),
        ("http://[::1/", {}, NOBODY, "the address is not a URL .* https://host/path"),
        ("http://127.0.0.1:99999/", {}, NOBODY, "the address is not a URL"),
        ("http://127.0.0.1:0/", {}, NOBODY, "the address is not a URL"),
        ("127.0.0.1/", {}, NOBODY, "the address is not a URL"),
        ("file:///etc/passwd", {}, NOBODY, "the address is not a URL"),
        ("", {}, NOBODY, "the address is not a URL"),
        ("http://user:secret@127.0.0.1:{http}/", {}, NOBODY, "holds a user name .* `username`"),
        (
            "http://127.0.0.1:{http}/",
            {"headers": {"X-Key": "a\nsecret"}},
            Kind.REJECTED,
            "a header contains characters that cannot be sent",
        ),
        (
            "http://127.0.0.1:{http}/",
            {"headers": {"X-Key": "\u0416secret"}},
            Kind.REJECTED,
            "a header contains characters that cannot be sent",
        ),
    ],
)
def test_no_answer_at_all(
    client: Callable[..., Any],
    source: Source,
    certificate: Path,
    url: str,
    options: dict[str, Any],
    kind: Kind,
    said: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with (
        RawServer(answering(b"[]"), tls=server_context(certificate)) as tls,
        RawServer(answering(b"", b"HTTP/1.1 407 Who are you")) as refuser,
    ):
        places = {"closed": closed, "http": source.port, "tls": tls.port, "refuser": refuser.port}
        asker = client(**filled(options, places))
        with pytest.raises(SourceError, match=said) as caught:
            asker.get(url.format(**places))
    assert caught.value.kind is kind
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def filled(value: Any, places: dict[str, Any]) -> Any:
    """The options with the ports of the running servers in place of their names."""
    if isinstance(value, dict):
        return {key: filled(inner, places) for key, inner in value.items()}
    return value.format(**places) if isinstance(value, str) else value


@pytest.mark.parametrize("token", ["secret\nsecond line", "secret\u0416"])
def test_a_credential_that_cannot_be_sent_is_not_shown(client: Callable[..., Any], source: Source, token: str) -> None:
    with pytest.raises(
        SourceError, match=r"a header contains characters that cannot be sent .* Check the credential"
    ) as caught:
        client().get(source.url + "/", auth=BearerAuth(token))
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert source.requests == []


# By a name, since a traceback shows the lines of this file too.
HUSH = "s3cr3t"

LEAKY = [
    pytest.param(Reply(200, b"[]"), id="an answer"),
    pytest.param(Reply(404), id="a bad status"),
    pytest.param(Reply(302, headers={"Location": "http://127.0.0.1:1/?sig=s3cr3t"}), id="a redirect"),
    pytest.param(Reply(200, b"no JSON"), id="no JSON"),
    pytest.param(Reply(200, b"[]", {"Broken Header": "1"}), id="a broken header"),
    pytest.param(Fault("silent"), id="silence"),
    pytest.param(Fault("drip_body", 0.1), id="a drip"),
    pytest.param(Fault("reset_headers"), id="a reset"),
    pytest.param(Fault("truncate"), id="half a body"),
]


@pytest.mark.parametrize("answer", LEAKY)
@pytest.mark.parametrize("options", [{}, {"read_timeout": 0.1}, {"log_requests": True}], ids=str)
def test_neither_query_nor_credential_in_errors_and_logs(
    client: Callable[..., Any],
    source: Source,
    caplog: pytest.LogCaptureFixture,
    answer: Reply | Fault,
    options: dict[str, Any],
) -> None:
    caplog.set_level(logging.DEBUG)
    source.put("/page", list(range(100)))
    source.intercept = lambda _: answer
    told = ""
    try:
        client(**options).get(
            f"{source.url}/page?sig={HUSH}", params={"key": HUSH}, auth=BearerAuth(HUSH), seconds=0.3
        ).json()
    except SourceError as error:
        told = "".join(traceback.format_exception(error))
    assert HUSH not in told
    assert HUSH not in caplog.text
    assert f"GET {source.url}/page for the probe" in (told or caplog.text)


def test_the_log_of_others_is_left_alone(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    # By its own name: a library that some other test imports may have quietened the one above it.
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
    source.put("/theirs", [])
    requests.get(f"{source.url}/theirs", timeout=5)
    assert "/theirs" in caplog.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@Host.example:8443/a/b?key=secret#secret", "https://host.example:8443/a/b"),
        ("http://[::1]:80/", "http://[::1]:80/"),
        ("http://[::1/", "an address that does not parse"),
        ("https://host.example:port/", "an address that does not parse"),
    ],
)
def test_an_address_as_it_is_shown(url: str, shown: str) -> None:
    assert display_url(url) == shown
