"""Cases from the world, about reading from files, S3 and AWS. Each names where it was seen."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from datadog_checks.base import ConfigurationError

from metta_checks.cli import main
from metta_checks.core import SourceError
from metta_checks.core.option_errors import OptionError
from metta_checks.simulator.server import LoopbackServer, Reply, Request

Make = Callable[..., Any]

STATE = "metta.infra.health.state"


@pytest.mark.parametrize("source", ["ENC[nope]", "ENC[wandb/source;path]"])
def test_h9_a_secret_that_was_not_resolved_is_a_configuration_error(source: str, collect: Make) -> None:
    """Our own runs with a real Agent, without a secret backend."""
    collected = collect(source)

    assert collected.up == 0
    assert isinstance(collected.error, ConfigurationError)
    assert "ENC[" in str(collected.error)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"aws_region": "ENC[region]"}, "`aws_region` holds ENC[region]"),
        ({"headers": {"Authorization": "ENC[token;key]"}}, "`headers` holds ENC[token]"),
        ({"tags": ["env:dev", "ENC[team]"]}, "`tags` holds ENC[team]"),
        ({"collection_timeout": "ENC[seconds]"}, "`collection_timeout` holds ENC[seconds]"),
        ({"source": " ENC[source] "}, "`source` holds ENC[source]"),
    ],
)
def test_h9_other_options_hold_no_handle_either(options: dict[str, Any], named: str, collect: Make) -> None:
    collected = collect(**{"source": "/nowhere/results.json", **options})

    assert (collected.up, type(collected.error)) == (0, OptionError)
    assert named in str(collected.error)


def test_h9_a_handle_in_the_environment_is_named(collect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINING_HEALTH_FILE", "ENC[source]")

    assert "`source` holds ENC[source]" in str(collect(None).error)


def test_h12_what_is_no_document_is_passed_over(s3: Any, record: Make, make_check: Make, run: Make) -> None:
    """prestodb/presto#16701, apache/druid#9411: markers, reports and checkpoints beside the results."""

    def put(key: str, body: bytes) -> None:
        s3.put_object(Bucket="results", Key=f"nightly/{key}", Body=body)

    put("results.json", json.dumps([record(value=0.12, status="fail")]).encode())
    for key in ("_SUCCESS", "x_$folder$", "report.html"):
        put(key, b"")
    for number in range(5):
        put(f"checkpoint-{number}.bin", b"\0" * 9_000)
    check = make_check("s3://results/nightly/", max_bytes=10_000)

    for requests in (2, 1):
        collected = run(check)
        assert (collected.up, collected.value(STATE), collected.warnings) == (1, 2, ())
        assert collected.requests == requests


class Sts(LoopbackServer):
    """STS that refuses every role."""

    def answer(self, request: Request) -> Reply:
        body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        return Reply(403, body, {"Content-Type": "text/xml"})


@pytest.fixture
def sts() -> Iterator[Sts]:
    with Sts() as running:
        yield running


@pytest.fixture(params=["no token file", "a token file that cannot be read", "no token of the pod", "no process"])
def aws(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A way to credentials that does not work; the path that an error has to name."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    missing = str(tmp_path / "missing")
    match request.param:
        case "no token file" | "a token file that cannot be read":
            path = missing if request.param == "no token file" else str(tmp_path)
            monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/metta")
            monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path)
            return path
        case "no token of the pod":
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", missing)
            return missing
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {missing}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    return missing


def test_h15_a_way_to_credentials_that_does_not_work_is_named(aws: str, collect: Make) -> None:
    """kubernetes-sigs/external-dns#1185: the token is mounted for another user."""
    error = collect("s3://results/training.json", collection_timeout=20).error

    assert isinstance(error, SourceError)
    assert aws in str(error)


def test_h15_publish_names_it_too(aws: str, record: Make, write: Make) -> None:
    arguments = ["publish", "training", str(write([record()])), "--to", "s3://results/training.json"]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 1
    assert "fault of this command" not in result.stderr
    assert aws in result.stderr


def test_h15_sts_is_named_where_it_refuses(
    sts: Sts, tmp_path: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("token", encoding="utf-8")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/metta")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert isinstance(error, SourceError)
    assert "STS" in str(error)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        pytest.param("[default\nregion = x\n", "config", id="broken"),
        pytest.param("[default]\nsso_session = metta\n", "sso", id="SSO"),
        pytest.param("[default]\nrole_arn = arn:aws:iam::123456789012:role/metta\n", "source", id="a role of nothing"),
        pytest.param("\udcff", "config", id="no text"),
    ],
)
def test_h15_a_configuration_is_reported_in_the_words_of_the_client(
    config: str, named: str, tmp_path: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "aws"
    path.write_text(config, encoding="utf-8", errors="surrogateescape")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert isinstance(error, SourceError)
    assert str(path) in str(error) or f"{named}_" in str(error)


PROCESSES = {
    "it fails": ("#!/bin/sh\necho the-secret >&2\nexit 3\n", "returned no AWS credentials"),
    "no JSON": ("#!/bin/sh\necho the-secret\n", "did not return JSON"),
    "another version": ('#!/bin/sh\necho \'{"Version": 7, "SecretAccessKey": "the-secret"}\'\n', "no AWS credentials"),
    "no key": ('#!/bin/sh\necho \'{"Version": 1, "SecretAccessKey": "the-secret"}\'\n', "no AWS credentials"),
}


@pytest.mark.parametrize(("script", "named"), PROCESSES.values(), ids=PROCESSES)
def test_h15_a_credential_process_that_gives_none_is_named_without_its_output(
    script: str, named: str, tmp_path: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, config = tmp_path / "program", tmp_path / "config"
    program.write_text(script, encoding="utf-8")
    program.chmod(0o755)
    config.write_text(f"[default]\ncredential_process = {program}\n", encoding="utf-8")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert isinstance(error, SourceError)
    assert named in str(error)
    assert "credential_process" in str(error)
    assert "the-secret" not in str(error)


class Silent(LoopbackServer):
    """The endpoint of a container that has no credentials."""

    def answer(self, request: Request) -> Reply:
        return Reply(404, b"{}")


def test_h15_the_endpoint_of_a_container_is_named(collect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Silent() as endpoint:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint.url}/v1/credentials")
        error = collect("s3://results/training.json", collection_timeout=30).error

    assert isinstance(error, SourceError)
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in str(error)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("[default]\ncredential_process = /bin/echo '\n", "unclosed quotation mark"),
        ("[profile other]\nregion = x\n", "(metta) could not be found"),
    ],
)
def test_h15_further_faults_of_the_configuration(
    config: str, named: str, tmp_path: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "aws"
    path.write_text(config, encoding="utf-8")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    if "could not be found" in named:
        monkeypatch.setenv("AWS_PROFILE", "metta")

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert isinstance(error, SourceError)
    assert named in str(error)


def test_h18_a_document_that_was_unlinked_under_its_mount_is_a_warning(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moby/moby#22627: a single file that is mounted into a container stays the old one once it is replaced outside."""
    path = write([record()])
    fstat = os.fstat

    def unlinked(handle: int) -> os.stat_result:
        status = list(fstat(handle))
        return os.stat_result([*status[:3], 0, *status[4:]], {"st_mtime_ns": 0, "st_ctime_ns": 0})

    monkeypatch.setattr(os, "fstat", unlinked)
    collected = collect(path)

    assert collected.hearts == [0.91]
    assert "mount" in " ".join(collected.warnings)


class Refusing(LoopbackServer):
    """S3 that answers every request with `refusal`."""

    refusal = Reply(500)

    def answer(self, request: Request) -> Reply:
        return self.refusal


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with Refusing() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def refusing(code: str, status: int, message: str, **headers: str) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body, {"Content-Type": "application/xml", **named})


def test_h19_a_key_that_may_not_be_used_is_named(store: Refusing, collect: Make) -> None:
    """Our own runs: a bucket that is encrypted with a customer's key."""
    store.refusal = refusing("AccessDenied", 403, "User is not authorized to perform: kms:Decrypt on this resource")

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert "kms:Decrypt" in str(error)


def test_h19_the_region_of_a_bucket_is_named(store: Refusing, collect: Make) -> None:
    store.refusal = refusing("PermanentRedirect", 301, "use another endpoint", x_amz_bucket_region="eu-west-1")

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert "aws_region: eu-west-1" in str(error)


def test_h20_a_handle_that_went_stale_is_opened_once_more(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own runs on NFS: ESTALE, once, after the file was replaced on another machine."""
    path = write([record()])
    pread = os.pread
    stale = [OSError(errno.ESTALE, os.strerror(errno.ESTALE))]

    def once(*arguments: Any) -> bytes:
        if stale:
            raise stale.pop()
        return pread(*arguments)

    monkeypatch.setattr(os, "pread", once)
    collected = collect(path)

    assert (collected.up, collected.hearts) == (1, [0.91])


def test_h20_a_config_map_that_is_swapped_while_it_is_read(
    record: Make, tmp_path: Path, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own runs: the kubelet points `..data` to a new folder and removes the old one."""
    for version, value in (("..1", 0.91), ("..2", 0.92)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "results.json").write_text(json.dumps([record(value=value)]), encoding="utf-8")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "results.json").symlink_to("..data/results.json")
    open_ = os.open
    swaps = ["..2"]

    def swapped(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if swaps and path == tmp_path:
            (tmp_path / "..new").symlink_to(swaps.pop())
            (tmp_path / "..new").rename(tmp_path / "..data")
            (tmp_path / "..1" / "results.json").unlink()
            (tmp_path / "..1").rmdir()
        return open_(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", swapped)
    collected = collect(tmp_path / "results.json")

    assert swaps == []
    assert (collected.up, collected.hearts) == (1, [0.92])


OTHER_REGIONS = {
    "a region that the body names": (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>no</Message><Region>eu-west-1</Region></Error>",
        400,
        {},
        "aws_region: eu-west-1",
    ),
    "a redirect without a body": (b"", 301, {"x-amz-bucket-region": "ap-southeast-2"}, "aws_region: ap-southeast-2"),
    "a region that nobody names": (
        b"<Error><Code>IllegalLocationConstraintException</Code><Message>no</Message></Error>",
        400,
        {},
        "get-bucket-location",
    ),
}


@pytest.mark.parametrize(("body", "status", "headers", "named"), OTHER_REGIONS.values(), ids=OTHER_REGIONS)
def test_h19_a_bucket_elsewhere(
    body: bytes, status: int, headers: dict[str, str], named: str, store: Refusing, collect: Make
) -> None:
    store.refusal = Reply(status, body, {"Content-Type": "application/xml", **headers})

    error = collect("s3://results/nightly/", collection_timeout=20).error

    assert named in str(error)


@pytest.mark.parametrize(
    ("code", "message", "named"),
    [
        ("AccessDenied", "The ciphertext refers to a customer master key that kms:Decrypt", "Grant kms:Decrypt"),
        ("KMS.DisabledException", "arn:aws:kms:…:key/1 is disabled", "KMS key"),
        ("KMS.KMSInvalidStateException", "arn:aws:kms:…:key/1 is pending deletion", "KMS key"),
        ("AccessDenied", "not authorized to perform: s3:GetObject", "Grant s3:GetObject"),
    ],
)
def test_h19_keys_that_cannot_be_used(code: str, message: str, named: str, store: Refusing, collect: Make) -> None:
    store.refusal = refusing(code, 403, message)

    error = collect("s3://results/training.json", collection_timeout=20).error

    assert named in str(error)


def test_h18_the_warning_stays_while_the_document_does(
    record: Make, write: Make, make_check: Make, run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = make_check(write([record()], "all/results.json").parent)
    before = run(check)
    fstat = os.fstat

    def unlinked(handle: int) -> os.stat_result:
        status = list(fstat(handle))
        return os.stat_result([*status[:3], 0, *status[4:]], {"st_mtime_ns": 0, "st_ctime_ns": 0})

    monkeypatch.setattr(os, "fstat", unlinked)
    after = [run(check), run(check)]

    assert before.warnings == ()
    assert [("mount its folder" in " ".join(one.warnings), one.hearts) for one in after] == 2 * [(True, [0.91])]


def failing_once(function: Any, number: int) -> Any:
    """`function`, which fails the first time."""
    failures = [OSError(number, os.strerror(number))]

    def once(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return function(*arguments, **options)

    return once


@pytest.mark.parametrize("call", ["scandir", "fstat", "open", "stat"])
@pytest.mark.parametrize("source", ["all", "all/*.json", "all/results.json"])
def test_h20_whatever_goes_stale_once_is_tried_once_more(
    call: str, source: str, record: Make, write: Make, make_check: Make, run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write([record()], "all/results.json").parent.parent
    check = make_check(folder / source)

    monkeypatch.setattr(os, call, failing_once(getattr(os, call), errno.ESTALE))
    collected = run(check)

    assert (collected.up, collected.hearts) == (1, [0.91])


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_h20_another_error_is_reported_at_once(
    number: int, record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([record()])

    monkeypatch.setattr(os, "pread", failing_once(os.pread, number))

    assert collect(path).up == 0


def test_h20_a_handle_that_stays_stale_is_an_error(
    record: Make, write: Make, collect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write([record()])

    def stale(*_: Any) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "pread", stale)
    collected = collect(path)

    assert collected.up == 0
    assert "stale" in str(collected.error)
