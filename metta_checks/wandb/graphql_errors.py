"""What the errors mean that W&B reports inside an HTTP 200 response."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from metta_checks.core import Kind
from metta_checks.core.transport import Response, ShapeError
from metta_checks.wandb.api_models import ErrorsResponse, GraphQLError

_PATTERNS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        # The query itself is wrong: names in these messages must not match below.
        (
            Kind.REJECTED,
            r"cannot query field|(unknown|undefined) (argument|type|field|directive|variable)|syntax error|"
            r"validation (failed|error)|field\W{1,4}\w+\W{1,4}(not found in|(doesn't|does not) exist on) type|"
            r"bad user input|got invalid value|expected type|invalid (argument|cursor|filter|order|value|variable)",
        ),
        (Kind.RATE_LIMITED, r"rate limit|too many requests|throttl|quota exceeded|exceeded (your|the) quota|slow down"),
        # Smaller pages help.
        (
            Kind.OVERSIZED,
            r"(response|result|payload|message|answer|query|page)s? (\w+ ){0,3}(too (large|big)|exceed(s|ed the max))|"
            r"(larger|bigger|more) than (the )?max|exceeds (the )?(maximum|max|limit)|"
            r"too (much data|many (results|rows))|query (is )?too complex|(complexity|memory) limit",
        ),
        # Messages of W&B, Go, MySQL (`Error 1205`) and gateways (wandb#280, #5372, #5828). They come before refusals:
        # "failed to check permission: context deadline exceeded" is none.
        (
            Kind.SERVER_ERROR,
            r"deadline ?exceeded|context cancell?ed|\berror:? [1-4]\d{3}\b|deadlock|lock wait|too many connections|"
            r"(bad|invalid) connection|connection (refused|reset|closed|lost)|lost connection|broken pipe|\beof\b|"
            r"(?<!session )(?<!login )(?<!token )\btimed?[ -]?out|"
            r"internal (\w+ )?error|bad gateway|(temporarily|currently|service|server|database|=) unavailable|"
            r"overloaded|(server|database|service) is (busy|down)|(http|status|code)[ :=]*50[0234]\b|"
            r"execution (was interrupted|time exceeded)|(statement|query) (was )?(interrupted|cancell?ed)",
        ),
        (
            Kind.UNAUTHORISED,
            r"logged in|signed in|login|(please|must|to) (log|sign) in|(log|sign) in (again|to|first)|"
            r"unauthori[sz]ed|authenticat|(invalid|expired|revoked|wrong|bad|missing) (\w+ )?(key|token|credential)|"
            r"(key|token|credentials?|session|account|user) (\w+ ){0,3}"
            r"(invalid|expired|revoked|deleted|disabled|deactivated|suspended|valid|timed out)",
        ),
        (
            Kind.FORBIDDEN,
            r"permission|forbidden|denied|not (be )?(authori[sz]ed|allowed|permitted)|have (no )?access|insufficient|"
            r"not a member|privilege",
        ),
        (Kind.NOT_FOUND, r"not find|not found|no such|(does not|doesn't) exist"),
        (Kind.SERVER_ERROR, r"try again|unavailable|went wrong|unexpected error"),
        (Kind.REJECTED, r"invalid|unsupported|not supported|pars(e|ing)|unmarshal|must (not )?be"),
    )
)
"""The first pattern that a message matches gives its meaning."""

_PRECEDENCE: Final = (
    Kind.RATE_LIMITED,
    Kind.OVERSIZED,
    Kind.SERVER_ERROR,
    Kind.UNAUTHORISED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
)


SMALL: Final = 64 * 1024
"""Bytes of a response that has no page of runs, but may have a `message`."""


@dataclass(frozen=True, slots=True)
class GraphQLFault:
    """The error to report for a response: `message` is one printable line of at most 200 characters."""

    kind: Kind
    message: str


def graphql_faults(response: Response, parsed: ErrorsResponse | None = None) -> dict[str, GraphQLFault]:
    """The errors that an HTTP 200 response reports, by the field of the query that they are about ("" for the query
    itself); of several the one that explains the rest. `parsed` is the response, where it could be read; what the
    server could not read of single runs is then left to `run_faults`.

    Raises SourceError for one that is too large in memory.
    """
    runs_are_read = parsed is not None
    if parsed is None:
        # A page of runs takes long to parse. Inside the blobs the quotes are escaped, so that this never matches there.
        if b'"error' not in response.body and (len(response.body) > SMALL or b'"message"' not in response.body):
            return {}
        try:
            parsed = response.model(ErrorsResponse)
        except ShapeError:
            return {}
    faults: dict[str, list[GraphQLFault]] = {}
    for error in parsed.reported:
        if runs_are_read and _place_in_runs(error) is not None:
            continue
        fault = GraphQLFault(_kind(error, parsed.data), response.quoted(error.message or "no message"))
        if runs_are_read and fault.kind is Kind.SERVER_ERROR and _is_beside_the_runs(error, parsed.data):
            continue
        faults.setdefault(_field(error), []).append(fault)
    return {field: worst(found) for field, found in faults.items()}


def run_faults(response: Response, parsed: ErrorsResponse, alias: str) -> dict[int, dict[str, str]]:
    """What the server could not read of single runs of the project under `alias`: by the row and the field, why."""
    faults: dict[int, dict[str, str]] = {}
    for error in parsed.reported:
        place = _place_in_runs(error)
        if place is not None and _field(error) == alias:
            row, field = place
            faults.setdefault(row, {})[field] = response.quoted(error.message or "no message")
    return faults


def worst(faults: Iterable[GraphQLFault]) -> GraphQLFault:
    """The fault that explains the others."""
    return min(faults, key=lambda fault: [*_PRECEDENCE, fault.kind].index(fault.kind))


def _is_beside_the_runs(error: GraphQLError, data: Any) -> bool:
    """Whether the server could not read the user or the number of runs, which a page of runs can do without."""
    match error.path:
        case ["viewer", *_]:
            return getattr(data, "shows", False)
        case [str(alias), "runCount"]:
            return getattr(data, "projects", {}).get(alias) is not None
        case _:
            return False


def _place_in_runs(error: GraphQLError) -> tuple[int, str] | None:
    """The row and the field where the error is about one field of one run."""
    match error.path:
        case [_, "runs", "edges", int(row), "node", str(field), *_]:
            return row, field
        case _:
            return None


def _field(error: GraphQLError) -> str:
    path = error.path
    return str(path[0]) if isinstance(path, list) and path else ""


def is_transient(response: Response) -> bool:
    """Whether the response reports a fault of the server that may be gone in a moment: HTTP 500, or an error that means
    the same inside an HTTP 200."""
    if response.status != 200:
        return response.status == 500
    faults = graphql_faults(response)
    return bool(faults) and worst(faults.values()).kind is Kind.SERVER_ERROR


def _kind(error: GraphQLError, data: Any) -> Kind:
    # Apollo writes INTERNAL_SERVER_ERROR as the code of most errors, so the message decides first.
    kind = kind_of_text(error.message or "") or kind_of_text(_code(error))
    if kind in {Kind.FORBIDDEN, Kind.NOT_FOUND} and _knows_no_user(data):
        return Kind.UNAUTHORISED
    if kind is not None:
        return kind
    # By the GraphQL specification an error with a path arose while a field was read; a refused query has none.
    return Kind.SERVER_ERROR if error.path else Kind.REJECTED


def kind_of_text(text: str) -> Kind | None:
    """What a message of W&B means, None where it is not known."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(text)), None)


def _code(error: GraphQLError) -> str:
    code = error.extensions.get("code") if isinstance(error.extensions, Mapping) else None
    return code.replace("_", " ") if isinstance(code, str) else ""


def _knows_no_user(data: Any) -> bool:
    """W&B responds to an unknown key with nulls."""
    if isinstance(data, BaseModel):
        data = {name: getattr(data, name) for name in data.model_fields_set}
    return isinstance(data, dict) and "viewer" in data and not any(data.values())
