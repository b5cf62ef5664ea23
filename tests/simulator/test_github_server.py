"""What the demo GitHub lists over HTTP: filters, created ranges, the caps, links, re-runs and deletions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from metta_checks.simulator.github_clock import ManualClock
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_server import GitHubServer

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
FORK = "somebody/arena"


@pytest.fixture
def repository() -> DemoRepository:
    """Two workflows and eight runs: one every twelve hours, the newest an hour old."""
    repository = DemoRepository("demo-org/arena", clock=ManualClock(NOW))
    tests = repository.add_workflow("Tests", ".github/workflows/tests.yml")
    docs = repository.add_workflow("Docs", ".github/workflows/docs.yml")
    rows = [
        (85, tests, {"conclusion": "failure"}),
        (73, docs, {"conclusion": "success"}),
        (61, tests, {"conclusion": "success", "branch": "a-branch", "event": "pull_request"}),
        (49, tests, {"conclusion": "cancelled"}),
        (37, docs, {"conclusion": "success", "head_repository": FORK, "event": "pull_request"}),
        (25, tests, {"conclusion": "success", "actor": "jonas"}),
        (13, docs, {"conclusion": "skipped", "event": "schedule"}),
        (1, tests, {}),
    ]
    for hours, workflow, row in rows:
        repository.new_run(workflow.id, created_at=NOW - hours * HOUR, **row)
    return repository


@pytest.fixture
def server(repository: DemoRepository) -> Iterator[GitHubServer]:
    with GitHubServer(repository) as running:
        yield running


class Caller:
    """One client of the server."""

    def __init__(self, server: GitHubServer) -> None:
        self.session = requests.Session()
        self.url = f"{server.url}/repos/demo-org/arena"

    def get(self, path: str, **query: object) -> requests.Response:
        return self.session.get(path if path.startswith("http") else f"{self.url}{path}", params=query)

    def runs(self, path: str = "/actions/runs", **query: object) -> list[dict]:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()["workflow_runs"]

    def hours(self, path: str = "/actions/runs", **query: object) -> list[int]:
        """How many hours ago each of the runs listed was created."""
        return [(NOW - datetime.fromisoformat(run["created_at"])) // HOUR for run in self.runs(path, **query)]


@pytest.fixture
def caller(server: GitHubServer) -> Iterator[Caller]:
    caller = Caller(server)
    yield caller
    caller.session.close()


@pytest.mark.parametrize(
    ("query", "hours"),
    [
        ({}, [1, 13, 25, 37, 49, 61, 73, 85]),
        # The branch is a bare name: a fork's main is listed as well.
        ({"branch": "main"}, [1, 13, 25, 37, 49, 73, 85]),
        ({"branch": "a-branch"}, [61]),
        ({"event": "pull_request"}, [37, 61]),
        ({"event": "pull_request", "branch": "main"}, [37]),
        ({"actor": "Jonas"}, [25]),
        # One parameter for both status and conclusion.
        ({"status": "in_progress"}, [1]),
        ({"status": "success"}, [25, 37, 61, 73]),
        ({"status": "completed", "branch": "main"}, [13, 25, 37, 49, 73, 85]),
        # A date is a whole day, a time is exact, ends are included.
        ({"created": "2026-03-03"}, [25, 37]),
        ({"created": ">=2026-03-04"}, [1, 13]),
        ({"created": ">2026-03-03"}, [1, 13]),
        ({"created": "<=2026-03-01"}, [73, 85]),
        ({"created": "<2026-03-01"}, []),
        ({"created": "<2026-03-02"}, [73, 85]),
        ({"created": ">=2026-03-04T02:30:00Z"}, [1, 13]),
        ({"created": ">2026-03-04T02:30:00Z"}, [1]),
        ({"created": ">=2026-03-04T03:30:00+01:00"}, [1, 13]),
        ({"created": "2026-03-02T14:30:00Z..2026-03-03T14:30:00Z"}, [25, 37, 49]),
        ({"created": "2026-03-02..2026-03-03"}, [25, 37, 49, 61]),
        ({"created": "*..2026-03-01T14:30:00Z"}, [73, 85]),
        ({"created": "2026-03-04T02:30:00Z..*"}, [1, 13]),
        ({"created": ">=2026-03-04", "branch": "main", "status": "skipped"}, [13]),
    ],
)
def test_a_listing_is_filtered_and_newest_first(caller: Caller, query: dict[str, str], hours: list[int]) -> None:
    assert caller.hours(**query) == hours
    assert caller.get("/actions/runs", **query).json()["total_count"] == len(hours)


@pytest.mark.parametrize("created", ["yesterday", ">=now", "2026-13-01", "2026-03-04..soon", ""])
def test_a_created_range_that_is_none_is_refused(caller: Caller, created: str) -> None:
    assert caller.get("/actions/runs", created=created).status_code == 422


@pytest.mark.parametrize("name", ["tests.yml", "41000000"])
def test_a_workflows_runs_are_listed_by_its_file_name_or_id(caller: Caller, name: str) -> None:
    assert caller.hours(f"/actions/workflows/{name}/runs", branch="main") == [1, 25, 49, 85]
    assert caller.get(f"/actions/workflows/{name}").json()["path"] == ".github/workflows/tests.yml"


def test_the_links_of_a_listing_lead_through_all_of_it(caller: Caller) -> None:
    answer = caller.get("/actions/runs", per_page=3, branch="main")
    assert set(answer.links) == {"next", "last"}
    seen = [run["id"] for run in answer.json()["workflow_runs"]]
    while "next" in answer.links:
        answer = caller.get(answer.links["next"]["url"])
        seen += [run["id"] for run in answer.json()["workflow_runs"]]
    assert set(answer.links) == {"prev", "first"}
    assert seen == [run["id"] for run in caller.runs(branch="main")]
    assert len(seen) == 7


def test_a_page_holds_thirty_unless_asked_and_a_hundred_at_most(repository: DemoRepository, caller: Caller) -> None:
    for _ in range(120):
        repository.new_run(repository.workflows[0].id, conclusion="success")
    assert len(caller.runs()) == 30
    assert len(caller.runs(per_page=500)) == 100


def test_a_filtered_listing_ends_after_a_thousand_and_a_created_range_goes_on(
    repository: DemoRepository, caller: Caller
) -> None:
    for number in range(2_600):
        repository.new_run(repository.workflows[0].id, created_at=NOW - number * SECOND, conclusion="success")

    pages = [caller.get("/actions/runs", branch="main", per_page=100, page=page) for page in range(1, 12)]
    found = [run for page in pages for run in page.json()["workflow_runs"]]
    assert len(found) == 1_000
    assert pages[-1].json()["workflow_runs"] == []
    assert {page.json()["total_count"] for page in pages} == {2_500}
    assert "page=10>" in pages[0].headers["Link"]
    assert "next" not in pages[9].links

    until = found[-1]["created_at"]
    beyond = caller.runs(branch="main", per_page=100, created=f"2026-03-01..{until}")
    assert beyond[0]["id"] == found[-1]["id"]
    assert beyond[1]["id"] not in {run["id"] for run in found}
    # Without a filter the cap is another, and reads as an error.
    assert len(caller.runs(per_page=100, page=12)) == 100
    assert caller.get("/actions/runs", per_page=100, page=401).status_code == 422


def test_a_rerun_keeps_its_place_and_its_earlier_attempts_stay_readable(
    repository: DemoRepository, caller: Caller
) -> None:
    before = caller.runs()
    failed = before[-1]
    repository.rerun(failed["id"], at=NOW - HOUR, conclusion="success", duration=7 * MINUTE)

    after = caller.runs()
    assert [run["id"] for run in after] == [run["id"] for run in before]
    rerun = after[-1]
    assert (failed["run_attempt"], failed["conclusion"]) == (1, "failure")
    assert (rerun["run_attempt"], rerun["conclusion"]) == (2, "success")
    assert rerun["created_at"] == failed["created_at"]
    assert rerun["run_started_at"] == "2026-03-04T14:30:00Z"
    assert rerun["updated_at"] == "2026-03-04T14:37:00Z"

    path = f"/actions/runs/{failed['id']}"
    assert caller.get(path).json() == rerun
    assert caller.get(f"{path}/attempts/2").json() == rerun
    assert caller.get(f"{path}/attempts/1").json() == failed
    assert caller.get(rerun["previous_attempt_url"]).json() == failed
    assert caller.get(f"{path}/attempts/3").status_code == 404


def test_a_deleted_run_is_gone(repository: DemoRepository, caller: Caller) -> None:
    run_id = caller.runs()[2]["id"]
    repository.delete_run(run_id)
    assert caller.hours() == [1, 13, 37, 49, 61, 73, 85]
    assert caller.get("/actions/runs").json()["total_count"] == 7
    assert caller.get(f"/actions/runs/{run_id}").status_code == 404
    assert caller.get(f"/actions/runs/{run_id}/attempts/1").status_code == 404


def test_workflows_are_listed_whatever_their_state(repository: DemoRepository, caller: Caller) -> None:
    repository.disable_workflow(repository.workflows[1].id)
    assert [(flow["name"], flow["state"]) for flow in caller.get("/actions/workflows").json()["workflows"]] == [
        ("Tests", "active"),
        ("Docs", "disabled_manually"),
    ]


def test_pull_requests_of_a_run_can_be_left_out(repository: DemoRepository, caller: Caller) -> None:
    pull_request = repository.open_pull_request("A change", base="release")
    repository.new_run(repository.workflows[0].id, branch="mine", pull_request=pull_request.number)
    assert [pull["base"]["ref"] for pull in caller.runs(branch="mine")[0]["pull_requests"]] == ["release"]
    assert caller.runs(branch="mine", exclude_pull_requests="true")[0]["pull_requests"] == []
