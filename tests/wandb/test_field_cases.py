"""What runs of other teams look like, and the right figures for them: each input comes from a public report.

Beside each row stands its source, an issue or a pull request of github.com/wandb/wandb unless another repository is
named. What is not right yet is expected to fail, and stops the tests as soon as it no longer does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from wandb_support.watch import START, Received, Watch, value_of

from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoRun, RunState

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


def a_run(watched: Watch, **fields: Any) -> DemoRun:
    """A run that was created two hours ago and sent a heartbeat 20 seconds ago, unless `fields` say otherwise."""
    given = {"heartbeat_at": START - timedelta(seconds=20), "created_at": START - timedelta(hours=2), **fields}
    return watched.project.start("run", START, **given)


def gpus(*, process: Mapping[int, float], **utilization: float) -> dict[str, float]:
    """`gpu_0=90` is device 0 at 90 %; `process` are the readings under the devices that the run's processes use."""
    devices = {f"system.gpu.{name.removeprefix('gpu_')}.gpu": value for name, value in utilization.items()}
    return devices | {f"system.gpu.process.{device}.gpu": value for device, value in process.items()}


def total(received: Received, metric: str) -> float | None:
    """The sum over all series of a gauge; None where there is none."""
    values = [value for (name, _), value in received.gauges.items() if name == metric]
    return sum(values) if values else None


def summary_values(received: Received) -> dict[str, float]:
    """`wandb.run.metric` by the name of the metric."""
    series = received.gauges.items()
    return {value_of(tags, "metric_name"): value for (name, tags), value in series if name == "wandb.run.metric"}


def dropped(received: Received, reason: str) -> float:
    """How much `metta.check.dropped` counts for `reason`."""
    return sum(value for (_, tags), value in received.telemetry.items() if f"reason:{reason}" in tags)


# System metrics


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param(
            {
                "gpu.0.gpu/l:rank-0": 90,
                "gpu.1.gpu/l:rank-0": 80,
                "gpu.0.gpu/l:rank-1": 40,
                "gpu.1.gpu/l:rank-1": 30,
            },
            {"gpu_utilization": 60.0},
            id="two nodes of two GPUs",
        ),
        pytest.param(
            {
                "gpu.0.memoryAllocated/l:rank-0": 50,
                "gpu.0.temp/l:rank-0": 70,
                "gpu.0.powerWatts/l:rank-0": 400,
                "cpu/l:rank-0": 30,
                "memory_percent/l:rank-0": 40,
                "disk./.usagePercent/l:rank-0": 20,
            },
            {
                "gpu_memory_utilization": 50.0,
                "gpu_temperature": 70.0,
                "gpu_power": 400.0,
                "cpu_utilization": 30.0,
                "memory_utilization": 40.0,
                "disk_utilization": 20.0,
            },
            id="every other key",
        ),
        pytest.param(
            {"cpu/l:rank-0": 30, "cpu/l:rank-1": 50, "disk./.usagePercent/l:a": 20, "disk./mnt.usagePercent/l:b": 60},
            {"cpu_utilization": 40.0, "disk_utilization": 40.0},
            id="what a node has once is averaged over the nodes",
        ),
    ],
)
def test_w1_keys_with_a_nodes_label_count_and_nodes_are_averaged_over_all_devices(
    watch: Watches, keys: Mapping[str, float], expected: Mapping[str, float]
) -> None:
    """wandb#7470, NovaSky-AI/SkyRL#1358, wandb PR 9369."""
    watched = watch(system_metrics=ALL_SYSTEM_METRICS)
    a_run(watched, system_metrics={f"system.{key}": value for key, value in keys.items()})
    figures = watched.collect().of_run("run")
    assert {name: value for name, value in figures.items() if name in ALL_SYSTEM_METRICS} == expected


EIGHT_IDLE = dict.fromkeys((f"gpu_{device}" for device in range(8)), 0.0)
ONE_OF_EIGHT_IS_OURS = gpus(process={3: 95}, **EIGHT_IDLE | {"gpu_3": 95})
OURS_IS_IDLE = gpus(process={3: 0}, **dict.fromkeys(EIGHT_IDLE, 98.0) | {"gpu_3": 0})
TWO_NODES = {
    "system.gpu.0.gpu/l:a": 90,
    "system.gpu.1.gpu/l:a": 10,
    "system.gpu.process.0.gpu/l:a": 90,
    "system.gpu.0.gpu/l:b": 50,
}
RANK_0_LOGS = gpus(process={0: 90}, **dict.fromkeys(EIGHT_IDLE, 90.0))


@pytest.mark.parametrize(
    ("options", "machine", "utilization"),
    [
        pytest.param({}, ONE_OF_EIGHT_IS_OURS, 11.875, id="W2 by default: all that the node has"),
        pytest.param({}, OURS_IS_IDLE, 85.75, id="W3 by default: all that the node has"),
        pytest.param({}, RANK_0_LOGS, 90.0, id="W3b by default: rank 0 alone logs its processes"),
        pytest.param(
            {"gpu_devices": "used"},
            ONE_OF_EIGHT_IS_OURS,
            95.0,
            id="W2 on a shared host: the busy one is ours",
        ),
        pytest.param(
            {"gpu_devices": "used"},
            OURS_IS_IDLE,
            0.0,
            id="W3 on a shared host: the busy ones are the neighbours'",
        ),
        pytest.param(
            {"gpu_devices": "used"},
            TWO_NODES,
            70.0,
            id="on shared hosts: a node that reports no processes counts whole",
        ),
    ],
)
def test_w2_w3_which_gpus_of_a_node_count_for_a_run(
    watch: Watches, options: Mapping[str, Any], machine: Mapping[str, float], utilization: float
) -> None:
    """wandb PR 538, PR 9062; torchrun, where rank 0 logs."""
    watched = watch(**options)
    a_run(watched, system_metrics=machine)
    assert watched.collect().of_run("run").get("gpu_utilization") == utilization


@pytest.mark.parametrize(
    ("options", "fields", "expected"),
    [
        pytest.param({}, {"system_metrics": RANK_0_LOGS}, 8.0, id="W3b: all devices of the node, not rank 0's"),
        pytest.param(
            {"gpus_key": "world_size"},
            {"system_metrics": RANK_0_LOGS, "summary": {"world_size": 16}},
            16.0,
            id="two nodes, one of which reports: the number that the run logs",
        ),
    ],
)
def test_w3b_gpus_in_use_are_all_that_a_run_holds(
    watch: Watches, options: Mapping[str, Any], fields: Mapping[str, Any], expected: float
) -> None:
    """wandb PR 538, PR 9062; torchrun, where rank 0 logs."""
    watched = watch(**options)
    a_run(watched, **fields)
    assert total(watched.collect(), "wandb.gpus_in_use") == expected


def test_w10_keys_of_sdks_before_wandb_core_count(watch: Watches) -> None:
    """SDK before wandb-core: `system.memory`, `system.disk`."""
    watched = watch(system_metrics=ALL_SYSTEM_METRICS)
    a_run(watched, system_metrics={"system.cpu": 33, "system.memory": 44, "system.disk": 55})
    figures = watched.collect().of_run("run")
    assert [figures.get(name) for name in ALL_SYSTEM_METRICS[4:]] == [33.0, 44.0, 55.0]


# Summaries


def test_w5_a_line_break_inside_a_string_does_not_cost_the_numbers_beside_it(watch: Watches) -> None:
    """wandb PR 6299: the SDK reads its blobs with `strict=False`."""
    watched = watch()
    text = '{"note": "two\nlines", "overview/reward": 4.5, "overview/steps_per_second": 1200}'
    a_run(watched, summary=text)
    received = watched.collect()
    figures = received.of_run("run")
    assert (figures.get("overview/reward"), figures.get("sps"), dropped(received, "unreadable")) == (4.5, 1200.0, 0.0)


NESTED = {"val/acc": {"max": 0.91, "last": 0.88}, "stats": {"reward": 4.5}}


@pytest.mark.parametrize(
    ("metrics", "summary", "expected"),
    [
        pytest.param(
            ["val/acc.max", "stats.reward"],
            NESTED,
            {"val/acc.max": 0.91, "stats.reward": 4.5},
            id="by name",
        ),
        pytest.param(
            ["val/acc*", "stats*"],
            NESTED,
            {"val/acc.max": 0.91, "val/acc.last": 0.88, "stats.reward": 4.5},
            id="by pattern",
        ),
        pytest.param(
            ["a.b.c"],
            {"a": {"b": {"c": 1.5}}},
            {"a.b.c": 1.5},
            id="any depth",
        ),
        pytest.param(
            ["val/acc.max"], {**NESTED, "val/acc.max": 0.5}, {"val/acc.max": 0.5}, id="a key that has dots itself wins"
        ),
    ],
)
def test_w6_values_inside_objects_have_the_names_of_wandbs_own_interface(
    watch: Watches, metrics: list[str], summary: Mapping[str, Any], expected: Mapping[str, float]
) -> None:
    """wandb#5549, PR 1928, PR 8021: `define_metric(…, summary="max")`, and dictionaries that are logged."""
    watched = watch(metrics=metrics)
    a_run(watched, summary=summary)
    received = watched.collect()
    assert (summary_values(received), dropped(received, "not_finite")) == (expected, 0.0)


MEDIA = {"environment/reward/new_tile": 5.74, "environment/Media/map": {"_type": "image-file", "size": 3}}


def test_w7_a_pattern_takes_the_numbers_among_media(watch: Watches) -> None:
    """Summaries of real runs with media."""
    watched = watch(metrics=["environment/*"])
    a_run(watched, summary=MEDIA)
    assert summary_values(watched.collect()) == {"environment/reward/new_tile": 5.74}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"_type": "image-file", "size": 3}, id="an image"),
        pytest.param({"_type": "histogram", "bins": [0, 1], "values": [7]}, id="a histogram"),
        pytest.param("a note", id="text"),
        pytest.param(True, id="a switch"),
    ],
)
def test_w7_what_is_no_number_under_a_pattern_is_passed_over_silently(watch: Watches, value: object) -> None:
    """Summaries of real runs with media."""
    watched = watch(metrics=["environment/*"])
    a_run(watched, summary={"environment/reward": 1.0, "environment/other": value})
    received = watched.collect()
    assert summary_values(received) == {"environment/reward": 1.0}
    assert [dropped(received, reason) for reason in ("not_finite", "invalid", "unreadable")] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("field", "blob"), [("summary", "the summary of run run"), ("system_metrics", "the system metrics of run run")]
)
def test_w12_a_warning_names_the_run_and_the_blob_that_cannot_be_read(watch: Watches, field: str, blob: str) -> None:
    """Counted as `unreadable` and named nowhere: the other half of wandb PR 6299."""
    watched = watch()
    a_run(watched, **{field: '{"overview/reward": 4.5, "cut off'})
    assert dropped(watched.collect(), "unreadable") == 1.0
    (warning,) = watched.check.get_warnings()
    assert blob in warning


def test_w12_of_many_unreadable_blobs_three_are_named(watch: Watches) -> None:
    watched = watch()
    for i in range(5):
        watched.project.start(f"run{i}", START, summary="{")
    assert dropped(watched.collect(), "unreadable") == 5.0
    (warning,) = watched.check.get_warnings()
    assert warning.count("the summary of run") == 3
    assert warning.endswith("; 2 more")


# The life of a run


@pytest.mark.parametrize(
    ("summary", "age"),
    [
        pytest.param({"_step": 1200, "_timestamp": (START - timedelta(hours=3)).timestamp()}, 10_800.0, id="it hangs"),
        pytest.param({}, 36_000.0, id="it never logged: since its creation"),
        pytest.param(None, 36_000.0, id="it has no summary: since its creation"),
        pytest.param({"_timestamp": (START + timedelta(hours=1)).timestamp()}, 0.0, id="its clock is ahead"),
    ],
)
def test_w4_the_age_of_the_last_log_shows_a_hang_that_heartbeats_hide(
    watch: Watches, summary: Mapping[str, float] | None, age: float
) -> None:
    """wandb#8592, PR 12500: the SDK sends heartbeats without any logging."""
    watched = watch()
    a_run(watched, created_at=START - timedelta(hours=10), summary=summary)
    assert watched.collect().of_run("run").get("log_age_seconds") == age


def test_w4_a_resumed_run_has_not_been_silent_for_longer_than_it_runs_again(watch: Watches) -> None:
    """wandb#8592, PR 12500."""
    watched = watch()
    hours_ago = (START - timedelta(hours=3)).timestamp()
    a_run(
        watched,
        created_at=START - timedelta(hours=10),
        heartbeat_at=START - timedelta(hours=3),
        state="crashed",
        summary={"_step": 1200, "_timestamp": hours_ago},
    )
    watched.collect()
    watched.now += timedelta(minutes=2)
    watched.project.resume("run", watched.now)
    watched.collect()
    watched.project.beat("run", watched.now + timedelta(minutes=5))
    assert watched.after(minutes=5).of_run("run").get("log_age_seconds") == 300.0


@pytest.mark.parametrize("restart", [False, True])
def test_w4_the_moment_at_which_a_run_runs_again_is_remembered_until_it_logs(watch: Watches, restart: bool) -> None:
    watched = watch()
    a_run(watched, created_at=START - timedelta(hours=10), summary={"_timestamp": START.timestamp()})
    watched.collect()
    watched.project.crash("run")
    watched.after(hours=1)
    watched.project.resume("run", watched.now)
    assert watched.after(hours=1).of_run("run")["log_age_seconds"] == 0.0
    if restart:
        watched.restart()
    assert watched.after(minutes=10).of_run("run")["log_age_seconds"] == 600.0
    watched.project.beat("run", watched.now, {"overview/reward": 1.0})
    assert watched.after(minutes=1).of_run("run")["log_age_seconds"] == 60.0


def test_w4_a_run_that_only_now_came_into_sight_is_as_old_as_its_log(watch: Watches) -> None:
    """It has never ended: the Agent did not run when it started."""
    watched = watch()
    watched.collect()
    watched.now += timedelta(hours=5)
    a_run(watched, created_at=watched.now - timedelta(hours=4), heartbeat_at=watched.now)
    assert watched.collect().of_run("run")["log_age_seconds"] == 4 * 3600.0


def fails_before_its_first_heartbeat(watched: Watch) -> Received:
    a_run(watched, state="pending", heartbeat_at=None)
    watched.collect()
    watched.project.crash("run", "failed")
    return watched.after(minutes=2)


def test_w11_a_run_that_fails_before_its_first_heartbeat_is_an_event(watch: Watches) -> None:
    """The SDK's `update_state`."""
    assert len(fails_before_its_first_heartbeat(watch(events=True)).events) == 1


def test_w11_a_run_that_fails_before_its_first_heartbeat_is_counted(watch: Watches) -> None:
    """The SDK's `update_state`."""
    assert fails_before_its_first_heartbeat(watch(events=True)).counts() == {("all", "failed"): 1}


@pytest.mark.parametrize("restart", [False, True])
def test_w11_one_that_starts_and_fails_between_two_collections_is_counted_too(watch: Watches, restart: bool) -> None:
    watched = watch(events=True)
    watched.collect()
    watched.now += timedelta(minutes=2)
    if restart:
        watched.restart()
    a_run(watched, state="failed", created_at=watched.now - timedelta(seconds=30), heartbeat_at=None)
    received = watched.collect()
    assert (received.counts(), len(received.events)) == ({("all", "failed"): 1}, 1)
    assert received.point_values("duration_hours") == []
    again = watched.after(minutes=62)
    assert (again.counts(), again.events) == ({("all", "failed"): 1}, [])


def test_w11_it_leaves_the_timeframe_by_its_creation(watch: Watches) -> None:
    watched = watch(timeframe="12h")
    a_run(watched, state="failed", created_at=START - timedelta(hours=11), heartbeat_at=None)
    watched.project.start("old", START, state="killed", created_at=START - timedelta(hours=13), heartbeat_at=None)
    assert watched.collect().counts() == {("all", "failed"): 1}
    assert watched.after(minutes=50).counts() == {("all", "failed"): 1}
    assert watched.after(minutes=20).counts() == {}


def test_w11_one_that_had_failed_before_the_first_collection_is_no_news(watch: Watches) -> None:
    watched = watch(events=True)
    a_run(watched, state="failed", created_at=START - timedelta(hours=1), heartbeat_at=None)
    received = watched.collect()
    assert (received.counts(), received.events) == ({("all", "failed"): 1}, [])


def is_preempted(watched: Watch, **fields: Any) -> Received:
    a_run(watched, **fields)
    watched.collect()
    watched.project.crash("run", "preempted")
    return watched.after(minutes=2)


def test_w16_a_preempted_run_counts_as_failed(watch: Watches) -> None:
    """wandb#7588."""
    assert is_preempted(watch()).counts() == {("all", "failed"): 1}


def test_w16_the_event_of_a_preempted_run_gives_wandbs_own_state(watch: Watches) -> None:
    """wandb#7588: preempted, and requeued."""
    (event,) = is_preempted(watch(events=True)).events
    assert "preempted" in json.dumps(event)
    assert "failed" not in event["msg_title"]


@pytest.mark.parametrize(
    ("state", "alert_type"), [("failed", "error"), ("crashed", "error"), ("killed", "error"), ("preempted", "warning")]
)
def test_w16_every_end_has_its_own_title(watch: Watches, state: RunState, alert_type: str) -> None:
    watched = watch(events=True)
    a_run(watched)
    watched.collect()
    watched.project.crash("run", state)
    (event,) = watched.after(minutes=2).events
    assert (event["msg_title"], event["alert_type"]) == (f"W&B run {state}: run", alert_type)
    assert f"State in W&B: {state}" in event["msg_text"]
    assert "state:failed" in event["tags"]


def test_w16_the_gpu_hours_of_a_preempted_run_have_the_outcome_preempted(watch: Watches) -> None:
    """wandb#7588."""
    points = is_preempted(watch(), system_metrics=RANK_0_LOGS).points
    outcomes = [tags for (name, tags), _ in points if name == "wandb.run.completed.gpu_hours"]
    assert [tag for tags in outcomes for tag in tags if tag.startswith("outcome:")] == ["outcome:preempted"]


def test_w19_gpu_hours_of_a_resumed_run_are_those_in_which_it_computed(watch: Watches) -> None:
    """wandb#4325: 240 h by the clock, of which it ran 76."""
    watched = watch()
    a_run(
        watched,
        created_at=START - timedelta(hours=240),
        compute_seconds=76 * 3600,
        system_metrics=RANK_0_LOGS,
    )
    watched.collect()
    watched.project.finish("run", START)
    assert watched.after(minutes=2).point_values("gpu_hours") == [pytest.approx(76.0 * 8)]


def test_w19_each_end_of_a_resumed_run_adds_what_it_computed_since(watch: Watches) -> None:
    """wandb#4325: the sum over the ends is what the run cost."""
    watched = watch()
    a_run(watched, compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project.crash("run")
    assert watched.after(minutes=2).point_values("gpu_hours") == [8.0]
    assert watched.after(hours=2).point_values("gpu_hours") == []
    watched.project.resume("run", watched.now)
    assert watched.after(minutes=2).point_values("gpu_hours") == []
    watched.restart()
    watched.project["run"].compute_seconds = 9_000
    watched.project.finish("run", watched.now)
    received = watched.after(minutes=2)
    assert received.point_values("gpu_hours") == [12.0]
    # The other distributions have one point per run.
    assert received.point_values("duration_hours") == []


@pytest.mark.parametrize("restart", [False, True])
def test_w19_one_that_is_resumed_and_ends_again_between_two_collections_has_ended_twice(
    watch: Watches, restart: bool
) -> None:
    watched = watch()
    a_run(watched, compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project.crash("run")
    assert watched.after(minutes=2).point_values("gpu_hours") == [8.0]
    if restart:
        watched.restart()
    watched.project.resume("run", watched.now + timedelta(seconds=30))
    watched.project["run"].compute_seconds = 4_500
    watched.project.finish("run", watched.now + timedelta(minutes=15))
    received = watched.after(minutes=16)
    assert received.point_values("gpu_hours") == [2.0]
    assert received.point_values("duration_hours") == []
    assert watched.after(minutes=2).point_values("gpu_hours") == []
    watched.restart()
    assert watched.after(minutes=2).point_values("gpu_hours") == []


@pytest.mark.parametrize(
    ("compute_seconds", "beats"),
    [
        pytest.param(3_900, False, id="W&B corrects what it counted"),
        pytest.param(3_600, True, id="a heartbeat comes late"),
        pytest.param(3_000, True, id="it counts back"),
    ],
)
def test_w19_one_end_is_one_point(watch: Watches, compute_seconds: int, beats: bool) -> None:
    watched = watch()
    a_run(watched, compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project.crash("run")
    assert watched.after(minutes=2).point_values("gpu_hours") == [8.0]
    watched.project["run"].compute_seconds = compute_seconds
    if beats:
        watched.project.end("run", "crashed", watched.now + timedelta(seconds=20))
    for minutes in (1, 60, 60):
        assert watched.after(minutes=minutes).point_values("gpu_hours") == []


def test_w19_a_run_that_is_deleted_has_no_end(watch: Watches) -> None:
    watched = watch(distributions=True)
    a_run(watched, compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project.delete("run")
    received = watched.after(minutes=2)
    assert (received.point_values("gpu_hours"), total(received, "wandb.gpus_in_use")) == ([], 0.0)


def test_w19_a_run_that_ended_while_the_agent_was_away_has_its_end(watch: Watches) -> None:
    watched = watch()
    a_run(watched, compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project["run"].compute_seconds = 7_200
    watched.project.finish("run", watched.now + timedelta(hours=1))
    watched.restart()
    assert watched.after(hours=5).point_values("gpu_hours") == [16.0]
    watched.restart()
    assert watched.after(minutes=2).point_values("gpu_hours") == []


def test_w19_without_compute_time_the_first_end_has_the_duration_and_later_ones_nothing(watch: Watches) -> None:
    watched = watch()
    a_run(watched, system_metrics=RANK_0_LOGS)
    refused = {"errors": [{"message": 'Cannot query field "computeSeconds" on type "Run".'}]}
    watched.server.intercept = lambda sent: (
        Reply(400, json.dumps(refused).encode()) if b"computeSeconds" in sent.body else None
    )
    watched.collect()
    watched.project.fail("run", START)
    assert watched.after(minutes=2).point_values("gpu_hours") == [16.0]
    watched.project.resume("run", watched.now)
    watched.after(minutes=30)
    watched.project.finish("run", watched.now)
    assert watched.after(minutes=2).point_values("gpu_hours") == []


def test_w19_what_a_run_computed_before_the_first_collection_is_counted_only_if_it_ran_then(watch: Watches) -> None:
    watched = watch()
    a_run(watched, state="crashed", compute_seconds=3_600, system_metrics=RANK_0_LOGS)
    watched.collect()
    watched.project.resume("run", START)
    watched.after(minutes=2)
    watched.project["run"].compute_seconds = 5_400
    watched.project.finish("run", watched.now)
    assert watched.after(minutes=2).point_values("gpu_hours") == [4.0]


@pytest.mark.parametrize("compute_seconds", [True, "3600", -1, 1e300, [3600]])
def test_w19_a_compute_time_that_is_none_costs_no_more_than_itself(watch: Watches, compute_seconds: Any) -> None:
    watched = watch()
    a_run(watched, system_metrics=RANK_0_LOGS)

    def odd(sent: Request) -> Reply:
        page = json.loads(watched.server.answer(sent).body)
        for edge in page["data"]["project"]["runs"]["edges"]:
            edge["node"]["computeSeconds"] = compute_seconds
        return Reply(200, json.dumps(page).encode())

    watched.server.intercept = odd
    watched.collect()
    watched.project.finish("run", START)
    received = watched.after(minutes=2)
    assert received.counts() == {("all", "finished"): 1}
    assert received.point_values("gpu_hours") == [16.0]


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        pytest.param({}, {}, id="no GPUs"),
        pytest.param({"gpus_key": "n"}, {"summary": {"n": 0}, "system_metrics": RANK_0_LOGS}, id="it says none"),
        pytest.param({}, {"system_metrics": RANK_0_LOGS, "compute_seconds": 0}, id="it never computed"),
        pytest.param({"distributions": False}, {"system_metrics": RANK_0_LOGS}, id="no distributions"),
    ],
)
def test_no_gpu_hours_no_point(watch: Watches, options: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    watched = watch(**options)
    a_run(watched, **fields)
    watched.collect()
    watched.project.finish("run", START)
    assert watched.after(minutes=2).point_values("gpu_hours") == []


@pytest.mark.parametrize("outcome", ["finished", "failed", "crashed", "killed", "preempted"])
def test_gpu_hours_by_outcome_and_by_whom_completed_tags_names(watch: Watches, outcome: RunState) -> None:
    watched = watch(completed_tags=["user", "group"])
    a_run(watched, system_metrics=RANK_0_LOGS, user="daphne", group="arena", display_name="github.sky.main")
    watched.collect()
    watched.project.end("run", outcome, START)
    points = watched.after(minutes=2).points
    tags = [tags for (name, tags), _ in points if name == "wandb.run.completed.gpu_hours"]
    identity = ("wandb_entity:metta-research", "wandb_project:metta")
    assert tags == [tuple(sorted(("run_type:train", f"outcome:{outcome}", "user:daphne", "group:arena", *identity)))]
    # The other distributions keep their tags.
    assert not [tag for (name, tags), _ in points if "gpu_hours" not in name for tag in tags if "daphne" in tag]


def test_gpus_in_use_are_those_of_every_running_run_by_type_whatever_max_runs(watch: Watches) -> None:
    watched = watch(max_runs=1, system_metrics=[])
    for i, (name, state) in enumerate(
        [("github.sky.a", "running"), ("github.sky.b", "pending"), ("my.sweep", "running"), ("other", "finished")]
    ):
        watched.project.start(f"run{i}", START, display_name=name, state=state, system_metrics=RANK_0_LOGS)
    received = watched.collect()
    found = {value_of(tags, "run_type"): value for (name, tags), value in received.gauges.items() if "gpus" in name}
    assert found == {"train": 16.0, "sweep": 8.0, "all": 0.0}
