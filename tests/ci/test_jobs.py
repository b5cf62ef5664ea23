"""Jobs: how long each took and waited for a runner, each once, with bounded requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from ci_support.scene import NAMESPACE, Collected, Scene, tag_value
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.github_activity import RepositoryActivity
from metta_checks.simulator.github_records import DemoWorkflowRun
from metta_checks.simulator.github_refusals import (
    JSON_HEADERS,
    bad_credentials,
    not_found,
    permission_missing,
    secondary_limit_exceeded,
    server_error,
)
from metta_checks.simulator.server import Reply, Request

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

SceneMaker = Callable[..., Scene]


class Points(NamedTuple):
    """The points of one collection by what the test looks at."""

    durations: Counter[tuple[str, str, float]]
    waits: Counter[tuple[str, str, float]]


class Watched:
    """A scene with jobs on that has been collected once; its runs are of `ci.yml`."""

    def __init__(self, scene: Scene, aggregator: AggregatorStub) -> None:
        self.scene = scene
        self.repository = scene.repository
        self._aggregator = aggregator
        self.workflow = scene.repository.workflows[0].id
        self.collected: Collected = scene.collect()

    def run(self, conclusion: str = "success", **more: Any) -> DemoWorkflowRun:
        """A run that began four minutes after the last collection and has ended."""
        return self.repository.new_run(self.workflow, conclusion=conclusion, duration=3 * MINUTE, **more)

    def points(self) -> Points:
        """Those of the next collection, ten minutes later."""
        self.scene.later(10 * MINUTE)
        self.collected = self.scene.collect()
        assert self.collected.error is None
        return Points(
            self._points("duration_minutes", "conclusion"),
            self._points("queue_minutes", "runner"),
        )

    def _points(self, metric: str, key: str) -> Counter[tuple[str, str, float]]:
        found: Counter[tuple[str, str, float]] = Counter()
        for bucket in self._aggregator.histogram_bucket(f"{NAMESPACE}ci.job.{metric}"):
            assert {"repo:demo-org/arena", "branch:main", "source:cron", "workflow_category:ci"} <= set(bucket.tags)
            assert tag_value(bucket.tags, "workflow") == "ci.yml"
            minutes = round(bucket.lower_bound, 6)
            found[tag_value(bucket.tags, "job"), tag_value(bucket.tags, key), minutes] += bucket.value
        return found

    def asked(self) -> list[str]:
        return asked(self.collected)


def asked(collected: Collected) -> list[str]:
    """The requests for jobs."""
    return [request.target for request in collected.requests if request.path.endswith("/jobs")]


@pytest.fixture
def watch(empty_scene: SceneMaker, aggregator: AggregatorStub) -> Callable[..., Watched]:
    return lambda **options: Watched(empty_scene(**{"jobs": True, **options}), aggregator)


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    return watch()


def answering(watched: Watched, response: Reply, about: Callable[[Request], bool] = lambda _: True) -> None:
    """From now on requests for jobs get this answer."""
    watched.scene.server.intercept = lambda request: (
        response if request.path.endswith("/jobs") and about(request) else None
    )


def test_each_job_of_a_run_that_ends_is_a_point_of_both(watched: Watched) -> None:
    run = watched.run("failure")
    jobs = watched.repository.jobs
    jobs.add(run, "lint", queued=30 * SECOND, duration=MINUTE)
    jobs.add(run, "test (3.11, ubuntu)", queued=6 * MINUTE, duration=2 * MINUTE, labels=("self-hosted", "GPU"))
    jobs.add(run, "test (3.12, ubuntu)", queued=7 * MINUTE, duration=2 * MINUTE, conclusion="failure")

    durations, waits = watched.points()

    assert durations == {
        ("lint", "success", 1.0): 1,
        ("test", "success", 2.0): 1,
        ("test", "failure", 2.0): 1,
    }
    assert waits == {
        ("lint", "ubuntu-latest", 0.5): 1,
        ("test", "gpu_self-hosted", 6.0): 1,
        ("test", "ubuntu-latest", 7.0): 1,
    }
    assert watched.asked() == [f"/repos/demo-org/arena/actions/runs/{run.id}/attempts/1/jobs?per_page=100"]
    assert watched.points() == (Counter(), Counter())
    assert watched.asked() == []


def test_they_are_off_by_default(watch: Callable[..., Watched]) -> None:
    watched = watch(jobs=False)
    watched.run()

    assert watched.points() == (Counter(), Counter())
    assert watched.asked() == []


def test_without_a_token_they_are_not_read(watch: Callable[..., Watched]) -> None:
    watched = watch(token=None)
    watched.run()

    assert watched.points() == (Counter(), Counter())
    assert watched.asked() == []
    assert [text for text in watched.collected.warnings if "the jobs are not read" in text]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("build", "build"),
        ("test (3.11)", "test"),
        ("test (3.11, ubuntu-latest, true)", "test"),
        ("test (a (b) c)", "test"),
        ("deploy (eu) / build (arm64)", "deploy / build"),
        ("deploy / build (x / y)", "deploy / build"),
        ("lint (fast) and format", "lint (fast) and format"),
        ("(nightly)", "(nightly)"),
        ("test (3.11", "test (3.11"),
        ("test 3.11)", "test 3.11)"),
        ("test(3.11)", "test(3.11)"),
        ("build, push (a)", "build_ push"),
    ],
)
def test_the_tag_of_a_job_is_its_name_without_the_matrix(watched: Watched, name: str, expected: str) -> None:
    watched.repository.jobs.add(watched.run(), name)

    assert {job for job, _, _ in watched.points().durations} == {expected}


@pytest.mark.parametrize(
    ("labels", "runner"),
    [
        (("ubuntu-latest",), "ubuntu-latest"),
        (("X64", "self-hosted", "Linux"), "linux_self-hosted_x64"),
        (("a100", "a100"), "a100"),
        ((), "none"),
        # What starts a runner for one run names the run: each would be a series of its own.
        (("runs-on={run}", "runner=2cpu"), "runner=2cpu_runs-on=run_id"),
    ],
)
def test_the_runner_is_the_labels_that_were_asked_for(watched: Watched, labels: Sequence[str], runner: str) -> None:
    run = watched.run()
    watched.repository.jobs.add(run, "train", labels=tuple(label.format(run=run.id) for label in labels))

    assert {found for _, found, _ in watched.points().waits} == {runner}


@pytest.mark.parametrize(
    "idle",
    [
        pytest.param({"conclusion": "skipped", "runner_name": None, "labels": ()}, id="skipped"),
        pytest.param({"conclusion": "skipped", "duration": timedelta(0)}, id="skipped, with a runner"),
        pytest.param({"conclusion": "cancelled", "runner_name": None}, id="cancelled in the queue"),
        pytest.param({"completed_at": None}, id="without an end"),
    ],
)
def test_a_job_that_did_nothing_is_no_point(watched: Watched, idle: dict[str, Any]) -> None:
    run = watched.run()
    watched.repository.jobs.add(run, "build", duration=MINUTE)
    watched.repository.jobs.add(run, "deploy", **idle)

    assert watched.points().durations == {("build", "success", 1.0): 1}


def test_a_job_that_was_cancelled_at_work_is_one(watched: Watched) -> None:
    watched.repository.jobs.add(watched.run("cancelled"), "build", duration=MINUTE, conclusion="cancelled")

    assert watched.points().durations == {("build", "cancelled", 1.0): 1}


@pytest.mark.parametrize("off", [3 * SECOND, MINUTE])
def test_times_that_are_apart_make_nothing_negative(watched: Watched, off: timedelta) -> None:
    run = watched.run()
    watched.repository.jobs.add(run, "build", queued=-off, duration=-off, completed_at=run.created_at)

    assert watched.points() == ({("build", "success", off.total_seconds() / 60): 1}, {("build", "ubuntu-latest", 0): 1})


@pytest.mark.parametrize("conclusion", ["skipped", "startup_failure", "action_required"])
def test_a_run_without_jobs_is_not_asked_about(watched: Watched, conclusion: str) -> None:
    watched.run(conclusion)

    assert watched.points().durations == Counter()
    assert watched.asked() == []


def test_runs_of_other_branches_forks_and_excluded_workflows_are_not(watch: Callable[..., Watched]) -> None:
    watched = watch(exclude_workflows=["nightly*"])
    nightly = watched.repository.add_workflow("Nightly", ".github/workflows/nightly.yml").id
    watched.run(branch="feature")
    watched.run(head_repository="somebody/arena")
    watched.repository.new_run(nightly, conclusion="success")

    assert watched.points().durations == Counter()
    assert watched.asked() == []


def test_what_had_ended_before_the_first_collection_is_not_read(empty_scene: SceneMaker, aggregator: Any) -> None:
    scene = empty_scene(jobs=True)
    workflow = scene.repository.workflows[0].id
    for hours in range(1, 6):
        scene.repository.new_run(workflow, conclusion="success", created_at=scene.clock() - timedelta(hours=hours))
    watched = Watched(scene, aggregator)

    assert watched.points().durations == Counter()
    assert watched.asked() == []


class TestReRuns:
    def test_each_attempt_has_jobs_of_its_own(self, watched: Watched) -> None:
        run = watched.run("failure")
        watched.repository.jobs.add(run, "build", duration=MINUTE, conclusion="failure")
        assert watched.points().durations == {("build", "failure", 1.0): 1}
        again = watched.repository.rerun(run.id, conclusion="success", duration=2 * MINUTE)
        watched.repository.jobs.add(again, "build", duration=2 * MINUTE)

        assert watched.points().durations == {("build", "success", 2.0): 1}
        assert watched.points().durations == Counter()

    @pytest.mark.parametrize("copies_creation", [False, True], ids=["created again", "created as before"])
    def test_jobs_that_are_carried_over_are_no_points_again(self, watched: Watched, copies_creation: bool) -> None:
        """tt-metal#12010, gha-new-relic-exporter#38: the failed jobs alone are run again, and the others are listed."""
        run, jobs = watched.run("failure"), watched.repository.jobs
        good = jobs.add(run, "lint", duration=MINUTE)
        jobs.add(run, "test", duration=2 * MINUTE, conclusion="failure")
        assert watched.points().durations.total() == 2
        again = watched.repository.rerun(run.id, conclusion="success", duration=5 * MINUTE)
        created = {"created_at": good.created_at} if copies_creation else {}
        jobs.add(again, "lint", started_at=good.started_at, completed_at=good.completed_at, **created)
        jobs.add(again, "test", queued=2 * MINUTE, duration=3 * MINUTE)

        assert watched.points() == ({("test", "success", 3.0): 1}, {("test", "ubuntu-latest", 2.0): 1})

    def test_an_attempt_that_came_and_went_between_two_collections_counts(self, watched: Watched) -> None:
        run, jobs = watched.run("failure"), watched.repository.jobs
        jobs.add(run, "build", duration=MINUTE, conclusion="failure")
        again = watched.repository.rerun(run.id, at=run.updated_at + MINUTE, conclusion="success", duration=MINUTE)
        jobs.add(again, "build", duration=4 * MINUTE)

        assert watched.points().durations == {("build", "failure", 1.0): 1, ("build", "success", 4.0): 1}

    def test_of_an_old_run_only_the_new_attempt_counts(self, empty_scene: SceneMaker, aggregator: Any) -> None:
        scene = empty_scene(jobs=True)
        run = scene.repository.new_run(
            scene.repository.workflows[0].id, conclusion="failure", created_at=scene.clock() - timedelta(hours=5)
        )
        watched = Watched(scene, aggregator)
        again = watched.repository.rerun(run.id, conclusion="success", duration=MINUTE)
        watched.repository.jobs.add(again, "build", duration=MINUTE)

        assert watched.points().durations == {("build", "success", 1.0): 1}
        assert [target for target in watched.asked() if "/attempts/1/" in target] == []


class TestRequests:
    def test_they_are_bounded_and_the_longest_waiting_come_first(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=3)
        runs = [watched.run() for _ in range(8)]
        order = []
        for expected in (3, 3, 2, 0):
            points = watched.points()
            assert points.durations.total() == expected
            assert len(watched.asked()) == expected
            order += sorted(int(target.split("/")[6]) for target in watched.asked())

        assert order == [run.id for run in runs]

    def test_a_new_run_waits_behind_the_older_ones(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=1)
        runs = [watched.run() for _ in range(2)]
        watched.points()
        runs.append(watched.run())
        watched.points()

        assert f"/runs/{runs[1].id}/" in watched.asked()[0]

    def test_an_attempt_with_more_than_a_page_is_read_to_its_end(self, watched: Watched) -> None:
        run = watched.run()
        for number in range(230):
            watched.repository.jobs.add(run, f"shard ({number})", duration=MINUTE)

        assert watched.points().durations == {("shard", "success", 1.0): 230}
        assert len(watched.asked()) == 3

    def test_its_pages_count_and_it_comes_first_next_time(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=3)
        runs = [watched.run() for _ in range(3)]
        for number in range(250):
            watched.repository.jobs.add(runs[2], f"shard ({number})")

        assert watched.points().durations.total() == 2
        assert len(watched.asked()) == 3
        assert watched.points().durations.total() == 250
        assert len(watched.asked()) == 3

    def test_one_that_never_fits_is_named_and_holds_nothing_up(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=2)
        runs = [watched.run() for _ in range(2)]
        for number in range(250):
            watched.repository.jobs.add(runs[0], f"shard ({number})")

        assert watched.points().durations.total() == 1
        assert watched.collected.value("metta.check.dropped", "reason:over_limit") == 1
        (warning,) = [text for text in watched.collected.warnings if "over_limit" in text]
        assert f"run {runs[0].id}" in warning
        assert "max_job_requests" in warning
        watched.points()
        assert watched.asked() == []

    def test_a_crowd_is_bounded_in_the_state(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=1, max_pages=100)
        began = watched.scene.clock()
        for number in range(2_100):
            watched.run(created_at=began + number * SECOND / 10)

        watched.points()

        assert len(watched.scene.ledger.jobs) < 2_000
        assert watched.collected.value("metta.check.dropped", "reason:over_limit") == 100

    def test_an_unchanged_repository_costs_none(self, watched: Watched) -> None:
        watched.run()
        watched.points()
        for _ in range(3):
            watched.points()
            assert watched.asked() == []


class TestRestarts:
    def test_no_job_is_submitted_twice(self, watch: Callable[..., Watched]) -> None:
        watched = watch(max_job_requests=2)
        for _ in range(5):
            watched.run()
        total = 0
        for _ in range(5):
            total += watched.points().durations.total()
            watched.scene.restart()

        assert total == 5

    def test_what_is_still_to_be_read_is_not_forgotten(self, watched: Watched) -> None:
        run = watched.run()
        watched.repository.jobs.add(run, "build", duration=MINUTE)
        answering(watched, server_error(502))
        assert watched.points().durations == Counter()
        watched.scene.restart()
        watched.scene.server.intercept = None

        assert watched.points().durations == {("build", "success", 1.0): 1}

    def test_a_collection_that_fails_loses_none(self, watched: Watched) -> None:
        watched.run()
        watched.scene.server.refuse(server_error(500))
        watched.scene.later()
        assert watched.scene.collect().error
        watched.scene.server.relent()

        assert watched.points().durations.total() == 1

    def test_one_that_fails_after_it_saw_a_run_end_loses_none(self, watched: Watched) -> None:
        """What it read is kept, so that the next collection sees no run end."""
        run = watched.run("failure")
        watched.repository.rerun(run.id, at=run.updated_at + MINUTE, conclusion="success", duration=MINUTE)
        watched.scene.server.refuse(bad_credentials(), f"/repos/demo-org/arena/actions/runs/{run.id}/attempts/1")
        watched.scene.later(10 * MINUTE)
        assert watched.scene.collect().error
        watched.scene.server.relent()

        assert watched.points().durations.total() == 2
        assert watched.points().durations.total() == 0

    def test_switched_on_later_it_begins_with_what_ends_then(self, watch: Callable[..., Watched]) -> None:
        watched = watch(jobs=False)
        watched.run()
        watched.points()
        watched.scene.options["jobs"] = True
        watched.scene.restart()
        assert watched.points().durations == Counter()
        watched.run()

        assert watched.points().durations.total() == 1


ODD = Reply(200, b'{"jobs":[{"id":"x"}]}', JSON_HEADERS)
EMPTY = Reply(200, b'{"total_count":3,"jobs":[]}', JSON_HEADERS)


class TestFailures:
    """Jobs fail alone, and one attempt of them alone."""

    @pytest.mark.parametrize(
        "response",
        [permission_missing(), bad_credentials(), secondary_limit_exceeded()],
        ids=["403", "401", "limit"],
    )
    def test_what_ends_every_request_leaves_the_other_figures(self, watched: Watched, response: Reply) -> None:
        for _ in range(12):
            watched.run()
        answering(watched, response)

        assert watched.points().durations == Counter()
        assert watched.collected.value("metta.check.up") == 1
        assert watched.collected.value(f"{NAMESPACE}ci.workflow.success_ratio") == 1
        assert [text for text in watched.collected.warnings if "the jobs of 12 attempts are not read yet" in text]
        assert len({target.split("?")[0] for target in watched.asked()}) <= 4
        watched.scene.server.intercept = None
        assert watched.points().durations.total() == 12

    def test_an_attempt_that_is_gone_is_named_once(self, watched: Watched) -> None:
        runs = [watched.run() for _ in range(2)]
        answering(watched, not_found(), lambda request: str(runs[0].id) in request.path)

        assert watched.points().durations.total() == 1
        assert watched.collected.value("metta.check.dropped", "reason:unreadable") == 1
        assert [text for text in watched.collected.warnings if f"run {runs[0].id}" in text]
        watched.points()
        assert watched.asked() == []
        assert watched.collected.value("metta.check.dropped", "reason:unreadable") == 0

    @pytest.mark.parametrize("response", [server_error(500), ODD, EMPTY], ids=["500", "shape", "short"])
    def test_one_that_cannot_be_read_is_tried_three_times(self, watched: Watched, response: Reply) -> None:
        runs = [watched.run() for _ in range(2)]
        answering(watched, response, lambda request: str(runs[0].id) in request.path)

        assert watched.points().durations.total() == 1
        assert watched.points().durations.total() == 0
        assert watched.collected.value("metta.check.dropped", "reason:unreadable") == 0
        watched.points()
        assert watched.collected.value("metta.check.dropped", "reason:unreadable") == 1
        watched.points()
        assert watched.asked() == []

    def test_a_server_with_a_fault_is_not_asked_for_all(self, watched: Watched) -> None:
        for _ in range(40):
            watched.run()
        answering(watched, server_error(500))

        watched.points()

        # Three of them are of smaller pages.
        assert len(set(watched.asked())) == 8
        assert [text for text in watched.collected.warnings if "40 attempts are not read yet" in text]

    @pytest.mark.parametrize(("answered", "sizes"), [(50, [100, 50]), (25, [100, 50, 25]), (10, [100, 50, 25, 10])])
    def test_pages_that_are_too_large_are_asked_for_with_fewer_jobs(
        self, watched: Watched, answered: int, sizes: list[int]
    ) -> None:
        """In the same collection, and in all that follow, also after a restart; none is lost or counted twice."""
        run = watched.run()
        for number in range(60):
            watched.repository.jobs.add(run, f"job {number}", duration=MINUTE)
        answering(watched, server_error(502), lambda request: int(request.query["per_page"]) > answered)

        durations = watched.points().durations

        assert durations == {(f"job {number}", "success", 1.0): 1 for number in range(60)}
        asked = list(dict.fromkeys(target.partition("per_page=")[2].partition("&")[0] for target in watched.asked()))
        assert [int(size) for size in asked] == sizes
        watched.scene.restart()
        watched.run()
        assert watched.points().durations.total() == 1
        assert [target.partition("?")[2] for target in watched.asked()] == [f"per_page={answered}"]

    def test_after_six_hours_pages_are_large_again(self, watched: Watched) -> None:
        watched.run()
        answering(watched, server_error(502), lambda request: int(request.query["per_page"]) > 50)
        assert watched.points().durations.total() == 1
        watched.scene.server.intercept = None
        watched.scene.later(timedelta(hours=6))
        watched.scene.collect()
        watched.run()

        assert watched.points().durations.total() == 1
        assert [target.partition("?")[2] for target in watched.asked()] == ["per_page=100"]

    def test_one_attempt_with_a_fault_does_not_make_the_pages_of_others_small(self, watched: Watched) -> None:
        runs = [watched.run() for _ in range(3)]
        answering(watched, server_error(500), lambda request: str(runs[0].id) in request.path)
        assert watched.points().durations.total() == 2
        runs.append(watched.run())

        assert watched.points().durations.total() == 1
        (last,) = [target for target in watched.asked() if str(runs[-1].id) in target]
        assert last.endswith("per_page=100")

    def test_a_listing_that_is_behind_is_read_again(self, watched: Watched) -> None:
        """A run has ended, and its last job is still shown as under way."""
        run, jobs = watched.run(), watched.repository.jobs
        jobs.add(run, "build", duration=MINUTE)
        late = jobs.add(run, "deploy", conclusion=None)
        assert watched.points().durations == Counter()
        jobs.clear(run)
        jobs.add(run, "build", duration=MINUTE)
        jobs.add(run, "deploy", duration=2 * MINUTE, id=late.id)

        assert watched.points().durations == {("build", "success", 1.0): 1, ("deploy", "success", 2.0): 1}

    def test_a_run_without_a_job_is_no_failure(self, watched: Watched) -> None:
        watched.repository.jobs.clear(watched.run())

        assert watched.points().durations == Counter()
        watched.points()
        assert watched.asked() == []
        assert watched.collected.warnings == []


def test_a_day_of_runs_gives_each_job_once(scene: SceneMaker, aggregator: AggregatorStub) -> None:
    """Runs that come, go, are run again and are deleted, with restarts: compared with plain code."""
    watched = scene(12, 300, jobs=True, max_job_requests=200)
    watched.collect()
    began = watched.clock().replace(microsecond=0)
    activity = RepositoryActivity(watched.repository)
    found: Counter[tuple[str, str, float]] = Counter()
    for step in range(8):
        watched.later(timedelta(minutes=15))
        activity.catch_up()
        watched.collect()
        found += _durations(aggregator)
        if step % 3 == 2:
            watched.restart()

    expected: Counter[tuple[str, str, float]] = Counter()
    for run in watched.repository.runs:
        if run.branch != "main" or run.head_repository != "demo-org/arena":
            continue
        for attempt in run.attempts:
            for job in watched.repository.jobs.of(run, attempt):
                if job.completed_at and job.completed_at >= began and job.conclusion not in ("skipped", None):
                    minutes = (job.completed_at - attempt.started_at).total_seconds() / 60
                    workflow = watched.repository.workflow(run.workflow_id)
                    assert workflow
                    expected[workflow.path.rpartition("/")[2], str(job.conclusion), round(minutes, 6)] += 1
    assert expected.total() > 15
    assert found == expected


def _durations(aggregator: AggregatorStub) -> Counter[tuple[str, str, float]]:
    found: Counter[tuple[str, str, float]] = Counter()
    for bucket in aggregator.histogram_bucket(f"{NAMESPACE}ci.job.duration_minutes"):
        key = tag_value(bucket.tags, "workflow"), tag_value(bucket.tags, "conclusion"), round(bucket.lower_bound, 6)
        found[key] += bucket.value
    return found
