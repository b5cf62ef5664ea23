"""Label counts as they were met in the world. Beside each case stands the public thread that it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from ci_support.scene import NOW, Collected, Scene
from datadog_checks.base.stubs.aggregator import AggregatorStub

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_refusals import JSON_HEADERS, graphql_errors, permission_missing, server_error
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.server import Reply, Request

HOTFIX, FORCE, REVERT = "github.hotfix.count", "github.force_merge.count", "github.reverts.count"
SUCCESS = ("ci.workflow.success", "", "")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GRAPHQL = "/graphql"
UNKNOWN = 1.0


@pytest.fixture
def repository() -> DemoRepository:
    """One workflow with one run that succeeded, and no pull request."""
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    workflow = repository.add_workflow("CI", ".github/workflows/ci.yml")
    repository.new_run(workflow.id, conclusion="success", created_at=NOW - 2 * HOUR)
    return repository


@pytest.fixture
def scene(repository: DemoRepository, aggregator: AggregatorStub) -> Iterator[Any]:
    scenes: list[Scene] = []

    def make(**options: Any) -> Scene:
        lists = {"tests_blocking_merge_workflows": ["ci.yml"], "benchmarks_workflows": []}
        scenes.append(Scene(repository, aggregator, **{**lists, **options}))
        return scenes[-1]

    yield make
    for one in scenes:
        one.__exit__()


def merge(repository: DemoRepository, *labels: str, ago: timedelta = HOUR) -> int:
    """The number of a pull request that was merged so long ago."""
    opened = repository.open_pull_request("A change", labels=labels, created_at=repository.clock() - ago - DAY)
    return repository.merge_pull_request(opened.number, at=repository.clock() - ago).number


def counts(collected: Collected) -> dict[str, float]:
    assert collected.error is None
    return {metric: value for (metric, _, _), value in collected.figures.gauges.items() if metric.startswith("github.")}


def unknown(collected: Collected) -> set[str]:
    """The metrics of labels whose verdict is unknown."""
    return {
        tag.removeprefix("metric_name:")
        for (name, tags), value in collected.series.items()
        for tag in tags
        if name == "metta.infra.health.state" and value == UNKNOWN and tag.startswith("metric_name:github.")
    }


def asked_graphql(collected: Collected) -> int:
    return sum(request.path == GRAPHQL for request in collected.requests)


def answer_without(repository_alias: str, *errors: dict[str, Any], watched: Scene) -> None:
    """The server's own answers, but with that alias null, and these errors."""
    answer = watched.server.answer

    def spoilt(request: Request) -> Reply:
        response = answer(request)
        if request.path == GRAPHQL and b"label0" in request.body:
            body = json.loads(response.body)
            body["data"][repository_alias] = None
            response = Reply(200, json.dumps({**body, "errors": list(errors)}).encode(), JSON_HEADERS)
        return response

    watched.server.answer = spoilt


class TestWithoutThePermission:
    """cli/cli#5986: the search answers a token without permission with 0; GraphQL's lists are an error."""

    def test_the_verdicts_are_unknown_and_the_permission_is_named(self, scene, repository):
        watched = scene()
        merge(repository, "hotfix")
        watched.server.lacking = frozenset({"pull_requests"})

        collected = watched.collect()

        assert counts(collected) == {}
        assert unknown(collected) == {HOTFIX, FORCE, REVERT}
        assert collected.figures.gauges[SUCCESS] == 1
        assert collected.value("metta.check.up") == 1
        (warning,) = collected.warnings
        words = (HOTFIX, FORCE, REVERT, "FORBIDDEN", "Pull requests (read)", "fine-grained", "`repo`", "demo-org/arena")
        for word in words:
            assert word in warning

    def test_once_it_is_given_they_are_counted(self, scene, repository):
        watched = scene()
        merge(repository, "hotfix")
        watched.server.lacking = frozenset({"pull_requests"})
        watched.collect()
        watched.server.lacking = frozenset()
        watched.later()

        assert counts(watched.collect()) == {HOTFIX: 1, FORCE: 0, REVERT: 0}

    def test_it_is_asked_for_in_the_one_question(self, scene):
        watched = scene()
        watched.server.lacking = frozenset({"pull_requests"})
        watched.collect()
        watched.later()

        assert asked_graphql(watched.collect()) == 1

    def test_one_label_that_is_forbidden_is_one_count_that_is_unknown(self, scene, repository):
        watched = scene()
        merge(repository, "revert")
        forbidden = {"type": "FORBIDDEN", "path": ["label0", "pullRequests"], "message": "Resource not accessible"}
        answer_without("label0", forbidden, watched=watched)

        collected = watched.collect()

        assert counts(collected) == {FORCE: 0, REVERT: 1}
        assert unknown(collected) == {HOTFIX}
        assert collected.warnings[0].startswith(f"{HOTFIX} unknown: ")


class TestSpelling:
    """cli/cli#1819, #592: GraphQL's filter wants a label in its very case."""

    @pytest.mark.parametrize("theirs", ["Hotfix", "HOTFIX", "hotFix"])
    def test_a_label_in_another_case_counts(self, scene, repository, theirs):
        merge(repository, theirs)
        watched = scene(hotfix_labels=["hotfix"])

        assert counts(watched.collect())[HOTFIX] == 1
        watched.later()
        again = watched.collect()
        assert counts(again)[HOTFIX] == 1
        assert asked_graphql(again) == 1

    def test_what_is_known_of_it_survives_a_restart(self, scene, repository):
        merge(repository, "Hotfix")
        watched = scene()
        watched.collect()
        watched.restart()

        collected = watched.collect()

        assert counts(collected)[HOTFIX] == 1
        assert asked_graphql(collected) == 1

    def test_a_label_that_is_spelt_otherwise_from_now_on(self, scene, repository):
        merge(repository, "hotfix")
        watched = scene()
        watched.collect()
        repository.rename_label("hotfix", "Hotfix")
        watched.later()

        assert counts(watched.collect())[HOTFIX] == 1

    def test_two_spellings_of_one_label_in_the_options(self, scene, repository):
        merge(repository, "hotfix")

        assert counts(scene(hotfix_labels=["hotfix", "Hotfix"]).collect())[HOTFIX] == 1

    def test_a_label_that_comes_later_is_found(self, scene, repository):
        watched = scene()
        assert counts(watched.collect()) == {HOTFIX: 0, FORCE: 0, REVERT: 0}
        merge(repository, "hotfix")
        merge(repository, "Revert")

        watched.later()
        assert counts(watched.collect())[HOTFIX] == 1
        watched.later(HOUR)
        assert counts(watched.collect())[REVERT] == 1

    def test_a_server_that_finds_a_label_in_any_case(self, scene, repository):
        """GitHub documents neither, so that both are right."""
        merge(repository, "Hotfix")
        watched = scene()
        answer = watched.server.answer

        def finding(request: Request) -> Reply:
            response = answer(request)
            if b'"label0":"hotfix"' in request.body.replace(b" ", b""):
                body = json.loads(response.body)
                body["data"]["label0"]["label"] = {"name": "Hotfix"}
                return Reply(200, json.dumps(body).encode(), JSON_HEADERS)
            return response

        watched.server.answer = finding

        assert counts(watched.collect())[HOTFIX] == 1

    def test_it_is_looked_for_among_all_labels(self, scene, repository):
        for number in range(250):
            repository.add_label(f"area/{number}")
        merge(repository, "Hotfix")
        watched = scene()

        first = watched.collect()

        assert counts(first) == {HOTFIX: 1, FORCE: 0, REVERT: 0}
        assert asked_graphql(first) == 4
        watched.later()
        assert asked_graphql(watched.collect()) == 1

    @pytest.mark.parametrize("name", ['say "hotfix"', "🔥 hotfix", "back\\slash", "a, b", "label:x $label1 }", "Ä"])
    def test_a_label_with_quotes_and_emoji(self, scene, repository, name):
        merge(repository, name)
        merge(repository, "another")

        assert counts(scene(hotfix_labels=[name.lower()]).collect())[HOTFIX] == 1


class TestWhatCounts:
    def test_a_pull_request_with_two_of_the_labels_counts_once(self, scene, repository):
        """cli/cli#592."""
        merge(repository, "force-merge", "force_merge")
        merge(repository, "force_merge")

        assert counts(scene().collect())[FORCE] == 2

    def test_one_with_labels_of_two_metrics_counts_for_both(self, scene, repository):
        merge(repository, "hotfix", "revert")

        assert counts(scene().collect()) == {HOTFIX: 1, FORCE: 0, REVERT: 1}

    def test_one_of_last_year_that_was_merged_yesterday_counts(self, scene, repository):
        """cli/cli#1819: a list by creation would have it on its last page."""
        old = repository.open_pull_request("Old", labels=["hotfix"], created_at=NOW - 400 * DAY)
        for _ in range(60):
            repository.open_pull_request("Younger", labels=["hotfix"], created_at=NOW - 30 * DAY)
        repository.merge_pull_request(old.number, at=NOW - DAY)

        assert counts(scene().collect())[HOTFIX] == 1

    def test_one_that_was_merged_last_year_and_updated_today_does_not(self, scene, repository):
        number = merge(repository, "hotfix", ago=400 * DAY)
        repository.touch_pull_request(number, at=NOW - HOUR)
        merge(repository, "hotfix", ago=2 * DAY)

        assert counts(scene().collect())[HOTFIX] == 1

    def test_one_that_got_its_label_after_the_merge_counts(self, scene, repository):
        number = merge(repository, ago=2 * DAY)
        watched = scene()
        assert counts(watched.collect())[HOTFIX] == 0
        repository.touch_pull_request(number, labels=["hotfix"])
        watched.later()

        assert counts(watched.collect())[HOTFIX] == 1

    def test_to_the_second(self, scene, repository):
        for seconds in (-1, 0, 1):
            merge(repository, "hotfix", ago=7 * DAY + timedelta(seconds=seconds))

        # The window opens a quarter of a second after the second one.
        assert counts(scene().collect())[HOTFIX] == 1

    def test_those_that_were_closed_or_are_open_do_not(self, scene, repository):
        repository.open_pull_request("Open", labels=["hotfix"])
        closed = repository.open_pull_request("Closed", labels=["hotfix"])
        repository.close_pull_request(closed.number)
        repository.open_issue("An issue", labels=["hotfix"])

        assert counts(scene().collect())[HOTFIX] == 0

    def test_ten_pages_are_read_to_the_end(self, scene, repository):
        for _ in range(500):
            merge(repository, "hotfix")

        collected = scene().collect()

        assert counts(collected)[HOTFIX] == 500
        assert asked_graphql(collected) == 10

    def test_an_eleventh_makes_it_unknown(self, scene, repository):
        """cli/cli#1819: many merged pull requests were given a label today."""
        for _ in range(501):
            number = merge(repository, "hotfix", ago=400 * DAY)
            repository.touch_pull_request(number, at=NOW - HOUR)
        merge(repository, "revert")

        collected = scene().collect()

        assert counts(collected) == {FORCE: 0, REVERT: 1}
        assert unknown(collected) == {HOTFIX}
        assert "more than 10 pages" in collected.warnings[0]
        assert asked_graphql(collected) == 10

    def test_pages_end_where_the_window_does(self, scene, repository):
        for _ in range(60):
            merge(repository, "hotfix", ago=2 * DAY)
        for _ in range(600):
            merge(repository, "hotfix", ago=9 * DAY)

        collected = scene().collect()

        assert counts(collected)[HOTFIX] == 60
        assert asked_graphql(collected) == 2


class TestFailingAlone:
    """pull-request-stats#103, git-ranker#90: the labels fail, or all of GraphQL, while REST is fine."""

    @pytest.mark.parametrize(
        "path", [["label0"], ["label0", "pullRequests", "nodes", 3, "mergedAt"]], ids=["the repository", "a node"]
    )
    def test_an_error_with_the_path_of_a_label(self, scene, repository, path):
        watched = scene()
        merge(repository, "revert")
        answer_without("label0", {"path": path, "message": "Something went wrong"}, watched=watched)

        collected = watched.collect()

        assert counts(collected) == {FORCE: 0, REVERT: 1}
        assert unknown(collected) == {HOTFIX}
        assert collected.figures.gauges[SUCCESS] == 1
        assert "Something went wrong" in collected.warnings[0]

    @pytest.mark.parametrize(
        "answer",
        [
            graphql_errors({"message": "Something went wrong while executing your query. This may be a timeout."}),
            graphql_errors({"type": "FORBIDDEN", "message": "Resource not accessible"}),
            graphql_errors({"message": "no path"}, data={"label0": None}, with_data=True),
            graphql_errors({"path": None, "message": "a path of null"}, data={"label0": None}, with_data=True),
            Reply(200, b'{"data":{"label0":"?"}}', JSON_HEADERS),
            server_error(502),
            permission_missing(),
        ],
        ids=["timeout", "forbidden", "no path", "a null path", "another shape", "502", "403"],
    )
    def test_a_question_that_fails_whole_is_put_without_the_labels(self, scene, repository, answer):
        watched = scene()
        watched.server.intercept = lambda request: answer if b"label0" in request.body else None

        collected = watched.collect()

        assert counts(collected) == {}
        assert unknown(collected) == {HOTFIX, FORCE, REVERT}
        assert collected.figures.gauges[SUCCESS] == 1
        (warning,) = collected.warnings
        assert warning.startswith(f"{HOTFIX}, {FORCE}, {REVERT} unknown: ")
        watched.server.intercept = None
        watched.later()
        assert counts(watched.collect()) == {HOTFIX: 0, FORCE: 0, REVERT: 0}

    def test_without_graphql_the_figures_come_by_rest_cold_and_warm(self, scene, repository):
        workflow = repository.workflows[0]
        quiet = repository.add_workflow("Quiet", ".github/workflows/quiet.yml")
        repository.new_run(quiet.id, conclusion="failure", created_at=NOW - 20 * DAY)
        watched = scene()
        watched.server.refuse(server_error(502), GRAPHQL)

        cold = watched.collect()
        repository.new_run(workflow.id, conclusion="failure")
        repository.disable_workflow(quiet.id)
        watched.later()
        warm = watched.collect()

        assert (cold.figures.gauges[SUCCESS], warm.figures.gauges[SUCCESS]) == (1, 0)
        # What is switched off is told by the list of workflows at once, not an hour later.
        failing = ("ci.workflow.other_failing", "", "")
        assert (cold.figures.gauges[failing], warm.figures.gauges[failing]) == (1, 0)
        for collected in (cold, warm):
            assert collected.value("metta.check.up") == 1
            assert unknown(collected) == {HOTFIX, FORCE, REVERT}
            assert "HTTP 502" in collected.warnings[0]

    def test_the_events_of_the_others_go_on(self, scene, repository):
        watched = scene(events=True)
        watched.collect()
        watched.server.refuse(server_error(502), GRAPHQL)
        repository.new_run(repository.workflows[0].id, conclusion="failure")
        watched.later()

        titles = [event["msg_title"] for event in watched.collect().events]

        assert "ci.workflow.success fails on main of demo-org/arena" in titles
        assert not [title for title in titles if title.startswith("github.")]

    def test_a_later_page_that_fails(self, scene, repository):
        for _ in range(60):
            merge(repository, "hotfix")
        merge(repository, "revert")
        watched = scene()
        watched.server.intercept = lambda request: (
            server_error(502) if b'"label0After":"' in request.body.replace(b" ", b"") else None
        )

        collected = watched.collect()

        assert counts(collected) == {FORCE: 0, REVERT: 1}
        assert unknown(collected) == {HOTFIX}

    @pytest.mark.parametrize("status", [403, 422])
    def test_without_a_token_a_search_that_is_refused(self, scene, status):
        watched = scene(token=None)
        watched.server.intercept = lambda request: (
            Reply(status, b'{"message":"no"}', JSON_HEADERS)
            if request.path == "/search/issues" and "hotfix" in request.query["q"]
            else None
        )

        collected = watched.collect()

        assert counts(collected) == {FORCE: 0, REVERT: 0}
        assert unknown(collected) == {HOTFIX}
        assert f"HTTP {status}" in collected.warnings[0]

    def test_without_a_token_the_searchs_own_quota_stops_nothing_else(self, scene):
        watched = scene(token=None)
        watched.server.limits.anonymous_search = 0

        assert unknown(watched.collect()) == {HOTFIX, FORCE, REVERT}

        watched.later(timedelta(seconds=10))
        assert watched.collect().figures.gauges[SUCCESS] == 1


@pytest.mark.parametrize("token", [None, "a-token"])
def test_a_renamed_repository_without_a_run_on_the_branch(aggregator, token):
    """cli/cli#12172."""
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    with Scene(repository, aggregator, tests_blocking_merge_workflows=[], benchmarks_workflows=[]) as watched:
        watched.options["token"] = token and watched.options["token"]
        watched.restart()
        merge(repository, "hotfix")
        assert counts(watched.collect())[HOTFIX] == 1
        repository.rename("demo-org/coliseum")
        merge(repository, "hotfix")
        watched.later()

        collected = watched.collect()

        assert counts(collected)[HOTFIX] == 2
        assert any("demo-org/arena is called demo-org/coliseum by now" in warning for warning in collected.warnings)
