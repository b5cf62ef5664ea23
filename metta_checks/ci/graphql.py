"""GraphQL answers, whose errors come with status 200."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.faults import reset_time
from metta_checks.core.transport import Answer

KINDS: Final[Mapping[str, Kind]] = {
    "RATE_LIMITED": Kind.RATE_LIMITED,
    "RATE_LIMIT": Kind.RATE_LIMITED,
    "FORBIDDEN": Kind.FORBIDDEN,
    "INSUFFICIENT_SCOPES": Kind.FORBIDDEN,
    "NOT_FOUND": Kind.NOT_FOUND,
}
"""What GitHub's error types mean; the others are a query that it does not like."""

TOO_HEAVY: Final = ("something went wrong while executing your query", "timeout", "timedout", "resource limits")
"""The words of an answer that was too much work; GitHub gives such errors no type, or one of several."""


class _Error(BaseModel):
    model_config = ConfigDict(frozen=True)

    message: str = "an error without a message"
    type: str | None = None
    path: Any = None

    @property
    def field(self) -> str | None:
        """The alias of the query's field that it is in, where it says so."""
        return str(self.path[0]) if isinstance(self.path, list) and self.path else None


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True)

    data: dict[str, Any] | None = None
    errors: tuple[_Error, ...] = Field(default=())


def graphql_data(answer: Answer, now: datetime) -> Mapping[str, Any]:
    """The data of an answer. Nodes that do not exist any more are None in it: that is their news, not an error.

    Raises SourceError for every other error in the answer, even beside data: half an answer is none. Its `field` is
    the alias of the query's field that the error is in.
    """
    try:
        envelope = _Envelope.model_validate(answer.json())
    except ValidationError:
        came_back = "neither data nor errors"
        remedy = "Is `api_url` the address of a GitHub API? A proxy may have answered in its place."
        raise SourceError(Kind.MALFORMED, answer.tried, came_back, remedy, status=answer.status) from None
    fatal = [error for error in envelope.errors if error.type != "NOT_FOUND" or not envelope.data]
    if fatal:
        raise _fault(fatal[0], answer, now)
    if not envelope.data:
        remedy = "The next collection tries again; if it lasts, look at GitHub's status page."
        raise SourceError(Kind.MALFORMED, answer.tried, "no data", remedy, status=answer.status)
    return envelope.data


def _fault(error: _Error, answer: Answer, now: datetime) -> SourceError:
    kind = KINDS.get(error.type or "", Kind.REJECTED)
    if kind is Kind.REJECTED and any(words in error.message.lower() for words in TOO_HEAVY):
        kind = Kind.SERVER_ERROR
    remedy = {
        Kind.SERVER_ERROR: "GitHub was too slow for this question; the next collection tries again.",
        Kind.REJECTED: "This server's GraphQL does not know the question: a GitHub Enterprise Server may be too old.",
    }.get(kind, "")
    said = "".join(character if character.isprintable() else " " for character in error.message)[:200]
    came_back = f'HTTP {answer.status} with the GraphQL error {error.type or "without a type"}, "{said}"'
    reset_at = reset_time(answer.headers, now) if kind is Kind.RATE_LIMITED else None
    status = answer.status
    return SourceError(kind, answer.tried, came_back, remedy, status=status, reset_at=reset_at, field=error.field)
