"""What an untrusted GitHub server, or whoever names its workflows, can make the check compute and remember."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from core_support.servers import Source

from metta_checks.ci.api_models import MAX_TEXT
from metta_checks.ci.check import CiCheck
from metta_checks.ci.ledger import Ledger
from metta_checks.core import Kind, SourceError
from metta_checks.simulator.server import Reply, Request

REPO = "/repos/a/b"
RUNS = f"{REPO}/actions/runs"
WORKFLOWS = f"{REPO}/actions/workflows"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EMOJI = "\U0001f600"
HUGE = 10**400


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as running:
        running.put(REPO, {"full_name": "a/b", "html_url": "https://github.example/a/b", "default_branch": "main"})
        running.put(f"{REPO}/branches/main", {"name": "main"})
        running.put(RUNS, listing())
        running.put(WORKFLOWS, workflows())
        running.put("/search/issues", {"total_count": 2, "incomplete_results": False})
        yield running


def check_of(source: Source, **options: Any) -> CiCheck:
    check = CiCheck("metta_ci", {"api_url": source.url}, [{"repo": "a/b", **options}])
    check.clock = lambda: NOW
    return check


def workflows(**fields: Any) -> dict[str, Any]:
    one = {"id": 1, "node_id": "W1", "name": "CI", "path": ".github/workflows/ci.yml", "state": "active", **fields}
    return {"total_count": 1, "workflows": [one]}


def run(number: int, **fields: Any) -> dict[str, Any]:
    at = f"{NOW - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
    repository = {"id": 1, "full_name": "a/b", "html_url": "https://github.example/a/b"}
    return {
        "id": number,
        "node_id": f"R{number}",
        "workflow_id": 1,
        "path": ".github/workflows/ci.yml",
        "name": "CI",
        "run_number": number,
        "status": "completed",
        "conclusion": "success",
        **dict.fromkeys(("created_at", "run_started_at", "updated_at"), at),
        "repository": repository,
        "head_repository": repository,
        **fields,
    }


def listing(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"total_count": len(runs), "workflow_runs": runs}


def error_of(check: CiCheck) -> SourceError:
    check.run()
    error = check.collection.error
    assert isinstance(error, SourceError)
    return error


def remembered(check: CiCheck) -> Ledger:
    (target,) = check.targets()
    return check.states.of(target)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("*a" * 12 + "b", "a" * 400),
        ("*a*" * 12 + "b", "a" * 400),
        ("*" * 30 + "b", "a" * 400),
        ("a*" * 12 + "!", "A" * 400),
        ("*ab" * 12 + "c", "ab" * 200),
    ],
)
def test_an_exclusion_with_many_stars_is_quick_on_every_name(source: Source, entry: str, name: str) -> None:
    """A regular expression would hold the interpreter lock, and so every check of the Agent, for years."""
    source.put(WORKFLOWS, workflows(name=name))
    source.put(RUNS, listing(run(1, name=name)))
    began = time.thread_time()

    check = check_of(source, exclude_workflows=[entry])
    check.run()

    assert check.collection.error is None
    assert time.thread_time() - began < 5


@pytest.mark.parametrize("field", ["name", "path", "conclusion"])
def test_of_a_long_name_a_beginning_is_remembered(source: Source, field: str) -> None:
    source.put(RUNS, listing(*(run(number, **{field: EMOJI * 5_000}) for number in range(1, 100))))
    source.put(WORKFLOWS, workflows(name=EMOJI * 5_000, state="active" + EMOJI * 5_000))
    check = check_of(source)
    check.run()

    ledger = remembered(check)

    assert check.collection.error is None
    assert len(ledger.runs) == 99
    texts = [text for known in ledger.runs.values() for text in (known.run.name, known.run.file, known.run.conclusion)]
    texts += [text for one in ledger.workflows.by_id.values() for text in (one.name, one.path, one.state)]
    assert max(len(text or "") for text in texts) == MAX_TEXT


def test_a_node_id_is_refused_rather_than_cut(source: Source) -> None:
    source.put(RUNS, listing(run(1, node_id="R" * 15_000)))

    assert error_of(check_of(source)).kind is Kind.MALFORMED


@pytest.mark.parametrize("path", [RUNS, WORKFLOWS])
def test_a_page_longer_than_any_of_github_is_refused(source: Source, path: str) -> None:
    if path == RUNS:
        source.put(RUNS, listing(*map(run, range(1, 202))))
    else:
        source.put(WORKFLOWS, {"total_count": 201, "workflows": workflows()["workflows"] * 201})

    error = error_of(check_of(source))

    assert error.kind is Kind.MALFORMED
    assert "200 items" in str(error)


def test_what_is_remembered_does_not_grow_from_one_collection_to_the_next(source: Source) -> None:
    """A server that has a hundred new runs at each collection, all of them recent, is as good as one with no end."""
    numbers = count(1)

    def answer(request: Request) -> Reply | None:
        if request.path == RUNS:
            source.put(RUNS, listing(*(run(next(numbers)) for _ in range(90))))
        return None

    source.intercept = answer
    check = check_of(source, max_pages=3)
    errors = []
    for _ in range(8):
        check.run()
        errors.append(check.collection.error)

    assert errors[:3] == [None, None, None]
    assert "more runs than `max_pages` allows" in str(errors[-1])
    assert len(remembered(check).runs) <= 3 * 100 + 20


@pytest.mark.parametrize("found", [HUGE, -HUGE, 2**63])
def test_a_count_that_is_no_number_of_github_leaves_the_rest(source: Source, aggregator: Any, found: int) -> None:
    source.put(RUNS, listing(run(1)))
    source.put("/search/issues", {"total_count": found, "incomplete_results": False})
    check = check_of(source)
    check.run()

    assert check.collection.error is None
    assert aggregator.metrics("metta.infra.cron.ci.workflow.success_ratio")
    assert not aggregator.metrics("metta.infra.cron.github.hotfix.count")
    assert any("github.hotfix.count" in warning for warning in check.get_warnings())


@pytest.mark.parametrize("field", ["id", "workflow_id", "run_number"])
def test_a_number_that_is_none_of_github(source: Source, field: str) -> None:
    source.put(RUNS, listing(run(1, **{field: HUGE})))

    assert error_of(check_of(source)).kind is Kind.MALFORMED


@pytest.mark.parametrize("remaining", ["\u00b2", "9" * 5_000, "1\u00bd", "-1", "soon"])
def test_a_quota_that_is_no_number_is_passed_over(source: Source, remaining: str) -> None:
    source.put(RUNS, listing(run(1)), headers={"X-RateLimit-Remaining": remaining})
    check = check_of(source)
    check.run()

    assert check.collection.error is None
