"""How W&B servers answer other teams, and what is right then: each input comes from a public report.

Beside each row stands its source, an issue or a pull request of github.com/wandb/wandb unless another repository is
named. What is not right yet is expected to fail, and stops the tests as soon as it no longer does.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from datadog_checks.base.stubs.aggregator import AggregatorStub
from wandb_support.watch import START, Watch

from metta_checks.cli import main
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_server import DEMO_API_KEY

Watches = Callable[..., Watch]


@pytest.fixture
def running(aggregator: AggregatorStub) -> Callable[[Watch], float]:
    """Runs a collection that may fail, and gives the number of running runs that the Agent received."""

    def collect(watched: Watch) -> float:
        aggregator.reset()
        watched.check.load_options()
        # No waiting between two tries.
        watched.check.transport.pause = 0.001
        watched.check.run()
        return sum(stub.value for stub in aggregator.metrics("wandb.runs") if "state:running" in stub.tags)

    return collect


def start_runs(watched: Watch, number: int, **fields: Any) -> None:
    """Runs `run0`, `run1` … that started one after the other."""
    for i in range(number):
        created = START - timedelta(hours=2, minutes=-i)
        watched.project.start(f"run{i}", START, created_at=created, **fields)


def answer(content: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


TIMED_OUT = {"errors": [{"message": "context deadline exceeded", "path": ["project"]}], "data": {"project": None}}


def test_w8_a_timeout_of_the_server_inside_http_200_is_tried_again(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb#280, #5372, #5828."""
    watched = watch()
    start_runs(watched, 3)
    watched.server.intercept = lambda _: answer(TIMED_OUT) if len(watched.server.requests) == 1 else None
    assert running(watched) == 3.0
    assert len(watched.server.requests) == 2


def test_w8_one_that_stays_is_the_servers_fault_and_not_the_checks(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb#280, #5372, #5828."""
    watched = watch()
    watched.server.intercept = lambda _: answer(TIMED_OUT)
    running(watched)
    message = str(watched.check.collection.error)
    assert '"context deadline exceeded" (server error)' in message
    assert "The next collection tries again." in message


RELOGIN = {"errors": [{"message": "relogin required", "path": ["project"]}], "data": {"project": None}}


def test_w9_a_key_that_is_refused_inside_http_200_is_reported_with_its_origin(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb PR 12009."""
    watched = watch()
    watched.server.intercept = lambda _: answer(RELOGIN)
    running(watched)
    message = str(watched.check.collection.error)
    assert "(unauthorized)" in message
    assert "The key came from the option `api_key`" in message


def test_w9_a_secret_that_was_rotated_is_read_again_at_once(
    watch: Watches,
    running: Callable[[Watch], float],
    secrets: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """wandb PR 12009."""
    secrets("wandb/api-key", "5e" * 20)
    watched = watch(api_key=None, aws_region="eu-west-1")
    monkeypatch.setenv("WANDB_BASE_URL", watched.server.url)
    start_runs(watched, 3)
    watched.server.api_key = "5e" * 20
    assert running(watched) == 3.0
    old = watched.server.requests[0].headers["authorization"]
    watched.server.api_key = DEMO_API_KEY
    watched.server.intercept = lambda sent: answer(RELOGIN) if sent.headers["authorization"] == old else None
    secrets("wandb/api-key", DEMO_API_KEY)
    assert running(watched) == 3.0


def test_w13_an_http_500_that_comes_once_does_not_cost_the_collection(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb#5372."""
    watched = watch()
    start_runs(watched, 3)
    watched.server.intercept = lambda _: Reply(500) if len(watched.server.requests) == 1 else None
    assert running(watched) == 3.0


def test_w14_a_page_of_large_summaries_is_read_in_smaller_pages(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb#3387: eight runs of 10 MB each; here a thousandth of it, against a thousandth of the limit."""
    watched = watch(metrics=["overview/*"], max_response_bytes=64 * 1024)
    start_runs(watched, 8, summary={"overview/reward": 4.5, "table": "x" * 10_000})
    assert running(watched) == 8.0


def pages(watched: Watch) -> list[int]:
    """How many runs each request of the latest collections asked for."""
    return [json.loads(request.body)["variables"]["first"] for request in watched.server.requests]


def test_w14_the_size_that_worked_is_remembered_and_a_larger_one_tried_every_hour(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    watched = watch(metrics=["overview/*"], max_response_bytes=64 * 1024, page_size=16)
    start_runs(watched, 8, summary={"overview/reward": 4.5, "table": "x" * 10_000})
    assert running(watched) == 8.0
    assert pages(watched) == [16, 4, 4]
    watched.server.requests.clear()
    watched.now += timedelta(minutes=2)
    assert running(watched) == 8.0
    assert pages(watched) == [4, 4]
    watched.server.requests.clear()
    watched.now += timedelta(hours=1)
    assert running(watched) == 8.0
    assert pages(watched) == [8, 4, 4]
    for i in range(4):
        watched.project.delete(f"run{i}")
    watched.server.requests.clear()
    watched.now += timedelta(hours=1)
    assert running(watched) == 4.0
    assert pages(watched) == [8]


@pytest.mark.parametrize("giant", ["run0", "run2", "run5"])
def test_w14_a_run_that_is_too_large_by_itself_costs_its_own_summary_and_nothing_else(
    watch: Watches, running: Callable[[Watch], float], giant: str
) -> None:
    watched = watch(metrics=["overview/*"], max_response_bytes=64 * 1024, page_size=8)
    start_runs(watched, 6, summary={"overview/reward": 4.5})
    watched.project[giant].summary = {"overview/reward": 4.5, "table": "x" * 100_000}
    assert running(watched) == 6.0
    assert watched.check.get_warnings() == [
        f"1 left out (unreadable): the summary of run {giant} (more than 65,536 bytes)"
    ]
    received = watched.collect()
    assert "overview/reward" not in received.of_run(giant)
    # When it last logged is not known.
    assert "log_age_seconds" not in received.of_run(giant)
    assert received.of_run("run1")["overview/reward"] == 4.5


def test_w14_what_is_too_large_without_a_summary_is_an_error(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch(max_response_bytes=64 * 1024, page_size=8)
    start_runs(watched, 2, system_metrics={"system.cpu": 1, "system.note": "x" * 100_000})
    assert running(watched) == 0.0
    assert "(oversized response)" in str(watched.check.collection.error)
    assert pages(watched) == [8, 2, 1, 1]


def test_w14_too_many_values_in_a_page_make_it_smaller_too(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch(page_size=8)
    start_runs(watched, 8)
    many = {"data": {"viewer": {"id": "1"}, "project": {"runs": [0] * 200_000}}}
    watched.server.intercept = lambda sent: answer(many) if json.loads(sent.body)["variables"]["first"] > 2 else None
    assert running(watched) == 8.0
    assert pages(watched) == [8, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        ({"errors": [{"message": "response is too large"}]}, 200),
        ({"errors": [{"message": "result set exceeds maximum size of 32 MB"}]}, 200),
        ({"errors": [{"message": "query too complex: complexity limit reached"}], "data": None}, 400),
        ({"message": "Request Entity Too Large"}, 413),
    ],
)
def test_w14_a_server_that_refuses_a_page_as_too_large_is_asked_for_smaller_ones(
    watch: Watches, running: Callable[[Watch], float], refusal: dict[str, Any], status: int
) -> None:
    watched = watch(page_size=8)
    start_runs(watched, 8)
    watched.server.intercept = lambda sent: (
        answer(refusal, status) if json.loads(sent.body)["variables"]["first"] > 2 else None
    )
    assert running(watched) == 8.0
    assert pages(watched) == [8, 2, 2, 2, 2]


def test_w14_small_pages_may_be_as_many_as_the_runs_need(watch: Watches, running: Callable[[Watch], float]) -> None:
    """`max_pages` bounds the runs of a listing, whatever size its pages turn out to have."""
    watched = watch(metrics=["overview/*"], max_response_bytes=64 * 1024, page_size=8, max_pages=1)
    start_runs(watched, 8, summary={"table": "x" * 10_000})
    assert running(watched) == 8.0
    assert pages(watched) == [8, 2, 2, 2, 2]


def test_w14_a_page_that_takes_too_long_is_asked_for_smaller(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch(page_size=8, timeout=0.5)
    start_runs(watched, 3)
    slow = threading.Event()

    def hold(sent: Request) -> None:
        if json.loads(sent.body)["variables"]["first"] > 2:
            slow.wait(1.0)

    watched.server.intercept = hold
    assert running(watched) == 3.0
    assert pages(watched)[-2:] == [2, 2]


@pytest.mark.parametrize(
    ("base_url", "named"),
    [
        pytest.param("https://api.wandb.ai", False, id="the API of W&B's cloud"),
        pytest.param("https://wandb.example.com", False, id="a server of one's own"),
        pytest.param("https://wandb.example.com/wandb", False, id="below a path"),
        pytest.param("https://wandb.ai.example.com", False, id="a host that begins alike"),
        pytest.param("https://graphql.example.com", False, id="a host of that name"),
        pytest.param("https://WANDB.ai./", True, id="its pages, written otherwise"),
        pytest.param("https://www.wandb.ai/my-team", True, id="a page"),
        pytest.param(
            "https://wandb.example.com/GraphQL/", True, id="a server of one's own, with the path of a request"
        ),
        pytest.param("https://api.wandb.ai.", False, id="the API with the root's dot"),
        pytest.param("https://acme.wandb.io", False, id="a cloud of one's own"),
        pytest.param("https://wandb.com", True, id="its other domain"),
        pytest.param("https://docs.wandb.ai", True, id="its documentation"),
        pytest.param("https://api.wandb.com", True, id="a host that is not there"),
        pytest.param("https://api.wandb.ai/api", True, id="the API with a path"),
        pytest.param("https://api.wandb.ai/my-team/arena", True, id="the API with a project"),
        pytest.param("https://wandb.ai", True, id="its pages"),
        pytest.param("https://app.wandb.ai", True, id="its old pages"),
        pytest.param("http://api.wandb.ai", True, id="its API without TLS: the key in the clear"),
        pytest.param("https://api.wandb.ai/graphql", True, id="with the path of a request"),
    ],
)
def test_w15_validate_names_addresses_that_are_not_the_apis(tmp_path: Path, base_url: str, named: bool) -> None:
    """wandb#1754, PR 1985."""
    instance = {
        "entity": "team",
        "project": "arena",
        "base_url": base_url,
        # Without a key of its own, none would go to another server.
        "api_key": "ENC[wandb;key]",
        "tags": ["env:prod"],
        "min_collection_interval": 120,
        "empty_default_hostname": True,
    }
    path = tmp_path / "conf.d" / "metta_wandb.d" / "conf.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"init_config": None, "instances": [instance]}))
    path.chmod(0o640)
    result = CliRunner().invoke(main, ["validate", "--format", "json", str(path)])
    findings = json.loads(result.stdout)["findings"]
    assert [finding["option"] for finding in findings] == (["base_url"] if named else [])


@pytest.mark.parametrize("base_url", ["https://wandb.ai", "https://app.wandb.ai", "https://wandb.example.com/graphql"])
def test_w15_the_check_itself_refuses_them_before_a_key_is_sent(watch: Watches, base_url: str) -> None:
    """wandb#1754, PR 1985."""
    watched = watch(base_url=base_url)
    message = watched.failing()
    assert "`base_url` is the address of" in message
    assert watched.check.collection.requests == 0


def test_w17_a_row_that_is_lost_at_a_page_seam_is_noticed_and_read_again(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """wandb#6614, #7666: one row comes twice, and another not at all."""
    watched = watch(page_size=2)
    start_runs(watched, 4)
    pages: list[Any] = []

    def repeat_a_row(request: Request) -> Reply | None:
        page = json.loads(watched.server.answer(request).body)
        edges = (page["data"]["project"].get("runs") or {}).get("edges")
        if not edges:
            return None
        pages.append(edges)
        if len(pages) != 2:
            return None
        # The rows moved by one between the two pages.
        edges[0] = pages[0][-1]
        return answer(page)

    watched.server.intercept = repeat_a_row
    assert running(watched) == 4.0


def lose(watched: Watch, *, times: int, count: bool = True) -> None:
    """Of the second page of each of the first `times` listings the first row is the last one of the first page."""
    first: list[Any] = []
    listings = itertools.count(1)

    def repeat_a_row(request: Request) -> Reply | None:
        page = json.loads(watched.server.answer(request).body)
        project = page["data"]["project"]
        if not count:
            project["runCount"] = None
        edges = project["runs"]["edges"]
        if json.loads(request.body)["variables"]["after"] is None:
            first[:] = edges
            first.append(next(listings))
        elif first and first[-1] <= times:
            edges[0] = first[-2]
            first.clear()
        return answer(page)

    watched.server.intercept = repeat_a_row


@pytest.mark.parametrize("count", [True, False])
def test_w17_with_or_without_w_and_bs_own_count(watch: Watches, running: Callable[[Watch], float], count: bool) -> None:
    """wandb#6614, #7666: without a count the row that comes twice is the sign."""
    watched = watch(page_size=2)
    start_runs(watched, 4)
    lose(watched, times=1, count=count)
    assert running(watched) == 4.0
    assert len(watched.server.requests) == 4
    assert watched.check.get_warnings() == []


def test_w17_one_that_is_lost_both_times_is_a_warning(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch(page_size=2)
    start_runs(watched, 4)
    lose(watched, times=2)
    assert running(watched) == 3.0
    (warning,) = watched.check.get_warnings()
    assert "W&B counts 4 runs of project metta-research/metta, and lists 3 of them" in warning


def test_w17_a_run_that_is_deleted_while_pages_are_read_may_have_moved_another_over_the_seam(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    watched = watch(page_size=2)
    start_runs(watched, 4)

    def delete(request: Request) -> None:
        if json.loads(request.body)["variables"]["after"] is not None and "run3" in watched.project:
            watched.project.delete("run3")

    watched.server.intercept = delete
    assert running(watched) == 3.0
    # W&B counted four runs, so the listing is read once more.
    assert len(watched.server.requests) == 4
    assert watched.check.get_warnings() == []


def test_w17_the_row_that_a_deletion_moved_over_the_seam_is_found(
    watch: Watches, running: Callable[[Watch], float]
) -> None:
    """The server counts rows from the beginning: a deletion on the first page hides the first row of the second."""
    watched = watch(page_size=2)
    start_runs(watched, 5)

    def delete(request: Request) -> Reply | None:
        if json.loads(request.body)["variables"]["after"] is None or "run0" not in watched.project:
            return None
        watched.project.delete("run0")
        page = json.loads(watched.server.answer(request).body)
        del page["data"]["project"]["runs"]["edges"][0]
        return answer(page)

    watched.server.intercept = delete
    running(watched)
    watched.server.intercept = None
    watched.now += timedelta(minutes=2)
    assert set(watched.collect().of_run("run2")) >= {"duration_hours"}
    assert watched.collect().counts() == {("all", "running"): 4}


def test_w17_a_listing_of_one_page_is_not_counted_again(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch()
    start_runs(watched, 4)

    def miscount(request: Request) -> Reply:
        page = json.loads(watched.server.answer(request).body)
        page["data"]["project"]["runCount"] = 9
        return answer(page)

    watched.server.intercept = miscount
    assert running(watched) == 4.0
    assert (len(watched.server.requests), watched.check.get_warnings()) == (1, [])


@pytest.mark.parametrize("status", [400, 200])
@pytest.mark.parametrize("field", ["systemMetrics", "sweepName", "jobType"])
def test_w18_a_field_that_an_older_server_does_not_have_is_left_out_with_a_warning(
    watch: Watches, running: Callable[[Watch], float], field: str, status: int
) -> None:
    """wandb#6771."""
    watched = watch()
    start_runs(watched, 3)
    refused = {"errors": [{"message": f'Cannot query field "{field}" on type "Run".'}], "data": None}

    def refuse_the_field(request: Request) -> Reply | None:
        return answer(refused, status) if field in json.loads(request.body)["query"] else None

    watched.server.intercept = refuse_the_field
    assert running(watched) == 3.0
    assert any(field in warning for warning in watched.check.get_warnings())


@pytest.mark.parametrize(
    ("options", "message", "left_out"),
    [
        ({}, 'Unknown argument "keys" on field "summaryMetrics" of type "Run".', "keys"),
        ({}, "Cannot query field 'runCount' on type 'Project'.", "runCount"),
        ({}, 'Field "group" is not defined by type "Run"', "group"),
        ({"run_tags": ["user"]}, 'Cannot query field "username" on type "User". Did you mean "name"?', "username"),
        ({"run_tags": ["host"]}, 'Cannot query field "host" on type "Run".', "host"),
        ({}, "Validation error of type FieldUndefined: Field 'jobType' in type 'Run' is undefined @ 'node'", "jobType"),
        ({}, "field 'sweepName' not found in type: 'Run'", "sweepName"),
        ({}, "Field 'group' doesn't exist on type 'Run'", "group"),
        ({}, 'Unknown field "computeSeconds" on type "Run"', "computeSeconds"),
    ],
)
def test_w18_in_the_words_of_other_servers(
    watch: Watches, running: Callable[[Watch], float], options: dict[str, Any], message: str, left_out: str
) -> None:
    """wandb#6771."""
    watched = watch(**options)
    start_runs(watched, 3, summary={"overview/reward": 4.5})
    refused = {"errors": [{"message": message}]}
    watched.server.intercept = lambda sent: (
        answer(refused, 400) if left_out in re.findall(r"\w+", json.loads(sent.body)["query"]) else None
    )
    assert running(watched) == 3.0
    assert len(watched.server.requests) == 2
    # From then on it is not asked for, and the warning stays.
    watched.now += timedelta(minutes=2)
    assert running(watched) == 3.0
    assert len(watched.server.requests) == 3
    assert [warning for warning in watched.check.get_warnings() if f"has no `{left_out}`" in warning]


def test_w18_several_fields_are_left_out_one_after_the_other(watch: Watches, running: Callable[[Watch], float]) -> None:
    watched = watch()
    start_runs(watched, 3)

    def refuse(sent: Request) -> Reply | None:
        asked = json.loads(sent.body)["query"]
        missing = [name for name in ("runCount", "jobType", "systemMetrics") if name in asked]
        errors = [{"message": f'Cannot query field "{name}" on type "Run".'} for name in missing]
        return answer({"errors": errors}, 400) if errors else None

    watched.server.intercept = refuse
    assert running(watched) == 3.0
    assert len(watched.check.get_warnings()) == 3


@pytest.mark.parametrize("name", ["state", "heartbeatAt", "summaryMetrics", "runs", "nothing"])
def test_w18_what_the_check_cannot_do_without_stays_an_error(
    watch: Watches, running: Callable[[Watch], float], name: str
) -> None:
    watched = watch()
    watched.server.intercept = lambda _: answer({"errors": [{"message": f'Cannot query field "{name}"'}]}, 200)
    assert running(watched) == 0.0
    assert f'Cannot query field "{name}"' in str(watched.check.collection.error).replace("\\", "")
    assert len(watched.server.requests) == 1
