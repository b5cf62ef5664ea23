"""Several targets in one instance: each is read, saved, submitted and reported for itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import Source
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.server import Reply, Request

Probe = Callable[..., ProbeCheck]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STATE = "metta.infra.health.state"


@pytest.fixture
def two(probe: Probe, source: Source) -> ProbeCheck:
    """A check of the paths `/a` and `/b`, each with a gauge, a distribution and a failing verdict."""
    check = probe(paths=["/a", "/b"], each=True, min_collection_interval=60)
    for path in ("/a", "/b"):
        own = [f"path:{path}"]
        source.put(
            path,
            [
                {"name": "probe.speed", "value": 1.5, "tags": own},
                {"name": "probe.length", "value": 2.5, "tags": own, "kind": "distribution"},
                {"name": STATE, "value": 2, "tags": own},
            ],
        )
    return check


def by_path(aggregator: AggregatorStub, name: str) -> dict[str, float]:
    """The values of a gauge by the tag `path`."""
    found = ((stub.value, text) for stub in aggregator.metrics(name) for text in stub.tags)
    return {text.removeprefix("path:"): value for value, text in found if text.startswith("path:")}


def statuses(aggregator: AggregatorStub) -> dict[str, float]:
    """`metta.check.targets` by status, without the zeros."""
    found = {}
    for stub in aggregator.metrics("metta.check.targets"):
        (status,) = (text.partition(":")[2] for text in stub.tags if text.startswith("status:"))
        found[status] = stub.value
    assert set(found) == {"read", "failed", "in_progress", "waiting", "over_limit"}
    return {status: count for status, count in found.items() if count}


def test_each_target_has_its_own_figures_state_and_telemetry(two: ProbeCheck, aggregator: AggregatorStub) -> None:
    assert two.run() == ""
    assert two.get_warnings() == []
    for name in ("probe.speed", "probe.collections", "metta.check.up", "metta.check.series"):
        assert set(by_path(aggregator, name)) == {"/a", "/b"}
    assert by_path(aggregator, "metta.check.up") == {"/a": 1, "/b": 1}
    assert by_path(aggregator, "metta.check.series") == {"/a": 3, "/b": 3}
    assert by_path(aggregator, "metta.check.read_age_seconds") == {"/a": 0, "/b": 0}
    assert statuses(aggregator) == {"read": 2}
    instance = ["check_name:probe", "runner:stubbed.hostname"]
    aggregator.assert_metric("metta.check.requests", 2, tags=instance, count=1)
    assert len(agent._cache) == 2
    assert len(aggregator.events) == 2


@pytest.mark.parametrize(
    ("page", "reason"), [(Reply(404), "HTTP 404"), (Reply(200, b"<html>"), "an HTML page instead of JSON")]
)
def test_one_that_fails_leaves_the_other_alone(
    two: ProbeCheck, source: Source, aggregator: AggregatorStub, page: Reply, reason: str
) -> None:
    assert two.run() == ""
    before = dict(agent._cache)
    source.pages["/a"] = page
    aggregator.reset()
    assert two.run() == ""
    assert by_path(aggregator, "metta.check.up") == {"/a": 0, "/b": 1}
    assert by_path(aggregator, "probe.speed") == {"/b": 1.5}
    assert by_path(aggregator, "probe.collections") == {"/b": 2}
    assert by_path(aggregator, "probe.blind") == {"/a": 1}
    assert [bucket.tags for bucket in aggregator.histogram_bucket("probe.length")] == [["path:/b"]]
    assert statuses(aggregator) == {"read": 1, "failed": 1}
    (warning,) = two.get_warnings()
    assert warning.startswith("path /a: Probe: GET ")
    assert reason in warning
    changed = {key for key, text in agent._cache.items() if before[key] != text}
    assert len(changed) == 1


def test_when_none_can_be_read_the_collection_fails_and_names_them(
    two: ProbeCheck, source: Source, aggregator: AggregatorStub
) -> None:
    source.pages["/a"] = source.pages["/b"] = Reply(500)
    report = two.run()
    assert "none of 2 targets could be read: path /a: " in report
    assert "path /b: " in report
    assert by_path(aggregator, "metta.check.up") == {"/a": 0, "/b": 0}
    assert statuses(aggregator) == {"failed": 2}
    assert two.get_warnings() == []


def test_more_than_three_failures_are_a_count(probe: Probe, source: Source, aggregator: AggregatorStub) -> None:
    source.put("/good", [])
    check = probe(paths=["/good", *(f"/{number}" for number in range(7))], each=True)
    assert check.run() == ""
    warnings = check.get_warnings()
    assert [warning.partition(":")[0] for warning in warnings[:3]] == ["path /0", "path /1", "path /2"]
    assert warnings[3:] == ["4 more like these"]
    assert statuses(aggregator) == {"read": 1, "failed": 7}


def test_a_state_that_cannot_be_saved_fails_that_target_alone(
    two: ProbeCheck, aggregator: AggregatorStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = agent.write_persistent_cache

    def full_once(key: str, value: str) -> None:
        written.append(key)
        if len(written) == 1:
            raise OSError(28, "No space left on device")
        write(key, value)

    monkeypatch.setattr(agent, "write_persistent_cache", full_once)
    assert two.run() == ""
    assert by_path(aggregator, "metta.check.up") == {"/a": 0, "/b": 1}
    assert [bucket.tags for bucket in aggregator.histogram_bucket("probe.length")] == [["path:/b"]]
    (warning,) = two.get_warnings()
    assert "No space left on device" in warning


def test_targets_take_turns_and_one_that_waits_repeats_its_verdict_until_that_is_too_old(
    probe: Probe, source: Source, aggregator: AggregatorStub
) -> None:
    """The time is up with the first one. `/e` comes last: its verdict stands for three intervals."""
    clock = [NOW]
    paths = ["/a", "/b", "/c", "/d", "/e"]
    check = probe(paths=paths, each=True, min_collection_interval=60)
    check.clock = lambda: clock[0]
    for path in paths:
        source.put(path, [{"name": STATE, "value": 2, "tags": [f"path:{path}"]}])
    assert check.run() == ""
    asked: list[str] = []

    def take_all_time(request: Request) -> None:
        asked.append(request.path)
        check.collection.deadline.seconds = 0.0

    source.intercept = take_all_time
    for minutes, state in ((1, 2), (2, 2), (3, 2), (4, 1)):
        clock[0] = NOW + timedelta(minutes=minutes)
        aggregator.reset()
        assert check.run() == ""
        assert statuses(aggregator) == {"failed": 1, "waiting": 4}
        assert by_path(aggregator, STATE)["/e"] == state
        assert by_path(aggregator, "metta.check.up")["/e"] == 1
        assert by_path(aggregator, "metta.check.read_age_seconds")["/e"] == 60 * minutes
        assert by_path(aggregator, "probe.collections") == {}
    assert asked == ["/a", "/b", "/c", "/d"]


def test_an_option_that_does_not_hold_is_reported_by_the_instance(two: ProbeCheck, aggregator: AggregatorStub) -> None:
    two.instance["paths"] = 7
    assert "paths" in two.run()
    aggregator.assert_metric("metta.check.up", 0, tags=["check_name:probe", "runner:stubbed.hostname"], count=1)
    assert statuses(aggregator) == {}
