"""GitHub on loopback: REST and GraphQL over demo repositories, with its limits, its ETags and its refusals."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from metta_checks.core.clock import Clock
from metta_checks.simulator.github_api import API, GitHubRoot, connections, error_json, points
from metta_checks.simulator.github_json import encode
from metta_checks.simulator.github_limits import ANONYMOUS, RESOURCES, Quota, RateLimits, Resource
from metta_checks.simulator.github_refusals import (
    JSON_HEADERS,
    bad_credentials,
    graphql_errors,
    graphql_limit_exceeded,
    no_user_agent,
    primary_limit_exceeded,
    refusal,
    requires_authentication,
)
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_rest import RestApi
from metta_checks.simulator.graphql_api import QueryError
from metta_checks.simulator.server import ON_LOOPBACK, Address, LoopbackServer, Reply, Request

NOT_MODIFIED_HEADERS = ("ETag", "Link", "Cache-Control", "Vary")


class GitHubServer(LoopbackServer):
    """Serves one repository or several until closed; a context manager.

    With `token=None` any token is good; with a string, others get 401. `anonymous_allowed=False` hides every
    repository from requests without a token, as GitHub hides private ones. `clock` (the first repository's
    unless given) times the rate limits, `latency` is in seconds.

    `limits` holds the budgets, to be set small where they shall run out. `requests` lists all that came,
    `counted` says how much of it the primary limits counted. `refuse(...)` makes the server turn requests down.
    `lacking` are permissions that the token has not; `pull_requests` and `contents` are known.
    """

    def __init__(
        self,
        repositories: DemoRepository | Sequence[DemoRepository],
        *,
        token: str | None = None,
        anonymous_allowed: bool = True,
        clock: Clock | None = None,
        latency: float = 0.0,
        address: Address = ON_LOOPBACK,
    ) -> None:
        self.repositories = (repositories,) if isinstance(repositories, DemoRepository) else tuple(repositories)
        self.token = token
        self.anonymous_allowed = anonymous_allowed
        self.limits = RateLimits(clock or self.repositories[0].clock)
        self.lacking: frozenset[str] = frozenset()
        self._refusals: dict[str, Reply] = {}
        self._state = threading.Lock()
        super().__init__(latency=latency, address=address)

    @property
    def counted(self) -> Mapping[str, int]:
        """What the primary limits counted per resource: requests, and points for GraphQL."""
        return {resource: self.limits.spent[resource] for resource in RESOURCES}

    def refuse(self, response: Reply, path: str = "/") -> None:
        """Answer `response` to every request whose path begins with `path`, until `relent`."""
        with self._state:
            self._refusals[path] = response

    def relent(self) -> None:
        """No more refusals but the server's own."""
        with self._state:
            self._refusals.clear()

    def answer(self, request: Request) -> Reply:
        if "user-agent" not in request.headers:
            return no_user_agent()
        caller = self._caller(request)
        if caller is None:
            return bad_credentials()
        if request.path == "/rate_limit":
            return self._rate_limit(caller)
        resource = _resource(request.path)
        if resource == "graphql" and caller == ANONYMOUS:
            return requires_authentication()
        quota = self.limits.quota(caller, resource)
        if quota.remaining == 0:
            exceeded = primary_limit_exceeded(anonymous=caller == ANONYMOUS)
            return _with_quota(graphql_limit_exceeded() if resource == "graphql" else exceeded, quota)
        if instead := self._refusal(request.path):
            return _with_quota(instead, self.limits.spend(caller, resource))
        if resource == "graphql":
            return self._graphql(request, caller)
        return self._rest(request, caller, resource)

    def _rest(self, request: Request, caller: str, resource: Resource) -> Reply:
        response = RestApi(self.url, self._visible(caller), self.lacking).answer(request)
        if response.status == 200:
            response = _with_etag(response, caller, request)
        # GitHub counts a 304 all the same when it goes to somebody without a token.
        free = response.status == 304 and caller != ANONYMOUS
        quota = self.limits.quota(caller, resource) if free else self.limits.spend(caller, resource)
        return _with_quota(response, quota)

    def _graphql(self, request: Request, caller: str) -> Reply:
        if request.method != "POST":
            return refusal(404, "Not Found", "/graphql")
        try:
            body = json.loads(request.body)
        except ValueError:
            return refusal(400, "Problems parsing JSON", "/graphql")
        try:
            query = API.query(body)
            requests = connections(query)
        except QueryError as error:
            return _with_quota(graphql_errors(*map(error_json, error.errors)), self.limits.spend(caller, "graphql"))
        quota = self.limits.spend(caller, "graphql", points(requests))
        root = GitHubRoot(self._visible(caller), lacking=self.lacking, quota=quota, requests=requests)
        data, errors = API.execute(query, root)
        answer: dict[str, Any] = {} if data is None else {"data": data}
        if errors:
            answer["errors"] = [error_json(error) for error in errors]
        return _with_quota(Reply(200, encode(answer).encode(), JSON_HEADERS), quota)

    def _rate_limit(self, caller: str) -> Reply:
        """Free of charge, as on GitHub."""
        quotas = {resource: self.limits.quota(caller, resource) for resource in RESOURCES}
        resources = {
            resource: {
                "limit": quota.limit,
                "used": quota.used,
                "remaining": quota.remaining,
                "reset": int(quota.resets_at.timestamp()),
            }
            for resource, quota in quotas.items()
        }
        body = {"resources": resources, "rate": resources["core"]}
        return _with_quota(Reply(200, encode(body).encode(), JSON_HEADERS), quotas["core"])

    def _caller(self, request: Request) -> str | None:
        """The token that was sent, `ANONYMOUS` without one, `None` when it is not the right one."""
        header = request.headers.get("authorization")
        if header is None:
            return ANONYMOUS
        token = _token(header)
        if token == "" or (self.token is not None and token != self.token):
            return None
        return token

    def _visible(self, caller: str) -> list[DemoRepository]:
        if caller != ANONYMOUS:
            return list(self.repositories)
        return [repository for repository in self.repositories if self.anonymous_allowed and not repository.private]

    def _refusal(self, path: str) -> Reply | None:
        """Of several, that of the longest path."""
        with self._state:
            prefixes = [prefix for prefix in self._refusals if path.startswith(prefix)]
            return self._refusals[max(prefixes, key=len)] if prefixes else None


def _resource(path: str) -> Resource:
    if path == "/graphql":
        return "graphql"
    return "search" if path.startswith("/search/") else "core"


def _token(header: str) -> str:
    """From `Bearer x`, `token x`, or Basic with the token as the password; empty when there is none in it."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() in ("bearer", "token"):
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _with_etag(response: Reply, caller: str, request: Request) -> Reply:
    """An ETag is about the caller, the address and the body; 304 when the caller already holds that one."""
    digest = hashlib.sha256(f"{caller}\n{request.target}\n".encode() + response.body).hexdigest()
    headers = {
        **response.headers,
        "ETag": f'W/"{digest}"',
        "Cache-Control": "private, max-age=60, s-maxage=60",
        "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, Accept, X-Requested-With",
    }
    held = {etag.strip().removeprefix("W/") for etag in request.headers.get("if-none-match", "").split(",")}
    if f'"{digest}"' in held:
        return Reply(304, b"", {name: headers[name] for name in NOT_MODIFIED_HEADERS if name in headers})
    return replace(response, headers=headers)


def _with_quota(response: Reply, quota: Quota) -> Reply:
    return replace(response, headers={**response.headers, **quota.headers})
