"""Records in S3: objects and prefixes, conditional, counted, within the deadline."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from simulator_support.faults import Fault

from metta_checks.core import Kind, SourceError
from metta_checks.health.s3 import s3_client
from metta_checks.simulator.server import LoopbackServer, Reply, Request

Make = Callable[..., Any]


def put(s3: Any, key: str, content: Any) -> None:
    s3.put_object(Bucket="results", Key=key, Body=content if isinstance(content, bytes) else json.dumps(content))


def test_an_object_is_read_and_its_request_counted(s3: Any, record: Make, collect: Make) -> None:
    put(s3, "training.json", [record()])

    collected = collect("s3://results/training.json")

    assert (collected.hearts, collected.requests) == ([0.91], 1)


def test_all_json_objects_under_a_prefix_are_read(s3: Any, record: Make, collect: Make) -> None:
    keys = ("nightly/a.json", "nightly/deep/b.json", "nightly/.c/d.json", "other/e.json", "nightly.json")
    for value, key in enumerate(keys):
        put(s3, key, [record(value=value, tags={"key": key})])
    put(s3, "nightly/", b"")

    assert collect("s3://results/nightly/").hearts == [0, 1]
    assert collect("s3://results/").hearts == [0, 1, 3, 4]
    assert collect("s3://results/nightly/.c/").hearts == [2]


FOREIGN = (
    "_SUCCESS",
    "x_$folder$",
    "report.html",
    "checkpoint-1.bin",
    "logs/1.txt",
    "training.json.crc",
    ".training.json.swp",
    ".hidden.json",
    ".ipynb_checkpoints/training-checkpoint.json",
    "json",
    "TRAINING.JSONL",
)


def test_what_other_tools_leave_under_a_prefix_is_passed_over(
    s3: Any, record: Make, make_check: Make, run: Make
) -> None:
    """apache/druid#9411, prestodb/presto#16701."""
    put(s3, "nightly/training.json", [record(value=0.12, status="fail")])
    for name in FOREIGN:
        put(s3, f"nightly/{name}", b"\x00" * 20_000)
    check = make_check("s3://results/nightly/", max_bytes=10_000)

    first, second = run(check), run(check)

    assert (first.up, first.hearts, first.warnings, first.requests) == (1, [0.12], (), 2)
    assert (first.dropped("over_limit"), first.dropped("unreadable")) == (0, 0)
    assert (second.requests, second.value("metta.infra.health.state")) == (1, 2)


def test_an_unchanged_object_is_asked_for_by_its_etag(s3: Any, record: Make, make_check: Make, run: Make) -> None:
    put(s3, "training.json", [record()])
    check = make_check("s3://results/training.json")
    first = run(check)

    second = run(check)

    assert (second.requests, second.hearts, second.series.keys()) == (1, [0.91], first.series.keys())


def test_of_a_prefix_only_what_changed_is_read_again(s3: Any, record: Make, make_check: Make, run: Make) -> None:
    for name in ("a", "b", "c"):
        put(s3, f"nightly/{name}.json", [record(tags={"key": name})])
    check = make_check("s3://results/nightly/")
    assert run(check).requests == 4

    unchanged = run(check)
    put(s3, "nightly/b.json", [record(value=0.5, tags={"key": "b"})])
    changed = run(check)
    s3.delete_object(Bucket="results", Key="nightly/a.json")
    fewer = run(check)

    assert (unchanged.requests, unchanged.hearts) == (1, [0.91, 0.91, 0.91])
    assert (changed.requests, changed.hearts) == (2, [0.5, 0.91, 0.91])
    assert (fewer.requests, fewer.hearts) == (1, [0.5, 0.91])


def test_without_a_timestamp_the_time_of_the_object_counts(
    s3: Any, record: Make, absent: object, make_check: Make, run: Make
) -> None:
    put(s3, "training.json", [record(timestamp=absent)])
    modified = s3.head_object(Bucket="results", Key="training.json")["LastModified"]
    check = make_check("s3://results/training.json")
    check.clock = lambda: modified.replace(year=modified.year + 1)

    age = run(check).value("metta.infra.health.age_seconds")

    assert age in (365 * 86400, 366 * 86400)


@pytest.mark.parametrize("source", ["s3://results/nightly/a.json", "s3://results/nightly/"])
def test_the_same_content_put_anew_is_new(
    source: str, s3: Any, record: Make, absent: object, make_check: Make, run: Make
) -> None:
    """The ETag is of the content alone, so that it does not tell."""
    check = make_check(source)
    ages = []
    for _ in range(2):
        put(s3, "nightly/a.json", [record(timestamp=absent)])
        modified = s3.head_object(Bucket="results", Key="nightly/a.json")["LastModified"]
        check.clock = lambda moment=modified: moment + timedelta(minutes=5)
        ages.append(run(check).value("metta.infra.health.age_seconds"))
        # S3 tells times by the second.
        time.sleep(1.1)
    assert ages == [300, 300]


def test_the_region_of_the_environment(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION is what EKS and ECS set; the SDK for Python knows the other name alone."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert s3_client(None).meta.region_name == "eu-central-1"
    assert s3_client("us-west-2").meta.region_name == "us-west-2"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("s3://results/none.json", Kind.NOT_FOUND),
        ("s3://nowhere/none.json", Kind.NOT_FOUND),
        ("s3://nowhere/none/", Kind.NOT_FOUND),
        ("s3://results/broken.json", Kind.MALFORMED),
        ("s3://results/large.json", Kind.OVERSIZED),
        ("s3://NO_SUCH NAME/key", Kind.REJECTED),
    ],
)
def test_what_cannot_be_read_is_a_failure(source: str, kind: Kind, s3: Any, collect: Make) -> None:
    put(s3, "broken.json", b"{")
    put(s3, "large.json", b"[" + b" " * 20_000 + b"]")

    collected = collect(source, max_bytes=10_000)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is kind
    assert source in str(collected.error)


def test_an_empty_prefix_is_missing_data(s3: Any, collect: Make) -> None:
    collected = collect("s3://results/none/")

    assert (collected.up, collected.data_missing) == (1, 1)
    assert "s3://results/none/ holds no document" in collected.warnings[0]


def test_a_bad_object_under_a_prefix_is_left_out(s3: Any, record: Make, collect: Make) -> None:
    put(s3, "nightly/bad.json", b"{")
    put(s3, "nightly/good.json", [record()])
    put(s3, "nightly/large.json", b"[" + b" " * 20_000 + b"]")

    collected = collect("s3://results/nightly/", max_bytes=10_000)

    assert (collected.up, collected.hearts, collected.dropped("unreadable")) == (1, [0.91], 2)


def test_without_credentials_the_error_says_so(s3: Any, collect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    error = collect("s3://results/training.json").error

    assert isinstance(error, SourceError)
    assert error.kind is Kind.UNAUTHORISED
    assert "there are no AWS credentials here" in str(error)


ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>no</Message></Error>'


class ObjectServer(LoopbackServer):
    """Speaks enough of S3 to serve one object, and to do it badly."""

    content = b"[]"
    modified = "Tue, 14 Jan 2025 15:30:00 GMT"

    def answer(self, request: Request) -> Reply:
        headers = {"ETag": '"v1"', "Last-Modified": self.modified}
        if request.headers.get("if-none-match") == '"v1"':
            return Reply(304, headers=headers)
        return Reply(body=self.content, headers=headers)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with ObjectServer() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def test_an_object_answered_with_304_is_not_sent_again(
    server: ObjectServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content = json.dumps([record()]).encode()
    check = make_check("s3://results/training.json")
    run(check)

    server.content = b"not sent"

    assert run(check).hearts == [0.91]
    assert server.requests[-1].headers["if-none-match"] == '"v1"'


def test_a_304_tells_when_it_was_put_anew(
    server: ObjectServer, record: Make, absent: object, make_check: Make, run: Make
) -> None:
    server.content = json.dumps([record(timestamp=absent)]).encode()
    check = make_check("s3://results/training.json")
    before = run(check).value("metta.infra.health.age_seconds")

    server.modified = "Tue, 14 Jan 2025 15:40:00 GMT"
    after = run(check)

    assert (before - after.value("metta.infra.health.age_seconds"), after.requests) == (600, 1)


class ListingServer(LoopbackServer):
    """Speaks enough of S3 to list `pages` of keys, and to serve each of them."""

    def __init__(self, pages: list[list[str]], content: bytes = b"[]") -> None:
        super().__init__()
        self.pages = pages
        self.content = content

    def answer(self, request: Request) -> Reply:
        if "list-type" not in request.query:
            return Reply(body=self.content, headers={"ETag": '"v1"', "Last-Modified": "Tue, 14 Jan 2025 15:30:00 GMT"})
        page = int(request.query.get("continuation-token", "0"))
        more = page + 1 < len(self.pages)
        items = "".join(LISTED.format(key) for key in self.pages[page])
        token = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else ""
        listing = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}"
        return Reply(body=f"<ListBucketResult>{listing}</ListBucketResult>".encode())


LISTED = (
    "<Contents><Key>{}</Key><Size>2</Size><ETag>&quot;v1&quot;</ETag>"
    "<LastModified>2025-01-14T15:30:00.000Z</LastModified></Contents>"
)


@pytest.mark.parametrize("pages", [[["a.json"], ["b.json"]], [["a.json"], [], ["b.json"]], [["a.json", "b.json"], []]])
def test_a_listing_is_read_to_its_end(
    pages: list[list[str]], record: Make, collect: Make, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ListingServer(pages, json.dumps([record()]).encode()) as listing:
        monkeypatch.setenv("AWS_ENDPOINT_URL", listing.url)
        collected = collect("s3://results/nightly/")

    paths = [request.path for request in listing.requests if "list-type" not in request.query]
    assert sorted(paths) == ["/results/a.json", "/results/b.json"]
    assert (collected.hearts, collected.requests) == ([0.91], len(pages) + 2)


@pytest.mark.slow
def test_a_prefix_with_too_many_objects_is_an_error(
    collect: Make, server: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ListingServer([[f"{page}-{number}.json" for number in range(1000)] for page in range(30)]) as listing:
        monkeypatch.setenv("AWS_ENDPOINT_URL", listing.url)
        collected = collect("s3://results/nightly/")

    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is Kind.OVERSIZED
    assert (collected.up, len(listing.requests)) == (0, 21)


def failing(code: str, status: int) -> Reply:
    return Reply(status, ERROR.format(code).encode(), {"Content-Type": "application/xml"})


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (failing("AccessDenied", 403), Kind.FORBIDDEN, 1),
        (failing("InvalidAccessKeyId", 403), Kind.UNAUTHORISED, 1),
        (failing("ExpiredToken", 400), Kind.UNAUTHORISED, 1),
        (failing("InvalidRequest", 400), Kind.REJECTED, 1),
        (failing("SlowDown", 503), Kind.RATE_LIMITED, 3),
        (failing("InternalError", 500), Kind.SERVER_ERROR, 3),
        (Fault("reset_headers"), Kind.UNREACHABLE, 3),
        (Fault("truncate"), Kind.UNREACHABLE, 1),
    ],
)
def test_what_s3_answers_becomes_an_error_to_act_on(
    answer: Reply | Fault, kind: Kind, requests: int, server: ObjectServer, collect: Make
) -> None:
    server.intercept = lambda request: answer

    collected = collect("s3://results/training.json", collection_timeout=30)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert (collected.error.kind, collected.requests) == (kind, requests)


def test_nobody_listening_is_an_error(collect: Make, server: ObjectServer) -> None:
    server.close()

    error = collect("s3://results/training.json", collection_timeout=30).error

    assert isinstance(error, SourceError)
    assert error.kind is Kind.UNREACHABLE


@pytest.mark.parametrize("fault", ["silent", "drip_headers", "drip_body"])
def test_a_bucket_that_hangs_is_left_at_the_deadline(fault: Any, server: ObjectServer, collect: Make) -> None:
    server.content = b"[" + b" " * 500 + b"]"
    server.intercept = lambda request: Fault(fault, pause=0.2)
    started = time.monotonic()

    collected = collect("s3://results/training.json", collection_timeout=1)

    assert time.monotonic() - started < 8
    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is Kind.TIMED_OUT


def test_reads_that_hang_end_with_their_collection(
    server: ObjectServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content = json.dumps([record()]).encode()
    check = make_check("s3://results/training.json", collection_timeout=2)
    # The client is made by now, which takes its time on a busy machine.
    run(check)
    server.intercept = lambda request: Fault("silent")

    hanging = [run(check) for _ in range(3)]

    assert [("not read within the collection's 2 s" in str(one.error), one.up) for one in hanging] == 3 * [(True, 0)]
    reads = [thread for thread in threading.enumerate() if thread.name == "metta-health-read"]
    for thread in reads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in reads)
