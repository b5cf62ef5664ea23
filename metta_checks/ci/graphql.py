"""GraphQL answers, whose errors come with status 200."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from metta_checks.ci.api_models import Reference
from metta_checks.core.decode import first_problem
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import reset_time, sign_on_address
from metta_checks.core.transport import Response

ModelT = TypeVar("ModelT")

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


_VARIABLE = re.compile(r"\$(\w+)")

LIMITED: Final = ("secondary rate limit", "abuse detection")
"""The words of an answer to too much at once."""


class QueryField(NamedTuple):
    """A field of the query's root: its text, and the variables that it names, with their types and values."""

    alias: str
    text: str
    variables: Mapping[str, tuple[str, object]]

    def prefixed(self, prefix: str) -> QueryField:
        """The same under another alias and with other variables, to stand beside those of other repositories."""
        text = _VARIABLE.sub(rf"${prefix}\1", self.text)
        variables = {f"{prefix}{name}": variable for name, variable in self.variables.items()}
        return QueryField(f"{prefix}{self.alias}", f"{prefix}{text}", variables)


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
    errors: tuple[_Error, ...] | None = None


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
    for error in envelope.errors or ():
        if envelope.data and error.alias is not None and error.alias in apart:
            faults.setdefault(error.alias, _fault(error, answer, now))
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
        Kind.REJECTED: "This server's GraphQL does not support the query: a GitHub Enterprise Server may be too old.",
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


class GraphQLModel(BaseModel):
    """An object of an answer, with GitHub's names in camel case."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class PageInfo(GraphQLModel):
    """Where a page of a connection ends, and whether another follows."""

    has_next_page: bool
    end_cursor: Reference | None

    @model_validator(mode="after")
    def _leads_on(self) -> PageInfo:
        if self.has_next_page and not self.end_cursor:
            raise ValueError("a next page without a cursor")
        return self

    @property
    def after(self) -> str | None:
        """The cursor of the next page; None behind the last one."""
        return self.end_cursor if self.has_next_page else None


def parse_alone(data: Data, alias: str, adapter: TypeAdapter[ModelT], operation: str) -> ModelT:
    """The value of an alias that may fail alone. What does not exist is null and an error beside it; that error counts
    only where the value cannot be read. Raises SourceError."""
    fault = data.faults.get(alias)
    if fault is not None and fault.kind is not Kind.NOT_FOUND:
        raise fault
    try:
        return adapter.validate_python(data.values.get(alias))
    except ValueError as error:
        raise fault or unknown_shape(error, operation) from None


def unknown_shape(error: ValueError, operation: str) -> SourceError:
    """The error of an answer that its parser does not accept."""
    problem = first_problem(error) if isinstance(error, ValidationError) else str(error)
    detail = f"a response of an unknown shape ({problem})"
    remedy = "Is `api_url` the address of a GitHub API? If it is, this version does not support its responses."
    return SourceError(Kind.MALFORMED, operation, detail, remedy)
