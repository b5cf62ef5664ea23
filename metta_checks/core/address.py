"""Addresses of sources: which can be used, and which lead to the same server."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode, urljoin, urlsplit

from metta_checks.core.errors import Kind, SourceError


def require_address(url: str, operation: str) -> None:
    """Raises SourceError where `url` is no http or https address, or holds a user name."""
    try:
        split = urlsplit(url)
        usable = split.scheme in {"http", "https"} and bool(split.hostname) and split.port != 0
        named = "@" in split.netloc
    except ValueError:
        usable = named = False
    if named:
        # Every library on the way would write it into the log, and it is not sent: that is for `auth`.
        remedy = "Use the options `username` and `password` instead."
        raise SourceError(Kind.UNREACHABLE, operation, "the address holds a user name", remedy)
    if not usable:
        raise SourceError(Kind.UNREACHABLE, operation, "the address is not a URL", "Write it as https://host/path.")


def plain_address(text: str) -> str:
    """An address from an option, without the slash at its end. Raises ValueError for what is none, and for one with a
    user name, a query or a fragment; the error does not repeat it, since a password may stand in it."""
    address = text.strip().rstrip("/")
    if not _is_plain(address):
        raise ValueError("write the address as https://host or https://host:port/path, without user name and query")
    return address


def _is_plain(address: str) -> bool:
    try:
        split = urlsplit(address)
        named = bool(split.hostname) and split.port != 0 and "@" not in split.netloc
    except ValueError:
        return False
    return split.scheme in {"http", "https"} and named and not split.query and not split.fragment


def with_params(url: str, params: Mapping[str, str] | None) -> str:
    """`url` with `params` added to its query, and without its fragment."""
    address, query = split_query(url)
    query = "&".join(part for part in (query, urlencode(params or {})) if part)
    return f"{address}?{query}" if query else address


def split_query(url: str) -> tuple[str, str]:
    """The address, and its query as it stands."""
    address, _, query = url.partition("#")[0].partition("?")
    return address, query


def same_server(url: str, location: str) -> str | None:
    """Where the redirect to `location` leads from `url`; None when that is another server, or no address."""
    try:
        target = urljoin(url, location)
        return target if is_same_server(target, url) else None
    except ValueError:
        return None


def is_same_server(url: str, other: str) -> bool:
    """Whether the two addresses have scheme, host and port in common; False for what is no address."""
    try:
        return _server(url) == _server(other)
    except ValueError:
        return False


def has_path_of(url: str, other: str) -> bool:
    """Whether the path of `url` is that of `other`, which has none where a whole server is meant."""
    path = urlsplit(other).path.rstrip("/")
    return not path or urlsplit(url).path.rstrip("/") == path


def _server(url: str) -> tuple[str, str, int | None]:
    split = urlsplit(url)
    # With the user name, if there is one: nobody wrote that into the configuration.
    host = split.netloc.lower().removesuffix(f":{split.port}")
    return split.scheme, host, split.port or {"http": 80, "https": 443}.get(split.scheme)
