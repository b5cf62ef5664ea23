"""HTTP as a check sees it: streamed, capped, counted, bounded by the deadline, with errors to act on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, TypeVar

# `AgentCheck.http` would import it in the first collection, whose time is limited.
from datadog_checks.base.utils.http import RequestsWrapper
from pydantic import BaseModel, ValidationError
from requests.auth import AuthBase

# The base loads it lazily in the first request of the process. Of workers that send theirs at the same time some fail:
# a Python without CPython's gh-114763, such as 3.12.1, shows them the module half loaded.
with suppress(ImportError):
    from requests_unixsocket import UnixAdapter as _UnixAdapter  # type: ignore[attr-defined]  # noqa: F401

from metta_checks.core.address import require_address, same_server, split_query, with_params
from metta_checks.core.collection import Collection
from metta_checks.core.decode import (
    TooManyValuesError,
    first_problem,
    is_no_json,
    parse_json,
    parse_model,
    without_long_strings,
)
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.http_errors import (
    MAX_QUOTED,
    REQUEST_FAULTS,
    RETRIED_STATUSES,
    RequestFault,
    display_url,
    fault_of,
    fault_of_status,
    is_reset,
    retry_after,
    whole_number,
)
from metta_checks.core.log_redaction import without_urls_in_the_log
from metta_checks.core.printable import Scrub, printable, unchanged
from metta_checks.core.watchdog import Watchdog

if TYPE_CHECKING:
    import requests

M = TypeVar("M", bound=BaseModel)

RETRIES: Final = 2
MAX_REDIRECTS: Final = 5
LONGEST_PAUSE: Final = 5.0
"""A server that asks for a longer wait than this many seconds is not waited for."""

MAX_RATIO: Final = 200
"""How many bytes one compressed byte may become, on average, once `_UNSUSPICIOUS` are reached. JSON grows some tenfold,
pages of equal rows fiftyfold, a bomb a thousandfold."""

_UNSUSPICIOUS: Final = 2 * 1024 * 1024

_CHUNK: Final = 64 * 1024
"""Bytes read at once."""

_COMPRESSED_CHUNK: Final = 8 * 1024
"""The same of compressed ones: they may grow a thousandfold, which keeps a bomb's one step under 9 MB."""

_ENCODINGS: Final = ("gzip", "deflate")
"""What a server may compress with: of brotli and zstd one byte may become a million."""


class ShapeError(ValueError):
    """An answer is JSON, but not of the shape that was expected; the text names the first field that does not fit."""


_CONDITIONS: Final = frozenset({"if-none-match", "if-modified-since"})
"""Request headers that repeat what an earlier answer had."""


@dataclass(frozen=True, slots=True)
class Response:
    """A 2xx or 304 answer. `headers` are case-insensitive; `body` is decompressed."""

    operation: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    scrub: Scrub = field(default=unchanged, repr=False, compare=False)

    def quoted(self, text: str) -> str:
        """`text`, which this answer holds, such that a message can repeat it."""
        return printable(text, MAX_QUOTED, self.scrub)

    def json(self) -> Any:
        """The body as JSON, without long strings where it is large.

        Raises SourceError when it is no JSON, too deep, too large in memory, or holds NaN.
        """
        try:
            return parse_json(without_long_strings(self.body))
        except TooManyValuesError as error:
            raise self._oversized(error) from None
        except ValueError as error:
            page = self.body.lstrip()[:1] == b"<"
            detail = "an HTML page instead of JSON" if page else f"no valid JSON ({error})"
            remedy = "Check the address: a login page, a proxy or another service may respond there."
            raise SourceError(Kind.MALFORMED, self.operation, detail, remedy, status=self.status) from None

    def model(self, model: type[M], *, with_blobs: bool = False) -> M:
        """The body as `model`; `with_blobs` leaves long strings in it that are documents of their own.

        Raises SourceError for what `json` raises it for, ShapeError for another shape.
        """
        try:
            return parse_model(model, self.body if with_blobs else without_long_strings(self.body))
        except TooManyValuesError as error:
            raise self._oversized(error) from None
        except ValidationError as error:
            no_json, problem = is_no_json(error), first_problem(error)
        if no_json:
            # It has better words for that.
            self.json()
        # Raised here, since pydantic's error holds the whole document as Python objects, and would be its context.
        raise ShapeError(problem)

    def _oversized(self, error: TooManyValuesError) -> SourceError:
        remedy = (
            "No response of this API has so many: check the address, or ask for smaller pages if there is an option."
        )
        return SourceError(Kind.OVERSIZED, self.operation, str(error), remedy, status=self.status)


class NoAuth(AuthBase):
    """Sends no credential. Given explicitly, since `requests` would otherwise take one from a netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class BearerAuth(AuthBase):
    """`Authorization: Bearer …`, as an auth object: a header would lose against a netrc entry."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """Sends the requests of one check instance through its `RequestsWrapper` (proxy, TLS, timeouts, headers).

    `source` names the API in messages, and `scrub` removes the check's secrets from what they repeat. Usable inside
    `with transport.during(collection)`, from several threads.
    """

    def __init__(
        self, http: RequestsWrapper, source: str, *, max_bytes: int, pause: float = 0.5, scrub: Scrub = unchanged
    ) -> None:
        self.source = source
        self.scrub = scrub
        self.pause = pause
        self._http = http
        self._max_bytes = max_bytes
        self._watchdog = Watchdog()
        self._watched = False
        self._lock = threading.Lock()
        self._collection: Collection | None = None

    @contextmanager
    def during(self, collection: Collection) -> Iterator[None]:
        """Count for `collection`, and cut every connection at its deadline."""
        self._collection = collection
        try:
            with self._watchdog.guard(collection.deadline):
                yield
        finally:
            self._collection = None
            if self._watched:
                self._http.session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        about: str,
        auth: AuthBase | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        is_transient: Callable[[Response], bool] = lambda _: False,
    ) -> Response:
        """Send one request and read the whole answer: 2xx, or 304 where `headers` made it conditional.

        Without `auth` the one from the HTTP options is used (`username`, `password` …), and none where there is none.
        `about` is the object that the message names. Connection resets, 502, 503, 504 and answers that `is_transient`
        recognises (a source may report a fault of its own with HTTP 200) are tried again, at most twice, after a
        jittered pause. A 2xx that stays transient is returned, for the caller to report. A redirect is followed for GET
        on the same server; to another one no request, and so no credential, goes. Raises SourceError for everything
        else.
        """
        operation = f"{self.source}: {method} {display_url(url)} for {about}"
        require_address(url, operation)
        options = {
            "auth": auth or self._http.options["auth"] or NoAuth(),
            "extra_headers": {"Accept-Encoding": ", ".join(_ENCODINGS), **_sendable(headers or {})},
            "json": json,
        }
        whole = with_params(url, params)
        conditional = any(name.lower() in _CONDITIONS for name in options["extra_headers"])
        for attempt in range(RETRIES + 1):
            outcome = self._attempt(method, whole, operation, options)
            good = isinstance(outcome, Response) and _is_good(outcome, conditional=conditional)
            transient = _may_pass(outcome, is_transient)
            if good and not transient:
                break
            self._check_time(operation)
            if attempt == RETRIES or not transient or not self._wait(attempt, outcome):
                break
        if isinstance(outcome, Response):
            if good:
                return outcome
            raise fault_of_status(
                outcome.status, outcome.headers, outcome.body, operation, url, self._running.present, self.scrub
            )
        raise fault_of(outcome, operation, url, self.scrub)

    @property
    def time_left(self) -> float:
        """The share of the collection's time that is left, from 1 down to 0."""
        return self._running.time_left()

    @property
    def _running(self) -> Collection:
        if self._collection is None:
            raise RuntimeError("a request was sent outside of a collection")
        return self._collection

    def _attempt(self, method: str, url: str, operation: str, options: dict[str, Any]) -> Response | RequestFault:
        try:
            with without_urls_in_the_log():
                return self._follow(method, url, operation, options)
        except REQUEST_FAULTS as error:
            # Handed back, so that it is no context of the error that is raised for it: the traceback in the Agent's
            # status would show its text, the whole URL included.
            return error

    def _follow(self, method: str, url: str, operation: str, options: dict[str, Any]) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(method, url, operation, options)
            location = answer.headers.get("location", "")
            if method != "GET" or answer.status not in {301, 302, 303, 307, 308} or not location:
                return answer
            target = same_server(url, location)
            if target is None:
                return answer
            url = target
        remedy = "The server sends its clients round in a circle: check the address."
        raise SourceError(Kind.REDIRECTED, operation, f"more than {MAX_REDIRECTS} redirects", remedy)

    def _once(self, method: str, url: str, operation: str, options: dict[str, Any]) -> Response:
        collection = self._running
        self._check_time(operation)
        self._watch_session()
        # Zero would be refused as a timeout.
        remaining = max(collection.deadline.remaining, 0.001)
        connect, read = self._http.options["timeout"]
        # Apart, since the wrapper writes the address into the Agent's log.
        address, query = split_query(url)
        collection.count_request()
        response: requests.Response = getattr(self._http, method.lower())(
            address,
            params=query or None,
            # The wrapper consumes `extra_headers`, so that each request needs a copy of its own.
            **{**options, "extra_headers": dict(options["extra_headers"])},
            timeout=(min(connect, remaining), min(read, remaining)),
            stream=True,
            persist=True,
            allow_redirects=False,
        )
        with response:
            body = self._read(response, operation)
        self._check_time(operation)
        self._note_quota(response.headers)
        self._http.logger.debug("%s: HTTP %d, %d bytes", operation, response.status_code, len(body))
        return Response(operation, response.status_code, response.headers, body, self.scrub)

    def _read(self, response: requests.Response, operation: str) -> bytes:
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding and encoding not in {*_ENCODINGS, "x-gzip", "identity"}:
            detail = "an answer compressed more than once, or not as it was asked for"
            remedy = "No API does that: check what is between here and the server."
            raise SourceError(Kind.MALFORMED, operation, detail, remedy)
        # A list of parts would take twice the memory when it is joined.
        content = BytesIO()
        # Not by `iter_content`: in a chunked answer urllib3 itself reads the line before a chunk without a limit.
        chunk = _COMPRESSED_CHUNK if encoding not in {"", "identity"} else _CHUNK
        while part := response.raw.read(chunk, decode_content=True):
            size = content.tell() + len(part)
            if size > self._max_bytes:
                remedy = "Raise `max_response_bytes` if you trust the source, or request less."
                raise SourceError(Kind.OVERSIZED, operation, f"more than {self._max_bytes:,} bytes", remedy)
            if size > max(_UNSUSPICIOUS, MAX_RATIO * response.raw.tell()):
                detail = f"compressed bytes that grow more than {MAX_RATIO} times"
                remedy = "No API does that: check what is between here and the server."
                raise SourceError(Kind.OVERSIZED, operation, detail, remedy)
            content.write(part)
            self._check_time(operation)
        return content.getvalue()

    def _check_time(self, operation: str) -> None:
        deadline = self._running.deadline
        if deadline.expired:
            remedy = "Look at the source's status page; `collection_timeout` sets how long a collection may take."
            detail = f"no response within the collection's {deadline.seconds:g} s"
            raise SourceError(Kind.TIMED_OUT, operation, detail, remedy)

    def _wait(self, attempt: int, outcome: Response | RequestFault) -> bool:
        """Pause before the next attempt; False when the server asks for more patience, or time, than there is."""
        collection = self._running
        pause = self.pause * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 (jitter, no cryptography)
        present = collection.present
        if isinstance(outcome, Response) and (asked := retry_after(outcome.headers, present)) is not None:
            pause = max(pause, (asked - present).total_seconds())
        if pause > min(LONGEST_PAUSE, collection.deadline.remaining):
            return False
        time.sleep(pause)
        return True

    def _note_quota(self, headers: Mapping[str, str]) -> None:
        told = whole_number(headers.get("x-ratelimit-remaining") or headers.get("ratelimit-remaining") or "")
        # GitHub's search has a small budget of its own, which says nothing about the next collection.
        if told is not None and headers.get("x-ratelimit-resource") != "search":
            self._running.note_quota(told)

    def _watch_session(self) -> None:
        with self._lock:
            if self._watched:
                return
            session = self._http.session
            # Even where it does not follow a redirect, `requests` reads the body of one, without a cap.
            session.get_redirect_target = lambda _: None
            self._watchdog.watch(session)
            self._watched = True


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` without the conditions that cannot be sent: a server made them, and one bad ETag, which is remembered
    over restarts too, must not make every later request fail."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _CONDITIONS or (value.isascii() and value.isprintable())
    }


def _is_good(answer: Response, *, conditional: bool) -> bool:
    """A 304 to a request without a condition says that nothing changed since never: callers would have no page."""
    return 200 <= answer.status < 300 or (answer.status == 304 and conditional)


def _may_pass(outcome: Response | RequestFault, is_transient: Callable[[Response], bool]) -> bool:
    if isinstance(outcome, Response):
        return outcome.status in RETRIED_STATUSES or is_transient(outcome)
    return is_reset(outcome)
