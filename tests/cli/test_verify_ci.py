"""`metta-checks verify ci`: brute force and the check agree, and a difference is seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from simulator_support.github_edge_cases import edge_case_repository

from metta_checks.cli import main
from metta_checks.core.clock import utcnow
from metta_checks.simulator.github_sample import BENCHMARKS, TESTS_BLOCKING_MERGE
from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply, Request

TOKEN = "a-token-for-loopback"


@pytest.fixture(scope="module")
def repository_server() -> Iterator[GitHubServer]:
    # The sample has merges to the second at the edges of its windows; minutes later none of those can move any more.
    repository = edge_case_repository(utcnow() - timedelta(minutes=10, seconds=30), workflows=28, runs_per_day=60)
    with GitHubServer([repository], token=TOKEN) as server:
        yield server


@pytest.fixture
def server(repository_server: GitHubServer) -> Iterator[GitHubServer]:
    yield repository_server
    repository_server.intercept = None


def verify(server: GitHubServer, folder: Path, *arguments: str, **options: Any) -> Result:
    instance = {
        "repo": "demo-org/arena",
        "api_url": server.url,
        "token": TOKEN,
        "tests_blocking_merge_workflows": list(TESTS_BLOCKING_MERGE),
        "benchmarks_workflows": list(BENCHMARKS),
        "tls_verify": False,
        **options,
    }
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump({"init_config": None, "instances": [instance]}), encoding="utf-8")
    return CliRunner().invoke(main, ["verify", "ci", "--config", str(path), *arguments])


def test_both_counts_are_equal(server: GitHubServer, tmp_path: Path) -> None:
    result = verify(server, tmp_path)
    assert result.exit_code == 0, result.output
    # A run at the edge of the window may leave it in the meantime, which would be told in a third line.
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith("metta_ci, instance 1: demo-org/arena, counted independently with ")
    figures = int(second.removeprefix("  equal: ").removesuffix(" figures"))
    # Three conclusions and the latest run of each active workflow, and the twelve figures of the branch.
    assert figures > 80


def test_a_branch_that_is_not_set_is_main(server: GitHubServer, tmp_path: Path) -> None:
    named, unset = (verify(server, tmp_path, **options).stdout.splitlines()[1] for options in ({"branch": "main"}, {}))
    assert named == unset


@pytest.mark.parametrize("include", [["a.*"], ["arena"], ["ARENA"]])
def test_each_repository_of_an_organisation_is_compared(
    server: GitHubServer, tmp_path: Path, include: list[str]
) -> None:
    result = verify(server, tmp_path, repo=None, organization="demo-org", repos={"include": include})
    assert result.exit_code == 0, result.output
    first, second, *_ = result.stdout.splitlines()
    assert first.lower().startswith("metta_ci, instance 1: demo-org/arena, counted independently with ")
    assert int(second.removeprefix("  equal: ").removesuffix(" figures")) > 80


def test_an_organisation_that_cannot_be_listed_is_named(server: GitHubServer, tmp_path: Path) -> None:
    result = verify(server, tmp_path, repo=None, organization="nobody", repos={"include": [".*"]})
    assert result.exit_code == 1
    assert "metta_ci, instance 1: GitHub: GET " in result.output
    assert "Check `organization`" in result.output


def test_a_difference_is_shown(server: GitHubServer, tmp_path: Path) -> None:
    """The check asks for the labels by GraphQL, so that this lie reaches the independent count alone."""
    empty = Reply(body=b"[]", headers={"Content-Type": "application/json"})

    server.intercept = lambda request: empty if request.path.endswith("/pulls") else None
    result = verify(server, tmp_path)
    assert result.exit_code == 1
    assert "DIFFERENT: 3 of" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "github.hotfix.count" in line)
    assert row.split()[-1] == "0"
    assert all(len(line) <= 100 for line in result.stdout.splitlines())


def test_the_queue_is_counted_again(server: GitHubServer, tmp_path: Path) -> None:
    """The check leaves the pull requests out of what it asks for: this lie reaches the independent count alone."""
    repository = server.repositories[0]
    for status in ("queued", "queued", "in_progress"):
        repository.new_run(repository.workflows[0].id, branch="a-change", status=status)
    nothing = Reply(body=b'{"total_count":0,"workflow_runs":[]}', headers={"Content-Type": "application/json"})

    def lie(request: Request) -> Reply | None:
        lies = request.query.get("status") and "exclude_pull_requests" not in request.query
        return nothing if lies else None

    assert verify(server, tmp_path).exit_code == 0
    server.intercept = lie
    result = verify(server, tmp_path)
    assert result.exit_code == 1
    rows = {line.split()[0]: line.split()[-1] for line in result.stdout.splitlines() if "ci.runs." in line}
    assert rows == {"ci.runs.queued": "0", "ci.runs.in_progress": "0"}
    assert verify(server, tmp_path, queue=False).exit_code == 0


def test_a_page_that_fails_ends_it(server: GitHubServer, tmp_path: Path) -> None:
    server.intercept = lambda request: Reply(500) if request.path.endswith("/pulls") else None
    result = verify(server, tmp_path)
    assert result.exit_code == 1
    assert result.stderr.strip() == "metta_ci, instance 1: GitHub: GET /repos/demo-org/arena/pulls: HTTP 500"
    assert result.stdout == ""


def test_a_check_that_fails_ends_it(server: GitHubServer, tmp_path: Path) -> None:
    result = verify(server, tmp_path, token="wrong-token")
    assert result.exit_code == 1
    assert "401" in result.stderr
    assert "wrong-token" not in result.output


def test_it_needs_a_token(server: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    result = verify(server, tmp_path, token=None)
    assert result.exit_code == 1
    assert "more requests than GitHub grants without a token" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (["--instance", "2"], {}, "--instance 2: the configuration has 1"),
        ([], {"repo": None}, "`repo`"),
        ([], {"window": "a day"}, "`window`"),
        (["--config", "nowhere.yaml"], {}, "nowhere.yaml"),
    ],
)
def test_what_is_refused(
    server: GitHubServer, tmp_path: Path, arguments: list[str], options: dict[str, Any], words: str
) -> None:
    result = verify(server, tmp_path, *arguments, **options)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"branch": "main"},
        {"branch": None, "repo": "demo-org/arena"},
        {"repo": None, "organization": "demo-org", "repos": {"include": ["arena"]}},
        {"repo": None, "organization": "demo-org", "repos": {"include": ["ar.*"]}},
    ],
)
def test_the_repository_and_branch_that_the_check_reads(
    server: GitHubServer, tmp_path: Path, options: dict[str, Any]
) -> None:
    result = verify(server, tmp_path, **options)
    assert result.exit_code == 0, result.output
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith("metta_ci, instance 1: demo-org/arena, counted independently with ")
    assert int(second.removeprefix("  equal: ").removesuffix(" figures")) > 50
