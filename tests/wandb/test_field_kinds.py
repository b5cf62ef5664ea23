"""Further inputs of the kinds in `test_field_cases.py`: what else SDKs, servers and people write into the same fields.

Forms of system keys are those of the SDK's sources; forms of errors those that the SDK reads
(`parse_backend_error_messages`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from wandb_support.watch import START, Received, Watch, value_of

from metta_checks.simulator.server import Reply, Request

Watches = Callable[..., Watch]

ALL_SYSTEM_METRICS = [
    "gpu_utilization",
    "gpu_memory_utilization",
    "gpu_temperature",
    "gpu_power",
    "cpu_utilization",
    "memory_utilization",
    "disk_utilization",
]
HOUR = timedelta(hours=1)


def a_run(watched: Watch, name: str = "run", **fields: Any) -> None:
    given = {"heartbeat_at": START - timedelta(seconds=20), "created_at": START - 10 * HOUR, **fields}
    watched.project.start(name, START, **given)


def edited(watched: Watch, edit: Callable[[dict[str, Any]], None], run_id: str = "run") -> None:
    """The server gives the node of this run as `edit` leaves it."""

    def intercept(sent: Request) -> Reply:
        page = json.loads(watched.server.answer(sent).body)
        for edge in page["data"]["project"]["runs"]["edges"]:
            if edge["node"]["name"] == run_id:
                edit(edge["node"])
        return Reply(200, json.dumps(page).encode())

    watched.server.intercept = intercept


def dropped(received: Received) -> dict[str, float]:
    """What was left out, by reason, without the zeros."""
    series = received.telemetry.items()
    return {value_of(tags, "reason"): value for (name, tags), value in series if name.endswith("dropped") and value}


# W1, W2, W3, W10: the keys of system metrics


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"gpu.0.gpu/node0": 10, "gpu.0.gpu/node1": 30}, {"gpu_utilization": 20}),
        ({"gpu.0.gpu/l:": 10, "cpu/l:a/l:b": 20, "memory_percent/l:x y": 3}, (10, 20, 3)),
        ({"gpu.0.gpu/l:gpu.1.gpu": 10, "gpu.0.gpu/l:disk./.usagePercent": 20}, {"gpu_utilization": 15}),
        ({"gpu.0.gpu": 10, "gpu.0.gpu/l:worker": 50}, {"gpu_utilization": 30}),
        ({"disk.usagePercent": 70, "disk.in": 5}, {"disk_utilization": 70}),
        ({"disk.C:\\.usagePercent": 70, "disk.C:\\.usageGB": 9}, {"disk_utilization": 70}),
        ({"disk./.usagePercent": 70, "disk./mnt/a.b.usagePercent": 10, "disk": 1}, {"disk_utilization": 40}),
        ({"memory": 5, "proc.memory.percent": 3, "cpu.0.cpu_percent": 4}, {"memory_utilization": 5}),
        # Apple, AMD, and machines without GPUs.
        ({"gpu.0.gpu": 10, "gpu.0.powerWatts": 3.5, "cpu.ecpu_percent": 9}, {"gpu_utilization": 10, "gpu_power": 3.5}),
        ({"gpu.0.memoryReadWriteActivity": 1, "gpu.0.memoryAllocated": 20}, {"gpu_memory_utilization": 20}),
        ({"tpu": 55, "tpu.0.dutyCycle": 5, "trn.0.neuroncore_utilization": 5, "ipu.0.x": 1, "cpu": 3}, (None, 3)),
    ],
)
def test_further_forms_of_system_keys(watch: Watches, keys: Mapping[str, float], expected: Any) -> None:
    watched = watch(system_metrics=ALL_SYSTEM_METRICS)
    a_run(watched, system_metrics={f"system.{key}": value for key, value in keys.items()})
    figures = watched.collect().of_run("run")
    found = {name: value for name, value in figures.items() if name in ALL_SYSTEM_METRICS}
    if isinstance(expected, tuple):
        names = ("gpu_utilization", "cpu_utilization", "memory_utilization")
        expected = {name: value for name, value in zip(names, expected, strict=False) if value is not None}
    assert found == expected


@pytest.mark.parametrize(
    ("keys", "utilization", "gpus"),
    [
        ({"gpu.0.gpu": 1, "gpu.3.gpu": 9, "gpu.process.3.memory": 9}, 9, 1),
        ({"gpu.0.gpu": 1, "gpu.3.gpu": 9, "gpu.process.3.memory": None}, 9, 1),
        ({"gpu.0.gpu/a": 1, "gpu.1.gpu/a": 99, "gpu.process.1.gpu/a": 99, "gpu.0.gpu/b": 41}, 70, 2),
        ({"gpu.10.gpu": 7, "gpu.1.gpu": 3, "gpu.process.1.gpu": 3}, 3, 1),
    ],
)
def test_the_gpus_that_a_run_uses(watch: Watches, keys: Mapping[str, Any], utilization: float, gpus: float) -> None:
    watched = watch(gpu_devices="used")
    a_run(watched, system_metrics={f"system.{key}": value for key, value in keys.items()})
    received = watched.collect()
    assert received.of_run("run")["gpu_utilization"] == utilization
    assert sum(value for (name, _), value in received.gauges.items() if name == "wandb.gpus_in_use") == gpus


# W4, W5, W12: when a run last logged, and blobs


@pytest.mark.parametrize(
    "summary",
    [
        pytest.param({"_timestamp": (START.timestamp() - 7_200) * 1_000}, id="milliseconds"),
        pytest.param({"_timestamp": str(START.timestamp())}, id="text"),
        pytest.param({"_timestamp": "NaN"}, id="NaN"),
        pytest.param({"_timestamp": {"max": START.timestamp()}}, id="with a summary of its own"),
        pytest.param('{"_timestamp": 1768', id="a summary that is cut off"),
    ],
)
def test_a_last_log_that_cannot_be_read_is_no_hang(watch: Watches, summary: Any) -> None:
    watched = watch()
    a_run(watched, summary=summary)
    assert set(watched.collect().of_run("run")) == {"duration_hours"}


@pytest.mark.parametrize("summary", ["", "  ", "null", '""', '"null"', {"_timestamp": None}, {"_step": 0}])
def test_a_summary_without_a_log_is_one_of_a_run_that_never_logged(watch: Watches, summary: Any) -> None:
    watched = watch()
    a_run(watched, summary=summary)
    received = watched.collect()
    assert (received.of_run("run")["log_age_seconds"], dropped(received)) == (36_000.0, {})


@pytest.mark.parametrize(
    "text",
    [
        '{"note": "a\tb", "overview/reward": 4.5}',
        '{"note": "a\r\n\x1b[0m\x00", "overview/reward": 4.5}',
        '{"a key\nof two lines": "", "inner": {"a\tb": 1}, "overview/reward": 4.5}',
        json.dumps('{"note": "two\nlines", "overview/reward": 4.5}'),
        json.dumps(json.dumps('{"overview/reward": 4.5, "other": NaN}')),
        '\ufeff{"note": "\u2028", "overview/reward": 4.5}\r\n',
        '{"note": "\\ud800", "overview/reward": 4.5}',
        '{"overview/reward": 1, "overview/reward": 4.5}',
    ],
)
def test_further_texts_that_the_sdk_reads(watch: Watches, text: str) -> None:
    watched = watch()
    a_run(watched, summary=text)
    received = watched.collect()
    assert (received.of_run("run")["overview/reward"], dropped(received)) == (4.5, {})


# W6, W7: nested values and media


@pytest.mark.parametrize(
    ("metrics", "summary", "expected"),
    [
        (["val/a.best", "val/a.mean"], {"val/a": {"best": 1, "mean": 2}}, {"val/a.best": 1, "val/a.mean": 2}),
        (["a.b.c.d"], {"a.b": {"c.d": 1}}, {"a.b.c.d": 1}),
        (["a.b.c.d"], {"a": {"b.c": {"d": 1}}}, {"a.b.c.d": 1}),
        (["val.a"], {"val.a": None, "val": {"a": 4}}, {"val.a": 4}),
        (["*runtime"], {"_wandb": {"runtime": 76}, "_runtime": 80}, {"_wandb.runtime": 76, "_runtime": 80}),
        (["*"], {"a": {"map": {"_type": "image-file", "size": 3}, "x": 1}, "b": [1], "c": True}, {"a.x": 1}),
        (["*"], {"h": {"_type": "histogram", "values": [1], "bins": [0, 1]}, "t": "5", "n": None}, {}),
        (["ä/β*"], {"ä/β1": 1, "ä/x": 2}, {"ä/β1": 1}),
    ],
)
def test_further_nested_values(
    watch: Watches, metrics: list[str], summary: Mapping[str, Any], expected: Mapping[str, float]
) -> None:
    watched = watch(metrics=metrics)
    a_run(watched, summary=summary)
    received = watched.collect()
    values = {
        value_of(tags, "metric_name"): value for (name, tags), value in received.gauges.items() if "metric" in name
    }
    assert (values, dropped(received)) == (expected, {})


@pytest.mark.parametrize(
    ("options", "summary", "figure"),
    [
        ({"sps_keys": ["perf.sps"]}, {"perf": {"sps": 5}}, ("sps", 5.0)),
        ({"gpus_key": "cluster.world_size"}, {"cluster": {"world_size": 16}}, ("gpus", 16.0)),
    ],
)
def test_other_options_name_nested_values_too(
    watch: Watches, options: Mapping[str, Any], summary: Mapping[str, Any], figure: tuple[str, float]
) -> None:
    watched = watch(**options)
    a_run(watched, summary=summary)
    received = watched.collect()
    gpus = sum(value for (name, _), value in received.gauges.items() if name == "wandb.gpus_in_use")
    assert figure in {**received.of_run("run"), "gpus": gpus}.items()


# One field of one run


@pytest.mark.parametrize(
    ("field", "value", "hours"),
    [
        ("createdAt", "2026-01-10T02:00:00", 10),
        ("createdAt", "2026-01-10T02:00:00.123456789Z", 10),
        ("createdAt", "2026-01-10T04:00:00+02:00", 10),
        ("createdAt", "2026-01-10 02:00:00Z", 10),
        ("heartbeatAt", "0001-01-01T00:00:00Z", None),
        ("heartbeatAt", "", None),
    ],
)
def test_forms_of_times(watch: Watches, field: str, value: str, hours: float | None) -> None:
    watched = watch()
    a_run(watched)
    edited(watched, lambda node: node.update({field: value}))
    received = watched.collect()
    found = received.of_run("run").get("duration_hours")
    assert found == (None if hours is None else pytest.approx(hours, abs=0.01))
    assert (received.counts(), dropped(received)) == ({("all", "running"): 1}, {})


def test_gos_zero_time_is_no_heartbeat(watch: Watches) -> None:
    """A run that failed before its first one counts by its creation."""
    watched = watch()
    a_run(watched, state="failed", heartbeat_at=None)
    edited(watched, lambda node: node.update(heartbeatAt="0001-01-01T00:00:00Z"))
    assert watched.collect().counts() == {("all", "failed"): 1}


@pytest.mark.parametrize("value", ["yesterday", 1768039200, "1768039200000", ["2026-01-10T02:00:00Z"]])
@pytest.mark.parametrize("field", ["createdAt", "heartbeatAt"])
def test_a_time_that_is_none_costs_its_run_what_needs_it(watch: Watches, field: str, value: Any) -> None:
    watched = watch()
    a_run(watched, summary={"overview/reward": 4.5})
    a_run(watched, "other")
    edited(watched, lambda node: node.update({field: value}))
    received = watched.collect()
    assert received.counts() == {("all", "running"): 2}
    assert received.of_run("run")["overview/reward"] == 4.5
    assert "duration_hours" not in received.of_run("run")
    assert received.of_run("other")["duration_hours"] == pytest.approx(10, abs=0.01)
    assert watched.check.get_warnings() == [f"1 left out (invalid): {field} of run run is not a time"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("displayName", 7), ("group", ["a"]), ("jobType", {}), ("user", "daphne"), ("user", {"username": 7}), ("host", 1)],
)
def test_a_field_of_another_type_costs_its_run_that_field(watch: Watches, field: str, value: Any) -> None:
    watched = watch(run_tags=["user", "group", "job_type", "host"])
    a_run(watched)
    edited(watched, lambda node: node.update({field: value}))
    received = watched.collect()
    assert received.counts() == {("all", "running"): 1}
    assert received.of_run("run")["duration_hours"] == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize(
    ("blob", "reward"),
    [({"overview/reward": 4.5}, 4.5), ({"overview/reward": "NaN"}, None), (7, None), ([1], None), (True, None)],
)
def test_a_blob_that_is_json_itself(watch: Watches, blob: Any, reward: float | None) -> None:
    watched = watch()
    a_run(watched)
    edited(watched, lambda node: node.update(summaryMetrics=blob))
    received = watched.collect()
    assert received.of_run("run").get("overview/reward") == reward
    assert received.counts() == {("all", "running"): 1}
    assert ("unreadable" in dropped(received)) == (not isinstance(blob, dict))


@pytest.mark.parametrize("message", ["context deadline exceeded", "permission denied", "failed to load"])
@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("summaryMetrics", "the summary of run run"),
        ("systemMetrics", "the system metrics of run run"),
        ("computeSeconds", "`computeSeconds` of run run"),
    ],
)
@pytest.mark.parametrize("projects", [1, 2])
def test_what_a_server_cannot_read_of_one_run_costs_that_run_alone(
    watch: Watches, message: str, field: str, what: str, projects: int
) -> None:
    """GraphQL puts null in the place of a field that failed, and an error with the path beside the data."""
    names = {"projects": {"include": ["metta", "other"]}} if projects > 1 else {}
    watched = watch(**names)
    a_run(watched, summary={"overview/reward": 4.5}, system_metrics={"system.gpu.0.gpu": 50})
    a_run(watched, "whole", summary={"overview/reward": 1.5}, system_metrics={"system.gpu.0.gpu": 30})

    def intercept(sent: Request) -> Reply:
        page = json.loads(watched.server.answer(sent).body)
        alias = next(name for name, value in page["data"].items() if name != "viewer" and value)
        rows = page["data"][alias]["runs"]["edges"]
        (row,) = (number for number, edge in enumerate(rows) if edge["node"]["name"] == "run")
        rows[row]["node"][field] = None
        page["errors"] = [{"message": message, "path": [alias, "runs", "edges", row, "node", field]}]
        return Reply(200, json.dumps(page).encode())

    watched.server.intercept = intercept
    watched.check.load_options()
    watched.check.transport.pause = 0.001
    received = watched.collect()
    assert received.counts() == {("all", "running"): 2}
    assert received.of_run("whole")["overview/reward"] == 1.5
    assert any(f"{what} ({message})" in warning for warning in watched.check.get_warnings())
    figures = received.of_run("run")
    assert ("overview/reward" in figures, "log_age_seconds" in figures) == (field != "summaryMetrics",) * 2
    assert ("gpu_utilization" in figures) == (field != "systemMetrics")


@pytest.mark.parametrize(("path", "field"), [(["viewer"], "viewer"), (["project", "runCount"], "runCount")])
@pytest.mark.parametrize(("message", "running"), [("context deadline exceeded", 1), ("relogin required", None)])
def test_a_page_can_do_without_the_user_and_the_number_of_runs(
    watch: Watches, path: list[str], field: str, message: str, running: int | None
) -> None:
    watched = watch()
    a_run(watched)

    def intercept(sent: Request) -> Reply:
        page = json.loads(watched.server.answer(sent).body)
        (page["data"] if field == "viewer" else page["data"]["project"])[field] = None
        return Reply(200, json.dumps({**page, "errors": [{"message": message, "path": path}]}).encode())

    watched.server.intercept = intercept
    watched.check.load_options()
    watched.check.transport.pause = 0.001
    if running is None:
        assert "(unauthorized)" in watched.failing()
    else:
        assert watched.collect().counts() == {("all", "running"): running}


# W8, W9: forms of errors


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"errors": ["context deadline exceeded"]}, "server error"),
        ({"errors": {"message": "context deadline exceeded"}}, "server error"),
        ({"message": "An internal error occurred."}, "server error"),
        ({"errors": [{"message": "maximum statement execution time exceeded"}]}, "server error"),
        ({"errors": [{"message": "clickhouse: acquire conn timeout"}]}, "server error"),
        ({"errors": ["relogin required"], "data": None}, "unauthorized"),
        ({"error": "user is not logged in"}, "unauthorized"),
        ({"error": {"message": "API key has been revoked"}}, "unauthorized"),
        ({"error": {"message": "permission denied"}}, "forbidden"),
        ({"errors": ["project not found"]}, "not found"),
        ({"errors": [None]}, "rejected"),
    ],
)
def test_further_forms_of_errors_inside_http_200(watch: Watches, answer: Any, kind: str) -> None:
    watched = watch()
    watched.server.intercept = lambda _: Reply(200, json.dumps(answer).encode())
    watched.check.load_options()
    watched.check.transport.pause = 0.001
    assert f"({kind})" in watched.failing()
    assert len(watched.server.requests) == (3 if kind == "server error" else 1)


def test_a_run_that_is_called_like_an_error_is_none(watch: Watches) -> None:
    watched = watch()
    a_run(watched, display_name='"errors"', summary={"errors": 1, "message": "context deadline exceeded"})
    assert watched.collect().counts() == {("all", "running"): 1}
    assert len(watched.server.requests) == 1
