"""The projects of a whole entity in one instance: which are watched, what they cost, and what one failure does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent as agent
from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.entity import Entity, project_of
from wandb_support.watch import START

from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject


@pytest.fixture
def entity(aggregator: AggregatorStub) -> Iterator[Callable[..., Entity]]:
    made: list[Entity] = []

    def make(*projects: DemoProject, **options: Any) -> Entity:
        made.append(Entity(aggregator, *projects, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answer(document: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def asked_for(request: Request) -> dict[str, str]:
    """The projects in a request by alias; empty for the list."""
    variables = json.loads(request.body)["variables"]
    return {f"p{key[7:]}": value for key, value in variables.items() if key.startswith("project")}


def lists(request: Request) -> bool:
    return b"models(" in request.body


def test_twelve_projects_take_four_requests_and_then_one(entity: Callable[..., Entity]) -> None:
    """Of the four the first is the list, and the others ask for so many runs as each project may have."""
    watched = entity(*(project_of(f"p{n:02}", runs=10, ended=30) for n in range(12)))
    assert watched.collect() == 4
    assert watched.statuses() == {"read": 12}
    assert watched.by_project("wandb.runs") == {f"p{n:02}": 40.0 for n in range(12)}
    assert watched.by_project("metta.check.up") == {f"p{n:02}": 1.0 for n in range(12)}
    assert watched.collect(minutes=2) == 1
    assert watched.by_project("wandb.runs") == {f"p{n:02}": 40.0 for n in range(12)}
    # The list is due again after ten minutes.
    assert watched.collect(minutes=8) == 2


def test_the_figures_of_each_project_are_those_of_a_single_instance(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("arena", runs=3, ended=2), project_of("maze", runs=1, ended=4))
    singles = {name: watched.new_check(projects=None, project=name) for name in ("arena", "maze")}
    caches: list[dict[str, str]] = [{}, {}]
    for minutes in (0, 2, 30, 2, 70):
        watched["arena"].beat("arena-0", watched.now, {"overview/reward": minutes})
        if minutes == 30:
            watched["maze"].finish("maze-0", watched.now)
        agent._cache, caches[1] = caches[0], agent._cache
        watched.collect(minutes=minutes)
        together = {name: (watched.figures(name), watched.points().count(name)) for name in singles}
        agent._cache, caches[0] = caches[1], agent._cache
        for name, single in singles.items():
            watched.collect(single)
            assert (watched.figures(name), watched.points().count(name)) == together[name]


@pytest.mark.parametrize(
    ("projects", "expected"),
    [
        ({"include": ["ma.*"]}, {"maze", "mansion"}),
        ({"include": [".*"], "exclude": ["ma.*"]}, {"arena", "scratch-1"}),
        ({"include": ["arena", "ma[xz]e"]}, {"arena", "maze"}),
        ({"include": [".*"], "exclude": ["scratch-[0-9]+", "arena"]}, {"maze", "mansion"}),
        ({"include": ["aren"], "exclude": ["x"]}, {"aren"}),
    ],
)
def test_which_projects_are_watched(entity: Callable[..., Entity], projects: Any, expected: set[str]) -> None:
    watched = entity(*map(project_of, ("arena", "maze", "mansion", "scratch-1")), projects=projects)
    if expected == {"aren"}:
        assert "W&B has no such project" in watched.failing()
    else:
        watched.collect()
    assert set(watched.by_project("metta.check.up")) == expected


def test_what_is_over_the_limit_is_a_warning_and_counted(entity: Callable[..., Entity]) -> None:
    watched = entity(*(project_of(f"p{n}") for n in range(7)), projects={"include": ["p.*"], "limit": 3})
    watched.collect()
    assert set(watched.by_project("metta.check.up")) == {"p0", "p1", "p2"}
    assert watched.statuses() == {"read": 3, "over_limit": 4}
    (warning,) = watched.warnings()
    assert warning == "4 projects of entity team are over the `limit` of 3 and not read: p3; p4; p5; 1 more"


def test_a_new_project_appears_and_a_deleted_one_fails_for_a_day(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("arena"), project_of("maze"))
    watched.collect()
    watched.add(project_of("new"))
    watched.remove("maze")
    watched.collect(minutes=10)
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 0.0, "new": 1.0}
    assert watched.statuses() == {"read": 2, "failed": 1}
    assert set(watched.by_project("wandb.runs")) == {"arena", "new"}
    (warning,) = watched.warnings()
    assert warning.startswith(
        "project team/maze: W&B: read project team/maze: it has been missing from the list since 2026-"
    )
    watched.collect(hours=23)
    assert (watched.by_project("metta.check.up")["maze"], len(watched.warnings())) == (0.0, 1)
    watched.collect(hours=1)
    assert set(watched.by_project("metta.check.up")) == {"arena", "new"}
    assert watched.warnings() == []


def test_a_project_that_is_deleted_before_the_list_is_read_again_fails_alone(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("arena"), project_of("maze"))
    watched.collect()
    watched.remove("maze")
    assert watched.collect(minutes=2) == 1
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 0.0}
    assert "project team/maze: W&B has no such project" in watched.warnings()[0]


@pytest.mark.parametrize("restart", [False, True])
def test_a_list_that_flaps_never_reports_a_point_twice(entity: Callable[..., Entity], restart: bool) -> None:
    watched = entity(project_of("arena", runs=2), project_of("maze", runs=2))
    watched.collect()
    watched["maze"].finish("maze-0", watched.now)
    watched.collect(minutes=2)
    assert watched.points() == ["maze"]
    for _ in range(3):
        gone = watched.remove("maze")
        watched.collect(minutes=10)
        assert watched.points() == []
        if restart:
            watched.restart()
        watched.add(gone)
        watched.collect(minutes=10)
        assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 1.0}
        assert watched.points() == []
    watched["maze"].finish("maze-1", watched.now)
    watched.collect(minutes=2)
    assert watched.points() == ["maze"]


def test_when_the_list_fails_the_last_one_stays_in_use(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("arena"), project_of("maze"))
    watched.collect()
    watched.server.intercept = lambda request: answer({"errors": [{"message": "no"}]}, 500) if lists(request) else None
    watched.check.transport.pause = 0.001
    watched.collect(minutes=10)
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 1.0}
    (warning,) = watched.warnings()
    assert "the projects of entity team could not be listed; the list of 600 s ago stays in use" in warning
    watched.restart()
    watched.collect(minutes=10)
    assert watched.statuses() == {"read": 2}


@pytest.mark.parametrize("provider", ["kubernetes-container-allinone", "container"])
def test_a_list_that_a_stranger_led_the_check_to_is_not_believed_by_a_trusted_instance(
    entity: Callable[..., Entity], provider: str
) -> None:
    """With a proxy of theirs a stranger can answer in the server's place."""
    watched = entity(project_of("arena"), project_of("planted"))
    watched.check.provider = provider
    watched.collect()
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "planted": 1.0}
    watched.remove("planted")
    watched.restart()
    watched.check.provider = "file"

    watched.collect(minutes=1)

    assert watched.by_project("metta.check.up") == {"arena": 1.0}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"data": {"viewer": None, "models": None}}, "unauthorized"),
        ({"data": {"viewer": {"id": "1"}, "models": None}}, "W&B has no such entity"),
        ({"data": {"viewer": {"id": "1"}, "models": {"edges": [{"node": {}}]}}}, "malformed response"),
        ({"data": None}, "malformed response"),
        ({"errors": [{"message": "permission denied", "path": ["models"]}], "data": {"models": None}}, "forbidden"),
    ],
)
def test_a_list_that_was_never_read_is_an_error(entity: Callable[..., Entity], document: Any, words: str) -> None:
    watched = entity(project_of("arena"))
    watched.server.intercept = lambda request: answer(document) if lists(request) else None
    assert words in watched.failing()
    assert watched.by_project("metta.check.up") == {"": 0.0}
    assert watched.statuses() == {}


def test_an_entity_without_projects_is_a_warning_and_not_up(entity: Callable[..., Entity]) -> None:
    watched = entity(projects={"include": ["x.*"]})
    watched.collect()
    assert watched.warnings() == ["Entity team has no project that this key can see: check `entity` and the key's team"]
    assert watched.by_project("metta.check.up") == {"": 0.0}


@pytest.mark.parametrize("projects", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_projects_are_listed_by_a_hundred(entity: Callable[..., Entity], projects: int) -> None:
    watched = entity(project_of("p00001"), project_of("p00002"), projects={"include": ["p.*"], "limit": 2})
    for number in range(3, projects + 1):
        watched.server.projects["team", f"p{number:05}"] = DemoProject("team", f"p{number:05}")
    assert watched.collect() == projects / 100 + 1
    assert watched.statuses() == {"read": 2, "over_limit": projects - 2}
    assert watched.collect(minutes=2) == 1


def test_a_project_that_nobody_named_sends_no_zeros_while_nothing_runs(entity: Callable[..., Entity]) -> None:
    old = DemoProject("team", "old")
    old.start("r", START - timedelta(days=90), state="finished", heartbeat_at=START - timedelta(days=80))
    named = DemoProject("team", "named")
    watched = entity(old, named, project_of("arena"), projects={"include": ["named", "o.*", "a.*"]})
    watched.collect()
    assert watched.by_project("wandb.runs") == {"named": 0.0, "arena": 1.0}
    assert set(watched.by_project("wandb.gpus_in_use")) == {"named", "arena"}
    assert watched.by_project("metta.check.up") == {"old": 1.0, "named": 1.0, "arena": 1.0}
    old.start("s", watched.now)
    watched.collect(minutes=2)
    assert watched.by_project("wandb.runs")["old"] == 1.0


def test_max_runs_is_shared_by_what_each_project_had(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("big", runs=50), project_of("small", runs=3), project_of("tiny", runs=1), max_runs=30)
    watched.collect()
    assert watched.by_project("metta.check.series") != {}
    first = {name: len([s for s in watched.figures(name) if s[0] == "wandb.run.duration_hours"]) for name in NAMES}
    assert first == {"big": 10, "small": 3, "tiny": 1}
    watched.collect(minutes=2)
    then = {name: len([s for s in watched.figures(name) if s[0] == "wandb.run.duration_hours"]) for name in NAMES}
    assert then == {"big": 26, "small": 3, "tiny": 1}
    # A project that grows gets its part in the next collection.
    for number in range(20):
        watched["tiny"].start(f"new{number}", watched.now)
    watched.collect(minutes=2)
    watched.collect(minutes=2)
    grown = {name: len([s for s in watched.figures(name) if s[0] == "wandb.run.duration_hours"]) for name in NAMES}
    assert grown == {"big": 14, "small": 3, "tiny": 13}


@pytest.mark.parametrize("max_runs", [20, 100])
def test_a_new_project_leaves_those_that_grow_their_share(entity: Callable[..., Entity], max_runs: int) -> None:
    watched = entity(project_of("arena", runs=2), max_runs=max_runs)
    watched.collect()
    watched.add(project_of("new"))
    for number in range(3):
        watched["arena"].start(f"more{number}", watched.now)
    watched.collect(minutes=10)
    series = [name for name, _ in watched.figures("arena") if name == "wandb.run.duration_hours"]
    assert len(series) == 5
    assert watched.warnings() == []


def test_the_state_of_a_project_that_stays_away_is_emptied(entity: Callable[..., Entity]) -> None:
    """After the timeframe nothing of it could count; it may come back, and starts anew."""
    watched = entity(project_of("arena"), project_of("maze", runs=2))
    watched.collect()
    watched["maze"].finish("maze-0", watched.now)
    watched.collect(minutes=2)
    assert watched.points() == ["maze"]
    gone = watched.remove("maze")
    watched.collect(minutes=10)
    watched.collect(days=6)
    assert sum(text != "" for text in agent._cache.values()) == 3
    watched.collect(days=1)
    assert sum(text != "" for text in agent._cache.values()) == 2
    watched.add(gone)
    watched.collect(minutes=10)
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 1.0}
    assert watched.points() == []
    gone.finish("maze-1", watched.now)
    watched.collect(minutes=2)
    assert watched.points() == ["maze"]


NAMES = ("big", "small", "tiny")


def test_one_project_with_many_runs_goes_on_alone(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("big", runs=5, ended=395), *(project_of(f"p{n}") for n in range(4)))
    # The list, one batch of all five, and the second page of the large one.
    assert watched.collect() == 3
    assert watched.by_project("wandb.runs") == {"big": 400.0, "p0": 1.0, "p1": 1.0, "p2": 1.0, "p3": 1.0}
    assert watched.statuses() == {"read": 5}


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ({"errors": [{"message": "query too complex"}]}, 400),
        ({"errors": [{"message": "response is too large"}]}, 200),
        ({"errors": [{"message": "context deadline exceeded"}]}, 200),
        ({"message": "bad gateway"}, 502),
        ({"data": {"viewer": {"id": "1"}, "p0": 7}}, 200),
    ],
)
def test_a_batch_that_the_server_refuses_is_halved_and_the_size_remembered(
    entity: Callable[..., Entity], refusal: Any, status: int
) -> None:
    watched = entity(
        *(project_of(f"p{n}", runs=3) for n in range(8)), projects={"include": [f"p{n}" for n in range(8)]}
    )
    watched.check.load_options()
    watched.check.transport.pause = 0.001
    watched.server.intercept = lambda request: answer(refusal, status) if len(asked_for(request)) > 2 else None
    watched.collect()
    assert watched.statuses() == {"read": 8}
    assert watched.by_project("wandb.runs") == {f"p{n}": 3.0 for n in range(8)}
    watched.server.requests.clear()
    watched.collect(minutes=2)
    sizes = [len(asked_for(request)) for request in watched.server.requests]
    # Deltas ask for fewer runs each, so that the size is found once more; then it stays.
    watched.server.requests.clear()
    watched.collect(minutes=2)
    again = [len(asked_for(request)) for request in watched.server.requests]
    assert watched.by_project("wandb.runs") == {f"p{n}": 3.0 for n in range(8)}
    assert len(again) <= min(len(sizes), 8)
    assert max(again) <= 2


def test_a_project_whose_listing_the_server_cannot_give_fails_alone_and_then_costs_one_batch_nothing(
    entity: Callable[..., Entity],
) -> None:
    watched = entity(*(project_of(f"p{n}") for n in range(6)))
    watched.check.load_options()
    watched.check.transport.pause = 0.001
    watched.server.intercept = lambda request: (
        answer({"message": "oops"}, 502) if "p3" in asked_for(request).values() else None
    )
    watched.collect()
    assert watched.by_project("metta.check.up") == {f"p{n}": float(n != 3) for n in range(6)}
    assert watched.statuses() == {"read": 5, "failed": 1}
    # Two batches around it, and three tries of its own.
    assert watched.collect(minutes=2) <= 6
    watched.server.intercept = None
    watched.collect(minutes=2)
    assert watched.statuses() == {"read": 6}
    assert watched.collect(minutes=2) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("permission denied", "forbidden"),
        ("project not found", "not found"),
        ("context deadline exceeded", "server error"),
        ("invalid cursor", "rejected"),
    ],
)
def test_an_error_of_one_project_inside_a_batch_is_its_own(
    entity: Callable[..., Entity], error: str, words: str
) -> None:
    watched = entity(*map(project_of, ("arena", "maze", "zoo")))
    watched.check.load_options()
    watched.check.transport.pause = 0.001

    def intercept(request: Request) -> Reply | None:
        aliases = asked_for(request)
        bad = next((alias for alias, name in aliases.items() if name == "maze"), None)
        if bad is None:
            return None
        document = json.loads(watched.server.answer(request).body)
        field = bad if len(aliases) > 1 else "project"
        document["data"][field] = None
        document["errors"] = [{"message": error, "path": [field]}]
        return answer(document)

    watched.server.intercept = intercept
    watched.collect()
    assert watched.by_project("metta.check.up") == {"arena": 1.0, "maze": 0.0, "zoo": 1.0}
    (warning,) = watched.warnings()
    assert warning.startswith("project team/maze: ")
    assert error in warning
    assert f"({words})" in warning


@pytest.mark.parametrize("invalid_key", ["401", "null"])
def test_a_key_that_is_refused_costs_one_request(entity: Callable[..., Entity], invalid_key: Any) -> None:
    names = [f"p{n}" for n in range(6)]
    watched = entity(*map(project_of, names), projects={"include": names}, api_key="0" * 40)
    watched.server.invalid_key = invalid_key
    assert "unauthorized" in watched.failing()
    assert len(watched.server.requests) == 1
    assert watched.by_project("metta.check.up") == dict.fromkeys(names, 0.0)


def test_a_rate_limit_costs_one_request_and_fails_the_rest(entity: Callable[..., Entity]) -> None:
    watched = entity(*(project_of(f"p{n}") for n in range(3)), page_size=1)
    watched.collect()
    watched.server.intercept = lambda request: (
        answer({"errors": [{"message": "rate limit exceeded"}]}, 429)
        if "p0" not in asked_for(request).values()
        else None
    )
    watched.collect(minutes=2)
    assert watched.by_project("metta.check.up") == {"p0": 1.0, "p1": 0.0, "p2": 0.0}


def test_an_outage_does_not_cost_a_request_for_each_project(entity: Callable[..., Entity]) -> None:
    watched = entity(*(project_of(f"p{n:02}") for n in range(40)))
    watched.collect()
    watched.check.transport.pause = 0.001
    watched.server.intercept = lambda _: answer({"message": "down"}, 503)
    before = len(watched.server.requests)
    assert "none of 40 targets could be read" in watched.failing(minutes=2)
    assert len(watched.server.requests) - before <= 40
    watched.server.intercept = None
    assert watched.collect(minutes=2) <= 5
    assert watched.statuses() == {"read": 40}
    assert watched.collect(minutes=2) <= 2


def test_targets_whose_turn_does_not_come_wait_and_come_first_the_next_time(entity: Callable[..., Entity]) -> None:
    names = ["p0", "p1", "p2"]
    watched = entity(*map(project_of, names), projects={"include": names}, page_size=1)
    watched.collect()
    slow: list[str] = []

    def expire(request: Request) -> None:
        slow.extend(asked_for(request).values())
        if len(slow) == 1:
            watched.check.collection.deadline.seconds = 0.001

    watched.server.intercept = expire
    watched.collect(minutes=2)
    assert watched.statuses() == {"failed": 1, "waiting": 2}
    assert watched.by_project("metta.check.up") == {"p0": 0.0, "p1": 1.0, "p2": 1.0}
    assert watched.by_project("metta.check.read_age_seconds") == {"p0": 120.0, "p1": 120.0, "p2": 120.0}
    assert set(watched.by_project("wandb.runs")) == set()
    watched.collect(minutes=2)
    assert slow[1:] == ["p1", "p2", "p0"]
    assert watched.statuses() == {"read": 3}


def test_a_field_that_an_older_server_does_not_have_is_left_out_of_a_batch_too(entity: Callable[..., Entity]) -> None:
    watched = entity(*map(project_of, ("arena", "maze")))
    refused = {"errors": [{"message": 'Cannot query field "runCount" on type "Project".'}]}
    watched.server.intercept = lambda request: answer(refused, 400) if b"runCount" in request.body else None
    assert watched.collect() == 3
    assert watched.statuses() == {"read": 2}
    assert all("has no `runCount`" in warning for warning in watched.warnings())


def test_names_of_a_list_do_no_harm(entity: Callable[..., Entity]) -> None:
    names = ["a b", "ümlaut", 'quo"te', "x" * 128, "$0", "p{0}"]
    watched = entity(*map(project_of, names))
    watched.collect()
    assert watched.statuses() == {"read": len(names)}


def test_a_diagnosis_and_the_state_are_per_target(entity: Callable[..., Entity]) -> None:
    watched = entity(project_of("arena"), project_of("maze"))
    watched.collect()
    assert len(agent._cache) == 3
    assert "project team/maze: W&B: read at " in watched.check.get_diagnoses()
    # A single instance of the same project goes on with the same state.
    single = watched.new_check(projects=None, project="maze")
    watched.collect(single)
    assert len(agent._cache) == 3


def test_two_instances_with_disjoint_patterns_do_not_disturb_each_other(entity: Callable[..., Entity]) -> None:
    watched = entity(*map(project_of, ("arena", "maze")), projects={"include": ["a.*"]})
    other = watched.new_check(projects={"include": ["m.*"]})
    watched.collect()
    assert set(watched.by_project("metta.check.up")) == {"arena"}
    watched.collect(other)
    assert set(watched.by_project("metta.check.up")) == {"maze"}
    watched.collect(minutes=2)
    assert set(watched.by_project("metta.check.up")) == {"arena"}
