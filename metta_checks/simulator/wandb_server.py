"""A W&B server on loopback: `POST /graphql` over projects in memory."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from graphql import GraphQLError

from metta_checks.simulator.graphql_api import Query, QueryError
from metta_checks.simulator.server import ON_LOOPBACK, Address, LoopbackServer, Reply, Request
from metta_checks.simulator.wandb_api import API, DemoUser, Root
from metta_checks.simulator.wandb_project import DemoProject

DEMO_API_KEY = "d3" * 20
"""Forty characters, which is what the SDK asks of a key."""

SDK_TELEMETRY = "/sdk/otel/"
"""The SDK reports on itself there, without a key; accepted and thrown away."""

WINDOW = timedelta(minutes=1)
"""W&B counts requests by the minute."""


class WandbServer(LoopbackServer):
    """Serves `projects` to whoever shows `api_key`.

    `invalid_key` says what a wrong key gets: `401`, or, as also seen, HTTP 200 with `viewer: null` and
    `project: null`. `budget` is the number of requests a minute before answers become 429; `None` is
    as many as come. All of these may be changed while the server runs. `clock` gives the aware time
    that the budget's minutes are counted by.
    """

    def __init__(
        self,
        *projects: DemoProject,
        api_key: str = DEMO_API_KEY,
        latency: float = 0.0,
        invalid_key: Literal["401", "null"] = "401",
        budget: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        address: Address = ON_LOOPBACK,
    ) -> None:
        self.projects = {(project.entity, project.name): project for project in projects}
        self.api_key = api_key
        self.invalid_key = invalid_key
        self.budget = budget
        self._clock = clock
        self._window_end = clock()
        self._spent = 0
        self._budget_lock = threading.Lock()
        super().__init__(latency=latency, address=address)

    def answer(self, request: Request) -> Reply:
        if request.path.startswith(SDK_TELEMETRY):
            return Reply()
        if request.path != "/graphql" or request.method != "POST":
            return _errors(404, f"no such page: {request.method} {request.path}")
        limits, exhausted = self._spend()
        if exhausted:
            return _errors(429, "rate limit exceeded", {**limits, "Retry-After": limits["RateLimit-Reset"]})
        authorised = self._is_authorised(request)
        if not authorised and self.invalid_key == "401":
            return _errors(401, "user is not logged in", limits)
        return self._execute(request, self._root(authorised), limits)

    def _execute(self, request: Request, root: Root, limits: Mapping[str, str]) -> Reply:
        """W&B answers a query that it does not accept with 400, a filter or a cursor inside it included."""
        try:
            query = API.query(json.loads(request.body))
        except QueryError as error:
            return _errors(400, str(error), limits)
        except ValueError as error:
            return _errors(400, f"the body is not JSON: {error}", limits)
        data, errors = self._data(query, root)
        return _errors(400, errors[0].message, limits) if errors else _json(200, {"data": data}, limits)

    def _data(self, query: Query, root: Root) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
        """Under every project's lock, so that no answer shows a run half changed."""
        with ExitStack() as locks:
            for project in self.projects.values():
                locks.enter_context(project.lock)
            return API.execute(query, root)

    def _root(self, authorised: bool) -> Root:
        if not authorised:
            return Root(viewer=None, projects={})
        entity = next((entity for entity, _ in self.projects), "demo")
        return Root(viewer=DemoUser("demo-viewer", entity), projects=self.projects)

    def _is_authorised(self, request: Request) -> bool:
        expected = base64.b64encode(f"api:{self.api_key}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"

    def _spend(self) -> tuple[dict[str, str], bool]:
        """Counts the request, and gives the rate-limit headers and whether the budget was already empty."""
        with self._budget_lock:
            now = self._clock()
            if now >= self._window_end:
                self._window_end = now + WINDOW
                self._spent = 0
            exhausted = self.budget is not None and self._spent >= self.budget
            self._spent += 1
            remaining = 1000 if self.budget is None else max(0, self.budget - self._spent)
            reset = max(1, round((self._window_end - now).total_seconds()))
        return {"RateLimit-Remaining": str(remaining), "RateLimit-Reset": str(reset)}, exhausted


def _errors(status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    return _json(status, {"errors": [{"message": message}], "data": None}, headers or {})


def _json(status: int, content: Any, headers: Mapping[str, str]) -> Reply:
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})
