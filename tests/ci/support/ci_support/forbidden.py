"""A token that must not read check suites, as fine-grained ones: what GraphQL then answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from metta_checks.simulator.github_server import GitHubServer
from metta_checks.simulator.server import Reply, Request

Shape = Callable[[dict[str, Any]], dict[str, Any]]

MESSAGE = "Resource not accessible by personal access token"


def forbid_check_suites(server: GitHubServer, shape: Shape) -> None:
    """From now on the server refuses `checkSuite`; `shape` makes the refusal of the full answer."""

    def intercept(request: Request) -> Reply | None:
        if request.path != "/graphql" or b"checkSuite" not in request.body:
            return None
        full = server.answer(request)
        return replace(full, body=json.dumps(shape(json.loads(full.body))).encode())

    server.intercept = intercept


def nulls_up_to_the_run(answer: dict[str, Any]) -> dict[str, Any]:
    """`checkSuite` cannot be null, so that the run around it is, with an error for each."""
    errors = []
    for alias, nodes in _nodes(answer):
        for position, node in enumerate(nodes):
            if node and "runs" in node:
                runs = node["runs"]["nodes"]
                paths = [[alias, position, "runs", "nodes", number, "checkSuite"] for number in range(len(runs))]
                runs[:] = [None] * len(runs)
            else:
                paths = [[alias, position, "checkSuite"]]
                nodes[position] = None
            errors += [_error(path) for path in paths]
    return {**answer, "errors": errors} if errors else answer


def nulls_in_its_place(answer: dict[str, Any]) -> dict[str, Any]:
    """A server on which it may be null."""
    errors = []
    for alias, nodes in _nodes(answer):
        for position, node in enumerate(nodes):
            for number, run in enumerate(node["runs"]["nodes"] if node and "runs" in node else []):
                run["checkSuite"] = None
                errors.append(_error([alias, position, "runs", "nodes", number, "checkSuite"]))
            if node and "checkSuite" in node:
                node["checkSuite"] = None
                errors.append(_error([alias, position, "checkSuite"]))
    return {**answer, "errors": errors} if errors else answer


def nulls_without_a_word(answer: dict[str, Any]) -> dict[str, Any]:
    answer = nulls_in_its_place(answer)
    answer.pop("errors", None)
    return answer


def no_data(_answer: dict[str, Any]) -> dict[str, Any]:
    """The whole answer refused, without a path."""
    return {"data": None, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]}


SHAPES: tuple[Shape, ...] = (nulls_up_to_the_run, nulls_in_its_place, nulls_without_a_word, no_data)


def _nodes(answer: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    return ((alias, nodes) for alias, nodes in answer["data"].items() if alias.startswith(("history", "close")))


def _error(path: list[str | int]) -> dict[str, Any]:
    return {"type": "FORBIDDEN", "path": path, "message": MESSAGE}
