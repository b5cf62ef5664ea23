"""Secrets in the options that the base class reads by itself: it sends them, but scrubs none of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

SHORTEST: Final = 4
"""Characters below which scrubbing a secret would black out words of every message."""

LONG: Final = 12
"""Characters from which on the value in a query may be a credential; shorter ones are dates, versions and flags."""

_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_SENT_ALONG = ("headers", "extra_headers")


def secrets_of(*sections: Mapping[str, Any]) -> Iterator[str]:
    """The password and the header that is made of it, the values of extra headers, and in addresses passwords and the
    long values of queries, such as the signature of a presigned one: servers repeat in their errors what they got."""
    for section in sections:
        for secret in _of(section):
            if len(secret) >= SHORTEST:
                yield secret


def _of(section: Mapping[str, Any]) -> Iterator[str]:
    password = section.get("password")
    if isinstance(password, str):
        yield password
        yield base64.b64encode(f"{section.get('username')}:{password}".encode("utf-8", "replace")).decode()
    for option, value in section.items():
        texts = list(value.values()) if isinstance(value, Mapping) else [value]
        for text in texts:
            if isinstance(text, str):
                yield from _PASSWORD_IN_URL.findall(text)
                yield from _in_query(text)
                if option in _SENT_ALONG:
                    yield text


def _in_query(text: str) -> Iterator[str]:
    """The long values of an address's query, as they stand there and as a server reads them."""
    if "://" not in text:
        return
    for part in text.partition("?")[2].partition("#")[0].split("&"):
        value = part.partition("=")[2]
        if len(value) >= LONG:
            yield from {value, unquote(value), unquote_plus(value)}
