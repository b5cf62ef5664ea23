"""Secrets from AWS: their shapes, how long they are kept, and how long a lookup may take."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import pytest
from core_support.servers import Line, RawServer
from moto.server import ThreadedMotoServer

from metta_checks.core import CredentialError, aws_secret
from metta_checks.core import credentials as module
from metta_checks.core.aws_secret import AWS_LOOKUP_SECONDS
from metta_checks.core.credentials import AWAY_SECONDS, KEPT_SECONDS, CredentialPlaces, Credentials
from metta_checks.core.errors import NoCredentialError

REGION = "eu-west-1"


PLACES = CredentialPlaces("Probe token", "token", None, ("PROBE_TOKEN",), "probe/token", REGION)


def credentials(region: str | None = REGION, registered: list[str] | None = None) -> Credentials:
    places = replace(PLACES, region=region)
    return Credentials(places, [].append if registered is None else registered.append)


@pytest.fixture(scope="module")
def moto_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Points the AWS client at an endpoint, with credentials that nobody checks."""

    def point(endpoint: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    return point


@pytest.fixture(scope="module")
def manager(moto_server: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("secretsmanager", region_name=REGION, endpoint_url=moto_server, **keys)


@pytest.fixture
def put(manager: Any, moto_server: str, aws: Callable[[str], None]) -> Callable[..., None]:
    """Stores the secret, in place of any that is there."""
    aws(moto_server)

    def store(**value: Any) -> None:
        manager.delete_secret(SecretId="probe/token", ForceDeleteWithoutRecovery=True)
        manager.create_secret(Name="probe/token", **value)

    return store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the module takes for the time, in seconds; one entry."""
    seconds = [0.0]

    class Clock:
        monotonic = staticmethod(lambda: seconds[0])

    monkeypatch.setattr(module, "time", Clock)
    return seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("token-1", "token-1"),
        (" token-1\n", "token-1"),
        ('{"key": "token-1"}', "token-1"),
        ('{"any name": " token-1 "}', "token-1"),
        ("{not JSON", "{not JSON"),
    ],
)
def test_a_secret(put: Callable[..., None], text: str, value: str) -> None:
    put(SecretString=text)
    registered: list[str] = []
    credential = credentials(registered=registered).get()
    assert (credential.value, str(credential.origin)) == (value, "the AWS secret probe/token")
    assert registered == [value]


def test_it_is_in_no_log(put: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    put(SecretString="hush-1")
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    credentials().get()
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ({"SecretString": '{"a": "hush", "b": "hush"}'}, "does not hold exactly one text"),
        ({"SecretString": "{}"}, "does not hold exactly one text"),
        ({"SecretString": '{"a": 1}'}, "does not hold exactly one text"),
        ({"SecretString": '{"a": {"b": "hush"}}'}, "does not hold exactly one text"),
        ({"SecretString": '{"a": " "}'}, "does not hold exactly one text"),
        ({"SecretString": "  "}, "it is empty"),
        ({"SecretBinary": b"hush"}, "it is binary; store it as text"),
    ],
)
def test_a_secret_that_is_none(put: Callable[..., None], secret: dict[str, Any], reason: str) -> None:
    put(**secret)
    with pytest.raises(CredentialError, match=f"the AWS secret probe/token could not be used .*{reason}") as caught:
        credentials().get()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", ["hush\nhush", '{"key": "hush\\u0416"}', "ENC[hush]"])
def test_a_secret_that_cannot_be_sent(put: Callable[..., None], text: str) -> None:
    put(SecretString=text)
    with pytest.raises(CredentialError, match="the AWS secret probe/token holds a"):
        credentials().get()


def test_no_such_secret(moto_server: str, aws: Callable[[str], None]) -> None:
    aws(moto_server)
    with pytest.raises(CredentialError, match=r"\(AWS returned ResourceNotFoundException\)"):
        credentials(region="us-west-2").get()


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_environment(
    put: Callable[..., None], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    put(SecretString="token-1")
    with pytest.raises(CredentialError, match="no AWS region is set; use the option `aws_region` or AWS_REGION"):
        credentials(region=None).get()
    monkeypatch.setenv(variable, REGION)
    assert credentials(region=None).get().value == "token-1"


def test_it_is_kept_for_an_hour(put: Callable[..., None], clock: list[float]) -> None:
    put(SecretString="token-1")
    found = credentials()
    assert found.get().value == "token-1"
    put(SecretString="token-2")
    clock[0] = KEPT_SECONDS
    assert found.get().value == "token-1"
    clock[0] = KEPT_SECONDS + 1
    assert found.get().value == "token-2"


def test_it_goes_on_while_aws_is_away(
    put: Callable[..., None], aws: Callable[[str], None], moto_server: str, clock: list[float]
) -> None:
    put(SecretString="token-1")
    found = credentials()
    assert found.get().value == "token-1"
    clock[0] = KEPT_SECONDS + 1
    aws("http://127.0.0.1:1")
    assert found.get().value == "token-1"
    put(SecretString="token-2")
    aws(moto_server)
    clock[0] += AWAY_SECONDS + 1
    assert found.get().value == "token-2"


def test_an_aws_that_is_away_is_not_asked_for_every_page(
    put: Callable[..., None], aws: Callable[[str], None], clock: list[float]
) -> None:
    put(SecretString="token-1")
    found = credentials()
    found.get()
    clock[0] = KEPT_SECONDS + 1
    asked: list[Line] = []
    with RawServer(asked.append) as server:
        aws(server.url)
        for _ in range(20):
            assert found.get().value == "token-1"
    assert len(asked) == 1


def test_what_came_too_late_is_good_for_the_next_collection(
    put: Callable[..., None], aws: Callable[[str], None], moto_server: str
) -> None:
    put(SecretString="token-1")
    patience = [0.0, AWS_LOOKUP_SECONDS]
    found = Credentials(PLACES, [].append, lambda: patience[0])
    with pytest.raises(NoCredentialError, match="AWS did not respond within 0 s") as caught:
        found.get()
    assert not caught.value.settled
    for thread in threading.enumerate():
        if thread.name == "metta-aws-secret":
            thread.join(10)
    aws("http://127.0.0.1:1")
    assert found.get().value == "token-1"


def test_after_a_401_an_aws_that_is_away_gives_none(put: Callable[..., None], aws: Callable[[str], None]) -> None:
    """So that it is the 401 that the operator hears of."""
    put(SecretString="token-1")
    found = credentials()
    refused = found.get()
    aws("http://127.0.0.1:1")
    assert found.refresh(refused) is None


@pytest.mark.parametrize("absent", [True, False])
def test_whether_its_absence_is_settled(aws: Callable[[str], None], moto_server: str, absent: bool) -> None:
    aws(moto_server if absent else "http://127.0.0.1:1")
    with pytest.raises(NoCredentialError) as caught:
        credentials(region="us-west-2").get()
    assert caught.value.settled is absent


def test_it_is_read_again_after_a_401(put: Callable[..., None]) -> None:
    put(SecretString="token-1")
    found = credentials()
    refused = found.get()
    assert found.refresh(refused) is None
    put(SecretString="token-2")
    fresh = found.refresh(refused)
    assert fresh
    assert fresh.value == found.get().value == "token-2"


def test_several_threads_that_were_refused_all_get_the_new_one(put: Callable[..., None]) -> None:
    put(SecretString="token-1")
    found = credentials()
    refused = found.get()
    put(SecretString="token-2")
    with ThreadPoolExecutor(4) as pool:
        refresh = list(pool.map(found.refresh, [refused] * 4))
    assert [fresh and fresh.value for fresh in refresh] == ["token-2"] * 4


@pytest.mark.parametrize("answers", [0, 3], ids=["silent", "drips"])
def test_a_lookup_ends_after_five_seconds(
    aws: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    monkeypatch.setattr(aws_secret, "AWS_LOOKUP_SECONDS", 0.5)

    def behave(line: Line) -> None:
        line.head()
        line.drip(b"HTTP/1.1 200 OK\r\n" if answers else b"", 0.2)
        line.hold()

    with RawServer(behave) as server:
        aws(server.url)
        found = credentials()
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(CredentialError, match=r"AWS did not respond"):
                found.get()
            assert time.monotonic() - started < 3
            lookups = [thread for thread in threading.enumerate() if thread.name == "metta-aws-secret"]
            assert len(lookups) <= 1


def test_a_lookup_ends_with_the_collection(aws: Callable[[str], None]) -> None:
    with RawServer(lambda line: line.hold()) as server:
        aws(server.url)
        found = Credentials(PLACES, [].append, lambda: 0.3)
        started = time.monotonic()
        with pytest.raises(CredentialError, match=r"AWS did not respond within 0\.3 s"):
            found.get()
        assert time.monotonic() - started < 2


def test_five_seconds_is_what_the_lookup_has() -> None:
    assert AWS_LOOKUP_SECONDS == 5


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token"}, "/nowhere/token"),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/pod",
            },
            "/nowhere/pod",
        ),
        ({"AWS_PROFILE": "nobody"}, r"The config profile \(nobody\) could not be found"),
    ],
)
def test_an_identity_of_this_machine_that_does_not_work_is_named(
    variables: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubernetes-sigs/external-dns#1185: the token is mounted for another user."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialError, match=reason):
        credentials().get()
