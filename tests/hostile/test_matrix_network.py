"""What goes wrong before a request is sent: names, ports, TLS; and sources that never come to an end."""

from __future__ import annotations

import copy
import itertools
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from core_support.certificate import server_context, write_certificate
from hostile_support.faults import answering
from hostile_support.gate import Behaviour, Exchange, Gate
from hostile_support.playing import Play, assert_nothing_partial, aws, figures_without_a_fault
from hostile_support.stages import BEGIN, THEN, Kind, Stage

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile

NETWORKED: tuple[Kind, ...] = ("wandb", "github", "http", "s3")


def no_name(*_: object, **__: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def try_again_later(*_: object, **__: object) -> Any:
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def closed_port(*_: object, **__: object) -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", probe.getsockname())]


def at_port(port: int) -> Callable[..., Any]:
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@contextmanager
def full_queue() -> Iterator[Callable[..., Any]]:
    """A listener whose queue is full: what comes next waits for an answer that never comes."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield at_port(listener.getsockname()[1])


@contextmanager
def plainly(resolve: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    yield resolve


ROADS: Mapping[str, tuple[Any, Called, str]] = {
    "a name that does not resolve": (lambda: plainly(no_name), Called.UNREACHABLE, "does not resolve"),
    "a resolver that is away": (lambda: plainly(try_again_later), Called.UNREACHABLE, "does not resolve"),
    "a port where nobody listens": (lambda: plainly(closed_port), Called.UNREACHABLE, "refused the connection"),
    "a connection that is never accepted": (full_queue, Called.TIMED_OUT, "no connection|collection's 1 s"),
}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", NETWORKED)
def test_a_road_that_leads_nowhere(
    play: Callable[..., Any], kind: Kind, road: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, called, says = ROADS[road]
    # The AWS client keeps its connections: only a first one needs the road.
    warm = kind != "s3"
    control = figures_without_a_fault(play, kind, warm=warm)
    with play(kind) as it:
        if warm:
            it.begin()
        resolve = socket.getaddrinfo
        with make() as instead, monkeypatch.context() as patched:

            def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
                return (instead if port == it.gate.port else resolve)(host, port, *rest, **options)

            patched.setattr(socket, "getaddrinfo", getaddrinfo)
            outcome = it.suffer()
        assert isinstance(outcome.error, SourceError)
        assert outcome.error.kind in ({called, Called.TIMED_OUT} if kind == "s3" else {called}), outcome.message
        if kind != "s3":
            assert any(words in outcome.message for words in says.split("|")), outcome.message
        assert_nothing_partial(outcome, kind)
        assert it.recover().figures(it.gate.url) == control


@pytest.mark.parametrize("fault", ["another certificate", "no TLS at all", "a redirect to plain HTTP"])
@pytest.mark.parametrize("kind", NETWORKED)
def test_tls(
    all_stages: Mapping[Kind, Stage],
    play: Callable[..., Any],
    kind: Kind,
    fault: str,
    certificate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warm = kind != "s3"
    control = figures_without_a_fault(play, kind, warm=warm)
    stage, good = all_stages[kind], server_context(certificate)
    with Gate(stage.before, tls=good) as gate, Gate(stage.before) as plain:
        aws(monkeypatch, gate.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        it = Play(stage, gate)
        if warm:
            it.begin()
        asked: list[Exchange] = []
        plain.stand(asked.append)
        if fault == "another certificate":
            gate.tls = server_context(write_certificate(tmp_path))
        elif fault == "no TLS at all":
            gate.tls = None
        else:
            gate.stand(answering(b"", 301, {"Location": f"{plain.url}/graphql"}))
        outcome = it.suffer()
        gate.tls = good
        error = outcome.error
        assert isinstance(error, SourceError)
        called = Called.REDIRECTED if fault.startswith("a redirect") else Called.UNREACHABLE
        if kind != "s3":
            assert error.kind is called, outcome.message
            assert "TLS failed" in outcome.message or "redirects to http://" in outcome.message
        assert asked == [], "a request, and so a credential, went where nobody sent it"
        assert_nothing_partial(outcome, kind)
        assert it.recover().figures(gate.url) == control


def pages_for_ever() -> Behaviour:
    """Each page promises another one, under a cursor of its own."""
    pages: list[Any] = []

    def behave(exchange: Exchange) -> None:
        pages.append(copy.deepcopy(pages[0]) if pages else json.loads(exchange.fetch().body))
        more = {"endCursor": f"cursor {len(pages)}", "hasNextPage": True}
        pages[-1]["data"]["project"]["runs"]["pageInfo"] = more
        answering(json.dumps(pages[-1]).encode())(exchange)

    return behave


def listing_for_ever(path: str, field: str) -> Behaviour:
    """Full pages of new objects, and a billion to come, whatever page is asked for."""
    items: list[Any] = []
    numbers = itertools.count(1_000_000)

    def behave(exchange: Exchange) -> None:
        page = exchange.fetch()
        if f"{path}?" not in exchange.target:
            exchange.line.send(page.raw())
            return
        items[:] = items or json.loads(page.body)[field][:1]
        document = {"total_count": 10**9, field: [{**items[0], "id": next(numbers)} for _ in range(100)]}
        answering(json.dumps(document).encode())(exchange)

    return behave


@pytest.mark.parametrize(
    ("kind", "fault", "says"),
    [
        ("wandb", pages_for_ever(), "more than 8 pages of 40 runs"),
        ("github", listing_for_ever("/actions/runs", "workflow_runs"), "more than 1000 in one second"),
        ("github", listing_for_ever("/actions/workflows", "workflows"), "more than 100 pages"),
    ],
)
def test_a_listing_without_an_end(play: Callable[..., Any], kind: Kind, fault: Any, says: str) -> None:
    control = figures_without_a_fault(play, kind, warm=False)
    with play(kind) as it:
        it.gate.stand(fault)
        outcome = it.suffer(30.0)
        assert isinstance(outcome.error, SourceError)
        assert outcome.error.kind is Called.OVERSIZED, outcome.message
        assert says in outcome.message
        assert outcome.value("requests") <= 130
        assert_nothing_partial(outcome, kind)
        assert it.recover().figures(it.gate.url) == control


@pytest.mark.parametrize("days", [1, -1, 400, -400])
@pytest.mark.parametrize("kind", [*NETWORKED])
def test_a_clock_that_was_wrong_for_one_collection(play: Callable[..., Any], kind: Kind, days: int) -> None:
    """Nothing fails; afterwards the figures are those of the right time, and no run gave a second point."""
    control = figures_without_a_fault(play, kind, warm=True)
    with play(kind) as it:
        it.begin()
        assert it.at(BEGIN + timedelta(days=days)).error is None
        it.gate.upstream = it.stage.after
        outcome = it.at(THEN)
        assert outcome.error is None
        gauges, points, _ = outcome.figures(it.gate.url)
        lasting, expected = without_runs(gauges), without_runs(control[0])
        assert lasting == expected
        assert {series: gauges[series] for series in gauges.keys() & control[0].keys()}.items() <= control[0].items()
        assert set(points) <= set(control[1])


def without_runs(gauges: Mapping[Any, float]) -> dict[Any, float]:
    """All but what single W&B runs have: for how long an ended one keeps its series hangs on when its end was seen."""
    return {series: value for series, value in gauges.items() if not series[0].startswith("wandb.run.")}
