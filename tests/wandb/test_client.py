"""What the check makes of the API's answers: whole ones, odd ones, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.simulator.server import Reply
from metta_checks.simulator.wandb_server import WandbServer
from metta_checks.wandb.check import WandbCheck

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]
Fault = Callable[..., SourceError]
Answers = Callable[..., None]

ANSWERS = Path(__file__).parents[1] / "fixtures" / "wandb" / "graphql"


def answer(name: str) -> Any:
    """A whole answer of the API."""
    return json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))


def test_a_page_as_the_service_sends_it(answers: Answers, figures: Collect) -> None:
    answers(answer("runs"))
    collected = figures(run_tags=["group"])
    short = {
        metric: {
            " ".join(tag for tag in tags if tag.startswith(("run_id:", "metric"))): value
            for tags, value in series.items()
        }
        for metric, series in collected.items()
        if metric.startswith("wandb.run.")
    }
    assert short == {
        "wandb.run.duration_hours": {
            "run_id:3x5ezzw0": pytest.approx(6 - 30 / 3600),
            # Times without a zone are UTC.
            "run_id:04l9hgkd": 8.5,
        },
        "wandb.run.log_age_seconds": {"run_id:3x5ezzw0": 21_600.5, "run_id:p9q2w3e4": 120.5},
        "wandb.run.sps": {"run_id:3x5ezzw0": 48_210.5, "run_id:04l9hgkd": 1_200.0},
        "wandb.run.metric": {
            "metric_name:overview/reward run_id:3x5ezzw0": 3.75,
            "metric_name:env_agent/heart.gained run_id:3x5ezzw0": 1.5,
            "metric_name:skypilot/queue_latency_s run_id:3x5ezzw0": 42.0,
        },
        "wandb.run.system": {
            "metric:gpu_utilization run_id:3x5ezzw0": 94.0,
            "metric:gpu_memory_utilization run_id:3x5ezzw0": 80.5,
        },
    }
    classes = {tags for tags, value in collected["wandb.runs"].items() if value}
    assert {tuple(tag for tag in tags if tag.startswith(("run_type", "state"))) for tags in classes} == {
        ("run_type:train", "state:running"),
        ("run_type:sweep", "state:failed"),
        ("run_type:all", "state:running"),
    }
    (not_finite,) = (value for tags, value in collected["metta.check.dropped"].items() if "reason:not_finite" in tags)
    assert not_finite == 3.0


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("null_project", "not found", "Check `entity` and `project`"),
        ("null_viewer", "unauthorized", "The key came from the option `api_key`"),
        ("permission_denied", "forbidden", "use one of a member of the entity"),
    ],
)
def test_refusals_that_come_with_http_200(answers: Answers, fault: Fault, name: str, kind: str, words: str) -> None:
    answers(answer(name))
    error = fault()
    assert error.kind == kind
    assert words in str(error)
    assert "project metta-research/metta" in str(error)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("rate limit exceeded", "rate limited"),
        ("could not find project metta", "not found"),
        ("project not found", "not found"),
        ("user is not logged in: Unauthorized", "unauthorized"),
        ("You don't have permission to access this", "forbidden"),
        ('Cannot query field "systemMetrics" on type "Run".', "rejected"),
        ("line one\nline two", "rejected"),
    ],
)
def test_graphql_errors(answers: Answers, fault: Fault, message: str, kind: str) -> None:
    answers({"data": None, "errors": [{"message": message}]})
    error = fault()
    assert error.kind == kind
    assert f'"{" ".join(message.split())}"' in str(error)


@pytest.mark.parametrize("invalid_key", ["401", "null"])
def test_a_wrong_key(server: WandbServer, fault: Fault, invalid_key: str) -> None:
    server.invalid_key = invalid_key  # type: ignore[assignment]
    error = fault(api_key="not-the-key-of-this-server")
    assert error.kind == "unauthorized"
    assert f"for {server.url}." in error.remedy
    assert "not-the-key" not in str(error)
    assert len(server.requests) == 1


def test_a_key_with_a_line_break_at_its_end_is_the_key(server: WandbServer, figures: Collect) -> None:
    assert list(figures(api_key=f" {server.api_key}\r\n")["metta.check.up"].values()) == [1.0]


def test_a_rate_limit_ends_the_collection_and_tells_the_reset(
    answers: Answers, server: WandbServer, fault: Fault
) -> None:
    answers(
        {"errors": [{"message": "rate limit exceeded"}]},
        status=429,
        headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "37", "Retry-After": "37"},
    )
    error = fault()
    assert error.kind == "rate limited"
    assert error.reset_at is not None
    assert f"{error.reset_at:%Y-%m-%dT%H:%M:%SZ}" in str(error)
    assert len(server.requests) == 1


def test_a_proxy_that_wants_a_credential_is_not_the_key_s_fault(answers: Answers, fault: Fault) -> None:
    answers({}, status=407)
    assert "proxy" in fault().remedy


@pytest.mark.parametrize("status", [400, 403, 404, 409])
def test_what_is_not_tried_again(answers: Answers, server: WandbServer, fault: Fault, status: int) -> None:
    answers({"error": "no"}, status=status)
    assert fault().status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("data", "project", "runs", "edges", 1, "node", "name"), None, "edges.1.node.name"),
        (("data", "project", "runs", "edges", 1, "node", "name"), "", "edges.1.node.name"),
        (("data", "project", "runs", "edges", 2, "node"), None, "edges.2.node"),
        (("data", "project", "runs", "edges"), None, "data.project.runs.edges"),
        (("data", "project", "runs", "pageInfo"), None, "data.project.runs.pageInfo"),
        (("data", "project", "runs", "pageInfo", "hasNextPage"), None, "pageInfo.hasNextPage"),
        (("data", "project", "runs"), None, "data.project.runs"),
        (("data", "project"), [], "data.project"),
        (("data",), "text", "data"),
    ],
)
def test_a_malformed_answer_is_told_by_its_field(
    answers: Answers, fault: Fault, path: tuple[Any, ...], value: Any, place: str
) -> None:
    document = answer("runs")
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    answers(document)
    error = fault()
    assert error.kind == "malformed response"
    assert place in error.detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Sign in</body></html>", "an HTML page instead of JSON"),
        (b"", "no valid JSON"),
        (b"[]", "Input should be an object"),
        (b'{"data": ', "no valid JSON"),
        (b"{" * 100_000, "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
    ],
)
def test_a_body_that_is_no_answer(server: WandbServer, fault: Fault, body: bytes, words: str) -> None:
    server.intercept = lambda _: Reply(200, body)
    error = fault()
    assert error.kind == "malformed response"
    assert words in error.detail


def test_an_answer_over_the_limit(server: WandbServer, fault: Fault) -> None:
    server.intercept = lambda _: Reply(200, b" " * 5_000)
    error = fault(max_response_bytes=4_096)
    assert (error.kind, error.detail) == ("oversized response", "more than 4,096 bytes")


def test_a_state_that_this_version_does_not_know_is_left_out_and_told(
    answers: Answers, figures: Collect, new_check: Callable[..., WandbCheck]
) -> None:
    document = answer("runs")
    edges = document["data"]["project"]["runs"]["edges"]
    edges += [{"node": {**edges[0]["node"], "name": name}} for name in "cde"]
    for edge, state in zip(edges[1:], ["asleep", "", None, "RUNNING", "Finished"], strict=True):
        edge["node"]["state"] = state
    answers(document)
    check = new_check()
    collected = figures(check)
    assert len(collected["wandb.run.duration_hours"]) == 1
    assert sum(collected["wandb.runs"].values()) == 1.0
    (invalid,) = (value for tags, value in collected["metta.check.dropped"].items() if "reason:invalid" in tags)
    assert invalid == 5.0
    (warning,) = check.get_warnings()
    assert "run 04l9hgkd has the state 'asleep'" in warning
    assert warning.endswith("; 2 more")


def test_a_failed_collection_leaves_nothing_behind(
    answers: Answers, fault: Fault, figures: Collect, new_check: Callable[..., WandbCheck]
) -> None:
    check = new_check()
    answers(answer("permission_denied"))
    fault(check)
    answers(answer("runs"))
    assert sum(figures(check)["wandb.runs"].values()) == 3.0
