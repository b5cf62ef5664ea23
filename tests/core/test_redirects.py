"""A redirect is followed on the same server; another one gets neither a request nor a credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_support.servers import Source

from metta_checks.core import Kind, SourceError
from metta_checks.core.address import same_server
from metta_checks.core.transport import BearerAuth
from metta_checks.simulator.server import Reply


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", [True, False], ids=["absolute", "relative"])
def test_the_same_server(client: Callable[..., Any], source: Source, status: int, absolute: bool) -> None:
    source.pages["/old"] = Reply(status, headers={"Location": f"{source.url if absolute else ''}/new?page=2"})
    source.put("/new", [1])
    follower = client()
    assert follower.get(source.url + "/old", params={"page": "1"}, auth=BearerAuth("secret")).json() == [1]
    assert source.requests[1].query == {"page": "2"}
    assert source.requests[1].headers["authorization"] == "Bearer secret"
    assert follower.collection.requests == 2


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://localhost:{other}/new", id="another name"),
        pytest.param("http://127.0.0.1:{other}/new", id="another port"),
        pytest.param("//127.0.0.1:{other}/new", id="another port, same scheme"),
        pytest.param("https://127.0.0.1:{port}/new", id="another scheme"),
        pytest.param("http://someone@127.0.0.1:{port}/new", id="a user name"),
        pytest.param("http://127.0.0.1:{other}@elsewhere.invalid/new", id="a user name that looks like a server"),
        pytest.param("ftp://127.0.0.1:{port}/new", id="no HTTP"),
    ],
)
def test_another_server(client: Callable[..., Any], source: Source, location: str) -> None:
    with Source() as other:
        source.pages["/old"] = Reply(302, headers={"Location": location.format(port=source.port, other=other.port)})
        with pytest.raises(SourceError, match=r"It redirects to \w+://.*/new: put the right address") as caught:
            client().get(source.url + "/old", auth=BearerAuth("secret"))
        assert caught.value.kind is Kind.REDIRECTED
        assert other.requests == []
    assert len(source.requests) == 1


@pytest.mark.parametrize(
    ("method", "location", "said"),
    [
        ("GET", "http://[::1/new", "It redirects to an address that does not parse"),
        ("GET", "http://127.0.0.1:port/new", "It redirects to an address that does not parse"),
        ("GET", "/again", "more than 5 redirects"),
        ("POST", "/new?token=secret", "It redirects to http://127.0.0.1:{port}/new:"),
        ("GET", "", "HTTP 302"),
    ],
)
def test_what_leads_nowhere(client: Callable[..., Any], source: Source, method: str, location: str, said: str) -> None:
    source.pages["/again"] = Reply(302, headers={"Location": location})
    with pytest.raises(SourceError) as caught:
        client().get(source.url + "/again", method=method)
    assert said.format(port=source.port) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(source.requests) <= 6


def test_the_body_of_a_redirect_is_capped_too(client: Callable[..., Any], source: Source) -> None:
    source.put("/old", bytes(200_000), status=302, headers={"Location": "/new"})
    with pytest.raises(SourceError) as caught:
        client(max_bytes=100_000).get(source.url + "/old")
    assert caught.value.kind is Kind.OVERSIZED


def test_a_default_port_is_the_same_server() -> None:
    assert same_server("https://source.example/a", "https://SOURCE.example:443/b") == "https://SOURCE.example:443/b"
    assert same_server("https://source.example/a", "https://source.example:444/b") is None
