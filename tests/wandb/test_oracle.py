"""The official SDK as oracle: from what it tells, the plainest code counts the same series and values as the check."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from simulator_support.wandb_projects import edge_case_project
from wandb_support.watch import START, Received, Series, Watch, a_summary, asked_of

from metta_checks.cli.independent_wandb import Scope, SdkRun, independent_count, independent_points
from metta_checks.cli.wandb_sdk import Question, is_installed, read_project
from metta_checks.simulator.wandb_project import ACTIVE, DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY

pytestmark = pytest.mark.skipif(not is_installed(), reason="the official SDK is not installed: pip install wandb")

HOUR = timedelta(hours=1)

INSTANCES: Mapping[str, Mapping[str, object]] = {
    "as it comes": {},
    "an entity": {"projects": {"include": ["met.*"]}, "max_runs": 10_000},
    "all there is": {
        "metrics": ["*"],
        "system_metrics": [
            "gpu_utilization",
            "gpu_memory_utilization",
            "gpu_temperature",
            "gpu_power",
            "cpu_utilization",
            "memory_utilization",
            "disk_utilization",
        ],
        "run_tags": ["user", "group", "job_type", "sweep"],
        "timeframe": "30d",
    },
    "few": {
        "metrics": ["env_task/*/score", "overview/reward", "stats.reward", "val/acc.max", "dotted.key.deep"],
        "sps_keys": ["overview/sps"],
        "system_metrics": ["disk_utilization", "gpu_power"],
        "gpu_devices": "used",
        "run_types": [{"name": "sweep", "pattern": "^$"}, {"name": "arena", "pattern": r"(?i)\.arena\.\d+$"}],
        "timeframe": "12h",
        "max_runs": 25,
    },
}


FORMS: Sequence[tuple[Mapping[str, object], Mapping[str, object]]] = (
    (
        {"overview/reward": {"max": 9.5, "last": 3.25}, "env_task": {"a/score": 1, "_type": "table", "rows": 2}},
        {"system.cpu": 33.0, "system.memory": 44.0, "system.disk": 55.0},
    ),
    (
        {"a": {"b": {"c": 1}, "b.c": 2}, "a.b.c": 3, "x": {"y": None, "z": {}}, "x.y": 4},
        {"system.memory/l:a": 10, "system.memory/l:b": 1, "system.memory_percent/l:b": 20, "system.disk/l:a": 30},
    ),
    (
        {"perf": {"a": True, "b": "text", "c": [1], "d": -0.5}},
        {
            "system.gpu.0.powerWatts/l:a": 100,
            "system.gpu.1.powerWatts/l:a": 300,
            "system.gpu.0.powerWatts/l:b": 500,
            "system.gpu.process.1.powerWatts/l:a": 300,
        },
    ),
)
"""Nested summaries, and system metrics as older SDKs and several nodes write them."""

FIRST_ORDINARY = 100
"""In a project of edge cases: those before are awkward by themselves."""


def add_other_forms(project: DemoProject, rng: random.Random) -> Counter[int]:
    """Gives runs labels, nested values, media, keys of old SDKs and readings by process; how many have which form."""
    counts: Counter[int] = Counter()
    for number, run in enumerate(project.runs[FIRST_ORDINARY:]):
        summary = dict(run.summary) if isinstance(run.summary, Mapping) else {}
        machine = dict(run.system_metrics) if isinstance(run.system_metrics, Mapping) else {"system.cpu": 5.0}
        plain = {key: value for key, value in machine.items() if not key.startswith("system.gpu.process.")}
        form = number % 6
        counts[form] += 1
        if form == 0:
            nodes = rng.sample(("rank-0", "rank-1", "node/1.eu", "gpu.0.gpu", "ä b"), rng.randrange(1, 4))
            machine = {f"{key}/l:{node}": rng.randrange(100) for node in nodes for key in plain}
        elif form == 1:
            summary["stats"] = {"reward": rng.random(), "deep": {"er": -rng.random()}}
            summary["val/acc"] = {"max": rng.random(), "last": rng.choice((0.5, "NaN", None, "text"))}
            summary["dotted.key"] = {"deep": rng.random()}
        elif form == 2:
            old = {"system.cpu": 33, "system.memory": rng.randrange(100), "system.disk": rng.randrange(100)}
            machine = {**{key: value for key, value in plain.items() if ".gpu." in key}, **old}
            if number % 4:
                machine |= {"system.memory_percent": rng.randrange(100), "system.disk./mnt/a.b.usagePercent": 7}
        elif form == 3:
            summary["env_task/map/score"] = {"_type": "image-file", "size": 3, "caption": "x"}
            summary["overview"] = {"table": {"_type": "table-file", "nrows": 5}, "x": rng.random(), "on": True}
            summary["overview/reward"] = rng.choice((rng.random(), "Infinity", "text", None, [1]))
        elif form == 4:
            machine = {f"system.gpu.{device}.{key}": 10.0 * device for device in range(8) for key in ("gpu", "temp")}
            machine |= {f"system.gpu.process.{device}.gpu": 1.0 for device in rng.sample(range(8), number % 3)}
        else:
            summary["_timestamp"] = rng.choice((None, "NaN", START.timestamp() - 3_600, START.timestamp() * 1_000))
        run.summary, run.system_metrics = summary, machine
    return counts


def moves_on(project: DemoProject, now: datetime, rng: random.Random) -> None:
    """What a project does in some minutes, as far as a delta can notice: runs start, beat, end, come back."""
    alive = [run.name for run in project.runs if run.state in ACTIVE]
    ended = [run.name for run in project.runs if run.state not in ACTIVE]
    rng.shuffle(alive)
    for name in alive[:8]:
        project.crash(name, rng.choice(("crashed", "killed", "preempted")))
    for name in alive[8:20]:
        project.end(name, rng.choice(("finished", "failed")), now - timedelta(seconds=rng.randrange(100)))
    for name in alive[20:50]:
        project.beat(name, now - timedelta(seconds=rng.randrange(60)), a_summary(reward=rng.random(), sps=rng.random()))
    for name in alive[50:55]:
        project.rename(name, f"github.sky.{name}")
    for name in alive[55:58]:
        project.delete(name)
    for name in rng.sample(ended, 12):
        project.resume(name, now)
    for name in rng.sample(ended, 6):
        project.end(name, "failed", now)
    for i in range(15):
        project.start(
            f"{now:%H%M}-{i}", now - timedelta(minutes=i), state=rng.choice(("running", "finished", "failed"))
        )


def moves_unheard(project: DemoProject, rng: random.Random) -> None:
    """What only a full listing notices: ended runs that are renamed and deleted."""
    ended = rng.sample([run.name for run in project.runs if run.state not in ACTIVE], 20)
    for name in ended[:10]:
        project.delete(name)
    for name in ended[10:]:
        project.rename(name, f"sweep.{name}")


class Oracle:
    """What one instance has to say of the runs that the SDK reads, and what follows from earlier readings."""

    def __init__(self, asked: Scope) -> None:
        self._asked = asked
        self._ended_since: dict[str, datetime] | None = None
        self._told: set[str] = set()
        self._alive: set[str] = set()
        self._resumed: dict[str, datetime] = {}

    def differences(self, runs: Sequence[SdkRun], received: Received, now: datetime) -> list[str]:
        """In what `received` is not what `runs` come to at `now`. Each reading is asked about once."""
        first, known = self._ended_since is None, self._ended_since or {}
        ended = [run for run in runs if run.ended]
        in_sight = [run for run in ended if run.active(self._asked.since(now))]
        self._ended_since = {run.id: known.get(run.id, now) for run in in_sight}
        just_ended = [run for run in ended if run.id not in self._told and not first]
        alive = {run.id for run in runs if not run.ended}
        again = (alive - self._alive) & self._told
        self._resumed = {run_id: seen for run_id, seen in self._resumed.items() if run_id in alive}
        self._resumed |= dict.fromkeys(again, now)
        self._alive = alive
        self._told |= {run.id for run in ended}

        silent = [run_id for run_id, since in self._ended_since.items() if now - since > HOUR]
        # The SDK does not tell for how long a run computed.
        points = Counter(point for point in received.points if "gpu_hours" not in point[0][0])
        points.subtract(independent_points(just_ended, self._asked))
        return [
            *differences(received.gauges, independent_count(runs, self._asked, now, silent, self._resumed)),
            *(f"{point}: {count:+} times" for point, count in points.items() if count),
        ]


def with_the_sdk(watch: Watch) -> Sequence[SdkRun]:
    """All runs of the project, as the SDK tells them."""
    question = Question(watch.server.url, DEMO_API_KEY, watch.project.entity, watch.project.name)
    return read_project(question, timeout=120).runs


def differences(ours: Mapping[Series, float], theirs: Mapping[Series, float]) -> list[str]:
    return [
        f"{series}: {ours.get(series)}, and not {theirs.get(series)}"
        for series in ours.keys() | theirs.keys()
        if not math.isclose(ours.get(series, math.nan), theirs.get(series, math.nan), rel_tol=1e-12)
    ]


@pytest.mark.slow
def test_the_check_says_what_the_sdk_says(watch: Callable[..., Watch]) -> None:
    """Three times: a first collection, a delta after twenty minutes, and the hourly listing."""
    others = [edge_case_project(START, runs=20, name=f"metro{number}", broken=False) for number in range(2)]
    watched = watch(project=edge_case_project(START, runs=440, broken=False), others=others)
    forms = add_other_forms(watched.project, random.Random(5))
    assert len(forms) == 6
    assert forms.total() >= 300
    checks = {name: watched.new_check(**options) for name, options in INSTANCES.items()}
    oracles = {name: Oracle(asked_of(watched, check)) for name, check in checks.items()}
    rng = random.Random(3)
    points = 0
    for minutes in (0, 20, 61):
        watched.now = START + timedelta(minutes=minutes)
        if minutes:
            moves_on(watched.project, watched.now, rng)
        if minutes > 60:
            moves_unheard(watched.project, rng)
        runs = with_the_sdk(watched)
        for name, check in checks.items():
            received = watched.collect(check)
            found = oracles[name].differences(runs, received, watched.now)
            assert found == [], f"{name}, after {minutes} minutes"
            assert len(received.gauges) > 50
            points += len(received.points)
    assert points > 100


def test_the_oracle_is_not_blind(watch: Callable[..., Watch]) -> None:
    """Every wrong, missing or invented figure is a difference."""
    watched = watch(project=edge_case_project(START, runs=120, broken=False))
    expected = independent_count(with_the_sdk(watched), asked_of(watched, watched.check), watched.now)
    gauges = watched.collect().gauges
    assert differences(gauges, expected) == []
    assert len(gauges) > 500
    for series, value in list(gauges.items())[::10]:
        others = {key: other for key, other in gauges.items() if key != series}
        assert len(differences({**gauges, series: value * 1.001 + 1e-6}, expected)) == 1
        assert len(differences(others, expected)) == 1
        assert len(differences(gauges, {key: expected[key] for key in others})) == 1


def test_every_form_of_summaries_and_system_metrics(watch: Callable[..., Watch]) -> None:
    """The SDK reads them once: it starts a process, which takes longer than all the rest."""
    watched = watch(**INSTANCES["all there is"])
    for i, (summary, machine) in enumerate(FORMS):
        watched.project.start(f"form{i}", START - HOUR, summary=summary, system_metrics=machine)
    runs = with_the_sdk(watched)
    some = ["a.b.c", "overview/reward", "overview/reward.max", "perf.d", "x.y", "x.z"]
    for metrics, gpu_devices in itertools.product((["*"], some), ("visible", "used")):
        check = watched.new_check(metrics=metrics, gpu_devices=gpu_devices)
        received = watched.collect(check)
        found = Oracle(asked_of(watched, check)).differences(runs, received, watched.now)
        assert found == [], (metrics, gpu_devices)
        assert sum("wandb.run.metric" in series for series in received.gauges) >= 4
