"""What is asked again, how often, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from core_support.servers import RawServer, Source, answering
from simulator_support.faults import Fault

from metta_checks.core import SourceError, transport
from metta_checks.simulator.server import Reply, Request


def failing(source: Source, times: int, answer: Reply | Fault) -> None:
    """Let the first `times` requests end in `answer`."""
    source.put("/", {"fine": True})
    source.intercept = lambda _: answer if len(source.requests) <= times else None


PASSING = [
    pytest.param(Reply(502), id="502"),
    pytest.param(Reply(503), id="503"),
    pytest.param(Reply(504), id="504"),
    pytest.param(Reply(503, headers={"Retry-After": "0"}), id="503, at once"),
    pytest.param(Reply(502, headers={"X-RateLimit-Reset": "9999999999"}), id="502 that tells of a rate limit"),
    pytest.param(Fault("reset_headers"), id="reset before the head"),
    pytest.param(Fault("reset_body"), id="reset in the body"),
    pytest.param(Fault("truncate"), id="half a body"),
]


@pytest.mark.parametrize("answer", PASSING)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_passes_is_tried_twice_again(
    client: Callable[..., Any], source: Source, answer: Reply | Fault, method: str
) -> None:
    failing(source, 2, answer)
    patient = client()
    assert patient.get(source.url + "/", method=method).json() == {"fine": True}
    assert patient.collection.requests == len(source.requests) == 3


@pytest.mark.parametrize("answer", PASSING)
def test_and_not_a_third_time(client: Callable[..., Any], source: Source, answer: Reply | Fault) -> None:
    failing(source, 3, answer)
    with pytest.raises(SourceError):
        client().get(source.url + "/")
    assert len(source.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 501, 505])
def test_what_stays_is_not_tried_again(client: Callable[..., Any], source: Source, status: int) -> None:
    failing(source, 1, Reply(status))
    with pytest.raises(SourceError):
        client().get(source.url + "/")
    assert len(source.requests) == 1


def unfinished(answer: transport.Response) -> bool:
    """What a caller may recognise as transient."""
    return answer.body == b"busy" or answer.status == 500


@pytest.mark.parametrize("answer", [Reply(200, b"busy"), Reply(500)], ids=["200", "500"])
def test_what_the_caller_recognises_as_transient_is_tried_twice_again(
    client: Callable[..., Any], source: Source, answer: Reply
) -> None:
    failing(source, 2, answer)
    assert client().get(source.url + "/", is_transient=unfinished).json() == {"fine": True}
    assert len(source.requests) == 3


def test_a_2xx_that_stays_transient_is_left_to_the_caller(client: Callable[..., Any], source: Source) -> None:
    failing(source, 3, Reply(200, b"busy"))
    assert client().get(source.url + "/", is_transient=unfinished).body == b"busy"
    assert len(source.requests) == 3


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param("6", id="seconds"),
        pytest.param("Sun, 01 Mar 2026 12:00:30 GMT", id="a date half a minute after the collection began"),
    ],
)
def test_a_wish_for_a_longer_pause_ends_the_collection(client: Callable[..., Any], source: Source, wish: str) -> None:
    failing(source, 1, Reply(503, headers={"Retry-After": wish}))
    with pytest.raises(SourceError, match="HTTP 503"):
        client().get(source.url + "/")
    assert len(source.requests) == 1


def test_a_wish_for_a_short_pause_is_granted(client: Callable[..., Any], source: Source) -> None:
    failing(source, 1, Reply(503, headers={"Retry-After": "1"}))
    times: list[float] = []
    inner = source.intercept

    def noting(request: Request) -> Reply | Fault | None:
        times.append(time.monotonic())
        return inner(request) if inner else None

    source.intercept = noting
    client().get(source.url + "/")
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize("answer", [Reply(503), Fault("reset_headers")], ids=["503", "reset"])
def test_a_pause_beyond_the_deadline_gives_the_fault_itself(
    client: Callable[..., Any], source: Source, answer: Reply | Fault
) -> None:
    failing(source, 1, answer)
    slow = client()
    slow.transport.pause = 60
    with pytest.raises(SourceError, match="503|reset by peer"):
        slow.get(source.url + "/", seconds=5)


def test_pauses_grow_and_differ(client: Callable[..., Any], source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(source, 20, Reply(503))
    pauses: list[float] = []
    monkeypatch.setattr("metta_checks.core.transport.time.sleep", pauses.append)
    slow = client()
    slow.transport.pause = 1.0
    for _ in range(2):
        with pytest.raises(SourceError):
            slow.get(source.url + "/")
    assert len(set(pauses)) == 4
    assert all(0.5 <= pause <= 1.5 for pause in pauses[::2])
    assert all(1.0 <= pause <= 3.0 for pause in pauses[1::2])


def test_a_connection_that_the_server_dropped_between_pages(client: Callable[..., Any]) -> None:
    def once(line: Any) -> None:
        line.head()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")

    with RawServer(once) as server:
        patient = client()
        with patient.transport.during(patient.new_collection(5)):
            pages = [patient.transport.send("GET", server.url, about="a page").json() for _ in range(5)]
        assert pages == [[]] * 5
        assert server.accepted == 5


def test_connections_are_kept_for_the_collection_and_no_longer(client: Callable[..., Any]) -> None:
    with RawServer(answering(b"[]")) as server:
        patient = client()
        for _ in range(2):
            with patient.transport.during(patient.new_collection(5)):
                for _ in range(5):
                    patient.transport.send("GET", server.url, about="a page")
        assert server.accepted == 2
