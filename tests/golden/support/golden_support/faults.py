"""What sources do wrong. Each is a factory: a fault may count how often it has struck."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count

from golden_support.server import Fault, Reply, Request

JSON = {"Content-Type": "application/json"}


def answering(status: int, document: object, headers: Mapping[str, str] | None = None) -> Fault:
    """This, whatever is asked; bytes as they are, everything else as JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda _request, _real: Reply(status, body, {**JSON, **(headers or {})})


def hang_up(_: Request, __: Callable[[], Reply]) -> None:
    """The connection closes without an answer."""


def cut_short(_: Request, real: Callable[[], Reply]) -> Reply:
    """Half the true answer, announced as the whole. One without a body cannot be cut."""
    reply = real()
    if not reply.body:
        return reply
    return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers, len(reply.body) + 1)


def only(fault: Fault, where: Callable[[Request], bool]) -> Fault:
    """The fault for some requests, the true answer for the others."""
    return lambda request, real: fault(request, real) if where(request) else real()


def at_first(fault: Fault, times: int = 1) -> Fault:
    """The fault for the first requests, the true answers after that."""
    seen = count()
    return lambda request, real: fault(request, real) if next(seen) < times else real()


COMMON: Mapping[str, Callable[[], Fault]] = {
    "500": lambda: answering(500, {"message": "Server Error"}),
    "502 once": lambda: at_first(answering(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"})),
    "503": lambda: answering(503, {"message": "Service Unavailable"}),
    "hang-up": lambda: hang_up,
    "hang-up once": lambda: at_first(hang_up),
    "401": lambda: answering(401, {"message": "Bad credentials"}),
    "403": lambda: answering(403, {"message": "Resource not accessible"}),
    "404": lambda: answering(404, {"message": "Not Found"}),
    "malformed": lambda: answering(200, b'{"data": {"project": {"runs"'),
    "a login page": lambda: answering(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}),
    "another shape": lambda: answering(200, {"hello": ["world"]}),
    "cut short": lambda: cut_short,
}
