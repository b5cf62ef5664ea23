"""The one place that knows what `requests` raises and what a bad HTTP status means."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urljoin, urlsplit

from requests import exceptions
from urllib3.exceptions import DecodeError, HTTPError, LocationParseError, NameResolutionError

from metta_checks.core.decode import parse_json
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.printable import Scrub, printable, unchanged

Headers = Mapping[str, str]

RequestFault = OSError | HTTPError | ValueError
"""What sending a request may raise: `requests` derives its exceptions from OSError, some of urllib3's slip through it,
and an address or a header that cannot be written ends in a ValueError."""

REQUEST_FAULTS = (OSError, HTTPError, ValueError)

RETRIED_STATUSES = frozenset({502, 503, 504})
"""Answers of a gateway whose backend is away for a moment; 500 is the service's own fault and repeats."""


MAX_QUOTED: Final = 200
"""Characters of a foreign text that a message repeats."""


def display_url(url: str) -> str:
    """`url` without user, password, query and fragment: those may carry credentials."""
    try:
        split = urlsplit(url)
        port = f":{split.port}" if split.port else ""
        host = f"[{split.hostname}]" if split.hostname and ":" in split.hostname else split.hostname or ""
    except ValueError:
        return "an address that does not parse"
    return f"{split.scheme}://{host}{port}{split.path}"


def fault_of(error: RequestFault, operation: str, url: str, scrub: Scrub = unchanged) -> SourceError:
    """What an exception of `requests`, urllib3 or the system below them means for the operator.

    The texts of those exceptions are not passed on: they hold whole URLs, and headers.
    """
    host = urlsplit(display_url(url)).netloc
    chain = _causes(error)
    reason = printable(_innermost(chain), MAX_QUOTED, scrub)
    if any(isinstance(cause, exceptions.ProxyError) for cause in chain):
        remedy = "Check the `proxy` option, the Agent's proxy settings and the proxy itself."
        return SourceError(Kind.UNREACHABLE, operation, f"the proxy did not let it through: {reason}", remedy)
    if any(isinstance(cause, ssl.SSLError | exceptions.SSLError) for cause in chain):
        remedy = "Check the address, its certificate and the `tls_*` options (`tls_ca_cert` for a private authority)."
        return SourceError(Kind.UNREACHABLE, operation, f"TLS failed: {reason}", remedy)
    if any(isinstance(cause, NameResolutionError) for cause in chain):
        remedy = "Check the spelling of the address and the DNS of this machine."
        return SourceError(Kind.UNREACHABLE, operation, f"the name {host} does not resolve", remedy)
    if isinstance(error, exceptions.ConnectTimeout):
        remedy = "Check the address, the firewall and the proxy; `connect_timeout` sets how long to wait."
        return SourceError(Kind.TIMED_OUT, operation, f"no connection to {host} in time", remedy)
    if any(isinstance(cause, exceptions.ReadTimeout | TimeoutError) for cause in chain):
        remedy = "The source is slow or hangs; look at its status page. `read_timeout` sets how long to wait."
        return SourceError(Kind.TIMED_OUT, operation, "the server stopped sending data", remedy)
    if isinstance(error, LocationParseError | exceptions.InvalidURL | exceptions.InvalidSchema):
        remedy = "Check the address, and the `proxy` option where it is set."
        return SourceError(Kind.UNREACHABLE, operation, "the address, or that of the proxy, cannot be used", remedy)
    if isinstance(error, ValueError):
        remedy = "Check the credential and the `headers` options for line breaks and characters outside of ASCII."
        return SourceError(Kind.REJECTED, operation, "a header contains characters that cannot be sent", remedy)
    if isinstance(error, exceptions.ContentDecodingError | DecodeError):
        remedy = "Something between here and the server changes its responses: check the proxy."
        return SourceError(Kind.MALFORMED, operation, "the response's compression is broken", remedy)
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        remedy = "Nothing listens there: check the address and port, and that the service runs."
        return SourceError(Kind.UNREACHABLE, operation, f"{host} refused the connection", remedy)
    remedy = "Check the network and the proxy; the next collection tries again."
    return SourceError(Kind.UNREACHABLE, operation, f"the connection failed: {reason}", remedy)


@contextmanager
def tls_errors_in_disguise() -> Iterator[None]:
    """Raises the TLS errors of the block as plain connection errors, for callers that do more than report the former.
    `fault_of` sees through it."""
    try:
        yield
    except exceptions.SSLError as error:
        raise exceptions.ConnectionError(error) from None


def is_reset(error: RequestFault) -> bool:
    """Whether the connection broke after it stood: worth another try, unlike a refusal."""
    broken = (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, ssl.SSLEOFError)
    return any(isinstance(cause, broken) or type(cause).__name__ == "IncompleteRead" for cause in _causes(error))


def fault_of_status(
    status: int,
    headers: Headers,
    body: bytes,
    operation: str,
    url: str,
    now: datetime,
    scrub: Scrub = unchanged,
) -> SourceError:
    """What an answer that is neither 2xx nor an expected 304 means. `headers` are case-insensitive."""
    said = _excerpt(headers, body, scrub)
    detail = f"HTTP {status}{f', {said}' if said else ''}"

    def fault(kind: Kind, remedy: str, reset_at: datetime | None = None) -> SourceError:
        return SourceError(
            kind,
            operation,
            detail,
            remedy,
            status=status,
            reset_at=reset_at,
            authorise_at=sign_on_address(headers),
            answered_at=http_date(headers.get("date", "")),
        )

    if 300 <= status < 400 and (location := headers.get("location", "")):
        target = printable(_redirect_target(url, location), MAX_QUOTED, scrub)
        return fault(Kind.REDIRECTED, f"It redirects to {target}: put the right address into the configuration.")
    if status == 304:
        remedy = "The request had no condition: check the cache or proxy between here and the server."
        return fault(Kind.MALFORMED, remedy)
    if status == 429 or (status == 403 and _is_limit(headers, said)):
        reset_at = reset_time(headers, now)
        when = (
            f"Its limit resets at {reset_at:%Y-%m-%dT%H:%M:%SZ}"
            if reset_at
            else "It does not state when the limit resets"
        )
        remedy = f"{when}; raise `min_collection_interval` or share the credential with fewer clients."
        return fault(Kind.RATE_LIMITED, remedy, reset_at)
    if status == 401:
        return fault(Kind.UNAUTHORISED, "Check that the credential is whole, not expired and for this server.")
    if status == 407:
        return fault(Kind.UNAUTHORISED, "The proxy requires a credential: check the `proxy` option.")
    if status == 403:
        return fault(Kind.FORBIDDEN, "The credential is valid but not allowed to read this: check its permissions.")
    if status in {404, 410}:
        remedy = "Check the address and the names. A service may also answer this for what the credential may not see."
        return fault(Kind.NOT_FOUND, remedy)
    if status == 413:
        return fault(Kind.OVERSIZED, "The server does not send or accept this much at once.")
    if status >= 500:
        return fault(
            Kind.SERVER_ERROR, "The service has a fault; look at its status page. The next collection tries again."
        )
    return fault(Kind.REJECTED, f"The server {display_url(url)} does not accept this request; is it the right one?")


def reset_time(headers: Headers, now: datetime) -> datetime | None:
    """When a rate limit ends, from `Retry-After` (seconds or a date), `x-ratelimit-reset` (epoch seconds, GitHub) or
    `RateLimit-Reset` (seconds, W&B and the IETF draft); None where none of them can be read."""
    if (after := retry_after(headers, now)) is not None:
        return after
    if (epoch := whole_number(headers.get("x-ratelimit-reset", ""))) is not None:
        return _later(datetime(1970, 1, 1, tzinfo=UTC), epoch)
    seconds = whole_number(headers.get("ratelimit-reset", ""))
    return None if seconds is None else _later(now, seconds)


def retry_after(headers: Headers, now: datetime) -> datetime | None:
    """When the server wants to be asked again: the time of `Retry-After` alone, since GitHub sends the reset of its
    rate limit with every answer, a 502 included."""
    text = headers.get("retry-after", "").strip()
    seconds = whole_number(text)
    if seconds is not None:
        return _later(now, seconds)
    return http_date(text)


def sign_on_address(headers: Headers) -> str | None:
    """Where a token is authorised for an organization's single sign-on, from GitHub's
    `X-GitHub-SSO: required; url=ADDRESS`; None where no address is named."""
    found = re.search(r"url=(https?://[^\s;,\"'<>]{1,500})", headers.get("x-github-sso", ""))
    return found[1] if found else None


def http_date(text: str) -> datetime | None:
    """The time (aware, UTC) in a header such as `Last-Modified`; None where there is none."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def whole_number(text: str) -> int | None:
    """The number that a header holds; None for anything else, and beyond twelve digits."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,12}\s*", text) else None


def _later(start: datetime, seconds: int) -> datetime | None:
    try:
        return start + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _redirect_target(url: str, location: str) -> str:
    try:
        return display_url(urljoin(url, location))
    except ValueError:
        return "an address that does not parse"


def _is_limit(headers: Headers, said: str) -> bool:
    """GitHub's secondary limits come without a header now and then, so that the words have to do."""
    told = headers.get("x-ratelimit-remaining", "").strip() == "0" or "retry-after" in headers
    return told or any(words in said.lower() for words in ("rate limit", "abuse detection"))


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and all that it wraps: in `args` (as requests and urllib3 nest it), `reason` or `__context__`."""
    found: list[BaseException] = []
    queue: list[BaseException | None] = [error]
    while queue and len(found) < 20:
        current = queue.pop(0)
        if current is None or any(current is seen for seen in found):
            continue
        found.append(current)
        queue += [argument for argument in current.args if isinstance(argument, BaseException)]
        reason = getattr(current, "reason", None)
        queue += [reason if isinstance(reason, BaseException) else None, current.__cause__, current.__context__]
    return found


def _innermost(chain: list[BaseException]) -> str:
    """The plainest words for it: those of the operating system or of TLS, which hold no URL."""
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or "the server does not use TLS").replace("_", " ").lower()
    for cause in chain:
        if isinstance(cause, OSError) and not isinstance(cause, exceptions.RequestException) and cause.strerror:
            return cause.strerror
        if type(cause) is OSError and str(cause).startswith("Tunnel connection failed"):
            return str(cause)
    names = {"RemoteDisconnected": "it was closed without a response", "IncompleteRead": "the response was cut short"}
    return next((names[name] for cause in chain if (name := type(cause).__name__) in names), "it was interrupted")


def _excerpt(headers: Headers, body: bytes, scrub: Scrub) -> str:
    """What the server said about it, in at most `MAX_QUOTED` printable characters."""
    if "html" in headers.get("content-type", "").lower() or body.lstrip()[:1] == b"<":
        return "an HTML page"
    try:
        document = parse_json(body)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    said = document.get("message") or document.get("error") or first
    if isinstance(said, dict):
        said = said.get("message")
    if not isinstance(said, str):
        return ""
    return f'"{printable(said, MAX_QUOTED, scrub)}"'
