"""What a request carries, and how much of an answer is read."""

from __future__ import annotations

import gzip
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from core_support.certificate import server_context
from core_support.servers import Line, RawServer, Source, answering, proxying
from requests.auth import HTTPBasicAuth

from metta_checks.core import Kind, SourceError
from metta_checks.core.transport import BearerAuth
from metta_checks.simulator.server import Reply


@pytest.mark.parametrize(
    ("options", "auth", "sent"),
    [
        pytest.param({}, BearerAuth("token"), "Bearer token", id="a token"),
        pytest.param({}, HTTPBasicAuth("api", "key"), "Basic " + b64encode(b"api:key").decode(), id="user and key"),
        pytest.param({}, None, None, id="none"),
        pytest.param(
            {"username": "u", "password": "p"}, None, "Basic " + b64encode(b"u:p").decode(), id="from the options"
        ),
        pytest.param({"username": "u", "password": "p"}, BearerAuth("token"), "Bearer token", id="ours wins"),
        pytest.param({"headers": {"Authorization": "own"}}, None, "own", id="a header from the options"),
    ],
)
def test_the_credential_is_never_that_of_a_netrc_file(
    client: Callable[..., Any],
    source: Source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    auth: Any,
    sent: str | None,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login stranger password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    source.put("/", [])
    client(**options).get(source.url + "/", auth=auth)
    assert source.requests[0].headers.get("authorization") == sent


def test_a_query_arrives_as_it_was_written(client: Callable[..., Any]) -> None:
    """A presigned address is signed over the bytes of its query."""
    heads: list[bytes] = []

    def behave(line: Line) -> None:
        heads.append(line.head())
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with RawServer(behave) as server:
        client().get(f"{server.url}/o?X-Amz-Signature=a%2Fb%3D&empty=&q=%20+#part", params={"page": "1 &2"})
    assert heads[0].startswith(b"GET /o?X-Amz-Signature=a%2Fb%3D&empty=&q=%20+&page=1+%262 HTTP/1.1\r\n")


def test_headers_of_one_request_do_not_stay(client: Callable[..., Any], source: Source) -> None:
    source.put("/", [])
    asker = client()
    asker.get(source.url + "/", headers={"If-None-Match": '"1"'})
    asker.get(source.url + "/")
    assert [request.headers.get("if-none-match") for request in source.requests] == ['"1"', None]


def test_an_answer_that_has_not_changed(client: Callable[..., Any], source: Source) -> None:
    source.pages["/"] = Reply(304)
    assert client().get(source.url + "/", headers={"If-None-Match": '"1"'}).status == 304
    with pytest.raises(SourceError, match="HTTP 304.*The request had no condition"):
        client().get(source.url + "/")


def test_a_request_outside_of_a_collection_is_a_mistake(client: Callable[..., Any], source: Source) -> None:
    with pytest.raises(RuntimeError, match="outside of a collection"):
        client().transport.send("GET", source.url, about="nothing")


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        pytest.param(b" " * 100_000, {}, None, id="as large as may be"),
        pytest.param(b" " * 100_001, {}, Kind.OVERSIZED, id="one byte more"),
        pytest.param(gzip.compress(bytes(100_000)), {"Content-Encoding": "gzip"}, None, id="compressed"),
        pytest.param(gzip.compress(bytes(5_000_000)), {"Content-Encoding": "gzip"}, Kind.OVERSIZED, id="a gzip bomb"),
        pytest.param(zlib.compress(bytes(5_000_000)), {"Content-Encoding": "deflate"}, Kind.OVERSIZED, id="deflated"),
        pytest.param(
            gzip.compress(gzip.compress(bytes(5_000_000))),
            {"Content-Encoding": "gzip, gzip"},
            Kind.MALFORMED,
            id="a bomb in a bomb",
        ),
        pytest.param(b"no gzip", {"Content-Encoding": "gzip"}, Kind.MALFORMED, id="not what it says"),
    ],
)
def test_the_size_of_an_answer(
    client: Callable[..., Any], source: Source, body: bytes, headers: dict[str, str], kind: Kind | None
) -> None:
    source.put("/", body, headers=headers)
    asker = client(max_bytes=100_000)
    if kind is None:
        assert len(asker.get(source.url + "/").body) == 100_000
        return
    with pytest.raises(SourceError) as caught:
        asker.get(source.url + "/")
    assert caught.value.kind is kind
    assert len(source.requests) == 1


def test_an_endless_answer_is_not_read_to_its_end(client: Callable[..., Any]) -> None:
    def behave(line: Line) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            line.send(bytes(65536))

    with RawServer(behave) as server, pytest.raises(SourceError, match=r"more than 1,000 bytes.*`max_response_bytes`"):
        client(max_bytes=1000).get(server.url)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"a": 1', id="cut short"),
        pytest.param(b"[" * 100_000, id="100,000 brackets"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b"[-Infinity]", id="infinite"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"<html>Sign in</html>", id="a login page"),
    ],
)
def test_what_is_no_json(client: Callable[..., Any], source: Source, body: bytes) -> None:
    source.put("/", body)
    answer = client().get(source.url + "/")
    with pytest.raises(SourceError, match="Check the address: a login page") as caught:
        answer.json()
    assert caught.value.kind is Kind.MALFORMED


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        ([{"X-RateLimit-Remaining": "17"}], 17),
        ([{"RateLimit-Remaining": "40"}, {"RateLimit-Remaining": "39"}, {}], 39),
        ([{"X-RateLimit-Remaining": "5"}, {"X-RateLimit-Remaining": "4999"}], 5),
        ([{"X-RateLimit-Remaining": "2", "X-RateLimit-Resource": "search"}], None),
        ([{}], None),
        ([{"X-RateLimit-Remaining": value} for value in ("many", "-1", "\xb2", "9" * 5000, "")], None),
    ],
)
def test_the_quota_is_the_lowest_that_was_told(
    client: Callable[..., Any], source: Source, headers: list[dict[str, str]], quota: float | None
) -> None:
    asker = client()
    with asker.transport.during(asker.new_collection(5)):
        for told in headers:
            source.put("/", [], headers=told)
            asker.transport.send("GET", source.url + "/", about="the quota")
    assert asker.collection.quota_remaining == quota


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_proxy_is_used(client: Callable[..., Any], certificate: Path, tls: bool) -> None:
    seen: list[bytes] = []
    context = server_context(certificate) if tls else None
    with RawServer(answering(b"[1]"), tls=context) as server, RawServer(proxying(seen)) as proxy:
        proxied = client(proxy={"http": proxy.url, "https": proxy.url})
        assert proxied.get(f"{server.url}/page").json() == [1]
        expected = f"CONNECT 127.0.0.1:{server.port}" if tls else f"GET {server.url}/page"
        assert [head.split(b" HTTP/")[0].decode() for head in seen] == [expected]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_four_threads_at_once(client: Callable[..., Any], certificate: Path, tls: bool) -> None:
    context = server_context(certificate) if tls else None
    together = threading.Barrier(4)
    with RawServer(answering(b"[1]"), tls=context) as server:
        asker = client()

        def pages(_: int) -> int:
            together.wait(5)
            return sum(asker.transport.send("GET", server.url, about="a page").json()[0] for _ in range(25))

        with asker.transport.during(asker.new_collection(20)), ThreadPoolExecutor(4) as pool:
            assert list(pool.map(pages, range(4))) == [25] * 4
        assert asker.collection.requests == 100
        assert server.accepted <= 4
