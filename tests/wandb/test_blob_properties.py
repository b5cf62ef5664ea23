"""Figures of nested summaries and of system keys, compared with a plain reading of the same values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from datadog_checks.base.stubs.aggregator import AggregatorStub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wandb_support.watch import START, Watch

one_watch = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

keys = st.sampled_from(["a", "b", "c", "a.b", "b.c", "a.b.c", "val/acc"])
leaves = st.integers(-9, 9) | st.just(float("nan")) | st.just("text") | st.booleans() | st.none()
summaries = st.recursive(
    st.dictionaries(keys, leaves, max_size=4),
    lambda inner: st.dictionaries(keys, leaves | inner, max_size=4),
    max_leaves=10,
)
PATHS = ["a", "a.b", "a.b.c", "val/acc", "val/acc.a", "b.c.a"]


def values_under(value: Any, path: list[str]) -> Iterator[Any]:
    """What the path leads to in every way to put its parts together, the longest first key first."""
    if not path:
        yield value
    elif isinstance(value, dict):
        for length in range(len(path), 0, -1):
            key = ".".join(path[:length])
            if value.get(key) is not None:
                yield from values_under(value[key], path[length:])


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def names_of(value: Any, prefix: str = "") -> Iterator[str]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from names_of(inner, f"{prefix}{key}.")
        else:
            yield prefix + key


@pytest.fixture
def watch(aggregator: AggregatorStub) -> Iterator[Watch]:
    with closing(Watch(aggregator)) as watch:
        watch.project.start("r", START)
        yield watch


def metrics_of(watch: Watch, summary: Any, metrics: list[str]) -> dict[str, float]:
    watch.project["r"].summary = summary
    watch.restart(metrics=metrics, sps_keys=["none"], full_refresh="1m")
    watch.cached.clear()
    gauges = watch.after(minutes=2).gauges
    return {
        next(tag[12:] for tag in tags if tag.startswith("metric_name:")): value
        for (name, tags), value in gauges.items()
        if name == "wandb.run.metric"
    }


@given(summary=summaries)
@one_watch
def test_a_path_is_the_first_value_that_it_leads_to(watch: Watch, summary: Any) -> None:
    expected = {}
    for path in PATHS:
        first = next(values_under(summary, path.split(".")), None)
        if is_number(first):
            expected[path] = float(first)
    assert metrics_of(watch, summary, PATHS) == expected


@given(summary=summaries)
@one_watch
def test_a_pattern_matches_the_names_of_nested_values(watch: Watch, summary: Any) -> None:
    expected = {}
    for name in names_of(summary):
        first = next(values_under(summary, name.split(".")), None)
        if name.startswith("a") and is_number(first):
            expected[name] = float(first)
    assert metrics_of(watch, summary, ["a*"]) == expected


nodes = st.sampled_from(["", "/l:n0", "/l:n1", "/n1", "/l:a/b"])
devices = st.integers(0, 3)
readings = st.dictionaries(st.tuples(devices, nodes), st.integers(0, 100), max_size=6)
processes = st.sets(st.tuples(devices, nodes), max_size=3)


@given(readings=readings, processes=processes, used=st.booleans())
@one_watch
def test_gpus_are_means_over_the_devices_that_count(watch: Watch, readings: Any, processes: Any, used: bool) -> None:
    system: dict[str, float] = {f"system.gpu.{device}.gpu{node}": value for (device, node), value in readings.items()}
    system |= {f"system.gpu.process.{device}.gpu{node}": 99 for device, node in processes}
    # A label is the same with and without its mark.
    label = {node: node.removeprefix("/l:").removeprefix("/") for _, node in (*readings, *processes)}
    busy: dict[str, set[int]] = {}
    for device, node in processes:
        busy.setdefault(label[node], set()).add(device)
    counted = [
        (label[node], device, value)
        for (device, node), value in readings.items()
        if not used or label[node] not in busy or device in busy[label[node]]
    ]
    watch.project["r"].system_metrics = system
    watch.restart(gpu_devices="used" if used else "visible", full_refresh="1m", system_metrics=["gpu_utilization"])
    watch.cached.clear()
    received = watch.after(minutes=2)
    found = received.of_run("r")
    if counted:
        assert found["gpu_utilization"] == pytest.approx(sum(value for *_, value in counted) / len(counted))
    else:
        assert "gpu_utilization" not in found
    gpus = sum(value for (name, _), value in received.gauges.items() if name == "wandb.gpus_in_use")
    assert gpus == len({(node, device) for node, device, _ in counted})
