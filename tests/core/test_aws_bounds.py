"""AWS that never ends an answer: bytes stay bounded, and no thread is left, whichever client asks and for what."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from core_support.servers import Line, RawServer

from metta_checks.core import CredentialError, MettaCheck, SourceError
from metta_checks.training.check import TrainingCheck
from metta_checks.wandb.check import WandbCheck

MOST = 64 * 1024 * 1024
"""Bytes that all attempts of a collection may take: three times the limit, and what waits in buffers on the way."""

SECONDS = 0.3
PIECE = b" " * 65536


class Endless:
    """Begins each answer with `head`, goes on with `piece`, and counts the bytes that somebody took. It ends at twice
    `MOST`, so that a test that fails does not fill the machine's memory."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self.head = head
        self.piece = piece
        self.sent = 0

    def __call__(self, line: Line) -> None:
        line.head()
        line.send(self.head)
        while self.sent < 2 * MOST:
            line.send(self.piece)
            self.sent += len(self.piece)


class Slow(Endless):
    """One byte of the body, then nothing; or one byte after the other."""

    def __call__(self, line: Line) -> None:
        line.head()
        line.send(self.head)
        line.drip(self.piece)
        line.hold()


OK = b"HTTP/1.1 200 OK\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LONG = b"Content-Length: 1000000000000\r\n\r\n"

BEHAVIOURS: dict[str, Callable[[], Endless]] = {
    "chunks": lambda: Endless(OK + CHUNKED, b"10000\r\n" + PIECE + b"\r\n"),
    "one chunk": lambda: Endless(OK + CHUNKED + b"ffffffffffff\r\n", PIECE),
    "a chunk's length": lambda: Endless(OK + CHUNKED, b"0" * 65536),
    "a long body": lambda: Endless(OK + LONG, PIECE),
    "a body until the end of the connection": lambda: Endless(OK + b"\r\n", PIECE),
    "a refusal": lambda: Endless(REFUSED + LONG, PIECE),
    "a head": lambda: Endless(OK, b"X: " + b"x" * 60000 + b"\r\n"),
    "a stalled body": lambda: Slow(OK + LONG, b"x"),
    "a dripped body": lambda: Slow(OK + LONG, b"x" * 1000),
    "a dripped head": lambda: Slow(OK, b"X: " + b"x" * 1000),
    "a stalled refusal": lambda: Slow(REFUSED + LONG, b"x"),
}


@pytest.fixture(params=BEHAVIOURS)
def endless(request: pytest.FixtureRequest) -> Endless:
    return BEHAVIOURS[request.param]()


@pytest.fixture
def url(endless: Endless) -> Iterator[str]:
    with RawServer(endless) as server:
        yield server.url


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Puts the server in the place of a service of AWS; the others are not there."""

    def put(service: str, url: str) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        token = tmp_path / "token"
        token.write_text("a token")
        variables = {
            "S3": {"AWS_ENDPOINT_URL_S3": url},
            "SECRETS_MANAGER": {"AWS_ENDPOINT_URL_SECRETS_MANAGER": url},
            "STS": {
                "AWS_ENDPOINT_URL_STS": url,
                "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x",
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            },
            "CONTAINER": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials"},
            "INSTANCE": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": "false"},
        }[service]
        if service in {"S3", "SECRETS_MANAGER"}:
            variables |= {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def error_of(check: MettaCheck, dd_run_check: Callable[..., str]) -> Exception | None:
    with pytest.raises(Exception, match=r"."):
        dd_run_check(check, extract_message=True)
    return check.collection.error


def assert_nothing_goes_on(endless: Endless) -> None:
    """Whatever thread the collection began ends by itself, and with it what the server can send."""
    until = time.monotonic() + 10
    while (ours := _our_threads()) and time.monotonic() < until:
        ours[0].join(until - time.monotonic())
    assert _our_threads() == []
    assert endless.sent < MOST


def _our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("metta-")]


def training(source: str) -> MettaCheck:
    return TrainingCheck("metta_training", {}, [{"source": source, "collection_timeout": SECONDS}])


@pytest.mark.parametrize("source", ["s3://results/training.json", "s3://results/nightly/"])
def test_s3(
    endless: Endless, url: str, place: Callable[..., None], dd_run_check: Callable[..., str], source: str
) -> None:
    place("S3", url)

    assert isinstance(error_of(training(source), dd_run_check), SourceError)
    assert_nothing_goes_on(endless)


@pytest.mark.parametrize("service", ["STS", "CONTAINER", "INSTANCE"])
def test_what_finds_the_credentials_for_s3(
    endless: Endless, url: str, place: Callable[..., None], dd_run_check: Callable[..., str], service: str
) -> None:
    place(service, url)

    assert isinstance(error_of(training("s3://results/training.json"), dd_run_check), SourceError)
    assert_nothing_goes_on(endless)


@pytest.mark.parametrize("service", ["SECRETS_MANAGER", "STS", "CONTAINER"])
def test_secrets_manager(
    endless: Endless,
    url: str,
    place: Callable[..., None],
    dd_run_check: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    service: str,
) -> None:
    from metta_checks.core import aws_secret

    monkeypatch.setattr(aws_secret, "AWS_LOOKUP_SECONDS", SECONDS)
    place(service, url)
    instance: dict[str, Any] = {"entity": "team", "project": "arena", "collection_timeout": SECONDS}
    check = WandbCheck("metta_wandb", {}, [instance])

    error = error_of(check, dd_run_check)

    assert isinstance(error, CredentialError)
    assert "the AWS secret wandb/api-key could not be used" in str(error)
    assert_nothing_goes_on(endless)


def test_the_next_collection_is_a_good_one(place: Callable[..., None], dd_run_check: Callable[..., str]) -> None:
    """The deadline of one collection says nothing about the connections of the next."""
    check = training("s3://results/training.json")
    behaviours: list[Callable[[Line], None]] = [BEHAVIOURS["a stalled body"]()]

    def good(line: Line) -> None:
        while line.head():
            line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with RawServer(lambda line: behaviours[0](line)) as server:
        place("S3", server.url)
        assert isinstance(error_of(check, dd_run_check), SourceError)
        behaviours[0] = good
        for _ in range(2):
            dd_run_check(check)
            assert check.collection.error is None
