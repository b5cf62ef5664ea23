"""The answers with which GitHub refuses a request, ready to be sent by the server or put in the way by a test."""

from __future__ import annotations

import json

from metta_checks.simulator.server import Reply

JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
DOCS = "https://docs.github.com"


def refusal(status: int, message: str, documentation: str = "/rest", headers: dict[str, str] | None = None) -> Reply:
    """GitHub's shape of an error: a message, a link to the documentation, the status once more."""
    body = {"message": message, "documentation_url": f"{DOCS}{documentation}", "status": str(status)}
    return Reply(status, json.dumps(body).encode(), {**JSON_HEADERS, **(headers or {})})


def bad_credentials() -> Reply:
    return refusal(401, "Bad credentials")


def requires_authentication() -> Reply:
    """What GraphQL answers when no token is sent."""
    return refusal(
        401,
        "This endpoint requires you to be authenticated.",
        "/graphql/guides/forming-calls-with-graphql#authenticating-with-graphql",
    )


def permission_missing(permissions: str = "actions=read") -> Reply:
    """A fine-grained token without the permission that the endpoint asks for."""
    return refusal(
        403,
        "Resource not accessible by personal access token",
        "/rest/actions/workflow-runs",
        {"x-accepted-github-permissions": permissions},
    )


def primary_limit_exceeded(*, anonymous: bool = False) -> Reply:
    """The quota headers, remaining 0 among them, are added by the server."""
    message = "API rate limit exceeded for user ID 1."
    if anonymous:
        message = (
            "API rate limit exceeded for 127.0.0.1. (But here's the good news: Authenticated requests get a higher "
            "rate limit. Check out the documentation for more details.)"
        )
    return refusal(403, message, "/rest/overview/rate-limits-for-the-rest-api")


def secondary_limit_exceeded(*, status: int = 403, retry_after: int | None = 60) -> Reply:
    """Too much at once: 403 or 429, with or without a `retry-after` (seconds), quota or no quota."""
    return refusal(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
        {} if retry_after is None else {"retry-after": str(retry_after)},
    )


def not_found(documentation: str = "/rest") -> Reply:
    """Also what a private repository answers to somebody who may not see it."""
    return refusal(404, "Not Found", documentation)


def invalid(message: str, documentation: str = "/rest") -> Reply:
    return refusal(422, message, documentation)


def server_error(status: int = 502) -> Reply:
    """GitHub's front end answers in HTML when what is behind it does not answer."""
    body = b"<!DOCTYPE html><html><head><title>Unicorn!</title></head><body>This page is taking too long.</body></html>"
    return Reply(status, body, {"Content-Type": "text/html; charset=utf-8"})


def no_user_agent() -> Reply:
    body = b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
    return Reply(403, body, {"Content-Type": "text/plain"})


def graphql_errors(*errors: dict[str, object], data: object = None, with_data: bool = False) -> Reply:
    """GraphQL tells its errors with status 200; `data` is there when part of the answer is."""
    body: dict[str, object] = {"errors": list(errors)}
    if with_data:
        body = {"data": data, **body}
    return Reply(200, json.dumps(body).encode(), JSON_HEADERS)


def graphql_limit_exceeded() -> Reply:
    return graphql_errors({"type": "RATE_LIMITED", "message": "API rate limit exceeded for user ID 1."})
