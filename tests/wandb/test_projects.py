"""Several projects of an entity in one instance, given by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

START = datetime(2026, 1, 10, 12, tzinfo=UTC)

NewCheck = Callable[..., WandbCheck]


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def projects() -> list[DemoProject]:
    """Two projects, each with a run of its own name that is alive."""
    made = [DemoProject("team", name) for name in ("arena", "maze")]
    for project in made:
        project.start(f"{project.name}-1", START - timedelta(hours=1), heartbeat_at=START)
    return made


@pytest.fixture
def server(projects: list[DemoProject]) -> Iterator[WandbServer]:
    with WandbServer(*projects) as server:
        yield server


@pytest.fixture
def new_check(server: WandbServer) -> NewCheck:
    def make(*include: str, **options: Any) -> WandbCheck:
        instance = {
            "entity": "team",
            "projects": {"include": list(include)},
            "base_url": server.url,
            "api_key": DEMO_API_KEY,
            "tls_verify": False,
            **options,
        }
        check = WandbCheck("metta_wandb", {}, [instance])
        check.clock = Clock()
        return check

    return make


def by_project(aggregator: AggregatorStub, name: str) -> dict[str, float]:
    found = ((stub.value, text) for stub in aggregator.metrics(name) for text in stub.tags)
    return {text.partition(":")[2]: value for value, text in found if text.startswith("wandb_project:")}


def test_each_project_has_its_own_figures_and_state(
    new_check: NewCheck, projects: list[DemoProject], aggregator: AggregatorStub
) -> None:
    check = new_check("arena", "maze")
    assert check.run() == ""
    assert by_project(aggregator, "metta.check.up") == {"arena": 1, "maze": 1}
    assert by_project(aggregator, "wandb.run.duration_hours") == {"arena": 1, "maze": 1}
    assert len(agent._cache) == 2
    check.clock.now = START + timedelta(minutes=2)  # type: ignore[attr-defined]
    projects[1].finish("maze-1", check.clock())
    assert check.run() == ""
    points = aggregator.histogram_bucket("wandb.run.completed.duration_hours")
    assert [tag for point in points for tag in point.tags if tag.startswith("wandb_project:")] == ["wandb_project:maze"]


def test_the_states_are_those_of_single_instances(new_check: NewCheck, server: WandbServer) -> None:
    """An instance for one project and one for several of them keep their state under the same key."""
    assert new_check("arena", "maze").run() == ""
    keys = set(agent._cache)
    agent.reset()
    for name in ("arena", "maze"):
        single = new_check(projects=None, project=name)
        assert single.run() == ""
    assert set(agent._cache) == keys


def test_one_that_does_not_exist_leaves_the_others_alone(new_check: NewCheck, aggregator: AggregatorStub) -> None:
    check = new_check("arena", "gone", "maze")
    assert check.run() == ""
    assert by_project(aggregator, "metta.check.up") == {"arena": 1, "gone": 0, "maze": 1}
    assert by_project(aggregator, "wandb.run.duration_hours") == {"arena": 1, "maze": 1}
    (warning,) = check.get_warnings()
    assert warning.startswith("project team/gone: W&B: POST ")
    assert "W&B has no such project" in warning
    aggregator.assert_metric("metta.check.dropped", 0, count=4)
    entity = ["check_name:metta_wandb", "runner:stubbed.hostname", "wandb_entity:team"]
    aggregator.assert_metric("metta.check.requests", 1, tags=entity, count=1)
    aggregator.assert_metric("metta.check.targets", 1, tags=[*entity, "status:failed"], count=1)
    aggregator.assert_metric("metta.check.targets", 2, tags=[*entity, "status:read"], count=1)
    assert len(agent._cache) == 2


def test_a_key_that_is_refused_fails_them_all(new_check: NewCheck, aggregator: AggregatorStub) -> None:
    report = new_check("arena", "maze", api_key="0" * 40).run()
    assert "none of 2 targets could be read: project team/arena: " in report
    assert "unauthorized" in report
    assert by_project(aggregator, "metta.check.up") == {"arena": 0, "maze": 0}


def test_the_cap_is_shared(new_check: NewCheck, projects: list[DemoProject], aggregator: AggregatorStub) -> None:
    for project in projects:
        for number in range(5):
            project.start(f"{project.name}-more-{number}", START - timedelta(minutes=number), heartbeat_at=START)
    assert new_check("arena", "maze", max_runs=6).run() == ""
    assert len(aggregator.metrics("wandb.run.duration_hours")) == 6
    aggregator.assert_metric_has_tag("metta.check.dropped", "reason:over_limit", count=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"project": "arena"}, "`projects` is set beside `project`"),
        ({"projects": {"include": []}}, "`projects` is empty: name at least one"),
        ({"projects": {"include": ["arena", "("]}}, "`projects` in `include`: `(` is not a regular"),
        ({"projects": {"include": "arena"}}, "projects"),
        ({"projects": {}}, "projects"),
    ],
)
def test_options_that_cannot_be_meant(
    new_check: NewCheck, server: WandbServer, aggregator: AggregatorStub, options: dict[str, Any], words: str
) -> None:
    assert words in new_check("arena", **options).run()
    assert server.requests == []
    aggregator.assert_metric("metta.check.up", 0, count=1)


def test_the_variable_for_one_project_counts_for_nothing_beside_a_list(
    new_check: NewCheck, aggregator: AggregatorStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "other")
    assert new_check("arena", "maze").run() == ""
    assert by_project(aggregator, "metta.check.up") == {"arena": 1, "maze": 1}


def test_a_diagnosis_names_the_project(new_check: NewCheck) -> None:
    check = new_check("arena", "gone")
    assert check.run() == ""
    diagnoses = check.get_diagnoses()
    assert "project team/arena: W&B: read at " in diagnoses
    assert "project team/gone: W&B: POST " in diagnoses
