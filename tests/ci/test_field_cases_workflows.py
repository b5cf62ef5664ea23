"""Cases that users met, each with its source: which workflows exist, which count, and what they are called.

What this version does not do yet is expected to fail, by its value or its metric.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from ci_support.scene import NAMESPACE, Collected, Scene

SceneMaker = Callable[..., Scene]

BLOCKING = f"{NAMESPACE}ci.workflow.tests_blocking_merge"
OTHER_FAILING = f"{NAMESPACE}ci.workflow.other_failing"
RATIO = f"{NAMESPACE}ci.workflow.success_ratio"
RUNS = f"{NAMESPACE}ci.workflow.runs"
STATE = "metta.infra.health.state"


def blocking_state(collected: Collected) -> float | None:
    """1 is unknown."""
    return collected.find(STATE, "metric_name:ci.workflow.tests_blocking_merge")


def test_g3_a_workflow_whose_file_is_gone_fails_no_longer(empty_scene: SceneMaker) -> None:
    """refined-github#6543, orgs/community#26256: deleted workflows stay listed, as active, for months."""
    watched = empty_scene()
    for name, days in (("old", 80), ("older", 90)):
        workflow = watched.repository.add_workflow(name, f".github/workflows/{name}.yml")
        created_at = watched.clock() - timedelta(days=days)
        watched.repository.new_run(workflow.id, conclusion="failure", created_at=created_at)
        watched.repository.delete_workflow_file(workflow.path)

    collected = watched.collect()

    assert collected.find(OTHER_FAILING) == 0
    assert collected.find(RUNS, "workflow:old.yml", "conclusion:failure") is None


def test_g3_without_a_token_the_files_are_read_by_rest(empty_scene: SceneMaker) -> None:
    watched = empty_scene(token=None)
    workflow = watched.repository.add_workflow("old", ".github/workflows/old.yml")
    created_at = watched.clock() - timedelta(days=80)
    for one in (workflow, watched.repository.workflows[0]):
        watched.repository.new_run(one.id, conclusion="failure", created_at=created_at)
    watched.repository.delete_workflow_file(workflow.path)

    assert watched.collect().find(OTHER_FAILING) == 1


def test_g3_a_file_that_comes_back_fails_again(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    created_at = watched.clock() - timedelta(days=80)
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", created_at=created_at)
    watched.repository.delete_workflow_file(".github/workflows/ci.yml")
    assert watched.collect().find(OTHER_FAILING) == 0
    watched.repository.restore_workflow_file(".github/workflows/ci.yml")
    watched.later()

    assert watched.collect().find(OTHER_FAILING) == 1


def test_g3_a_generated_workflow_needs_no_file(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    workflow = watched.repository.add_workflow("CodeQL", CODEQL[0])
    created_at = watched.clock() - timedelta(days=80)
    watched.repository.new_run(workflow.id, conclusion="failure", created_at=created_at)

    assert watched.collect().find(OTHER_FAILING) == 1


@pytest.mark.parametrize("token", [{}, {"token": None}], ids=["with a token", "without"])
def test_g3_where_the_files_may_not_be_read_it_is_unknown(empty_scene: SceneMaker, token: dict[str, None]) -> None:
    watched = empty_scene(**token)
    watched.server.lacking = frozenset({"contents"})
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.error is None
    assert collected.find(OTHER_FAILING) is None
    assert collected.find(STATE, "metric_name:ci.workflow.other_failing") == 1
    assert collected.find(f"{NAMESPACE}ci.workflow.success") == 1
    assert any("Contents (read)" in warning for warning in collected.warnings)


def test_g3_one_whose_file_is_there_fails_as_long_as_nothing_succeeds(empty_scene: SceneMaker) -> None:
    watched = empty_scene()
    created_at = watched.clock() - timedelta(days=80)
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", created_at=created_at)

    assert watched.collect().find(OTHER_FAILING) == 1


CODEQL = ("dynamic/github-code-scanning/codeql", "dynamic/github-code-quality/codeql")


def test_g8_two_generated_workflows_are_two_rows(empty_scene: SceneMaker) -> None:
    """GitHub's changelog: CodeQL scans for security and, apart from that, for quality."""
    watched = empty_scene()
    for path, conclusion in zip(CODEQL, ("failure", "success"), strict=True):
        workflow = watched.repository.add_workflow("CodeQL", path).id
        for _ in range(3):
            watched.repository.new_run(workflow, conclusion=conclusion, duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert [
        [collected.find(RUNS, f"workflow:{path}", f"conclusion:{conclusion}") for conclusion in ("failure", "success")]
        for path in CODEQL
    ] == [[3, 0], [0, 3]]
    latest = f"{NAMESPACE}ci.workflow.latest_success"
    assert [collected.find(latest, f"workflow:{path}") for path in CODEQL] == [0, 1]


@pytest.mark.parametrize(
    "entry",
    [
        "Unit tests",
        "unit-tests.yml",
        ".github/workflows/unit-tests.yml",
        "unit tests",
        "UNIT TESTS",
        "Unit-Tests.yml",
    ],
)
def test_g15_a_listed_workflow_is_found_in_any_case(empty_scene: SceneMaker, entry: str) -> None:
    """The cron jobs that these checks replace compared names in lower case."""
    watched = empty_scene(tests_blocking_merge_workflows=[entry])
    workflow = watched.repository.add_workflow("Unit tests", ".github/workflows/unit-tests.yml")
    watched.repository.new_run(workflow.id, conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.find(BLOCKING) == 1
    assert collected.warnings == []


@pytest.mark.parametrize("entry", ["BuildFailed", "buildfailed", "Build*", "*failed", "BUILD*ED"])
def test_g18_an_excluded_workflow_counts_in_nothing(empty_scene: SceneMaker, entry: str) -> None:
    """orgs/community#190193, tesseract#1353: runs called BuildFailed that nobody can remove."""
    watched = empty_scene(exclude_workflows=[entry])
    excluded = watched.repository.add_workflow("BuildFailed", "BuildFailed")
    for number in range(20):
        created_at = watched.clock() - timedelta(minutes=10 * number + 10)
        watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", created_at=created_at)
        watched.repository.new_run(excluded.id, conclusion="failure", created_at=created_at)

    collected = watched.collect()

    assert collected.find(RATIO) == 1
    assert collected.find(f"{NAMESPACE}ci.workflow.success") == 1
    assert collected.find(OTHER_FAILING) == 0
    assert collected.find(RUNS, "workflow:BuildFailed", "conclusion:failure") is None


@pytest.mark.parametrize("entry", ["Build", "failed", "Build?ailed", "[Bb]uildFailed", "*ci"])
def test_g18_only_a_star_stands_for_other_characters(empty_scene: SceneMaker, entry: str) -> None:
    watched = empty_scene(exclude_workflows=[entry])
    workflow = watched.repository.add_workflow("BuildFailed", "BuildFailed")
    watched.repository.new_run(workflow.id, conclusion="failure", duration=timedelta(0))
    watched.later()

    assert watched.collect().find(RUNS, "workflow:BuildFailed", "conclusion:failure") == 1


def test_g18_a_listed_workflow_that_is_excluded_is_unknown(empty_scene: SceneMaker) -> None:
    watched = empty_scene(tests_blocking_merge_workflows=["ci.yml"], exclude_workflows=["CI*"])
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", duration=timedelta(0))
    watched.later()

    collected = watched.collect()

    assert collected.find(BLOCKING) is None
    assert blocking_state(collected) == 1
    assert any("exclude_workflows" in warning for warning in collected.warnings)


PATHS = {
    ".github/workflows/deploy@2.yml": "deploy@2.yml",
    "tools/.github/workflows/scan.yaml": "tools/.github/workflows/scan.yaml",
    "demo-org/policies/.github/workflows/required.yml": "demo-org/policies/.github/workflows/required.yml",
    "dynamic/pages/pages-build-deployment": "dynamic/pages/pages-build-deployment",
}


@pytest.mark.parametrize(("path", "expected"), PATHS.items(), ids=PATHS)
def test_g8_only_a_file_of_the_workflows_folder_goes_by_its_name(
    empty_scene: SceneMaker, path: str, expected: str
) -> None:
    watched = empty_scene()
    workflow = watched.repository.add_workflow("Other", path)
    watched.repository.new_run(workflow.id, conclusion="success", duration=timedelta(0))
    watched.later()

    assert watched.collect().find(RUNS, f"workflow:{expected}", "conclusion:success") == 1


@pytest.fixture
def listed(empty_scene: SceneMaker) -> SceneMaker:
    """`listed(**options)`: the listed workflow succeeded for the last time 70 days ago."""

    def make(**options: object) -> Scene:
        watched = empty_scene(tests_blocking_merge_workflows=["ci.yml"], **options)
        created_at = watched.clock() - timedelta(days=70)
        watched.repository.new_run(watched.repository.workflows[0].id, conclusion="success", created_at=created_at)
        return watched

    return make


@pytest.mark.parametrize(
    "state",
    [
        "disabled_inactivity",
        "disabled_manually",
        "disabled_fork",
        "deleted",
    ],
)
def test_g19_a_listed_workflow_that_is_switched_off_is_unknown(listed: SceneMaker, state: str) -> None:
    """NASA-NAVO#164, linz#182: GitHub disables scheduled workflows after 60 days without a commit."""
    watched = listed()
    watched.repository.disable_workflow(watched.repository.workflows[0].id, state)

    collected = watched.collect()

    assert collected.find(BLOCKING) is None
    assert blocking_state(collected) == 1
    assert any("ci.yml" in warning for warning in collected.warnings)


def test_g19_one_whose_file_is_gone_is_unknown(listed: SceneMaker) -> None:
    watched = listed()
    watched.repository.delete_workflow_file(".github/workflows/ci.yml")

    collected = watched.collect()

    assert collected.find(BLOCKING) is None
    assert blocking_state(collected) == 1
    assert any("ci.yml" in warning for warning in collected.warnings)


def test_g19_one_failure_decides_whatever_is_unknown_of_the_others(empty_scene: SceneMaker) -> None:
    watched = empty_scene(tests_blocking_merge_workflows=["ci.yml", "lint.yml"])
    watched.repository.add_workflow("Lint", ".github/workflows/lint.yml")
    watched.repository.new_run(watched.repository.workflows[0].id, conclusion="failure", duration=timedelta(0))
    watched.later()

    assert watched.collect().find(BLOCKING) == 0


def test_g19_one_with_a_younger_run_than_max_age_passes(listed: SceneMaker) -> None:
    assert listed(max_age="71d").collect().find(BLOCKING) == 1


def test_g19_one_that_is_active_passes_however_old_its_success(listed: SceneMaker) -> None:
    collected = listed().collect()

    assert collected.find(BLOCKING) == 1
    assert blocking_state(collected) == 0


def test_g19_one_without_a_run_younger_than_max_age_is_unknown(listed: SceneMaker) -> None:
    collected = listed(max_age="30d").collect()

    assert collected.find(BLOCKING) is None
    assert blocking_state(collected) == 1
    assert any("ci.yml" in warning for warning in collected.warnings)
