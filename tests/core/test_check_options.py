"""How a check comes by its options, its tags and the id of its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_support.probe.check import ProbeCheck
from core_support.servers import Source
from datadog_checks.base import ConfigurationError
from datadog_checks.base.stubs.aggregator import AggregatorStub
from datadog_checks.base.stubs.datadog_agent import DatadogAgentStub

Probe = Callable[..., ProbeCheck]
Run = Callable[..., str]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"url": None}, "(?s)url.*Field required"),
        ({"url": ["a"]}, "(?s)url.*valid string"),
        ({"max_response_bytes": "many"}, "(?s)max_response_bytes.*valid integer"),
        ({"collection_timeout": 0}, "`collection_timeout` is 0: it must be more than 0 and at most 3600 seconds"),
        ({"collection_timeout": -5}, "`collection_timeout` is -5"),
        ({"collection_timeout": 3601}, "`collection_timeout` is 3601"),
        ({"collection_timeout": ".inf"}, "collection_timeout"),
        ({"collection_timeout": float("inf")}, "`collection_timeout` is inf"),
        ({"collection_timeout": float("nan")}, "`collection_timeout` is nan"),
        ({"timeout": 0}, "`timeout` is 0: it must be more than 0 seconds"),
        ({"timeout": "-1.5"}, "`timeout` is -1.5"),
        ({"connect_timeout": 0}, "`connect_timeout` is 0"),
        ({"read_timeout": -3}, "`read_timeout` is -3"),
        ({"read_timeout": float("nan")}, "`read_timeout` is nan"),
    ],
)
def test_options_that_do_not_hold(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run, options: dict[str, Any], error: str
) -> None:
    check = probe(**options)
    for _ in range(2):
        aggregator.reset()
        with pytest.raises(Exception, match=error):
            dd_run_check(check, extract_message=True)
        assert isinstance(check.collection.error, ConfigurationError)
        aggregator.assert_metric("metta.check.up", 0, count=1)
        aggregator.assert_metric_has_tag("metta.check.up", "check_name:probe")
        aggregator.assert_metric("metta.check.dropped", 0, count=4)
        aggregator.assert_metric("metta.check.requests", 0, count=1)
        aggregator.assert_metric("probe.collections", count=0)
    assert source.requests == []


@pytest.mark.parametrize(
    ("init_config", "options"),
    [({"timeout": 0}, {}), ({"timeout": 0}, {"timeout": 5})],
)
def test_a_shared_timeout_that_does_not_hold(
    probe: Probe, source: Source, dd_run_check: Run, init_config: dict[str, Any], options: dict[str, Any]
) -> None:
    check = probe(init_config, **options)
    with pytest.raises(Exception, match="`timeout` in `init_config` is 0: it must be more than 0 seconds"):
        dd_run_check(check, extract_message=True)
    assert isinstance(check.collection.error, ConfigurationError)
    assert source.requests == []


@pytest.mark.parametrize("option", ["timeout", "connect_timeout", "read_timeout"])
def test_a_timeout_may_be_a_part_of_a_second(
    probe: Probe, aggregator: AggregatorStub, dd_run_check: Run, option: str
) -> None:
    dd_run_check(probe(**{option: 0.9}))
    aggregator.assert_metric("metta.check.up", 1)


@pytest.mark.parametrize("init_config", [None, {}])
def test_without_an_init_config(
    probe: Probe, aggregator: AggregatorStub, dd_run_check: Run, init_config: dict[str, Any] | None
) -> None:
    dd_run_check(probe(init_config))
    aggregator.assert_metric("metta.check.up", 1)


def test_as_the_agent_constructs_it(source: Source, aggregator: AggregatorStub, dd_run_check: Run) -> None:
    source.put("/samples", [])
    check = ProbeCheck(name="probe", init_config={}, instances=({"url": source.url},))
    dd_run_check(check)
    aggregator.assert_metric("metta.check.up", 1)


def test_the_second_try_of_the_agent_ends_in_the_same_error() -> None:
    arguments: dict[str, Any] = {"name": "probe", "init_config": {}, "instances": [{"metric_patterns": 3}]}
    for further in ({}, {"agentConfig": {}}):
        with pytest.raises(ConfigurationError, match="metric_patterns"):
            ProbeCheck(**arguments, **further)


def test_options_from_the_environment(
    source: Source, aggregator: AggregatorStub, dd_run_check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put("/a", [])
    source.put("/b", [])
    monkeypatch.setenv("PROBE_URL", source.url)
    monkeypatch.setenv("PROBE_PATHS", "/a, /b")
    dd_run_check(ProbeCheck("probe", {}, [{"url": None}]))
    assert [request.path for request in source.requests] == ["/a", "/b"]


def test_a_step_before_the_first_collection(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run
) -> None:
    """It sees the options, fails like a collection, and is tried again until it succeeds."""
    check = probe()
    seen: list[str] = []

    def step() -> None:
        seen.append(check.config.url)
        if len(seen) == 1:
            raise OSError("not yet")

    check.check_initializations.append(step)
    with pytest.raises(Exception, match="not yet"):
        dd_run_check(check, extract_message=True)
    aggregator.assert_metric("metta.check.up", 0, count=1)
    aggregator.reset()
    for _ in range(2):
        dd_run_check(check)
    aggregator.assert_metric("metta.check.up", 1, count=2)
    assert seen == [source.url] * 2


@pytest.mark.parametrize(
    ("options", "init_config", "agent_env", "environment", "tags"),
    [
        ({}, {}, "", {}, []),
        ({"tags": ["team:a", "b"]}, {}, "", {}, ["b", "team:a"]),
        ({"tags": None}, {}, "", {}, []),
        ({}, {}, "prod", {}, ["env:prod"]),
        ({}, {}, "", {"DD_ENV": "dev"}, ["env:dev"]),
        ({}, {}, "prod", {"DD_ENV": "dev"}, ["env:prod"]),
        ({"tags": ["env:own"]}, {}, "prod", {"DD_ENV": "dev"}, ["env:own"]),
        ({"tags": ["ENV:own"]}, {}, "prod", {}, ["ENV:own"]),
        ({"tags": ["environment:own"]}, {}, "prod", {}, ["env:prod", "environment:own"]),
        ({}, {}, "", {"DD_VERSION": "1.2"}, ["version:1.2"]),
        ({"tags": ["version:own"]}, {}, "", {"DD_VERSION": "1.2"}, ["version:own"]),
        ({}, {}, "", {"DD_VERSION": "1,\n2"}, ["version:1__2"]),
        ({}, {}, "", {"DD_SERVICE": "s"}, ["service:s"]),
        ({"tags": ["service:own"]}, {}, "", {"DD_SERVICE": "s"}, ["service:own"]),
        ({"service": "agents"}, {}, "", {"DD_SERVICE": "s"}, []),
        ({}, {"service": "agents"}, "", {"DD_SERVICE": "s"}, []),
    ],
)
def test_tags_of_every_sample(
    probe: Probe,
    aggregator: AggregatorStub,
    datadog_agent: DatadogAgentStub,
    dd_run_check: Run,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    init_config: dict[str, Any],
    agent_env: str,
    environment: dict[str, str],
    tags: list[str],
) -> None:
    datadog_agent._config["env"] = agent_env
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    dd_run_check(probe(init_config, **options))
    aggregator.assert_metric("probe.collections", tags=tags, count=1)
    telemetry = [*tags, "check_name:probe", "runner:stubbed.hostname", "path:/samples"]
    aggregator.assert_metric("metta.check.up", tags=telemetry, count=1)
    aggregator.assert_metric("metta.check.dropped", tags=[*telemetry, "reason:invalid"], count=1)
    assert sorted(aggregator.events[0]["tags"]) == sorted(["color:blue", *tags])


def identity(**options: Any) -> str:
    check = ProbeCheck("probe", {}, [options])
    check.load_configuration_models()
    (target,) = check.targets()
    return target.key


def test_the_state_belongs_to_what_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = identity(url="a", paths=["b"])
    assert plain == identity(url="a", paths=["b"], tags=["team:x"], collection_timeout=5)
    assert plain != identity(url="b", paths=["a"])
    monkeypatch.setenv("PROBE_PATHS", "b")
    assert plain == identity(url="a")
    monkeypatch.setenv("PROBE_PATHS", "c")
    assert plain != identity(url="a")


def test_state_survives_an_edited_file_and_a_restart(
    probe: Probe, source: Source, aggregator: AggregatorStub, dd_run_check: Run
) -> None:
    for check_id in ("probe:1", "probe:2"):
        check = probe()
        check.check_id = check_id
        dd_run_check(check)
    other = probe(paths=["/samples", "/samples"])
    dd_run_check(other)
    assert [metric.value for metric in aggregator.metrics("probe.collections")] == [1, 2, 1]
