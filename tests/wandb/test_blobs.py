"""Numbers out of W&B's JSON blobs."""

from __future__ import annotations

import json

import pytest

from metta_checks.wandb.blobs import GpuDevices, SummarySelection, System, UnreadableError

REWARD = "overview/reward"
FAST, SLOW = "overview/steps_per_second", "overview/sps"


def wanted(
    metrics: tuple[str, ...] = (REWARD,), sps: tuple[str, ...] = (FAST, SLOW), system: str = ""
) -> SummarySelection:
    return SummarySelection(metrics, sps, system.split())


@pytest.mark.parametrize(
    ("text", "value", "not_finite", "invalid"),
    [
        ("4.5", 4.5, 0, 0),
        ("0", 0.0, 0, 0),
        ("-0.0", 0.0, 0, 0),
        ("1e308", 1e308, 0, 0),
        ("5e-324", 5e-324, 0, 0),
        ("12345678901234567890123", 1.2345678901234568e22, 0, 0),
        ("null", None, 0, 0),  # not logged is not wrong
        ("NaN", None, 1, 0),
        ("Infinity", None, 1, 0),
        ("-Infinity", None, 1, 0),
        ("1e999", None, 1, 0),
        pytest.param("9" * 400, None, 1, 0, id="a whole number beyond every float"),
        ('"NaN"', None, 1, 0),
        ('"17.5"', None, 0, 1),  # a string, even of digits, is not a number
        ("true", None, 0, 1),
        ("false", None, 0, 1),
        ('{"max": 9.5}', None, 0, 1),
        ("[1, 2]", None, 0, 1),
    ],
)
def test_what_counts_as_a_number(text: str, value: float | None, not_finite: int, invalid: int) -> None:
    summary = wanted().summary(f'{{"{REWARD}": {text}, "other": NaN}}')
    assert summary.metrics.get(REWARD) == value
    assert (summary.not_finite, len(summary.invalid)) == (not_finite, invalid)


@pytest.mark.parametrize(
    "blob",
    [None, "null", "{}", '"{}"', '"null"', '{"elsewhere": 1}', f'{{"overview": {{"reward": 1}}, "{REWARD} ": 1}}'],
)
def test_nothing_wanted_in_it_is_empty_and_no_fault(blob: str | None) -> None:
    summary = wanted().summary(blob)
    assert (summary.sps, dict(summary.metrics), summary.not_finite) == (None, {}, 0)


def test_a_summary_that_is_a_json_string_is_opened() -> None:
    blob = json.dumps({REWARD: 3.25})
    for _ in range(4):
        blob = json.dumps(blob)
        assert wanted().summary(blob).metrics == {REWARD: 3.25}
    with pytest.raises(UnreadableError):
        wanted().summary(json.dumps(blob))


@pytest.mark.parametrize(
    "blob",
    [
        '\ufeff{"overview/reward": 1.5}',
        '{"overview/reward": 1.5}\x00',
        ' \r\n{"overview/reward": 1.5}\n',
        '\ufeff"{\\"overview/reward\\": 1.5}"',
        '"\\ufeff{\\"overview/reward\\": 1.5}\\u0000"',
    ],
)
def test_what_stands_around_a_document_costs_nothing(blob: str) -> None:
    assert wanted().summary(blob).metrics == {REWARD: 1.5}


@pytest.mark.parametrize(
    "blob",
    [
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
    ("values", "sps", "invalid"),
    [
        ({FAST: 100, SLOW: 90}, 100.0, ()),  # the first of the keys
        ({SLOW: 90, FAST: 100}, 100.0, ()),  # in the order of the option, not of the summary
        ({SLOW: 90}, 90.0, ()),
        ({FAST: None, SLOW: 90}, 90.0, ()),
        ({FAST: "n/a", SLOW: 90}, 90.0, (FAST,)),
        ({FAST: True, SLOW: "fast"}, None, (FAST, SLOW)),
        ({FAST: 0, SLOW: 90}, 0.0, ()),  # standing still is a speed
        ({}, None, ()),
    ],
)
def test_steps_per_second(values: dict[str, object], sps: float | None, invalid: tuple[str, ...]) -> None:
    summary = wanted().summary(json.dumps(values))
    assert (summary.sps, summary.invalid) == (sps, invalid)


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
        (("a.b.c",), ("a.b.d",), ["a.b.c", "a.b", "a", "a.b.d"]),  # a path, and all that it may be a path through
        ((".hidden", "trailing."), (), [".hidden", "trailing.", "trailing"]),
        ((REWARD, "env/*"), (FAST,), None),  # a pattern needs the whole summary
        ((), (), []),
    ],
)
def test_what_is_asked_of_the_api(metrics: tuple[str, ...], sps: tuple[str, ...], keys: list[str] | None) -> None:
    assert wanted(metrics, sps).summary_keys == (None if keys is None else [*keys, "_timestamp"])


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
    assert wanted(system=name).system(json.dumps(MACHINE)) == System({name: mean}, gpus=2)


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
    ("gpu.0.memoryAllocatedBytes/l:a", 10),
    ("cpu.0.cpu_percent/l:a", 10),
    ("disk./.usageGB/l:a", 10),
)


@pytest.mark.parametrize("name", TWO_NODES)
def test_a_run_over_several_nodes_has_one_mean_over_all_their_devices(name: str) -> None:
    mean, *devices = TWO_NODES[name]
    blob = {f"system.{key}": value for key, value in (*devices, *NO_DEVICES)}
    assert wanted(system=name).system(json.dumps(blob)).means == {name: mean}


@pytest.mark.parametrize(
    ("devices", "mean", "not_finite", "invalid"),
    [
        ("10, NaN", 10.0, 1, 0),  # a broken sensor does not hide the others
        ('"42", 7', 7.0, 0, 1),
        ("true, Infinity", None, 1, 1),
        ("null, 4", 4.0, 0, 0),
        ("0, 0", 0.0, 0, 0),  # idle is not absent
    ],
)
def test_devices_that_tell_no_number(devices: str, mean: float | None, not_finite: int, invalid: int) -> None:
    members = ", ".join(f'"system.gpu.{i}.gpu": {value}' for i, value in enumerate(devices.split(", ")))
    system = wanted(system="gpu_utilization").system(f"{{{members}}}")
    found = (system.means.get("gpu_utilization"), system.not_finite, len(system.invalid))
    assert found == (mean, not_finite, invalid)


def test_a_machine_without_gpus_has_no_gpu_metrics() -> None:
    assert wanted(system="gpu_utilization cpu_utilization").system('{"system.cpu": 1}') == System(
        {"cpu_utilization": 1.0}
    )


def test_without_system_metrics_only_the_gpus_are_counted() -> None:
    assert wanted().system(json.dumps(MACHINE)) == System({}, gpus=2)


@pytest.mark.parametrize(
    ("keys", "visible", "used"),
    [
        ([], 0, 0),
        (["gpu.0.gpu"], 1, 1),
        (["gpu.0.gpu", "gpu.0.temp", "gpu.0.memoryAllocated"], 1, 1),  # a device has many readings
        (["gpu.0.temp", "gpu.1.powerWatts"], 2, 2),
        (["gpu.0.gpu/l:a", "gpu.0.gpu/l:b", "gpu.0.gpu"], 3, 3),  # a node has its own devices
        (["gpu.0.gpu", "gpu.1.gpu", "gpu.process.1.gpu"], 2, 1),
        (["gpu.0.gpu/l:a", "gpu.1.gpu/l:a", "gpu.process.1.gpu/l:a", "gpu.0.gpu/l:b", "gpu.1.gpu/l:b"], 4, 3),
        (["gpu.process.0.gpu", "gpu.process.1.gpu"], 0, 0),
        (["gpu.count", "gpus.0.gpu", "cpu.0.cpu_percent"], 0, 0),
    ],
)
def test_how_many_gpus(keys: list[str], visible: int, used: int) -> None:
    blob = json.dumps({f"system.{key}": 1 for key in keys})
    assert [SummarySelection((), (), (), which).system(blob).gpus for which in GpuDevices] == [visible, used]


@pytest.mark.parametrize(
    ("value", "gpus", "left_out"),
    [
        ("16", 16.0, 0),
        ("0", 0.0, 0),
        ("0.5", 0.5, 0),
        ("null", None, 0),
        ("-1", None, 1),
        ('"16"', None, 1),
        ("true", None, 1),
        ("NaN", None, 1),
    ],
)
@pytest.mark.parametrize(("key", "text"), [("world_size", '{{"world_size": {}}}'), ("a.b", '{{"a": {{"b": {}}}}}')])
def test_the_number_of_gpus_that_a_run_logs(key: str, text: str, value: str, gpus: float | None, left_out: int) -> None:
    asks = SummarySelection((), (), (), gpus_key=key)
    summary = asks.summary(text.format(value))
    assert (summary.gpus, summary.not_finite + len(summary.invalid)) == (gpus, left_out)
    assert key in (asks.summary_keys or ())


@pytest.mark.parametrize(
    ("members", "found"),
    [
        pytest.param({"memory": 44, "disk": 55}, (44.0, 55.0), id="before wandb-core"),
        pytest.param(
            {"memory": 1, "memory_percent": 44, "disk": 1, "disk./.usagePercent": 55},
            (44.0, 55.0),
            id="newer forms win",
        ),
        pytest.param({"memory/l:a": 20, "memory/l:b": 40, "disk/l:a": 10}, (30.0, 10.0), id="with labels"),
        pytest.param(
            {"memory/l:a": 20, "memory/l:b": 1, "memory_percent/l:b": 40},
            (30.0, None),
            id="each node is read in the newest form that it writes",
        ),
        pytest.param({"memory": 44, "disk": None}, (44.0, None), id="one of them is not there"),
        pytest.param({"memory.used": 9e9, "disk.in": 3.5, "disk.out": 1.5, "memoryX": 1}, (None, None), id="others"),
    ],
)
def test_memory_and_disk_in_the_form_of_each_sdk(
    members: dict[str, object], found: tuple[float | None, float | None]
) -> None:
    blob = json.dumps({f"system.{key}": value for key, value in members.items()})
    means = wanted(system="memory_utilization disk_utilization").system(blob).means
    assert (means.get("memory_utilization"), means.get("disk_utilization")) == found


@pytest.mark.parametrize(
    ("devices", "visible", "used"),
    [
        pytest.param({"0.gpu": 10, "1.gpu": 90, "process.1.gpu": 90}, 50.0, 90.0, id="one of two"),
        pytest.param({"0.gpu": 10, "1.gpu": 90, "process.1.temp": 60}, 50.0, 90.0, id="by any reading of a process"),
        pytest.param({"0.gpu": 10, "1.gpu": 90, "process.1.gpu": None}, 50.0, 90.0, id="also one without a value"),
        pytest.param({"0.gpu": 10, "1.gpu": 90}, 50.0, 50.0, id="without processes all of them"),
        pytest.param({"1.gpu": 10, "11.gpu": 90, "process.11.gpu": 90}, 50.0, 90.0, id="two digits"),
        pytest.param({"0.gpu": 10, "process.7.gpu": 1}, 10.0, None, id="processes on devices that are not reported"),
        pytest.param(
            {"0.gpu/l:a": 10, "1.gpu/l:a": 20, "0.gpu/l:b": 30, "1.gpu/l:b": 40, "process.1.gpu/l:a": 20},
            25.0,
            30.0,
            id="each node by its own label",
        ),
        pytest.param(
            {"0.gpu": 10, "1.gpu": 20, "0.gpu/l:b": 60, "process.1.gpu": 20, "process.5.gpu/l:c": 1},
            30.0,
            40.0,
            id="the node without a label is one too",
        ),
    ],
)
def test_which_devices_count(devices: dict[str, object], visible: float | None, used: float | None) -> None:
    blob = json.dumps({f"system.gpu.{key}": value for key, value in devices.items()})
    found = [
        SummarySelection((), (), ["gpu_utilization"], which).system(blob).means.get("gpu_utilization")
        for which in GpuDevices
    ]
    assert found == [visible, used]


@pytest.mark.parametrize("metric", ["gpu_memory_utilization", "gpu_temperature", "gpu_power"])
def test_the_devices_are_the_same_for_every_gpu_metric(metric: str) -> None:
    readings = {"system.gpu.process.1.gpu": 5}
    for i in (0, 1):
        readings |= {f"system.gpu.{i}.{key}": i * 100 for key in ("memoryAllocated", "temp", "powerWatts")}
    assert SummarySelection((), (), [metric], GpuDevices.USED).system(json.dumps(readings)).means == {metric: 100.0}


def test_what_is_no_gpu_does_not_depend_on_the_processes() -> None:
    blob = json.dumps({"system.cpu": 10, "system.gpu.process.1.gpu": 5, "system.disk./.usagePercent": 20})
    found = SummarySelection((), (), ["cpu_utilization", "disk_utilization"], GpuDevices.USED).system(blob).means
    assert found == {"cpu_utilization": 10.0, "disk_utilization": 20.0}


@pytest.mark.parametrize(
    ("metrics", "summary", "found"),
    [
        (["a.b"], {"a": {"b": 1}}, {"a.b": 1.0}),
        (["a.b"], {"a": {"b": 1}, "a.b": None}, {"a.b": 1.0}),  # null is not there
        (["a.b.c"], {"a.b": {"c": 1}, "a": {"b": {"c": 2}}}, {"a.b.c": 1.0}),  # the longest key wins
        (["a.b.c"], {"a.b": {"d": 1}, "a": {"b": {"c": 2}}}, {"a.b.c": 2.0}),  # unless it leads nowhere
        (["a.b.c"], {"a": {"b.c": 3}}, {"a.b.c": 3.0}),
        (["a..b"], {"a": {".b": 4}}, {"a..b": 4.0}),
        (["a.b"], {"a": 7}, {}),
        (["a.b"], {"a": [{"b": 7}]}, {}),
        (["a*"], {"a": {"b": 1, "c": {"d": 2}}, "ab": 3}, {"a.b": 1.0, "a.c.d": 2.0, "ab": 3.0}),
        (["*.d"], {"a": {"b": 1, "c": {"d": 2}}}, {"a.c.d": 2.0}),
        (["a.*"], {"a": {"b": 1}, "a.b": 5}, {"a.b": 5.0}),
        (
            ["*"],
            {"m": {"_type": "image-file", "size": 3}, "h": {"n": {"_type": "table", "rows": 1}, "x": 1}},
            {"h.x": 1.0},
        ),
        (["m.size"], {"m": {"_type": "image-file", "size": 3}}, {"m.size": 3.0}),  # named exactly, it counts
    ],
)
def test_values_inside_objects(metrics: list[str], summary: dict[str, object], found: dict[str, float]) -> None:
    assert wanted(metrics=tuple(metrics)).summary(json.dumps(summary)).metrics == found


def test_steps_per_second_may_stand_inside_an_object() -> None:
    assert wanted(sps=("perf.sps",)).summary('{"perf": {"sps": 12}}').sps == 12.0


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"NaN"', '"-Infinity"', "1e999"])
@pytest.mark.parametrize("metrics", [("overview/*",), (REWARD,), ("overview.reward",)])
def test_nan_and_infinities_count_whether_named_or_matched(metrics: tuple[str, ...], value: str) -> None:
    text = f'{{"{REWARD}": {value}, "overview": {{"reward": {value}}}}}'
    assert (wanted(metrics=metrics).summary(text).not_finite, wanted(metrics=metrics).summary(text).invalid) == (1, ())


def test_a_key_that_is_named_and_matched_is_invalid_where_it_is_no_number() -> None:
    assert wanted(metrics=("overview/*", REWARD)).summary(f'{{"{REWARD}": "x", "overview/y": "x"}}').invalid == (
        REWARD,
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"note": "a\nb", "overview/reward": 1.5}', id="a line break"),
        pytest.param('{"note": "a\tb\rc\x00d\x1fe", "overview/reward": 1.5}', id="any control character"),
        pytest.param('{"a\nkey": 1,\n\t"overview/reward": 1.5\r\n}', id="in a key, and white space between"),
        pytest.param('{"note": "\\"\n\\\\", "overview/reward": 1.5}', id="between escapes"),
        pytest.param('{"note": "\\ud83d\n", "overview/reward": 1.5}', id="beside half a surrogate pair"),
        pytest.param(json.dumps('{"note": "a\nb", "overview/reward": 1.5}'), id="in a JSON string"),
        pytest.param('"{\\"note\\": \\"a\nb\\", \\"overview/reward\\": 1.5}"', id="raw in both of them"),
        pytest.param('{"note": "' + "\n" * 5_000_000 + '", "overview/reward": 1.5}', id="five million of them"),
    ],
)
def test_control_characters_in_strings_are_read_as_the_sdk_reads_them(text: str) -> None:
    assert wanted().summary(text).metrics == {REWARD: 1.5}


def test_a_key_with_a_line_break_keeps_its_name() -> None:
    assert wanted(metrics=("a\nb",)).summary('{"a\nb": 2}').metrics == {"a\nb": 2.0}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"note": "a\\\nb"}', id="behind a backslash"),
        pytest.param('{"note": "a\n', id="cut off"),
        pytest.param('{\x01"note": 1}', id="outside of strings"),
        pytest.param('"' + '\\"' * 300_000, id="quotes that never end"),
    ],
)
def test_control_characters_elsewhere_are_no_json(text: str) -> None:
    with pytest.raises(UnreadableError):
        wanted().summary(text)


def test_long_names_inside_objects_are_passed_over_by_patterns() -> None:
    text = json.dumps({"k" * 5_000: {str(i): i for i in range(50_000)}, REWARD: 1.5})
    assert wanted(metrics=("*",)).summary(text).metrics == {REWARD: 1.5}


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        ("1767225600", 1767225600.0),
        ("1767225600.25", 1767225600.25),
        ("0", 0.0),
        ("null", None),
        ('"yesterday"', None),
        ("true", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e18", None),  # no calendar has that year
        ("-1e18", None),
        ('{"max": 1}', None),
    ],
)
def test_when_the_run_last_logged(value: str, epoch: float | None) -> None:
    summary = wanted().summary(f'{{"_timestamp": {value}}}')
    assert (summary.logged_at and summary.logged_at.timestamp()) == epoch
    # Nobody asked for it: it is neither a metric nor left out.
    assert (summary.metrics, summary.not_finite, summary.invalid) == ({}, 0, ())
