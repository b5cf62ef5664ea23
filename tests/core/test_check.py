"""One collection of a check: all of it or nothing, and telemetry always."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import Source
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from simulator_support.faults import Fault

from metta_checks.core import Result, Sample
from metta_checks.simulator.server import Reply

Probe = Callable[..., ProbeCheck]
Run = Callable[..., str]

REASONS = ("invalid", "not_finite", "over_limit", "unreadable")
TELEMETRY = ["check_name:probe", "runner:stubbed.hostname", "path:/samples"]


def figures(aggregator: AggregatorStub, name: str) -> list[tuple[float, list[str]]]:
    return sorted((metric.value, sorted(metric.tags)) for metric in aggregator.metrics(name))


def assert_telemetry(aggregator: AggregatorStub, *, up: int, requests: int, series: int, not_finite: int = 0) -> None:
    aggregator.assert_metric("metta.check.up", up, tags=TELEMETRY, count=1, hostname="")
    aggregator.assert_metric("metta.check.requests", requests, tags=TELEMETRY, count=1)
    aggregator.assert_metric("metta.check.series", series, tags=TELEMETRY, count=1)
    aggregator.assert_metric("metta.check.duration_seconds", tags=TELEMETRY, count=1)
    for reason in REASONS:
        dropped = not_finite if reason == "not_finite" else 0
        aggregator.assert_metric("metta.check.dropped", dropped, tags=[*TELEMETRY, f"reason:{reason}"], count=1)


def test_a_collection(probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run) -> None:
    source.put(
        "/samples",
        [
            {"name": "probe.speed", "value": 1.5, "tags": ["run:a"]},
            {"name": "probe.speed", "value": 2, "tags": ["run:b", "kind:x"]},
            {"name": "probe.speed", "value": 3, "tags": ["kind:x", "run:b"]},
            {"name": "probe.length", "value": 4.25, "tags": ["run:a"], "kind": "distribution"},
        ],
    )
    dd_run_check(probe())
    assert figures(aggregator, "probe.speed") == [
        (1.5, ["run:a"]),
        (2.0, ["kind:x", "run:b"]),
        (3.0, ["kind:x", "run:b"]),
    ]
    aggregator.assert_metric("probe.speed", metric_type=aggregator.GAUGE, hostname="")
    aggregator.assert_histogram_bucket("probe.length", 1, 4.25, 4.25, False, "", ["run:a"], count=1)
    aggregator.assert_metric("probe.collections", 1)
    assert_telemetry(aggregator, up=1, requests=1, series=3)
    aggregator.assert_metric("metta.check.quota_remaining", count=0)
    aggregator.assert_metric("probe.blind", count=0)
    aggregator.assert_all_metrics_covered()


def test_its_event(probe: Probe, aggregator: AggregatorStub, dd_run_check: Run) -> None:
    check = probe(tags=["team:a"])
    dd_run_check(check)
    (event,) = aggregator.events
    assert event == {
        "timestamp": int(check.collection.now.timestamp()),
        "event_type": "probe",
        "source_type_name": "probe",
        "msg_title": "Probed",
        "msg_text": f"at {check.collection.now:%H:%M}",
        "aggregation_key": "probe",
        "alert_type": "success",
        "host": "",
        "tags": ["color:blue", "team:a"],
    }


def test_the_quota_is_told_where_there_is_one(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run
) -> None:
    source.put("/samples", [], headers={"X-RateLimit-Remaining": "41"})
    dd_run_check(probe())
    aggregator.assert_metric("metta.check.quota_remaining", 41, tags=TELEMETRY, count=1)


def broken(source: Source) -> None:
    source.put("/late", b"<html>", headers={"X-RateLimit-Remaining": "7"})


def missing(source: Source) -> None:
    source.pages.pop("/late", None)


def halved(source: Source) -> None:
    source.put("/late", [])
    source.intercept = lambda request: Fault("truncate") if request.path == "/late" else None


def wrong(source: Source) -> None:
    source.put("/late", [{"name": "probe.speed", "value": "fast"}])


def nameless(source: Source) -> None:
    source.put("/late", [{"value": 1}])


@pytest.mark.parametrize(
    ("spoil", "error", "requests"),
    [
        (broken, "an HTML page instead of JSON", 2),
        (missing, "HTTP 404", 2),
        (halved, "the response was cut short", 4),
        (wrong, "must be real number", 2),
        (nameless, "name", 2),
    ],
)
def test_nothing_of_half_a_collection(
    probe: Probe,
    source: Source,
    aggregator: AggregatorStub,
    dd_run_check: Run,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Source], None],
    error: str,
    requests: int,
) -> None:
    monkeypatch.setattr("metta_checks.core.transport.time.sleep", lambda _: None)
    source.put(
        "/samples", [{"name": "probe.speed", "value": 1}, {"name": "probe.length", "value": 1, "kind": "distribution"}]
    )
    spoil(source)
    check = probe(paths=["/samples", "/late"])
    with pytest.raises(Exception, match=error):
        dd_run_check(check, extract_message=True)
    told = [*TELEMETRY, "path:/late"]
    aggregator.assert_metric("metta.check.up", 0, tags=told, count=1)
    aggregator.assert_metric("metta.check.requests", requests, tags=told, count=1)
    aggregator.assert_metric("metta.check.series", 1, tags=told, count=1)
    aggregator.assert_metric("metta.check.dropped", 0, count=4)
    aggregator.assert_metric("probe.blind", 1, tags=[f"error:{type(check.collection.error).__name__}"], count=1)
    assert {name for name in aggregator.metric_names if not name.startswith("metta.check.")} == {"probe.blind"}
    assert aggregator.events == []
    assert aggregator._histogram_buckets == {}
    assert agent._cache == {}


def test_state_is_written_before_anything_is_submitted(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put("/samples", [{"name": "probe.speed", "value": 1}])
    submitted: list[list[str]] = []
    write = agent.write_persistent_cache

    def note_and_write(key: str, value: str) -> None:
        submitted.append(list(aggregator.metric_names))
        write(key, value)

    monkeypatch.setattr(agent, "write_persistent_cache", note_and_write)
    dd_run_check(probe())
    assert submitted == [[]]
    assert len(agent._cache) == 1


def test_state_that_cannot_be_written(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    source.put("/samples", [{"name": "probe.length", "value": 1, "kind": "distribution"}])
    check = probe()
    monkeypatch.setattr(agent, "write_persistent_cache", full)
    with pytest.raises(Exception, match="No space left on device"):
        dd_run_check(check, extract_message=True)
    aggregator.assert_metric("metta.check.up", 0, count=1)
    assert aggregator._histogram_buckets == {}
    aggregator.assert_metric("probe.collections", count=0)


def test_a_submission_that_fails_is_told(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Agent raises on a metric name that it cannot encode."""
    check = probe()
    submit = check.gauge

    def gauge(name: str, value: float, **options: Any) -> None:
        if name == "probe.collections":
            raise UnicodeEncodeError("utf-8", name, 0, 1, "surrogates not allowed")
        submit(name, value, **options)

    monkeypatch.setattr(check, "gauge", gauge)
    with pytest.raises(Exception, match="surrogates not allowed"):
        dd_run_check(check, extract_message=True)
    aggregator.assert_metric("metta.check.up", 0, count=1)


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1" + "0" * 400], ids=["infinite", "minus infinite", "huge"])
@pytest.mark.parametrize("kind", ["gauge", "distribution"])
def test_a_value_that_is_no_finite_number_is_counted(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, value: str, kind: str
) -> None:
    source.put("/samples", f'[{{"name": "probe.speed", "value": {value}, "kind": "{kind}"}}]'.encode())
    dd_run_check(probe())
    aggregator.assert_metric("probe.speed", count=0)
    assert aggregator._histogram_buckets == {}
    assert_telemetry(aggregator, up=1, requests=1, series=1, not_finite=1)


@pytest.mark.parametrize("value", [nan, inf, -inf, 10**400])
def test_also_among_the_samples_of_a_failure(
    probe: Probe, source: Source, aggregator: AggregatorStub, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = probe()
    source.pages["/samples"] = Reply(500)
    blind = Sample("probe.blind", value, ())
    monkeypatch.setattr(check, "failed", lambda target, error, _: Result(target, [blind], error=error))
    assert "HTTP 500" in check.run()
    aggregator.assert_metric("probe.blind", count=0)
    assert_telemetry(aggregator, up=0, requests=1, series=0, not_finite=1)


def test_samples_of_a_failure_that_fail_hide_nothing(
    probe: Probe, source: Source, aggregator: AggregatorStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = probe()
    source.pages["/samples"] = Reply(500)
    monkeypatch.setattr(check, "failed", lambda *_: [][1])
    assert "HTTP 500" in check.run()
    aggregator.assert_metric("metta.check.up", 0, count=1)


def test_the_next_collection_counts_anew(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run
) -> None:
    check = probe()
    source.pages["/samples"] = Reply(500)
    assert "HTTP 500" in check.run()
    source.put("/samples", [])
    aggregator.reset()
    dd_run_check(check)
    aggregator.assert_metric("probe.collections", 1)
    assert_telemetry(aggregator, up=1, requests=1, series=1)


@pytest.mark.parametrize("provider", ["kubernetes-container-allinone", "container", "cluster-checks"])
def test_what_a_stranger_led_the_check_to_is_not_believed_by_a_trusted_instance(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, provider: str
) -> None:
    """With a proxy of theirs a stranger can answer in the source's place, under the name of the trusted target."""
    source.put("/samples", [])
    for _ in range(3):
        stranger = probe()
        stranger.provider = provider
        dd_run_check(stranger)
    aggregator.assert_metric("probe.collections", 3)

    aggregator.reset()
    for trusted in ("file", "remote-config", ""):
        check = probe()
        check.provider = trusted
        dd_run_check(check)

    assert [value for value, _ in figures(aggregator, "probe.collections")] == [1, 2, 3]
