"""The errors that a check shows to its operator."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from datadog_checks.base import ConfigurationError

from metta_checks.core.printable import printable


class Kind(StrEnum):
    """What went wrong with a source, in the operator's words."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    UNAUTHORISED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate limited"
    NOT_FOUND = "not found"
    REJECTED = "rejected"
    REDIRECTED = "redirected"
    SERVER_ERROR = "server error"
    MALFORMED = "malformed response"
    OVERSIZED = "oversized response"


class SourceError(Exception):
    """A source could not be read.

    The text says what was tried, on which object, what came back, and what the operator can do. It never holds a
    credential, nor the query of a URL, and it is one printable line, whatever foreign text went into it. `reset_at` is
    when a rate limit ends (UTC), where the source told; `status` is the HTTP status, where there was one; `field` is
    the field of a GraphQL query, where the error is that of one; `authorise_at` the address at which the credential
    would have to be authorised for single sign-on, where the source named one; `answered_at` the source's
    own time (UTC). `from_file` is whether the source is a file, of which nobody says "response".
    """

    def __init__(
        self,
        kind: Kind,
        operation: str,
        detail: str,
        remedy: str,
        *,
        status: int | None = None,
        reset_at: datetime | None = None,
        field: str | None = None,
        authorise_at: str | None = None,
        answered_at: datetime | None = None,
        from_file: bool = False,
    ) -> None:
        self.kind = kind
        self.operation = printable(operation)
        self.detail = printable(detail)
        self.remedy = printable(remedy)
        found = kind.replace("response", "file") if from_file else kind
        super().__init__(f"{self.operation}: {self.detail} ({found}). {self.remedy}")
        self.status = status
        self.reset_at = reset_at
        self.field = field
        self.authorise_at = authorise_at
        self.answered_at = answered_at
        self.from_file = from_file

    @property
    def refuses_credential(self) -> bool:
        """Whether the source itself would not have the credential; a 407 is the proxy's, and about another one."""
        return self.kind is Kind.UNAUTHORISED and self.status != 407

    def with_remedy(self, remedy: str) -> SourceError:
        """The same error with an advice that fits the object better."""
        return SourceError(
            self.kind,
            self.operation,
            self.detail,
            remedy,
            status=self.status,
            reset_at=self.reset_at,
            field=self.field,
            authorise_at=self.authorise_at,
            answered_at=self.answered_at,
            from_file=self.from_file,
        )


class CredentialError(Exception):
    """No credential was found; the text names the places that were looked at, never a value."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class NoCredentialError(CredentialError):
    """None of the places holds a credential, as opposed to one that holds something unusable.

    `settled` says that this is known, as opposed to an AWS that was away or refused to say.
    """

    def __init__(self, text: str, *, settled: bool) -> None:
        super().__init__(text)
        self.settled = settled


class NoTargetError(Exception):
    """None of several targets could be read; the text names the first of them with their errors."""


class StateError(Exception):
    """What a collection learnt cannot be kept; the text says what to look at."""


def is_for_operator(error: BaseException) -> bool:
    """Whether the error's text is meant for the operator, so that a traceback would only hide it."""
    return isinstance(error, SourceError | CredentialError | NoTargetError | StateError | ConfigurationError)


def error_text(error: BaseException) -> str:
    """An error as messages show it: its own text, after its type where it is a fault of the check."""
    return str(error) if is_for_operator(error) else f"{type(error).__name__}: {error}"


def release_frames(error: BaseException | None) -> None:
    """Forget where an error and those behind it came from: their frames keep alive what was being read."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
