"""The loopback server: real answers, faults on demand, and nothing hidden."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from simulator_support.faults import Answer, Fault

from metta_checks.simulator.server import LoopbackServer, Reply, Request


class Echo(LoopbackServer):
    def answer(self, request: Request) -> Reply:
        if request.path == "/broken":
            raise KeyError("no such page")
        return Reply(201, request.body or b"x" * 10, {"X-Target": request.target})


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        yield running


def test_an_answer_and_what_was_asked(server: Echo) -> None:
    answer = requests.post(f"{server.url}/a?b=1&b=2&c=", data=b"body", headers={"X-Key": "v"}, timeout=5)
    assert (answer.status_code, answer.content, answer.headers["X-Target"]) == (201, b"body", "/a?b=2&c=")
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/a", b"body")
    assert request.query == {"b": "2", "c": ""}
    assert request.headers["x-key"] == "v"
    assert server.bytes_sent == 4


def test_an_answer_of_its_own_that_fails_says_why(server: Echo) -> None:
    answer = requests.get(f"{server.url}/broken", timeout=5)
    assert (answer.status_code, answer.text) == (500, "KeyError: 'no such page'")


def test_a_length_of_any_case_is_kept(server: Echo) -> None:
    server.intercept = lambda _: Reply(200, b"whole", {"content-length": "2"})
    answer = requests.get(server.url, timeout=5)
    assert answer.content == b"wh"
    assert answer.headers["Content-Length"] == "2"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("silent"), requests.ReadTimeout),
        (Fault("drip_headers", 0.01), requests.exceptions.ChunkedEncodingError),
        (Fault("drip_body", 0.01), None),
        (Fault("reset_headers"), requests.ConnectionError),
        (Fault("reset_body"), requests.exceptions.ChunkedEncodingError),
        (Fault("truncate"), requests.exceptions.ChunkedEncodingError),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_fault(server: Echo, fault: Fault, error: type[Exception] | None) -> None:
    server.intercept = lambda request: fault if request.path == "/bad" else None
    if error is None:
        assert requests.get(f"{server.url}/bad", timeout=0.5).status_code == 201
    else:
        with pytest.raises(error):
            requests.get(f"{server.url}/bad", timeout=0.5)
    assert requests.get(f"{server.url}/good", timeout=5).content == b"x" * 10


def test_an_interceptor_sees_the_request_and_may_let_it_through(server: Echo) -> None:
    answers: dict[str, Answer | None] = {"/instead": Reply(204), "/through": None}
    server.intercept = lambda request: answers[request.path]
    assert requests.get(f"{server.url}/instead", timeout=5).status_code == 204
    assert requests.get(f"{server.url}/through", timeout=5).status_code == 201


def test_after_it_is_closed_nobody_listens(server: Echo) -> None:
    for _ in range(2):
        server.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)


def test_closing_lets_a_silent_answer_go(server: Echo) -> None:
    asked = threading.Event()

    def silence(_: Request) -> Answer:
        asked.set()
        return Fault("silent")

    server.intercept = silence
    outcome: list[Any] = []

    def ask() -> None:
        try:
            requests.get(server.url, timeout=20)
        except requests.RequestException as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(5)
    server.close()
    thread.join(5)
    assert [type(error) for error in outcome] == [requests.ConnectionError]
