"""Checks as the Agent runs them: on any thread, beside each other, for weeks."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from core_support.certificate import server_context
from core_support.probe.check import ProbeCheck
from core_support.servers import RawServer, Source, answering
from datadog_checks.base.stubs.aggregator import AggregatorStub
from simulator_support.faults import Fault

from metta_checks.simulator.server import Reply

Probe = Callable[..., ProbeCheck]
DESCRIPTORS = Path("/proc/self/fd")

FIRST_REQUESTS = """
import sys, threading
import {first}, {second}
from datadog_checks.base.utils.http import RequestsWrapper
sys.setswitchinterval(1e-6)
together, faults = threading.Barrier(8), []
def begin():
    http = RequestsWrapper({{}}, {{}})
    together.wait()
    try:
        http.session
    except Exception as error:
        faults.append(error)
threads = [threading.Thread(target=begin) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(faults)
"""


def test_each_collection_on_another_thread(probe: Probe, aggregator: AggregatorStub) -> None:
    check = probe()
    for _ in range(5):
        errors: list[str] = []
        thread = threading.Thread(target=lambda kept=errors: kept.append(check.run()))
        thread.start()
        thread.join(10)
        assert errors == [""]
    assert [metric.value for metric in aggregator.metrics("probe.collections")] == [1, 2, 3, 4, 5]


def test_instances_beside_each_other(source: Source, aggregator: AggregatorStub) -> None:
    """Each ends with its own figures, also beside one that runs into its deadline."""
    source.intercept = lambda request: Fault("silent") if request.path == "/4" else None
    for number in range(4):
        source.put(f"/{number}", [{"name": f"probe.of_{number}", "value": number}])
    options: list[dict[str, Any]] = [{"paths": [f"/{number}"], "tags": [f"n:{number}"]} for number in range(5)]
    options[4]["collection_timeout"] = 1
    checks = [ProbeCheck("probe", {}, [{"url": source.url, **own}]) for own in options]
    with ThreadPoolExecutor(5) as pool:
        errors = [future.result(20) for future in [pool.submit(run_often, check, 10) for check in checks[:4]]]
        stuck = pool.submit(checks[4].run).result(20)
    assert errors == [[""] * 10] * 4
    assert "collection's 1 s" in stuck
    for number in range(4):
        aggregator.assert_metric(f"probe.of_{number}", number, tags=[f"n:{number}"], count=10)
        up = ["check_name:probe", "runner:stubbed.hostname", f"path:/{number}", f"n:{number}"]
        aggregator.assert_metric("metta.check.up", 1, tags=up, count=10)
        aggregator.assert_metric("metta.check.requests", 1, tags=up, count=10)
    aggregator.assert_metric("metta.check.up", 0, count=1)


@pytest.mark.parametrize("base_first", [True, False], ids=["after another check", "in a new process"])
def test_the_first_requests_of_the_process_at_the_same_time(base_first: bool) -> None:
    """A process of its own: the base library loads some of its modules in its first request only."""
    modules = ["datadog_checks.base.utils.http", "metta_checks.core.transport"]
    first, second = modules if base_first else reversed(modules)
    script = FIRST_REQUESTS.format(first=first, second=second)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def run_often(check: ProbeCheck, times: int) -> list[str]:
    return [check.run() for _ in range(times)]


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="no /proc to count open files in")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="fine"),
        pytest.param(Reply(500), id="an error"),
        pytest.param(Reply(200, b"[]", {"Connection": "close"}), id="a closing connection"),
        pytest.param(Reply(200, bytes(100_000)), id="too large"),
        pytest.param(Reply(302, headers={"Location": "/elsewhere"}), id="a redirect"),
    ],
)
def test_many_collections_leave_nothing_open(probe: Probe, source: Source, answer: Reply | None) -> None:
    source.intercept = lambda _: answer
    check = probe(paths=["/samples", "/samples"], max_response_bytes=50_000)
    assert_no_growth(lambda: run_often(check, 20), check)


def test_nor_do_they_under_tls_or_where_nobody_listens(probe: Probe, certificate: Path) -> None:
    with RawServer(answering(b"[]"), tls=server_context(certificate)) as server:
        check = probe(url=server.url, tls_ca_cert=str(certificate))
        assert_no_growth(lambda: run_often(check, 20), check)
        assert check.run() == ""
    assert_no_growth(lambda: run_often(check, 20), check)
    assert "refused the connection" in check.run()


def assert_no_growth(work: Callable[[], object], check: ProbeCheck) -> None:
    check.run()
    before = open_now()
    work()
    # The server's side of the last connections ends a moment later.
    for _ in range(100):
        if all(now <= then for now, then in zip(open_now(), before, strict=True)):
            return
        time.sleep(0.05)
    assert open_now() == before


def open_now() -> tuple[int, int]:
    """Open files and running threads."""
    gc.collect()
    return len(list(DESCRIPTORS.iterdir())), threading.active_count()
