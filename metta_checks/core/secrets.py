"""Secrets in texts: the scrubber of one check instance, and the secrets in options that only the base class reads."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

SHORTEST: Final = 4
"""Characters below which scrubbing a secret would black out words of every message."""

LONG: Final = 12
"""Characters from which on the value in a query may be a credential; shorter ones are dates, versions and flags."""

REDACTED: Final = "********"

PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "DD_PROXY_HTTP", "DD_PROXY_HTTPS")
"""Environment variables, also in lower case, from which `requests` or the Agent take the address of a proxy."""

_SENT_ALONG = ("headers", "extra_headers")
_SECRET_OPTIONS = ("password", "client_secret", "tls_private_key_password")
_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:([^/?#\s]+)@")
_USER_IN_URL = re.compile(r"://([^/?#@\s:]+):?@")
_USER_OF_PROXY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?([^/?#\s]+)@")

# `Bearer X`, `token X`: the word in front is no secret. Of other words the rest has to look like one.
_AFTER_SCHEME = re.compile(r"(?:bearer|basic|token|api-?key|key|digest)[\s:=]+(.{4,})|[A-Za-z][\w-]*\s+(\S{8,})", re.I)
# `session=X; csrf=Y`, `Digest username="…", response="X"`.
_ASSIGNED = re.compile(r"""(?:^|[\s;,])[\w-]+=["']?([^\s;,"']{8,})""")


class Scrubber:
    """Replaces the secrets of one check instance in texts, whatever a source made of them: percent-encoded, escaped for
    JSON or HTML, in base64 at any offset, in another case, without the scheme word in front."""

    def __init__(self) -> None:
        self._forms: dict[str, frozenset[str]] = {}
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def add(self, secret: str) -> None:
        """From now on `secret` is replaced."""
        if not secret or secret in self._forms:
            return
        forms = frozenset({secret, *(form for form in _forms_of(secret) if len(form) >= SHORTEST)})
        with self._lock:
            self._use({**self._forms, secret: forms})

    def remove(self, secret: str) -> None:
        """`secret` has ended and is replaced no longer."""
        with self._lock:
            self._use({one: forms for one, forms in self._forms.items() if one != secret})

    def _use(self, forms: dict[str, frozenset[str]]) -> None:
        # The longest first: of a secret that begins with another one no rest must stay.
        ordered = sorted(frozenset[str]().union(*forms.values()), key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None
        self._forms = forms

    def scrub(self, text: str) -> str:
        """`text` with asterisks in place of every secret."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)


def secrets_of(*sections: Mapping[str, Any]) -> Iterator[str]:
    """The password and the header that is made of it, the values of extra headers, and in addresses passwords, lone
    user names (tokens are sent so) and the long values of queries, such as the signature of a presigned one: servers
    repeat in their errors what they got."""
    for section in sections:
        for secret in _of(section):
            if len(secret) >= SHORTEST:
                yield secret


def proxy_secrets(addresses: Iterable[object]) -> Iterator[str]:
    """The password in the address of a proxy, and the header that is made of it: proxies repeat it in their errors.

    `requests` takes an address without `http://` too, and a user name may be the whole credential.
    """
    for address in addresses:
        if not isinstance(address, str) or not (found := _USER_OF_PROXY.match(address.strip())):
            continue
        user, _, password = found[1].partition(":")
        plain = f"{unquote(user)}:{unquote(password)}"
        for secret in (password or user, unquote(password or user), plain, _base64(plain)):
            if len(secret) >= SHORTEST:
                yield secret


def _of(section: Mapping[str, Any]) -> Iterator[str]:
    password = section.get("password")
    if isinstance(password, str):
        yield _base64(f"{section.get('username')}:{password}")
    yield from _named_secrets(section)
    for option, value in section.items():
        texts = list(value.values()) if isinstance(value, Mapping) else [value]
        for text in texts:
            if isinstance(text, str):
                yield from _PASSWORD_IN_URL.findall(text)
                yield from _USER_IN_URL.findall(text)
                yield from _in_query(text)
                if option in _SENT_ALONG:
                    yield text


def _named_secrets(section: Mapping[str, Any]) -> Iterator[str]:
    for option, value in section.items():
        if isinstance(value, Mapping):
            yield from _named_secrets(value)
        elif option in _SECRET_OPTIONS and isinstance(value, str):
            yield value


def _in_query(text: str) -> Iterator[str]:
    """The long values of an address's query, as they stand there and as a server reads them."""
    if "://" not in text:
        return
    for part in text.partition("?")[2].partition("#")[0].split("&"):
        value = part.partition("=")[2]
        if len(value) >= LONG:
            yield from {value, unquote(value), unquote_plus(value)}


def _forms_of(secret: str) -> Iterator[str]:
    parts = {secret, secret.strip(), unquote(secret), *_parts_of(secret)}
    for part in parts | {encoded for plain in parts for encoded in _in_base64(plain)}:
        in_json = json.dumps(part)[1:-1]
        yield from (part, repr(part)[1:-1], html.escape(part))
        yield from (quote(part, safe="", errors="replace"), quote(part, errors="replace"))
        yield quote_plus(part, errors="replace")
        yield from (in_json, in_json.replace("/", "\\/"), json.dumps(part, ensure_ascii=False)[1:-1])


def _parts_of(secret: str) -> Iterator[str]:
    """What of a header's value is a credential by itself."""
    yield from _ASSIGNED.findall(secret)
    found = _AFTER_SCHEME.fullmatch(secret.strip())
    if found is None:
        return
    rest = found[1] or found[2]
    yield rest
    if secret.strip().lower().startswith("basic"):
        try:
            plain = base64.b64decode(rest, validate=True).decode("latin-1")
        except (NotBase64, ValueError):
            return
        yield from (plain, plain.partition(":")[2])


def _in_base64(secret: str) -> Iterator[str]:
    """The characters that stand for `secret`, and for nothing beside it, in the base64 of a longer text."""
    for data in {secret.encode("utf-8", "replace"), secret.encode("latin-1", "replace")}:
        for offset, first in ((0, 0), (1, 2), (2, 3)):
            shifted = bytes(offset) + data
            inside = slice(first, len(shifted) * 8 // 6)
            yield base64.b64encode(shifted).decode()[inside]
            yield base64.urlsafe_b64encode(shifted).decode()[inside]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()
