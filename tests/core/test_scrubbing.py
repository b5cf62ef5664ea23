"""A source that repeats what it was sent: no message holds a credential, whole, in part or in another form."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import RawServer, Source, answering

from metta_checks.ci.check import CiCheck
from metta_checks.core import MettaCheck
from metta_checks.simulator.server import LoopbackServer, Reply, Request
from metta_checks.wandb.check import WandbCheck

SECRET = "Zq7+kX/9mB2vN4c=8dF1gH3jL5pR0tW6yU_aS-eO"


class Repeating(LoopbackServer):
    """Answers with what `say` makes of the request."""

    def __init__(self, say: Callable[[Request], str], status: int = 400, *, graphql: bool = False) -> None:
        super().__init__()
        self._say = say
        self._status = status
        self._graphql = graphql

    def answer(self, request: Request) -> Reply:
        said = self._say(request)
        document = {"errors": [{"message": said, "type": said}]} if self._graphql else {"message": said}
        return Reply(self._status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def pieces(secret: str, length: int = 6) -> Iterator[str]:
    """Every part of a secret that is long enough to be recognised."""
    return (secret[start : start + length] for start in range(len(secret) - length + 1))


def shown_by(check: MettaCheck) -> str:
    """All that an operator can see of one failed collection."""
    report = check.run()
    assert report, "the collection has to fail"
    return "\n".join([report, *check.get_warnings(), check.get_diagnoses() or ""])


def assert_hidden(text: str, secret: str = SECRET) -> None:
    assert [piece for piece in pieces(secret) if piece in text] == []


def wandb(url: str, **options: Any) -> WandbCheck:
    instance = {"entity": "team", "project": "arena", "base_url": url, "api_key": SECRET, "tls_verify": False}
    return WandbCheck("metta_wandb", {}, [{**instance, **options}])


def ci(url: str, **options: Any) -> CiCheck:
    return CiCheck("metta_ci", {}, [{"repo": "org/name", "api_url": url, "token": SECRET, **options}])


@pytest.mark.parametrize("before", [*range(150, 202, 3), 1000])
@pytest.mark.parametrize(("status", "graphql"), [(400, False), (200, True)], ids=["status", "GraphQL"])
@pytest.mark.parametrize("make", [wandb, ci], ids=["W&B", "GitHub"])
def test_a_secret_across_the_cut(
    make: Callable[[str], MettaCheck], status: int, graphql: bool, before: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Repeating(lambda _: "x" * before + SECRET, status, graphql=graphql) as server:
        assert_hidden(shown_by(make(server.url)) + caplog.text)


def test_a_secret_at_the_end_of_what_is_looked_at() -> None:
    # What is not printable shrinks, so that the beginning of the message reaches far into the answer.
    for before in range(2**16 - len(SECRET) - 1, 2**16 + 2, 7):
        with Repeating(lambda _, size=before: "\x1b" * size + SECRET) as server:
            assert_hidden(shown_by(wandb(server.url)))


FORMS = {
    "as it is": lambda secret: secret,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded in lower case": lambda secret: quote(secret, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "as a form": quote_plus,
    "as a path": quote,
    "in JSON": lambda secret: json.dumps({"key": secret}).replace("/", "\\/"),
    "in HTML": html.escape,
    "in upper case": str.upper,
    "Basic": lambda secret: base64.b64encode(f"api:{secret}".encode()).decode(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 at 1": lambda secret: base64.b64encode(f"x{secret}yz".encode()).decode(),
    "base64 at 2": lambda secret: base64.b64encode(f"xy{secret}z".encode()).decode(),
    "base64 for addresses": lambda secret: base64.urlsafe_b64encode(f"xyz:{secret}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [SECRET, "pässwörd & <more>"], ids=["key", "password"])
def test_a_secret_in_another_form(form: Callable[[str], str], secret: str) -> None:
    repeated = form(secret)
    options = {"username": "api", "password": secret}
    source = Repeating(lambda _: f"{'x' * 140} {repeated}")
    with source:
        check = ProbeCheck("probe", {}, [{"url": source.url, **options}])
        text = json.loads(check.run())[0]["message"]
    # Some characters of base64 at the ends belong to the neighbours too.
    inner = repeated[6:-6] if len(repeated) > 20 else repeated
    assert [piece for piece in pieces(inner, 8) if piece in text] == []
    assert "********" in text


HEADERS = [
    ("Authorization", f"Bearer {SECRET}"),
    ("authorization", f"token {SECRET}"),
    ("Authorization", f"ApiKey   {SECRET}"),
    ("Authorization", f'Token token="{SECRET}", nonce="def"'),
    ("Proxy-Authorization", f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"),
    ("Cookie", f"theme=dark; session={SECRET}; x=y"),
    ("X-Auth", f"Vault {SECRET}"),
    ("X-Key", SECRET),
]


@pytest.mark.parametrize(("name", "value"), HEADERS)
@pytest.mark.parametrize("option", ["headers", "extra_headers"])
@pytest.mark.parametrize("shared", [False, True])
def test_the_part_of_a_header_that_is_the_secret(name: str, value: str, option: str, shared: bool) -> None:
    with Repeating(lambda _: f"unknown credential {SECRET} for this server") as server:
        headers = {option: {name: value}}
        init_config = {**headers, "timeout": 10} if shared else {}
        check = ProbeCheck("probe", init_config, [{"url": server.url, **({} if shared else headers)}])
        assert_hidden(json.loads(check.run())[0]["message"])


def test_words_of_a_header_that_are_no_secret_stay() -> None:
    with Repeating(lambda _: "the agent of the team does not know application and token") as server:
        headers = {"User-Agent": "our agent", "X-Team": "the team", "Accept": "application/json"}
        check = ProbeCheck("probe", {}, [{"url": server.url, "headers": headers}])
        assert "the agent of" in json.loads(check.run())[0]["message"]


PROXY_USERS = [
    f"me:{quote(SECRET, safe='')}@",
    f"{quote(SECRET, safe='')}@",
    f"{quote(SECRET, safe='')}:@",
    f":{quote(SECRET, safe='')}@",
]


@pytest.mark.parametrize("user", PROXY_USERS)
@pytest.mark.parametrize("place", ["instance", "init_config", "HTTP_PROXY", "http_proxy", "without http://"])
def test_the_credentials_of_a_proxy(user: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def repeat(request: Request) -> str:
        seen.append(request.headers.get("proxy-authorization", ""))
        return f"{'x' * 170}{seen[-1]} {SECRET}"

    with Repeating(repeat, 407) as server:
        address = f"http://{user}127.0.0.1:{server.port}"
        proxy = {"http": address.removeprefix("http://") if place == "without http://" else address}
        instance: dict[str, Any] = {"url": "http://source.invalid"}
        init_config: dict[str, Any] = {}
        if place.upper() == "HTTP_PROXY":
            monkeypatch.setenv(place, address)
        else:
            (init_config if place == "init_config" else instance)["proxy"] = proxy
        text = shown_by(ProbeCheck("probe", init_config, [instance]))
    assert_hidden(text)
    # One without `http://` is refused by the client where it begins with a user.
    assert seen or place == "without http://"
    assert [piece for sent in seen for piece in pieces(sent.removeprefix("Basic ")[4:], 8) if piece in text] == []


def test_the_words_of_a_proxy_that_opens_no_tunnel() -> None:
    head = f"HTTP/1.1 407 {'x' * 180}{SECRET}".encode()
    with RawServer(answering(b"", head)) as server:
        proxy = {"https": f"http://me:{quote(SECRET, safe='')}@127.0.0.1:{server.port}"}
        assert_hidden(shown_by(ProbeCheck("probe", {}, [{"url": "https://source.invalid", "proxy": proxy}])))


@pytest.mark.parametrize(
    "repo",
    [
        f"https://x-access-token:{SECRET}@github.com/org/name",
        f"https://{SECRET}@github.com/org/name",
        f"{SECRET}@org/name",
        f"git@github.com:org/name?{SECRET}",
        SECRET,
    ],
)
@pytest.mark.parametrize("variable", [False, True])
def test_a_token_around_the_name_of_a_repository(repo: str, variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if variable:
        monkeypatch.setenv("GITHUB_REPOSITORY", repo)
    check = CiCheck("metta_ci", {}, [{} if variable else {"repo": repo}])
    text = shown_by(check)
    assert_hidden(text)
    assert "owner/name" in text


def test_a_redirect_that_repeats_the_secret(source: Source) -> None:
    source.pages["/samples"] = Reply(301, headers={"Location": f"http://127.0.0.1:1/{'x' * 170}{SECRET}/"})
    check = ProbeCheck("probe", {}, [{"url": source.url, "headers": {"X-Key": SECRET}}])
    assert_hidden(shown_by(check))


def test_a_secret_that_begins_with_another_one() -> None:
    with Repeating(lambda _: f"no: {SECRET}") as server:
        options = {"username": "me", "password": SECRET[:8], "headers": {"X-Key": SECRET}}
        check = ProbeCheck("probe", {}, [{"url": server.url, **options}])
        assert_hidden(json.loads(check.run())[0]["message"])


def test_warnings_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    check = ProbeCheck("probe", {}, [{"url": "http://127.0.0.1:1", "headers": {"X-Key": SECRET}}])
    check.warning("the source says %s: %d", SECRET, 5)
    check.warning(f"100 % of {SECRET}")
    check.log.debug("sending %s", SECRET)
    text = "\n".join([*check.get_warnings(), caplog.text])
    assert_hidden(text)
    assert "the source says ********: 5" in text
    assert "100 % of ********" in text
    assert "sending ********" in text
