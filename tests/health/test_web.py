"""Records behind HTTP: asked for conditionally, through the check's own HTTP, within the deadline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from simulator_support.faults import Fault

from metta_checks.core import Kind, SourceError
from metta_checks.simulator.server import LoopbackServer, Reply, Request

Make = Callable[..., Any]


class ResultServer(LoopbackServer):
    """Serves one document at `date`; answers 304 when the request names the validator that it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.content: Any = []
        self.headers: dict[str, str] = {}
        self.date: str | None = "Tue, 14 Jan 2025 16:00:00 GMT"

    def answer(self, request: Request) -> Reply:
        headers = self.headers if self.date is None else {**self.headers, "Date": self.date}
        for asked, told in (("if-none-match", "ETag"), ("if-modified-since", "Last-Modified")):
            if asked in request.headers and request.headers[asked] == self.headers.get(told):
                return Reply(304, headers=headers)
        body = self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()
        return Reply(body=body, headers=headers)


@pytest.fixture
def server() -> Iterator[ResultServer]:
    with ResultServer() as running:
        yield running


MODIFIED = "Tue, 14 Jan 2025 15:30:00 GMT"


def test_a_document_is_read_and_its_request_counted(server: ResultServer, record: Make, collect: Make) -> None:
    server.content = [record()]

    collected = collect(f"{server.url}/results.json")

    assert (collected.hearts, collected.value("metta.check.requests")) == ([0.91], 1)


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"ETag": '"v1"'}, {"if-none-match": '"v1"'}),
        ({"ETag": 'W/"v1"'}, {"if-none-match": 'W/"v1"'}),
        ({"Last-Modified": MODIFIED}, {"if-modified-since": MODIFIED}),
        ({"ETag": '"v1"', "Last-Modified": MODIFIED}, {"if-none-match": '"v1"', "if-modified-since": MODIFIED}),
    ],
)
def test_an_unchanged_document_is_not_sent_again(
    headers: dict[str, str], asked: dict[str, str], server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content, server.headers = [record()], headers
    check = make_check(server.url)
    first = run(check)

    server.content = b"not sent"
    second = run(check)

    assert (second.hearts, second.series.keys()) == ([0.91], first.series.keys())
    conditions = {name: value for name, value in server.requests[-1].headers.items() if name.startswith("if-")}
    assert conditions == asked


@pytest.mark.parametrize(
    ("date", "asked"),
    [
        (MODIFIED, {}),
        ("Tue, 14 Jan 2025 15:29:00 GMT", {}),
        ("Tue, 14 Jan 2025 15:30:01 GMT", {"if-modified-since": MODIFIED}),
        ("Tue, 14 Jan 2025 16:30:00 +0100", {}),
        ("today", {}),
        (None, {}),
    ],
)
def test_last_modified_is_a_condition_only_where_it_is_a_strong_validator(
    date: str | None, asked: dict[str, str], server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    """RFC 9110, 8.8.2.2: a second write in the second of the first one has the same date."""
    server.content, server.headers, server.date = [record()], {"Last-Modified": MODIFIED}, date
    check = make_check(server.url)
    run(check)

    server.content = [record(value=0.12, status="fail")]

    assert run(check).hearts == ([0.91] if asked else [0.12])
    conditions = {name: value for name, value in server.requests[-1].headers.items() if name.startswith("if-")}
    assert conditions == asked


def test_a_date_that_has_become_strong_is_a_condition_from_then_on(
    server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content, server.headers, server.date = [record()], {"Last-Modified": MODIFIED}, MODIFIED
    check = make_check(server.url)
    run(check)

    server.date = "Tue, 14 Jan 2025 15:34:00 GMT"
    run(check)
    run(check)

    assert ["if-modified-since" in request.headers for request in server.requests] == [False, False, True]


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"'])
def test_beside_an_etag_a_weak_date_is_left_out(
    etag: str, server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content, server.headers, server.date = [record()], {"ETag": etag, "Last-Modified": MODIFIED}, MODIFIED
    check = make_check(server.url)
    run(check)

    assert run(check).hearts == [0.91]
    conditions = {name: value for name, value in server.requests[-1].headers.items() if name.startswith("if-")}
    assert conditions == {"if-none-match": etag}


def test_what_a_server_sends_counts_whatever_its_etag(
    server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    """nginx makes its ETag of time and size: it may send new content under the old one."""
    server.content, server.headers = [record()], {"ETag": 'W/"v1"'}
    check = make_check(server.url)
    run(check)

    server.intercept = lambda request: Reply(body=json.dumps([record(value=0.12)]).encode(), headers={"ETag": 'W/"v1"'})

    assert run(check).hearts == [0.12]


def test_a_changed_document_is_read(server: ResultServer, record: Make, make_check: Make, run: Make) -> None:
    server.content, server.headers = [record()], {"ETag": '"v1"'}
    check = make_check(server.url)
    run(check)

    server.content, server.headers = [record(value=0.92)], {"ETag": '"v2"'}

    assert run(check).hearts == [0.92]


def test_a_server_that_tells_no_validator_is_read_every_time(
    server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    check = make_check(server.url)
    for value in (0.91, 0.92):
        server.content = [record(value=value)]
        assert run(check).hearts == [value]


def test_after_a_failure_the_document_is_asked_for_conditionally_again(
    server: ResultServer, record: Make, make_check: Make, run: Make
) -> None:
    server.content, server.headers = [record()], {"ETag": '"v1"'}
    check = make_check(server.url)
    run(check)
    server.intercept = lambda request: Reply(500)
    assert run(check).up == 0
    server.intercept = None

    assert run(check).hearts == [0.91]
    assert server.requests[-1].headers["if-none-match"] == '"v1"'


def test_without_a_timestamp_last_modified_counts(
    server: ResultServer, record: Make, absent: object, collect: Make
) -> None:
    server.content, server.headers = [record(timestamp=absent)], {"Last-Modified": MODIFIED}

    assert collect(server.url).value("metta.infra.health.age_seconds") == 1800


def test_a_304_tells_when_the_same_content_was_published_again(
    server: ResultServer, record: Make, absent: object, make_check: Make, run: Make
) -> None:
    server.content, server.headers = [record(timestamp=absent)], {"ETag": '"v1"', "Last-Modified": MODIFIED}
    check = make_check(server.url)
    before = run(check).value("metta.infra.health.age_seconds")

    server.headers = {"ETag": '"v1"', "Last-Modified": MODIFIED.replace(":30:", ":40:")}

    assert before - run(check).value("metta.infra.health.age_seconds") == 600


@pytest.mark.parametrize("header", [None, "yesterday", ""])
def test_a_record_whose_time_nobody_knows_is_left_out(
    header: str | None, server: ResultServer, record: Make, absent: object, collect: Make
) -> None:
    server.content, server.headers = [record(timestamp=absent)], {} if header is None else {"Last-Modified": header}

    collected = collect(server.url)

    assert (collected.up, collected.data_missing, collected.dropped("invalid")) == (1, 1, 1)
    assert "timestamp: it has none, and neither has its document" in collected.warnings[0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Reply(404), Kind.NOT_FOUND),
        (Reply(403), Kind.FORBIDDEN),
        (Reply(401), Kind.UNAUTHORISED),
        (Reply(500), Kind.SERVER_ERROR),
        (Reply(body=b"<html>Sign in</html>"), Kind.MALFORMED),
        (Reply(body=b"[" + b" " * 20_000), Kind.OVERSIZED),
        (Reply(302, headers={"Location": "http://127.0.0.2/results.json"}), Kind.REDIRECTED),
        (Reply(304), Kind.MALFORMED),
        (Fault("silent"), Kind.TIMED_OUT),
        (Fault("drip_headers"), Kind.TIMED_OUT),
    ],
)
def test_what_cannot_be_read_is_a_failure(
    answer: Reply | Fault, kind: Kind, server: ResultServer, collect: Make
) -> None:
    server.intercept = lambda request: answer

    hangs = isinstance(answer, Fault)
    collected = collect(server.url, max_bytes=10_000, collection_timeout=1 if hangs else 60)

    assert (collected.up, collected.data_missing) == (0, 1)
    assert isinstance(collected.error, SourceError)
    assert collected.error.kind is kind


def test_a_dripping_server_is_left_at_the_deadline(server: ResultServer, record: Make, collect: Make) -> None:
    server.content = [record()]
    server.intercept = lambda request: Fault("drip_body", pause=0.2)
    started = time.monotonic()

    collected = collect(server.url, collection_timeout=1)

    assert (collected.up, collected.hearts) == (0, [])
    assert time.monotonic() - started < 10


def test_an_oversized_answer_names_the_option_that_bounds_it(server: ResultServer, collect: Make) -> None:
    server.content = b"[" + b" " * 20_000 + b"]"

    assert "raise `max_bytes`" in str(collect(server.url, max_bytes=10_000).error)


def test_credentials_are_sent_and_never_shown(server: ResultServer, record: Make, collect: Make) -> None:
    server.content = [record(), {}]

    collected = collect(f"{server.url}/results.json?sig=s3cret", username="me", password="pass")

    assert server.requests[0].query == {"sig": "s3cret"}
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    assert collected.hearts == [0.91]
    assert collected.warnings[0].startswith(f"1 left out (invalid): {server.url}/results.json, record 2: ")


@pytest.mark.parametrize("etag", ['\xa0"v1"', '\x85"v1"', '"v\xff"', '\x1f"v1"'])
def test_an_etag_that_cannot_be_sent_back(
    server: ResultServer, record: Make, make_check: Make, run: Make, etag: str
) -> None:
    """One answer with a bad one must not make every later request fail."""
    server.content, server.headers = [record()], {"ETag": etag}
    check = make_check(server.url)
    run(check)
    server.content, server.headers = [record(value=0.12)], {}

    assert run(check).hearts == [0.12]
    assert "if-none-match" not in server.requests[-1].headers
