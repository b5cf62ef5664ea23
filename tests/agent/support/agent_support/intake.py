"""An intake on loopback: it takes what an Agent sends to Datadog, and keeps the points."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agent_support.payloads import Point, decompressed, series_v1, series_v2, sketches
from metta_checks.simulator.server import LoopbackServer, Reply, Request

READERS = {"/api/v1/series": series_v1, "/api/v2/series": series_v2, "/api/beta/sketches": sketches}
OWN_METRICS = ("datadog.", "n_o_i_n_d_e_x.")
"""The Agent's metrics about itself."""


class Intake(LoopbackServer):
    """Takes every payload. `points` are those of the checks, in order; `bodies` are all payloads as plain bytes."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.bodies: list[bytes] = []
        self.events: list[Mapping[str, Any]] = []
        self.unreadable: list[str] = []
        self.paths: dict[str, int] = {}
        self._news = threading.Condition()
        super().__init__()

    def answer(self, request: Request) -> Reply:
        """Keep the payload, and accept it."""
        try:
            body = decompressed(request.body, request.headers.get("content-encoding", ""))
            points = [point for point in self._points(request.path, body) if not point.metric.startswith(OWN_METRICS)]
        except (AssertionError, LookupError, ValueError) as error:
            with self._news:
                self.unreadable.append(f"{request.path}: {type(error).__name__}: {error}")
            return Reply(400)
        with self._news:
            self.bodies.append(body)
            self.paths[request.path] = self.paths.get(request.path, 0) + 1
            self.points += points
            if request.path == "/intake/":
                for events in json.loads(body or b"{}").get("events", {}).values():
                    self.events += events
            self._news.notify_all()
        return Reply(202, b'{"status":"ok"}', {"Content-Type": "application/json"})

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition holds, looked at after each payload until it does or the time is over."""
        with self._news:
            return self._news.wait_for(condition, seconds)

    def wait_for_metric(self, metric: str, value: float | None = None, *, tag: str = "", seconds: float = 90) -> None:
        """Until a new point of that metric, value and tag comes. Fails when none comes in time."""
        since = len(self.points)

        def came() -> bool:
            return any(
                point.metric == metric and value in (None, point.value) and (not tag or tag in point.tags)
                for point in self.points[since:]
            )

        assert self.wait_for(came, seconds), f"no {metric} {value} {tag} within {seconds} s"

    def _points(self, path: str, body: bytes) -> list[Point]:
        reader = READERS.get(path)
        return [] if reader is None else list(reader(body))
