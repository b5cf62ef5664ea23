"""Numbers out of W&B's JSON blobs."""

from __future__ import annotations

import json

import pytest

from metta_checks.wandb.blobs import UnreadableError, Wanted

REWARD = "overview/reward"
FAST, SLOW = "overview/steps_per_second", "overview/sps"


def wanted(metrics: tuple[str, ...] = (REWARD,), sps: tuple[str, ...] = (FAST, SLOW), system: str = "") -> Wanted:
    return Wanted(metrics, sps, system.split())


@pytest.mark.parametrize(
    ("text", "value", "not_finite"),
    [
        ("4.5", 4.5, 0),
        ("0", 0.0, 0),
        ("-0.0", 0.0, 0),
        ("1e308", 1e308, 0),
        ("5e-324", 5e-324, 0),
        ("12345678901234567890123", 1.2345678901234568e22, 0),
        ("null", None, 0),  # not logged is not wrong
        ("NaN", None, 1),
        ("Infinity", None, 1),
        ("-Infinity", None, 1),
        ("1e999", None, 1),
        pytest.param("9" * 400, None, 1, id="a whole number beyond every float"),
        ('"NaN"', None, 1),
        ('"17.5"', None, 1),  # a string, even of digits, is not a number
        ("true", None, 1),
        ("false", None, 1),
        ('{"max": 9.5}', None, 1),
        ("[1, 2]", None, 1),
    ],
)
def test_what_counts_as_a_number(text: str, value: float | None, not_finite: int) -> None:
    summary = wanted().summary(f'{{"{REWARD}": {text}, "other": NaN}}')
    assert summary.metrics.get(REWARD) == value
    assert summary.not_finite == not_finite


@pytest.mark.parametrize(
    "blob",
    [None, "null", "{}", '"{}"', '"null"', '{"elsewhere": 1}', f'{{"overview": {{"reward": 1}}, "{REWARD} ": 1}}'],
)
def test_nothing_wanted_in_it_is_empty_and_no_fault(blob: str | None) -> None:
    summary = wanted().summary(blob)
    assert (summary.sps, dict(summary.metrics), summary.not_finite) == (None, {}, 0)


def test_a_summary_that_is_a_json_string_is_opened_once_more() -> None:
    once = json.dumps({REWARD: 3.25})
    assert wanted().summary(json.dumps(once)).metrics == {REWARD: 3.25}
    with pytest.raises(UnreadableError):
        wanted().summary(json.dumps(json.dumps(once)))


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param("", id="empty text"),
        "{",
        pytest.param('{"overview/reward": 3.5, "overview/s', id="cut off"),
        '{"overview/reward": }',
        "[1, 2, 3]",
        "7",
        "true",
        '"three"',
        "<html>502</html>",
        pytest.param("[" * 100_000, id="brackets that end the standard library's parser"),
        pytest.param('{"a":' * 400 + "1" + "}" * 400, id="deep objects"),
        pytest.param(f'{{"a": {"9" * 5_000}}}', id="a number of 5,000 digits"),
    ],
)
def test_what_is_no_json_object_is_unreadable(blob: str) -> None:
    with pytest.raises(UnreadableError):
        wanted().summary(blob)
    with pytest.raises(UnreadableError):
        wanted(system="gpu_power").system(blob)


def test_half_a_surrogate_pair_does_not_cost_the_rest_of_the_summary() -> None:
    assert wanted().summary(f'{{"note": "\\ud83d", "{REWARD}": 1.5}}').metrics == {REWARD: 1.5}


@pytest.mark.parametrize(
    ("values", "sps", "not_finite"),
    [
        ({FAST: 100, SLOW: 90}, 100.0, 0),  # the first of the keys
        ({SLOW: 90, FAST: 100}, 100.0, 0),  # in the order of the option, not of the summary
        ({SLOW: 90}, 90.0, 0),
        ({FAST: None, SLOW: 90}, 90.0, 0),
        ({FAST: "n/a", SLOW: 90}, 90.0, 1),
        ({FAST: True, SLOW: "fast"}, None, 2),
        ({FAST: 0, SLOW: 90}, 0.0, 0),  # standing still is a speed
        ({}, None, 0),
    ],
)
def test_steps_per_second(values: dict[str, object], sps: float | None, not_finite: int) -> None:
    summary = wanted().summary(json.dumps(values))
    assert (summary.sps, summary.not_finite) == (sps, not_finite)


def test_a_value_that_is_wanted_twice_is_dropped_once() -> None:
    assert wanted(metrics=(SLOW,)).summary(f'{{"{SLOW}": NaN}}').not_finite == 1


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("env_agent/*", {"env_agent/heart.gained", "env_agent/[0]"}),
        ("*", {"env_agent/heart.gained", "env_agent/[0]", "loss?", "lossy", "Loss"}),
        ("*gained", {"env_agent/heart.gained"}),
        ("loss?", {"loss?"}),  # only `*` is special
        ("loss*", {"loss?", "lossy"}),  # case counts
        ("*[0]", {"env_agent/[0]"}),
        ("*.gained", {"env_agent/heart.gained"}),
        ("heart*", set()),  # from the first character to the last
    ],
)
def test_patterns(pattern: str, keys: set[str]) -> None:
    names = ("env_agent/heart.gained", "env_agent/[0]", "loss?", "lossy", "Loss")
    summary = wanted(metrics=(pattern,)).summary(json.dumps(dict.fromkeys(names, 1.0)))
    assert set(summary.metrics) == keys


@pytest.mark.parametrize(
    ("metrics", "sps", "keys"),
    [
        ((REWARD,), (FAST,), [REWARD, FAST]),
        ((REWARD, REWARD), (REWARD,), [REWARD]),
        ((REWARD, "env/*"), (FAST,), None),  # a pattern needs the whole summary
        ((), (), []),
    ],
)
def test_what_is_asked_of_the_api(metrics: tuple[str, ...], sps: tuple[str, ...], keys: list[str] | None) -> None:
    assert wanted(metrics, sps).summary_keys == keys


MACHINE = {
    "system.cpu": 30.0,
    "system.cpu.0.cpu_percent": 99.0,
    "system.memory_percent": 40.0,
    "system.proc.memory.rssMB": 9_999.0,
    "system.disk./.usagePercent": 20.0,
    "system.disk./mnt/data set.usagePercent": 60.0,
    "system.disk./.usageGB": 500.0,
    "system.gpu.0.gpu": 80.0,
    "system.gpu.11.gpu": 100.0,
    "system.gpu.0.memory": 1.0,
    "system.gpu.0.memoryAllocated": 50.0,
    "system.gpu.0.memoryAllocatedBytes": 8e10,
    "system.gpu.0.temp": 70.0,
    "system.gpu.0.powerWatts": 400.0,
    "system.gpu.0.powerPercent": 57.0,
    # The run's own process, not a device.
    "system.gpu.process.0.gpu": 10.0,
    "system.gpu.process.0.memoryAllocated": 10.0,
    "system.gpu.process.0.temp": 10.0,
    "system.gpu.process.0.powerWatts": 10.0,
}


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("gpu_utilization", 90.0),
        ("gpu_memory_utilization", 50.0),
        ("gpu_temperature", 70.0),
        ("gpu_power", 400.0),
        ("cpu_utilization", 30.0),
        ("memory_utilization", 40.0),
        ("disk_utilization", 40.0),
    ],
)
def test_system_metrics_are_means_over_the_devices(name: str, mean: float) -> None:
    assert wanted(system=name).system(json.dumps(MACHINE)) == ({name: mean}, 0)


TWO_NODES = {
    # The third node is not labelled, and has one device only.
    "gpu_utilization": (60.0, ("gpu.0.gpu/l:rank-0", 90), ("gpu.11.gpu/l:rank-1", 40), ("gpu.0.gpu", 50)),
    "gpu_memory_utilization": (30.0, ("gpu.0.memoryAllocated/l:a", 20), ("gpu.0.memoryAllocated/l:b", 40)),
    "gpu_temperature": (65.0, ("gpu.3.temp/l:a.b/c", 60), ("gpu.3.temp/l:node 7, left", 70)),
    "gpu_power": (350.0, ("gpu.0.powerWatts/l:0", 300), ("gpu.1.powerWatts/l:0", 400)),
    "cpu_utilization": (25.0, ("cpu/l:a", 10), ("cpu/l:b", 40)),
    "memory_utilization": (30.0, ("memory_percent/l:a", 20), ("memory_percent/l:b", 40)),
    "disk_utilization": (50.0, ("disk./.usagePercent/l:a", 20), ("disk./mnt/l:x.usagePercent", 80)),
}
NO_DEVICES = (
    ("gpu.process.0.gpu/l:a", 10),
    ("gpu.0.gpuX/l:a", 10),
    ("gpu.0.gpu/label", 10),
    ("gpu.0.memoryAllocatedBytes/l:a", 10),
    ("cpu.0.cpu_percent/l:a", 10),
    ("disk./.usageGB/l:a", 10),
)


@pytest.mark.parametrize("name", TWO_NODES)
def test_a_run_over_several_nodes_has_one_mean_over_all_their_devices(name: str) -> None:
    mean, *devices = TWO_NODES[name]
    blob = {f"system.{key}": value for key, value in (*devices, *NO_DEVICES)}
    assert wanted(system=name).system(json.dumps(blob)) == ({name: mean}, 0)


@pytest.mark.parametrize(
    ("devices", "mean", "dropped"),
    [
        ("10, NaN", 10.0, 1),  # a broken sensor does not hide the others
        ('"42", 7', 7.0, 1),
        ("true, Infinity", None, 2),
        ("null, 4", 4.0, 0),
        ("0, 0", 0.0, 0),  # idle is not absent
    ],
)
def test_devices_that_tell_no_number(devices: str, mean: float | None, dropped: int) -> None:
    members = ", ".join(f'"system.gpu.{i}.gpu": {value}' for i, value in enumerate(devices.split(", ")))
    means, count = wanted(system="gpu_utilization").system(f"{{{members}}}")
    assert (means.get("gpu_utilization"), count) == (mean, dropped)


def test_a_machine_without_gpus_has_no_gpu_metrics() -> None:
    assert wanted(system="gpu_utilization cpu_utilization").system('{"system.cpu": 1}') == ({"cpu_utilization": 1.0}, 0)


def test_system_metrics_that_nobody_wants_are_not_read() -> None:
    assert wanted().system("{ broken") == ({}, 0)
