"""GraphQL answers, whose errors come with status 200."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import reset_time, sign_on_address
from metta_checks.core.transport import Response

KINDS: Final[Mapping[str, Kind]] = {
    "RATE_LIMITED": Kind.RATE_LIMITED,
    "RATE_LIMIT": Kind.RATE_LIMITED,
    "FORBIDDEN": Kind.FORBIDDEN,
    "INSUFFICIENT_SCOPES": Kind.FORBIDDEN,
    "NOT_FOUND": Kind.NOT_FOUND,
    "MAX_NODE_LIMIT_EXCEEDED": Kind.SERVER_ERROR,
    "RESOURCE_LIMITS_EXCEEDED": Kind.SERVER_ERROR,
}
"""What GitHub's error types mean; the others are a query that it does not like."""

TOO_HEAVY: Final = (
    "something went wrong while executing your query",
    "timeout",
    "timedout",
    "in time",
    "resource limits",
    "node limit",
    "possible nodes",
    "complexity",
    "too large",
)
"""The words of an answer that was too much work; GitHub gives such errors no type, or one of several."""


LIMITED: Final = ("secondary rate limit", "abuse detection")
"""The words of an answer to too much at once."""


class QueryField(NamedTuple):
    """A field of the query's root: its text, and the variables that it names, with their types and values."""

    alias: str
    text: str
    variables: Mapping[str, tuple[str, object]]


class Data(NamedTuple):
    """The values of an answer by alias, and the errors of those that may fail alone."""

    values: Mapping[str, Any]
    faults: Mapping[str, SourceError] = {}


class _Error(BaseModel):
    model_config = ConfigDict(frozen=True)

    message: str = "an error without a message"
    type: str | None = None
    path: Any = None

    @property
    def alias(self) -> str | None:
        """The field of the query's root where it occurred; None where GitHub does not name one."""
        return str(self.path[0]) if isinstance(self.path, list) and self.path else None


class _Envelope(BaseModel):
    model_config = ConfigDict(frozen=True)

    data: dict[str, Any] | None = None
    errors: tuple[_Error, ...] = Field(default=())


def graphql_data(answer: Response, now: datetime, apart: Collection[str] = ()) -> Data:
    """The data of an answer. Nodes that do not exist any more are None in it: that is their news, not an error.

    The errors of the aliases in `apart` are returned beside the data. Raises SourceError for every other error in the
    answer, even beside data: half an answer is none. Its `field` is the alias where it occurred.
    """
    try:
        envelope = _Envelope.model_validate(answer.json())
    except ValidationError:
        detail = "neither data nor errors"
        remedy = "Is `api_url` the address of a GitHub API? A proxy may have answered in its place."
        raise SourceError(Kind.MALFORMED, answer.operation, detail, remedy, status=answer.status) from None
    faults: dict[str, SourceError] = {}
    for error in envelope.errors:
        if envelope.data and error.alias is not None and error.alias in apart:
            # That something is gone hides no other error of the field.
            if error.alias not in faults or faults[error.alias].kind is Kind.NOT_FOUND:
                faults[error.alias] = _fault(error, answer, now)
        elif error.type != "NOT_FOUND" or not envelope.data:
            raise _fault(error, answer, now)
    if not envelope.data:
        remedy = "The next collection tries again; if it lasts, look at GitHub's status page."
        raise SourceError(Kind.MALFORMED, answer.operation, "no data", remedy, status=answer.status)
    return Data(envelope.data, faults)


def _fault(error: _Error, answer: Response, now: datetime) -> SourceError:
    kind = KINDS.get(error.type or "", Kind.REJECTED)
    if kind in {Kind.REJECTED, Kind.FORBIDDEN} and any(words in error.message.lower() for words in LIMITED):
        kind = Kind.RATE_LIMITED
    if kind is Kind.REJECTED and any(words in error.message.lower() for words in TOO_HEAVY):
        kind = Kind.SERVER_ERROR
    remedy = {
        Kind.SERVER_ERROR: "GitHub was too slow for this question; the next collection tries again.",
        Kind.REJECTED: "This server's GraphQL does not know the question: a GitHub Enterprise Server may be too old.",
    }.get(kind, "")
    named = answer.quoted(error.type or "without a type")
    detail = f'HTTP {answer.status} with the GraphQL error {named}, "{answer.quoted(error.message)}"'
    reset_at = reset_time(answer.headers, now) if kind is Kind.RATE_LIMITED else None
    return SourceError(
        kind,
        answer.operation,
        detail,
        remedy,
        status=answer.status,
        reset_at=reset_at,
        field=error.alias,
        authorise_at=sign_on_address(answer.headers),
    )
