"""JSON from foreign hands, read with bounds."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

_PAIR: Final = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE: Final = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ENCODED: Final = rb"\xed[\xa0-\xbf][\x80-\xbf]"
"""A surrogate that was encoded by itself, as Python's `surrogatepass` and Java's writers do; UTF-8 forbids it."""
_SURROGATE: Final = re.compile(
    rb"\\(?:(?P<whole>" + _PAIR + rb")|(?P<lone>" + _LONE + rb")|.)|(?P<encoded>" + _ENCODED + rb")", re.DOTALL
)


def parse_json(data: bytes | str, *, allow_nan: bool = False) -> Any:
    """The value of a JSON document.

    Raises ValueError for anything that is not JSON, for nesting deeper than pydantic-core's bound (some 200 levels;
    the standard library ends in RecursionError instead), and for NaN or Infinity unless `allow_nan`. A number beyond
    the range of a float is infinite all the same. Half a surrogate pair, which JSON allows and the parser does not,
    is read as U+FFFD, in keys too, and so is an encoded surrogate.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        return pydantic_core.from_json(raw, allow_inf_nan=allow_nan, cache_strings="keys")
    except ValueError:
        if (mended := _without_lone_surrogates(raw)) is None:
            raise
    return pydantic_core.from_json(mended, allow_inf_nan=allow_nan, cache_strings="keys")


def parse_model(model: type[M], data: bytes) -> M:
    """The document as `model`, with the bounds of `parse_json`. Raises pydantic's ValidationError."""
    try:
        return model.model_validate_json(data)
    except ValidationError:
        if (mended := _without_lone_surrogates(data)) is None:
            raise
    return model.model_validate_json(mended)


def _without_lone_surrogates(data: bytes) -> bytes | None:
    """`data` with each lone surrogate replaced; None when it has none. One such name must not blind a check."""
    mended = _SURROGATE.sub(_replacement, data)
    return mended if mended != data else None


def _replacement(found: re.Match[bytes]) -> bytes:
    if found["encoded"]:
        return "\ufffd".encode()
    return b"\\ufffd" if found["lone"] else found[0]
