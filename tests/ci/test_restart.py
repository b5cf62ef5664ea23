"""The Agent stops and starts: what the persistent cache holds is enough, and what it cannot hold does no harm."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ci_support.scene import Scene
from ci_support.truth import Truth
from datadog_checks.base.stubs import datadog_agent
from simulator_support.github_changes import RandomChanges

AFTER_A_RESTART = 5


@pytest.fixture
def watched(scene) -> Scene:
    return scene(40, 600, events=True)


def stored(scene: Scene) -> tuple[str, str]:
    """Key and text of the check's only entry in the persistent cache."""
    ((key, text),) = datadog_agent._cache.items()
    return key, text


def test_it_costs_no_cold_start_and_changes_no_figure(watched):
    before = watched.collect()

    watched.restart()
    after = watched.collect()

    assert after.figures.gauges == before.figures.gauges
    assert len(after.requests) <= AFTER_A_RESTART
    assert after.counted == {"core": 0, "search": 0, "graphql": 1}


def test_no_run_is_measured_twice(watched):
    truth, activity = Truth(watched.repository), RandomChanges(watched.repository)
    watched.collect()
    truth.look(watched.clock())
    points = 0
    for _ in range(8):
        watched.later(timedelta(minutes=20))
        activity.catch_up()
        collected, expected = watched.collect(), truth.look(watched.clock())
        assert collected.figures.points == expected.points
        points += collected.figures.points.total()
        watched.restart()
        assert watched.collect().figures.points.total() == 0
    assert points > 20


def test_the_state_is_compact_and_does_not_grow(watched):
    activity = RandomChanges(watched.repository)
    watched.collect()
    known, size = len(watched.ledger.runs), len(stored(watched)[1])
    assert size < 40 * known

    for _ in range(12):
        watched.later(timedelta(hours=4))
        activity.catch_up()
        watched.collect()

    assert len(watched.ledger.runs) < 1.3 * known
    assert len(stored(watched)[1]) < 1.3 * size


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: "", id="lost"),
        pytest.param(lambda text: text[: len(text) // 2], id="cut short"),
        pytest.param(lambda _: "{}", id="of something else"),
        pytest.param(lambda _: "not even JSON", id="foreign"),
        pytest.param(lambda text: text.replace('"version":1', '"version":999'), id="of another version"),
        pytest.param(lambda text: text.replace('"state":"', '"state":"x'), id="torn inside"),
        pytest.param(lambda _: '{"version":1,"state":null}', id="empty"),
        pytest.param(lambda _: '{"version":1,"state":{"runs":[]}}', id="of another shape"),
    ],
)
def test_damaged_state_is_a_fresh_start(scene, damage):
    watched = scene(events=True)
    before = watched.collect()
    key, text = stored(watched)
    watched.restart()
    datadog_agent.write_persistent_cache(key, damage(text))

    after = watched.collect()

    assert after.error is None
    assert after.figures.gauges == before.figures.gauges
    assert after.figures.points.total() == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("branch", "release/1.4"), ("window", "12h"), ("repo", "demo-org/other"), ("api_url", "http://127.0.0.1:1")],
)
def test_state_belongs_to_what_is_watched(watched, option, value):
    same = watched.new_check()
    watched.options[option] = value
    other = watched.new_check()

    assert watched.check.targets() == same.targets() != other.targets()


def test_what_a_quiet_workflow_did_in_a_long_pause_is_found_out(watched):
    """Its last run was known, the one in the pause is older than the look-back by now, and behind the first page."""
    truth = Truth(watched.repository)
    quiet = watched.repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
    watched.repository.new_run(quiet.id, conclusion="success", duration=timedelta(0))
    watched.later()
    watched.collect()
    watched.later(timedelta(days=3))
    watched.repository.new_run(quiet.id, conclusion="failure", duration=timedelta(0))
    for _ in range(120):
        watched.later(timedelta(minutes=1))
        watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", duration=timedelta(0))
    watched.later(timedelta(days=5))

    collected = watched.collect()

    assert collected.value("metta.infra.cron.ci.workflow.latest_success", "workflow:quiet.yml") == 0
    assert collected.figures.gauges == pytest.approx(truth.look(watched.clock()).gauges)


@pytest.mark.parametrize("pause", [timedelta(hours=50), timedelta(hours=-2)], ids=["a long pause", "a clock set back"])
def test_longer_than_the_look_back_is_a_fresh_start_without_old_points(scene, pause):
    """What happened in between nobody saw, so that what is known of quiet workflows is not to be trusted either."""
    watched = scene(events=True)
    watched.collect()
    watched.later(pause)
    watched.restart()
    truth = Truth(watched.repository)

    collected = watched.collect()

    expected = truth.look(watched.clock())
    assert collected.figures.gauges == pytest.approx(expected.gauges)
    assert collected.figures.points == expected.points
