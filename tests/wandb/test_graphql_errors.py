"""Errors that W&B reports inside an HTTP 200 answer: what they mean, what is tried again, whose key it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.core import SourceError
from metta_checks.simulator.server import Reply, Request
from metta_checks.simulator.wandb_project import DemoProject
from metta_checks.simulator.wandb_server import DEMO_API_KEY, WandbServer
from metta_checks.wandb.check import WandbCheck

Figures = dict[str, dict[tuple[str, ...], float]]
Collect = Callable[..., Figures]
Fault = Callable[..., SourceError]
NewCheck = Callable[..., WandbCheck]

FAILED_LISTING = Path(__file__).parents[1] / "fixtures" / "wandb" / "graphql" / "failed_listing.json"
VIEWER = {"id": "VXNlcjoxMjM0NTY="}


@pytest.fixture
def prompt(new_check: NewCheck) -> NewCheck:
    """Makes a check that does not wait before it tries again."""

    def make(**options: Any) -> WandbCheck:
        check = new_check(**options)
        check.load_options()
        check.transport.pause = 0.001
        return check

    return make


def refusal(*messages: str, data: Any = None, **fields: Any) -> Reply:
    """An HTTP 200 answer with these errors."""
    errors = [{"message": message, "path": ["project"], **fields} for message in messages]
    return Reply(200, json.dumps({"errors": errors, "data": data}).encode(), {"Content-Type": "application/json"})


def report(server: WandbServer, answer: Reply, times: int = 99) -> None:
    """Let the first `times` requests be answered so."""
    server.intercept = lambda _: answer if len(server.requests) <= times else None


TRANSIENT = [
    "context deadline exceeded",
    "failed to query runs: context deadline exceeded",
    "rpc error: code = DeadlineExceeded desc = deadline exceeded",
    "rpc error: code = Unavailable desc = transport is closing",
    "context canceled",
    "Error 1205: Lock wait timeout exceeded; try restarting transaction",
    "Error 1205 (HY000): Lock wait timeout exceeded; try restarting transaction",
    "Error 1213: Deadlock found when trying to get lock; try restarting transaction",
    "Error 1040: Too many connections",
    "Error 2013: Lost connection to MySQL server during query",
    "driver: bad connection",
    "dial tcp 10.0.0.7:3306: connect: connection refused",
    "read tcp 10.0.0.7:3306: i/o timeout",
    "unexpected EOF",
    "An internal error occurred",
    "An internal error occurred. Please contact support.",
    "Internal Server Error",
    "upstream request timeout",
    "The service is temporarily unavailable",
    "Something went wrong, please try again",
    # A refusal could not be decided, so it is none.
    "failed to check permission: context deadline exceeded",
    "could not authenticate the user: Error 1205: Lock wait timeout exceeded",
]


@pytest.mark.parametrize("message", TRANSIENT)
def test_a_transient_error_is_tried_again(
    server: WandbServer, prompt: NewCheck, figures: Collect, project: DemoProject, message: str
) -> None:
    project.start("r1", prompt().clock())
    report(server, refusal(message, data={"project": None}), times=2)
    collected = figures(prompt())
    assert sum(collected["wandb.runs"].values()) == 1.0
    assert list(collected["metta.check.requests"].values()) == [3.0]


@pytest.mark.parametrize("message", TRANSIENT)
def test_one_that_stays_is_the_servers_error(server: WandbServer, prompt: NewCheck, fault: Fault, message: str) -> None:
    report(server, refusal(message, data={"project": None}))
    error = fault(prompt())
    assert error.kind == "server error"
    assert f'GraphQL error "{message}"' in error.detail
    assert "The next collection tries again." in error.remedy
    assert "newer version" not in str(error)
    assert len(server.requests) == 3


def test_a_failed_listing_as_the_service_sends_it(answers: Callable[..., None], prompt: NewCheck, fault: Fault) -> None:
    answers(json.loads(FAILED_LISTING.read_text(encoding="utf-8")))
    error = fault(prompt())
    assert error.kind == "server error"
    assert 'GraphQL error "failed to query runs: context deadline exceeded"' in str(error)
    assert "project metta-research/metta" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"project": None},
        {"viewer": VIEWER, "project": {"runs": None}},
        {"viewer": VIEWER, "project": {"runs": {"edges": None, "pageInfo": None}}},
        {"viewer": VIEWER, "project": {"runs": {"edges": [{"node": None}], "pageInfo": {"hasNextPage": False}}}},
        [],
        "nothing",
    ],
)
def test_the_error_counts_whatever_data_stand_beside_it(
    server: WandbServer, prompt: NewCheck, fault: Fault, data: Any
) -> None:
    report(server, refusal("context deadline exceeded", data=data))
    assert fault(prompt()).kind == "server error"


@pytest.mark.parametrize(
    ("message", "fields", "kind"),
    [
        # Of an unknown message the code decides, and else whether a field could not be read.
        ("it broke", {"extensions": {"code": "INTERNAL_SERVER_ERROR"}}, "server error"),
        ("it broke", {"extensions": {"code": "UNAUTHENTICATED"}, "path": None}, "unauthorized"),
        ("it broke", {"extensions": {"code": "PERMISSION_ERROR"}}, "forbidden"),
        ("it broke", {"extensions": {"code": 7}}, "server error"),
        ("it broke", {"extensions": "none"}, "server error"),
        ("it broke", {"path": None}, "rejected"),
        # Apollo gives this code to errors of every kind.
        ("permission denied", {"extensions": {"code": "INTERNAL_SERVER_ERROR"}}, "forbidden"),
        ('Cannot query field "timeout" on type "Run".', {}, "rejected"),
        ('Unknown argument "login" on field "runs".', {}, "rejected"),
        ("Syntax Error: Expected Name, found <EOF>.", {}, "rejected"),
        ("invalid filter: heartbeatAt", {}, "rejected"),
        ("rate limit exceeded, try again later", {}, "rate limited"),
        (None, {}, "server error"),
    ],
)
def test_what_an_error_means(
    server: WandbServer, prompt: NewCheck, fault: Fault, message: Any, fields: dict[str, Any], kind: str
) -> None:
    report(server, refusal(message, **fields))
    assert fault(prompt()).kind == kind


def test_of_several_errors_the_cause_is_reported(server: WandbServer, prompt: NewCheck, fault: Fault) -> None:
    report(server, refusal("project not found", "user is not logged in"))
    error = fault(prompt())
    assert (error.kind, error.detail) == ("unauthorized", 'GraphQL error "user is not logged in"')


UNAUTHORISED = [
    "user is not logged in",
    "relogin required",
    "Re-login required",
    "You must be logged in",
    "please log in again",
    "unauthenticated",
    "not authenticated",
    "Unauthorized",
    "invalid API key",
    "API key has expired",
    "the API key is no longer valid",
    "session timed out",
]
FORBIDDEN = [
    "permission denied",
    "You don't have permission to access this",
    "access denied",
    "user is not authorized to read project metta",
    "forbidden",
    "you do not have access to this project",
]
REFUSALS = [
    *((message, "unauthorized", {"project": None}) for message in UNAUTHORISED),
    *((message, "forbidden", {"viewer": VIEWER, "project": None}) for message in FORBIDDEN),
    # Nulls for the viewer too: W&B does not know the key at all.
    *((message, "unauthorized", {"viewer": None, "project": None}) for message in (*FORBIDDEN, "project not found")),
]


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(("message", "kind", "data"), REFUSALS)
def test_a_refused_key_is_reported_with_its_origin(
    server: WandbServer,
    new_check: NewCheck,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: str,
    data: Any,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", DEMO_API_KEY)
    report(server, refusal(message, data=data))
    error = fault(new_check(api_key=None))
    assert error.kind == kind
    assert error.remedy.startswith("The key came from the environment variable WANDB_API_KEY: ")
    assert DEMO_API_KEY not in str(error)
    assert len(server.requests) == 1


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("user is not logged in", None),
        ("relogin required", {"project": None}),
        ("permission denied", {"viewer": VIEWER, "project": None}),
        ("permission denied", {"viewer": None, "project": None}),
    ],
)
def test_a_rotated_secret_is_read_again_after_a_refusal(
    server: WandbServer,
    new_check: NewCheck,
    figures: Collect,
    secrets: Callable[[str, str], None],
    message: str,
    data: Any,
) -> None:
    secrets("wandb/api-key", DEMO_API_KEY)
    check = new_check(api_key=None, aws_region="eu-west-1")
    figures(check)

    def refuse_the_old_key(request: Request) -> Reply | None:
        first = server.requests[0].headers["authorization"]
        return refusal(message, data=data) if request.headers["authorization"] == first else None

    server.api_key = "5e" * 20
    server.intercept = refuse_the_old_key
    secrets("wandb/api-key", server.api_key)
    collected = figures(check)
    assert list(collected["metta.check.up"].values()) == [1.0]
    assert list(collected["metta.check.requests"].values()) == [2.0]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_by_its_status_names_the_origin_too(answers: Callable[..., None], fault: Fault, status: int) -> None:
    answers({"errors": [{"message": "permission denied"}]}, status=status)
    assert fault().remedy.startswith("The key came from the option `api_key`: ")


@pytest.mark.usefixtures("ours")
@pytest.mark.parametrize("message", ["user is not logged in", "permission denied"])
def test_without_a_new_secret_the_refusal_is_reported(
    server: WandbServer, new_check: NewCheck, fault: Fault, secrets: Callable[[str, str], None], message: str
) -> None:
    secrets("wandb/api-key", DEMO_API_KEY)
    report(server, refusal(message))
    assert "the AWS secret wandb/api-key" in fault(new_check(api_key=None, aws_region="eu-west-1")).remedy
    assert len(server.requests) == 1


def test_a_run_whose_summary_speaks_of_errors_reports_none(
    server: WandbServer, figures: Collect, project: DemoProject, new_check: NewCheck
) -> None:
    now = new_check().clock()
    project.start("errors", now, display_name="errors", summary={"errors": [{"message": "permission denied"}]})
    assert sum(figures(metrics=["*"])["wandb.runs"].values()) == 1.0
