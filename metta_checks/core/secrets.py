"""Secrets in the options that the base class reads by itself: it sends them, but scrubs none of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

SHORTEST: Final = 4
"""Characters below which scrubbing a secret would black out words of every message."""

_PASSWORD_IN_URL = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_SENT_ALONG = ("headers", "extra_headers")


def secrets_of(*sections: Mapping[str, Any]) -> Iterator[str]:
    """The password and the header that is made of it, the values of extra headers, and passwords in addresses."""
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
                if option in _SENT_ALONG:
                    yield text
