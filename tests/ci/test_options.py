"""The options: what each changes, what is refused, and the environment variable that stands in for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ci_support.scene import NOW, Scene
from ci_support.truth import Truth
from datadog_checks.base import ConfigurationError

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_records import DemoWorkflow
from metta_checks.simulator.github_repository import DemoRepository

METRIC = "metta.infra.cron.ci.workflow.tests_blocking_merge"
STATE = "metta.infra.health.state"
OF_METRIC = "metric_name:ci.workflow.tests_blocking_merge"


def workflow(scene: Scene, file: str) -> DemoWorkflow:
    return next(one for one in scene.repository.workflows if one.path.endswith(f"/{file}"))


class TestListedWorkflows:
    @pytest.mark.parametrize(
        "entry",
        [
            lambda docs: docs.name,
            lambda docs: docs.path.rpartition("/")[2],
            lambda docs: docs.path,
            lambda docs: str(docs.id),
        ],
        ids=["name", "file name", "path", "id"],
    )
    def test_an_entry_may_be_any_of_its_names(self, scene, entry):
        watched = scene()
        listed = workflow(watched, "docs.yml")
        watched.repository.new_run(listed.id, conclusion="failure")
        watched.options["tests_blocking_merge_workflows"] = [entry(listed)]
        watched.restart()

        collected = watched.collect()

        assert collected.value(METRIC) == 0
        assert collected.warnings == []

    def test_a_name_that_several_have_means_all_of_them(self, scene):
        watched = scene()
        plain, nightly = workflow(watched, "type-check.yml"), workflow(watched, "type-check-nightly.yml")
        assert plain.name == nightly.name
        watched.repository.disable_workflow(nightly.id, "active")
        watched.repository.new_run(plain.id, conclusion="success")
        watched.repository.new_run(nightly.id, conclusion="failure")
        watched.options["tests_blocking_merge_workflows"] = [plain.name]
        watched.restart()

        assert watched.collect().value(METRIC) == 0
        watched.repository.disable_workflow(nightly.id)
        assert watched.collect().value(METRIC) == 1

    def test_an_unknown_one_leaves_the_verdict_open_with_a_warning(self, scene):
        collected = scene(tests_blocking_merge_workflows=["lint.yml", "lunt.yml"]).collect()

        assert METRIC not in {name for name, _ in collected.series}
        assert collected.value(STATE, OF_METRIC) == 1
        (warning,) = collected.warnings
        assert "tests_blocking_merge_workflows" in warning
        assert "lunt.yml" in warning
        assert " lint.yml" not in warning

    def test_so_does_one_that_never_came_to_a_decision(self, scene):
        watched = scene()
        new = watched.repository.add_workflow("New", ".github/workflows/new.yml")
        watched.repository.new_run(new.id, conclusion="skipped")
        watched.options["tests_blocking_merge_workflows"] = ["new.yml"]
        watched.restart()

        collected = watched.collect()

        assert METRIC not in {name for name, _ in collected.series}
        assert collected.value(STATE, OF_METRIC) == 1
        (warning,) = collected.warnings
        assert "new.yml" in warning

    def test_a_disabled_one_still_counts_where_it_is_listed(self, scene):
        watched = scene()
        disabled = workflow(watched, "lint.yml")
        watched.repository.new_run(disabled.id, conclusion="failure")
        watched.repository.disable_workflow(disabled.id)

        assert watched.collect().value(METRIC) == 0


def test_a_workflow_that_comes_up_is_known_with_its_first_run(scene):
    watched = scene()
    watched.collect()
    watched.later()
    new = watched.repository.add_workflow("New", ".github/workflows/new.yml")
    watched.repository.new_run(new.id, conclusion="failure")

    assert watched.collect().value("metta.infra.cron.ci.workflow.latest_success", "workflow:new.yml") == 0


def test_and_within_the_hour_without_one(scene):
    watched = scene()
    watched.collect()
    watched.repository.add_workflow("New", ".github/workflows/new.yml")
    watched.later(timedelta(minutes=61))

    collected = watched.collect()

    assert collected.value("metta.infra.cron.ci.workflow.runs", "workflow:new.yml", "conclusion:success") == 0


@pytest.mark.parametrize(
    ("text", "tag", "state"),
    [
        ("< 1000", "condition:lt_1000", 0),
        ("> 1000", "condition:gt_1000", 2),
        ("in [0, 1000]", "condition:in_0_1000", 0),
    ],
)
@pytest.mark.parametrize("prefix", ["", "metta.infra.cron."])
def test_a_condition_replaces_the_default(scene, text, tag, state, prefix):
    collected = scene(conditions={f"{prefix}ci.workflow.cancelled": text}).collect()

    assert collected.value("metta.infra.cron.ci.workflow.cancelled", tag) >= 0
    assert collected.value(STATE, "metric_name:ci.workflow.cancelled") == state


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"repo": None}, ("`repo`", "GITHUB_REPOSITORY")),
        ({"repo": "https://github.com/demo-org/arena"}, ("`repo`", "owner/name")),
        ({"repo": "arena"}, ("`repo`", "owner/name")),
        ({"repo": "../.."}, ("`repo`", "owner/name")),
        ({"repo": "../user"}, ("`repo`", "owner/name")),
        ({"repo": "demo-org/.."}, ("`repo`", "owner/name")),
        ({"repo": "./arena"}, ("`repo`", "owner/name")),
        ({"token_secret": "ghp_" + "x" * 36}, ("`token_secret`", "a credential belongs in `token`")),
        ({"token_secret": "-----BEGIN PRIVATE KEY-----"}, ("`token_secret`", "a credential belongs in `token`")),
        ({"window": "a day"}, ("`window`", "24h")),
        ({"label_window": "-1d"}, ("`label_window`", "7d")),
        ({"api_url": "api.github.com"}, ("`api_url`", "https://")),
        ({"api_url": "https://user:hunter2@github.com"}, ("`api_url`", "https://")),
        ({"conditions": {"ci.workflow.flaky": "< 3"}}, ("`conditions`", "ci.workflow.flaky_tests")),
        ({"conditions": {"ci.workflow.cancelled": "few"}}, ("`conditions`", "few")),
        # What YAML makes of a condition without its operator, without any text, or in brackets.
        ({"conditions": {"ci.workflow.cancelled": 5}}, ("`conditions`", "ci.workflow.cancelled", "in quotes")),
        ({"conditions": {"ci.workflow.cancelled": None}}, ("`conditions`", "ci.workflow.cancelled", "in quotes")),
        ({"conditions": {"ci.workflow.cancelled": ["< 5"]}}, ("`conditions`", "ci.workflow.cancelled", "in quotes")),
        ({"conditions": {"ci.workflow.cancelled": {"<": 5}}}, ("`conditions`", "ci.workflow.cancelled", "in quotes")),
        ({"conditions": {5: "< 5"}}, ("`conditions`", "5 is not a judged figure", "ci.workflow.cancelled")),
        ({"max_pages": 0}, ("max_pages",)),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_with_its_name(scene, options, says):
    watched = scene()
    watched.options.update(options)
    watched.options = {option: value for option, value in watched.options.items() if value is not None}
    check = watched.new_check(load=False)

    error = check.run()

    for words in says:
        assert words in error
    assert isinstance(check.collection.error, ConfigurationError)
    assert "hunter2" not in error
    assert watched.server.requests == []


def test_the_environment_stands_in_for_a_configuration_file(scene, monkeypatch):
    watched = scene()
    for name, value in {
        "GITHUB_REPOSITORY": "demo-org/arena",
        "GITHUB_API_URL": f"{watched.server.url}/",
        "GITHUB_BRANCH": "release/1.4",
        "GITHUB_TOKEN": watched.options["token"],
        "GITHUB_WINDOW": "12h",
        "GITHUB_LABEL_WINDOW": "3d",
        "GITHUB_HOTFIX_LABELS": "ready, hotfix",
        "GITHUB_TESTS_BLOCKING_MERGE_WORKFLOWS": "lint.yml,unit-tests.yml",
        "GITHUB_BENCHMARKS_WORKFLOWS": "benchmarks.yml",
        "GITHUB_CONDITIONS": "ci.workflow.cancelled: < 3; github.reverts.count: in [0, 1]",
    }.items():
        monkeypatch.setenv(name, value)
    watched.options = {}
    watched.restart()

    collected = watched.collect()

    settings = watched.check.settings
    assert collected.error is None
    assert (settings.repo, settings.branch) == ("demo-org/arena", "release/1.4")
    assert (settings.window, settings.label_window) == (timedelta(hours=12), timedelta(days=3))
    assert settings.labels["github.hotfix.count"] == ("ready", "hotfix")
    assert settings.lists["ci.workflow.tests_blocking_merge"] == ("lint.yml", "unit-tests.yml")
    assert settings.conditions["ci.workflow.cancelled"].tag_value == "lt_3"
    assert settings.conditions["github.reverts.count"].tag_value == "in_0_1"


@pytest.mark.parametrize(
    ("api_url", "graphql_url"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://github.example.com/api/v3", "https://github.example.com/api/graphql"),
        ("https://github.example.com/api/v3/", "https://github.example.com/api/graphql"),
    ],
)
def test_graphql_is_where_this_kind_of_server_has_it(scene, api_url, graphql_url):
    assert scene(api_url=api_url).check.settings.graphql_url == graphql_url


def test_with_nothing_to_ask_of_graphql_nothing_is_asked(aggregator):
    """A repository without a workflow, watched for its runs alone."""
    with Scene(DemoRepository("demo-org/empty", clock=ManualClock(NOW)), aggregator) as watched:
        watched.options = {
            option: [] if isinstance(value, list) else value for option, value in watched.options.items()
        }
        watched.options |= {"hotfix_labels": [], "force_merge_labels": [], "revert_labels": []}
        watched.restart()
        for _ in range(3):
            collected = watched.collect()
            assert collected.error is None
            assert collected.figures.gauges["ci.workflow.other_failing", "", ""] == 0
            assert {request.method for request in collected.requests} == {"GET"}
            watched.later()


def test_the_name_is_the_same_in_any_case(scene):
    watched = scene(repo="Demo-Org/Arena")

    collected = watched.collect()

    assert collected.warnings == []
    assert collected.figures.gauges == pytest.approx(Truth(watched.repository).look(watched.clock()).gauges)


def test_a_repository_that_was_renamed_is_still_read_and_its_new_name_told(scene):
    """GitHub redirects to an address with the repository's id; a search under the old name finds nothing."""
    watched = scene(repo="demo-org/old-name")
    for name in ("demo-org/old-name", "demo-org/arena"):
        watched.repository.rename(name)

    collected = watched.collect()

    (warning,) = collected.warnings
    assert "demo-org/arena" in warning
    assert collected.figures.gauges == pytest.approx(Truth(watched.repository).look(watched.clock()).gauges)
