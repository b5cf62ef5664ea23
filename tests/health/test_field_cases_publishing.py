"""Cases from the world, about publishing. Each names where it was seen."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.core import SourceError
from metta_checks.core.duration import parse_duration
from metta_checks.eval.config_models import defaults as eval_defaults
from metta_checks.health import InvalidResultsError, Limits, Record, publish
from metta_checks.health.identity import ANNOTATION_TAGS
from metta_checks.health.metrics import DEFAULT_MAX_AGE
from metta_checks.simulator.server import LoopbackServer, Reply, Request
from metta_checks.training.config_models import defaults as training_defaults

Make = Callable[..., Any]

STATE, VALUE = "metta.infra.health.state", "metta.infra.health.value"

RECORD: dict[str, Any] = {
    "metric": "hearts",
    "value": 0.91,
    "workflow_name": "arena",
    "task": "runs_successfully",
    "check": "reward_threshold",
    "condition": "> 0.5",
}

WRITER, READER, GROUP = 54_321, 54_322, 54_320
"""Ids of two users and their group that nobody has."""


def command(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["publish", "training", *map(str, arguments)], input=given)


def test_h1b_a_pass_of_another_seed_does_not_hide_a_failure(
    record: Make, write: Make, collect: Make, tmp_path: Path
) -> None:
    """Our own runs: `seed` is no annotation."""
    out = tmp_path / "out.json"
    first = record(value=0.1, status="fail", timestamp="2025-01-14T10:00:00Z", tags={"seed": 1})
    second = record(value=0.9, timestamp="2025-01-14T10:05:00Z", tags={"seed": 2})

    for results in (first, second):
        assert command(write([results]), "--to", out, "--merge").exit_code == 0

    assert collect(out).value(STATE) == 2


@pytest.mark.parametrize(
    ("tag", "options"),
    [("commit", []), ("sha", []), ("run_id", []), ("run_url", []), ("version", []), ("build", ["build"])],
)
def test_h1_a_new_commit_replaces_the_record_of_the_old_one(
    tag: str, options: list[str], record: Make, write: Make, collect: Make, tmp_path: Path
) -> None:
    """Our own runs: red for 26 hours after the fix was merged."""
    out = tmp_path / "out.json"
    first = record(value=0.1, status="fail", timestamp="2025-01-14T10:00:00Z", tags={tag: "aaa"})
    second = record(value=0.9, timestamp="2025-01-14T11:00:00Z", tags={tag: "bbb"})

    annotations = [argument for name in options for argument in ("--annotation-tag", name)]
    results = [command(write([one]), "--to", out, "--merge", *annotations) for one in (first, second)]

    assert [result.exit_code for result in results] == [0, 0]
    collected = collect(out, **({"annotation_tags": options} if options else {}))
    assert (collected.values(STATE), collected.values(VALUE)) == ([0], [0.9])


def test_h5_a_record_that_is_stale_already_is_a_warning(record: Make, write: Make, tmp_path: Path) -> None:
    """Our own runs: a pipeline stamped its records with the time of the model's first commit."""
    result = command(write([record(timestamp="2020-01-14T10:00:00Z")]), "--to", tmp_path / "out.json")

    assert result.exit_code == 0
    assert "record 1" in result.stderr
    assert "max_age" in result.stderr


def test_h6_a_record_that_another_one_supersedes_is_named(record: Make, write: Make, tmp_path: Path) -> None:
    """Our own runs: "2 valid training records (1 pass)"."""
    result = command(write([record(value=0.1, status="fail"), record()]), "--to", tmp_path / "out.json")

    assert result.exit_code == 0
    assert "record 1" in result.stderr
    assert "superseded" in result.stderr


def test_h6_validate_names_it_too_by_its_position_in_the_file(record: Make, write: Make) -> None:
    path = write([{"metric": 1}, record(value=0.1, status="fail"), record()])

    result = CliRunner().invoke(main, ["validate", "--check", "training", str(path)])

    assert "record 2 is superseded by record 3" in result.output


def test_the_default_that_publish_warns_by_is_that_of_the_checks() -> None:
    for defaults in (training_defaults, eval_defaults):
        assert parse_duration(defaults.instance_max_age()) == DEFAULT_MAX_AGE
        assert tuple(defaults.instance_annotation_tags()) == ANNOTATION_TAGS


FORMS = [
    pytest.param(lambda text: text.encode("utf-16"), "UTF-16", id="UTF-16"),
    pytest.param(lambda text: text.encode("utf-16-be"), "UTF-16", id="UTF-16 without a mark"),
    pytest.param(lambda text: f"{text[1:-1]}\n{text[1:-1]}\n".encode(), "JSON Lines", id="JSON Lines"),
    pytest.param(lambda text: text.replace("0.91", "NaN").encode(), "NaN", id="NaN"),
    pytest.param(lambda text: text.replace("0.91", "-Infinity").encode(), "Infinity", id="Infinity"),
]


@pytest.mark.parametrize(("form", "named"), FORMS)
def test_h7_a_wrong_form_is_named(form: Make, named: str, record: Make, write: Make, collect: Make) -> None:
    """Our own runs: PowerShell's `>`, `jq -c`, `json.dump` of a diverged run."""
    path = write(form(json.dumps([record()])))

    published, error = command(path, "--check-only"), collect(path).error

    assert (published.exit_code, type(error)) == (1, SourceError)
    assert named in published.stderr
    assert named in str(error)


class Bucket(LoopbackServer):
    """S3 that holds nothing and answers each write with `refusal`."""

    refusal = Reply(501)

    def answer(self, request: Request) -> Reply:
        return failing("NoSuchKey", 404) if request.method in {"GET", "HEAD"} else self.refusal


def failing(code: str, status: int, message: str = "no") -> Reply:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return Reply(status, body, {"Content-Type": "application/xml"})


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with Bucket() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def test_h8_a_missing_folder_is_advice_for_the_publisher(record: Make, write: Make, tmp_path: Path) -> None:
    """Our own runs: "Check the path, and that the pipeline has published"."""
    result = command(write([record()]), "--to", tmp_path / "none" / "out.json")

    assert result.exit_code == 1
    assert f"There is no folder {tmp_path}/none: create it, or name another one." in result.stderr
    assert "published" not in result.stderr


def test_h8_a_bucket_that_may_not_be_written_to_names_the_permission(bucket: Bucket, record: Make, write: Make) -> None:
    bucket.refusal = failing("AccessDenied", 403)

    result = command(write([record()]), "--to", "s3://results/training.json")

    assert result.exit_code == 1
    assert "s3:PutObject" in result.stderr
    assert "s3:GetObject" not in result.stderr


def test_h8_a_merge_names_the_permissions_that_it_needs(bucket: Bucket, record: Make, write: Make) -> None:
    bucket.refusal = failing("AccessDenied", 403)

    result = command(write([record()]), "--to", "s3://results/training.json", "--merge")

    assert result.exit_code == 1
    assert [name for name in ("s3:PutObject", "s3:GetObject", "s3:ListBucket") if name not in result.stderr] == []


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        pytest.param(failing("NoSuchBucket", 404), "Check the name of the bucket", id="no bucket"),
        pytest.param(failing("SlowDown", 503), "Publish again later", id="too many requests"),
        pytest.param(failing("InternalError", 500), "publish again", id="a failure of S3"),
        pytest.param(failing("InvalidBucketName", 400), "--aws-region", id="no name of a bucket"),
    ],
)
def test_h8_the_advice_is_for_the_publisher(
    refusal: Reply, advice: str, bucket: Bucket, record: Make, write: Make
) -> None:
    bucket.refusal = refusal

    result = command(write([record()]), "--to", "s3://results/training.json")

    assert result.exit_code == 1
    assert advice in result.stderr
    assert [word for word in ("next collection", "pipeline has published", "`source`") if word in result.stderr] == []


def test_h8_without_credentials_the_job_needs_a_role(
    bucket: Bucket, record: Make, write: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    result = command(write([record()]), "--to", "s3://results/training.json")

    assert "Give this job a role that may write to the bucket" in result.stderr


def test_h8_one_record_in_place_of_a_list_is_named(record: Make, tmp_path: Path, now: datetime) -> None:
    with pytest.raises(InvalidResultsError) as refusal:
        publish(record(), tmp_path / "out.json", now=now)

    assert "list" in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (Record(**RECORD), "it is one record"),
        ({"records": [RECORD]}, "the list that it has as `records`"),
        (json.dumps([RECORD]), "it is text or a path"),
        (Path("results.json"), "it is text or a path"),
        (None, "it is NoneType"),
        (0.91, "it is float"),
    ],
)
def test_h8_what_is_no_list_is_named(given: Any, named: str, tmp_path: Path, now: datetime) -> None:
    with pytest.raises(InvalidResultsError, match="^results: ") as refusal:
        publish(given, tmp_path / "out.json", now=now)

    assert named in str(refusal.value)
    assert not (tmp_path / "out.json").exists()


def test_h10_superseded_records_leave_first(record: Make, tmp_path: Path, now: datetime) -> None:
    """Our own runs, with 12,000 records: after the limit every merge fails."""
    path, limits = tmp_path / "out.json", Limits(max_records=10)
    failed = 0
    for number in range(12):
        commit = record(value=number, timestamp=f"2025-01-14T15:00:{number:02}Z", tags={"commit": f"c{number}"})
        try:
            publish([commit], path, merge=True, limits=limits, now=now)
        except SourceError:
            failed += 1

    assert failed == 0
    assert json.loads(path.read_text())[-1]["value"] == 11


def test_h10_a_document_over_the_limit_takes_merges_again(record: Make, write: Make, now: datetime) -> None:
    commits = [record(timestamp=f"2025-01-14T15:00:{number:02}Z", tags={"commit": number}) for number in range(12)]
    path = write(commits)

    assert publish([record(task="other")], path, merge=True, limits=Limits(max_records=10), now=now) == 2


def test_h10_more_than_fits_is_a_clear_error(record: Make, tmp_path: Path, now: datetime) -> None:
    path, limits = tmp_path / "out.json", Limits(max_records=10)
    publish([record(task=str(number)) for number in range(10)], path, limits=limits, now=now)
    before = path.read_bytes()

    with pytest.raises(SourceError, match="11 records where 10 are allowed"):
        publish([record(task="one more")], path, merge=True, limits=limits, now=now)

    assert path.read_bytes() == before


def test_h16_permission_bits_are_kept(record: Make, write: Make, tmp_path: Path) -> None:
    """untitaker/python-atomicwrites#42: a 0644 document becomes 0600 under umask 077."""
    out = write([record()], "out.json")
    out.chmod(0o644)

    mask = os.umask(0o077)
    try:
        assert command(write([record()]), "--to", out).exit_code == 0
    finally:
        os.umask(mask)

    assert stat.S_IMODE(out.stat().st_mode) == 0o644


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every member of a group may write to; pytest's own are for one user alone."""
    folder = Path(tempfile.mkdtemp(prefix="metta-shared-"))
    os.chown(folder, 0, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)


def publish_as(user: int, content: list[dict[str, Any]], path: Path, now: datetime) -> str:
    """Merge as another user of the group, with umask 022; the error's text, empty for none."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)
            os.umask(0o022)
            publish(content, path, merge=True, now=now)
        except BaseException as error:
            os.write(theirs, (str(error) or traceback.format_exc()).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as answer:
        return answer.read().decode()


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two other users")


@as_root
def test_h17_two_users_of_a_group_merge_into_one_document(shared: Path, record: Make, now: datetime) -> None:
    """alexflint/go-filemutex#24."""
    path = shared / "training.json"

    errors = [publish_as(user, [record(task=str(user))], path, now) for user in (WRITER, READER)]

    assert errors == ["", ""]
    assert len(json.loads(path.read_text())) == 2


@as_root
def test_h17_a_lock_that_cannot_be_opened_is_named(shared: Path, record: Make, now: datetime) -> None:
    path = shared / "training.json"
    shared.chmod(0o755)
    os.chown(shared, WRITER, GROUP)

    error = publish_as(READER, [record()], path, now)

    assert "ermission denied" in error
    assert f"{shared}/.training.json.lock" in error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        pytest.param(errno.ENOSYS, "cannot rename files", id="awslabs/mountpoint-s3#506"),
        pytest.param(errno.EOPNOTSUPP, "cannot rename files", id="BOINC/boinc#1563"),
        pytest.param(errno.EBUSY, "mount its folder instead", id="moby/moby#22627"),
        pytest.param(errno.EXDEV, "mount its folder instead", id="another file system"),
        pytest.param(errno.EINVAL, "cannot rename files", id="FUSE"),
    ],
)
def test_h18_a_file_system_without_rename_is_named(
    number: int, remedy: str, record: Make, write: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refused)
    result = command(write([record()]), "--to", tmp_path / "out.json")
    monkeypatch.undo()

    assert result.exit_code == 1
    assert remedy in result.stderr
    assert not (tmp_path / "out.json").exists()


def test_h18_what_a_store_without_deletion_keeps_is_named(
    record: Make, write: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """awslabs/mountpoint-s3#506, mounted without --allow-delete."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "rename", refused)
    monkeypatch.setattr(os, "unlink", refused)
    result = command(write([record()]), "--to", tmp_path / "out.json")
    monkeypatch.undo()

    (left,) = tmp_path.glob(".metta-*.tmp")
    assert result.exit_code == 1
    assert f"{left.name} is left there" in result.stderr


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_h18_a_file_system_without_locks_is_named(
    number: int, record: Make, write: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """awslabs/mountpoint-s3#506: publish without --merge, or to s3:// itself."""

    def refused(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "fcntl", refused)
    monkeypatch.setattr(fcntl, "flock", refused)
    result = command(write([record()]), "--to", tmp_path / "out.json", "--merge")

    assert result.exit_code == 1
    assert "lock" in result.stderr
    assert "--merge" in result.stderr


@pytest.mark.parametrize(
    ("refusal", "options", "named"),
    [
        pytest.param(failing("NotImplemented", 501), ["--merge"], "--merge", id="no conditional PUT"),
        pytest.param(
            failing("InvalidRequest", 400, "Unsupported header x-amz-checksum-crc32"),
            [],
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            id="no checksum headers",
        ),
        pytest.param(
            failing("AccessDenied", 403, "not authorized to perform: kms:GenerateDataKey"),
            [],
            "kms:GenerateDataKey",
            id="no key",
        ),
        pytest.param(failing("KMS.DisabledException", 400), [], "KMS key", id="a key that is switched off"),
        pytest.param(
            failing("InvalidRequest", 400, "Conditional requests are not supported"), ["--merge"], "--merge", id="Ceph"
        ),
        pytest.param(
            failing("InvalidArgument", 400, "Unsupported header 'x-amz-sdk-checksum-algorithm'"),
            ["--merge"],
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            id="Backblaze B2",
        ),
        pytest.param(
            failing("NotImplemented", 501, "STREAMING-UNSIGNED-PAYLOAD-TRAILER not implemented"),
            [],
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            id="Cloudflare R2",
        ),
        pytest.param(
            failing("IllegalLocationConstraintException", 400), [], "--aws-region REGION", id="a region to be found out"
        ),
    ],
)
def test_h19_what_a_store_does_not_have_is_named(
    refusal: Reply, options: list[str], named: str, bucket: Bucket, record: Make, write: Make
) -> None:
    bucket.refusal = refusal

    result = command(write([record()]), "--to", "s3://results/training.json", *options)

    assert result.exit_code == 1
    assert named in result.stderr
