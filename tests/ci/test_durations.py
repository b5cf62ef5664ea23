"""The distribution of durations: one point for each run that was seen to end."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from ci_support.scene import Scene

from metta_checks.simulator.github_refusals import server_error

MINUTES = timedelta(minutes=1)


@pytest.fixture
def watched(scene) -> Scene:
    watched = scene()
    assert watched.collect().figures.points == Counter()
    watched.later()
    return watched


def start(scene: Scene, **more: object) -> int:
    return scene.repository.new_run(scene.repository.workflows[1].id, **more).id


@pytest.mark.parametrize("conclusion", ["success", "failure", "cancelled", "timed_out", "skipped"])
def test_a_run_that_ends_is_one_point(watched, conclusion):
    run_id = start(watched)
    assert watched.collect().figures.points == Counter()
    watched.later(7 * MINUTES)
    watched.repository.complete(run_id, conclusion)

    assert watched.collect().figures.points == {("lint.yml", conclusion, 7.0): 1}
    watched.later()
    assert watched.collect().figures.points == Counter()


def test_one_that_came_and_went_between_two_collections_counts_too(watched):
    start(watched, conclusion="success", created_at=watched.clock() - 3 * MINUTES, duration=2 * MINUTES)

    assert watched.collect().figures.points == {("lint.yml", "success", 2.0): 1}


def test_one_that_had_ended_before_the_first_collection_never_counts(watched):
    """Not even where the listing shows it late, or where it is run again."""
    before = watched.clock() - timedelta(hours=2)
    start(watched, conclusion="success", created_at=before, duration=5 * MINUTES)
    ended = next(run for run in watched.repository.runs if run.conclusion == "failure" and run.branch == "main")
    watched.repository.rerun(ended.id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert watched.collect().figures.points == Counter()


def test_one_that_was_under_way_for_days_is_too_old_to_count(watched):
    run_id = start(watched)
    for _ in range(5):
        watched.later(timedelta(hours=10))
        assert watched.collect().error is None
    watched.repository.complete(run_id, "timed_out")

    assert watched.collect().figures.points == Counter()


def test_a_run_that_is_run_again_is_no_second_point(watched):
    run_id = start(watched, conclusion="failure", duration=2 * MINUTES)
    assert watched.collect().figures.points.total() == 1
    watched.later()
    watched.repository.rerun(run_id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert watched.collect().figures.points == Counter()


@pytest.mark.parametrize("where", [{"branch": "release/1.4"}, {"head_repository": "somebody/arena"}])
def test_runs_of_other_branches_and_of_forks_are_not_measured(watched, where):
    start(watched, conclusion="success", **where)

    assert watched.collect().figures.points == Counter()


def test_a_collection_in_which_a_part_fails_loses_none(watched):
    start(watched, conclusion="success", duration=2 * MINUTES)
    # The new run is read before the older ones fail.
    watched.server.intercept = lambda request: server_error(500) if "created" in request.query else None
    first = watched.collect().figures.points
    watched.server.intercept = None
    watched.later()

    assert first + watched.collect().figures.points == {("lint.yml", "success", 2.0): 1}


def test_they_can_be_switched_off(scene):
    watched = scene(distributions=False)
    watched.collect()
    watched.later()
    start(watched, conclusion="success")

    assert watched.collect().figures.points == Counter()


def test_what_a_point_carries(watched, aggregator):
    start(watched, conclusion="success", duration=2 * MINUTES)
    watched.collect()

    (bucket,) = aggregator.histogram_bucket("metta.infra.cron.ci.run.duration_minutes")

    assert (bucket.value, bucket.lower_bound, bucket.upper_bound, bucket.monotonic) == (1, 2.0, 2.0, False)
    assert sorted(bucket.tags) == [
        "branch:main",
        "conclusion:success",
        "repo:demo-org/arena",
        "source:cron",
        "workflow:lint.yml",
        "workflow_category:ci",
    ]
