"""Credentials of a GitHub App, against a GitHub that checks what it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import jwt
import pytest
from ci_support.scene import Collected, Scene
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from metta_checks.simulator.server import Reply, Request

KEY = rsa.generate_private_key(65_537, 2_048)
ANOTHER_KEY = rsa.generate_private_key(65_537, 2_048)
JSON = {"Content-Type": "application/json"}


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY,
    form: PrivateFormat = PrivateFormat.TraditionalOpenSSL,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    """GitHub gives keys in the traditional form."""
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


@dataclass
class Issuer:
    """GitHub's endpoint of installation tokens: RS256 by the App's key, `iat` in the past, ten minutes at most.

    <https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app>
    """

    scene: Scene
    app_id: str = "12345"
    ahead: timedelta = timedelta(0)
    lasts: timedelta = timedelta(hours=1)
    refusal: Reply | None = None
    jwts: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        return self.scene.clock() + self.ahead

    def __call__(self, request: Request) -> Reply | None:
        if not request.path.startswith("/app/"):
            return None
        assert request.path == "/app/installations/42/access_tokens"
        assert request.method == "POST"
        if self.refusal:
            return self.refusal
        given = (request.headers.get("authorization") or "").removeprefix("Bearer ")
        self.jwts.append(given)
        if problem := self.problem_of(given):
            date = format_datetime(self.now().astimezone(UTC).replace(microsecond=0), usegmt=True)
            return Reply(401, json.dumps({"message": problem}).encode(), {**JSON, "Date": date})
        token = self.scene.server.token = f"ghs_{len(self.tokens)}{'x' * 36}"
        self.tokens.append(token)
        body = {"token": token, "expires_at": f"{self.now() + self.lasts:%Y-%m-%dT%H:%M:%SZ}"}
        return Reply(201, json.dumps(body).encode(), JSON)

    def problem_of(self, given: str) -> str | None:
        try:
            claims = jwt.decode(
                given,
                KEY.public_key(),
                ["RS256"],
                options={"verify_exp": False, "verify_iat": False, "require": ["iat", "exp", "iss"]},
            )
        except jwt.PyJWTError:
            return "A JSON web token could not be decoded"
        now = self.now().timestamp()
        if claims["iss"] != self.app_id:
            return "Integration not found"
        if claims["iat"] > now:
            return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        if not now < claims["exp"] <= now + 600:
            return "'Expiration time' claim ('exp') is too far in the future"
        return None


AppScene = Callable[..., tuple[Scene, Issuer]]


@pytest.fixture
def with_app(empty_scene: Callable[..., Scene]) -> AppScene:
    """`with_app(**options)`: a repository watched by an App with KEY, unless the options say otherwise."""

    def make(**options: object) -> tuple[Scene, Issuer]:
        app = {"app_id": 12345, "app_installation_id": 42, "app_private_key": pem()}
        given = {**app, "token": None, **options}
        watched = empty_scene(**{name: value for name, value in given.items() if value is not None or name == "token"})
        issuer = Issuer(watched)
        watched.server.intercept = issuer
        return watched, issuer

    return make


def sent(collected: Collected) -> set[str | None]:
    """What the requests but those for tokens carried."""
    return {r.headers.get("authorization") for r in collected.requests if not r.path.startswith("/app/")}


@pytest.mark.parametrize(
    "key",
    [
        pem(),
        pem(form=PrivateFormat.PKCS8),
        pem().replace("\n", "\\n"),
        pem().replace("\n", "\r\n"),
        f"\n  {pem()}\n",
        "\n".join(f"    {line}" for line in pem().splitlines()),
    ],
    ids=["as GitHub gives it", "PKCS 8", "escaped", "of Windows", "with blanks around", "indented"],
)
def test_a_key_may_be_written_in_many_ways(with_app, key):
    watched, issuer = with_app(app_private_key=key)

    collected = watched.collect()

    assert collected.error is None
    assert sent(collected) == {f"Bearer {issuer.tokens[0]}"}


def test_it_may_come_from_the_environment(with_app, monkeypatch):
    monkeypatch.setenv("GITHUB_APP_ID", "12345")
    monkeypatch.setenv("GITHUB_APP_INSTALLATION_ID", "42")
    monkeypatch.setenv("GITHUB_APP_PRIVATE_KEY", pem().replace("\n", "\\n"))
    watched, issuer = with_app(app_id=None, app_installation_id=None, app_private_key=None)

    assert watched.collect().error is None
    assert len(issuer.tokens) == 1


def test_a_token_of_the_instance_wins_over_an_app_of_the_environment(with_app, monkeypatch):
    """What the instance names goes to the server that it names."""
    monkeypatch.setenv("GITHUB_APP_ID", "12345")
    monkeypatch.setenv("GITHUB_APP_INSTALLATION_ID", "42")
    monkeypatch.setenv("GITHUB_APP_PRIVATE_KEY", pem())
    watched, issuer = with_app(app_id=None, app_installation_id=None, app_private_key=None, token="ghp_own")
    watched.server.token = "ghp_own"

    collected = watched.collect()

    assert collected.error is None
    assert sent(collected) == {"Bearer ghp_own"}
    assert issuer.jwts == []


def test_with_an_app_of_the_instance_tokens_are_ignored(with_app, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_environment")
    watched, issuer = with_app(token="ghp_instance")

    collected = watched.collect()

    assert sent(collected) == {f"Bearer {issuer.tokens[0]}"}


@pytest.mark.parametrize("ahead", [timedelta(minutes=-9), timedelta(minutes=12), timedelta(hours=-5)])
def test_clocks_that_differ_cost_one_more_request_once(with_app, ahead):
    watched, issuer = with_app()
    issuer.ahead = ahead

    first = watched.collect()
    watched.later(timedelta(hours=1))
    second = watched.collect()

    assert first.error is second.error is None
    assert len(issuer.tokens) == 2
    assert len(issuer.jwts) == 3


def test_a_token_that_github_refuses_is_replaced(with_app):
    """An owner may revoke it, or change the permissions of the installation."""
    watched, issuer = with_app()
    watched.collect()
    watched.server.token = "revoked"
    watched.later()

    collected = watched.collect()

    assert collected.error is None
    assert len(issuer.tokens) == 2
    assert collected.requests[-1].headers["authorization"] == f"Bearer {issuer.tokens[1]}"


def test_one_that_it_refuses_at_once_is_not_replaced_again_and_again(with_app):
    watched, issuer = with_app()

    def answer(request: Request) -> Reply | None:
        response = issuer(request)
        watched.server.token = "of somebody else"
        return response

    watched.server.intercept = answer

    collected = watched.collect()

    assert "HTTP 401" in collected.error
    assert len(issuer.tokens) == 1


def test_a_restart_asks_for_a_new_one(with_app):
    """It is never written down."""
    watched, issuer = with_app()
    watched.collect()
    watched.restart()
    watched.later()

    assert watched.collect().error is None
    assert len(issuer.tokens) == 2


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"app_installation_id": None}, "app_installation_id"),
        ({"app_installation_id": "forty-two"}, "app_installation_id"),
        ({"app_installation_id": "42/../../user"}, "app_installation_id"),
        ({"app_id": None}, "app_id"),
        ({"app_id": "12 345"}, "app_id"),
        ({"app_id": "ghp_" + "x" * 36}, "app_id"),
        ({"app_private_key": None, "app_private_key_secret": pem()}, "app_private_key_secret"),
    ],
)
def test_half_an_app_is_a_configuration_error(with_app, options, option):
    watched, issuer = with_app(**options)

    collected = watched.collect()

    assert f"`{option}`" in collected.error
    assert "xxxx" not in collected.error
    assert "PRIVATE KEY-" not in collected.error
    assert collected.requests == []


@pytest.mark.parametrize(
    "key",
    [
        "ghp_" + "x" * 36,
        "-----BEGIN RSA PRIVATE KEY-----\nQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo\n-----END RSA PRIVATE KEY-----",
        pem(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8),
        pem(form=PrivateFormat.PKCS8, encryption=BestAvailableEncryption(b"secret phrase")),
        pem()[:400],
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    ],
    ids=["a token", "no key inside", "another kind", "with a passphrase", "cut short", "a public key"],
)
def test_what_is_no_key_is_named_and_not_shown(with_app, key):
    watched, issuer = with_app(app_private_key=key)

    collected = watched.collect()

    assert "the option `app_private_key` is no RSA private key" in collected.error
    assert not any(line in collected.error for line in key.splitlines() if not line.startswith("-----"))
    assert collected.requests == []


def test_without_a_key_its_places_are_named(with_app, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    watched, _ = with_app(app_private_key=None)

    error = watched.collect().error

    assert "app_private_key" in error
    assert "GITHUB_APP_PRIVATE_KEY" in error
    assert "github/app-private-key" in error


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (Reply(404, b'{"message":"Not Found"}', JSON), ("app_installation_id", "api_url")),
        (Reply(403, b'{"message":"This installation has been suspended"}', JSON), ("suspended",)),
        (Reply(401, b'{"message":"Integration not found"}', JSON), ("app_id", "clock")),
        (Reply(201, b'{"token":"ghs_x"}', JSON), ("unknown shape", "api_url")),
        (Reply(201, b'{"token":"ghs_x\\nHost: y","expires_at":"2027-01-01T00:00:00Z"}', JSON), ("unknown shape",)),
        (Reply(500, b"oops"), ("HTTP 500",)),
    ],
    ids=["no such installation", "suspended", "another App", "no end", "a token with a line break", "a fault"],
)
def test_a_refusal_says_what_to_look_at(with_app, refusal, words):
    watched, issuer = with_app()
    issuer.refusal = refusal

    collected = watched.collect()

    for word in words:
        assert word in collected.error
    assert collected.value("metta.check.up") == 0


def test_a_key_of_another_app_is_refused_with_the_place_that_it_comes_from(with_app):
    watched, _ = with_app(app_private_key=pem(ANOTHER_KEY))

    assert "the option `app_private_key` is one of the App's private keys" in watched.collect().error


def test_neither_key_nor_tokens_show_when_github_repeats_them(with_app):
    watched, issuer = with_app()
    watched.collect()
    line = pem().splitlines()[3]
    echo = f"got {issuer.tokens[0]} and {issuer.jwts[0]} and {line}"
    watched.server.intercept = lambda _: Reply(400, json.dumps({"message": echo}).encode(), JSON)
    watched.later()

    error = watched.collect().error

    assert "got ********" in error
    assert not any(secret in error for secret in (issuer.tokens[0], issuer.jwts[0], line))


def test_a_server_of_its_own_needs_a_key_of_its_own(with_app, monkeypatch):
    """The Agent's key signs for GitHub, or for the server that the operator names."""
    monkeypatch.setenv("GITHUB_APP_PRIVATE_KEY", pem())
    watched, issuer = with_app(app_private_key=None)
    watched.options["api_url"] = watched.server.url.replace("127.0.0.1", "localhost")
    watched.restart()

    collected = watched.collect()

    assert "`api_url`" in collected.error
    assert issuer.jwts == []


@pytest.mark.parametrize("option", ["app_id", "app_installation_id"])
def test_an_untrusted_configuration_chooses_no_installation_of_the_agents_app(with_app, monkeypatch, option):
    app = {"GITHUB_APP_ID": "12345", "GITHUB_APP_INSTALLATION_ID": "42", "GITHUB_APP_PRIVATE_KEY": pem()}
    for name, value in app.items():
        monkeypatch.setenv(name, value)
    watched, issuer = with_app(**{**dict.fromkeys(("app_id", "app_installation_id", "app_private_key")), option: 999})
    watched.check.provider = "kubernetes-container-allinone"

    collected = watched.collect()

    assert f"`{option}` is about a GitHub App" in collected.error
    assert (collected.requests, issuer.jwts) == ([], [])
