"""JSON from foreign hands, read with bounds."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final, TypeVar

import pydantic_core
from pydantic import BaseModel, TypeAdapter, ValidationError

M = TypeVar("M", bound=BaseModel)

MAX_VALUES: Final = 250_000
"""Values of a document that becomes Python objects: at most some 190 bytes each. A page of 100 workflow runs has some
30,000, an answer about 1,500 watched runs 10,000."""

MAX_MODEL_VALUES: Final = 100_000
"""Values of a document that becomes a model: pydantic-core builds a tree of its own first, of up to 430 bytes each. A
page of 1,000 W&B runs has some 20,000."""

MAX_STRING: Final = 64 * 1024
"""Bytes of the longest string that `without_long_strings` leaves in a document that is `LARGE`."""

LARGE: Final = 4 * 1024 * 1024
"""Bytes of a document that is worth looking for long strings: twice those of an ordinary page."""

_PAIR: Final = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE: Final = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ENCODED: Final = rb"\xed[\xa0-\xbf][\x80-\xbf]"
"""A surrogate that was encoded by itself, as Python's `surrogatepass` and Java's writers do; UTF-8 forbids it."""
_SURROGATE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*+)\\(?:(?P<whole>" + _PAIR + rb")|" + _LONE + rb")|(?P<encoded>" + _ENCODED + rb")"
)

_TOO_DEEP: Final = 250
"""Levels, more than the parser's bound."""

_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"?'
"""A string; one that does not end goes to the end, so that no byte is looked at twice."""

_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_CONTROL: Final = re.compile(rb"\\.|([\x00-\x1f])", re.DOTALL)
_TOKENS: Final = re.compile(_STRING + rb"|[,\[{\]}]", re.DOTALL)
_BYTES: Final = TypeAdapter(bytes)


class TooManyValuesError(ValueError):
    """A JSON document has so many values that it would take too much memory; `limit` is how many it may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} values")
        self.limit = limit


def parse_json(
    data: bytes | str, *, allow_nan: bool = False, allow_control: bool = False, max_values: int = MAX_VALUES
) -> Any:
    """The value of a JSON document.

    Raises TooManyValuesError, before anything is built, for more than `max_values` values. Raises ValueError for
    anything that is not JSON, for nesting deeper than pydantic-core's bound (some 200 levels; the standard library ends
    in RecursionError instead), and for NaN or Infinity unless `allow_nan`. A number beyond the range of a float is
    infinite all the same. Half a surrogate pair, which JSON allows and the parser does not, is read as U+FFFD, in keys
    too, and so is an encoded surrogate. With `allow_control`, strings may hold control characters as they are, as with
    the standard library's `strict=False`; in a document that is `LARGE` they become spaces.
    """
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    _require_few_values(raw, max_values)
    try:
        return pydantic_core.from_json(raw, allow_inf_nan=allow_nan, cache_strings="keys")
    except ValueError:
        if (mended := _mended(raw, allow_control=allow_control)) is None:
            raise
    return pydantic_core.from_json(mended, allow_inf_nan=allow_nan, cache_strings="keys")


def parse_model(model: type[M], data: bytes, *, max_values: int = MAX_MODEL_VALUES) -> M:
    """The document as `model`, with the bounds of `parse_json`. Raises TooManyValuesError, or ValidationError."""
    _require_few_values(data, max_values)
    try:
        return model.model_validate_json(data)
    except ValidationError:
        if (mended := _without_lone_surrogates(data)) is None:
            raise
    return model.model_validate_json(mended)


def parse_text(data: bytes, *, allow_control: bool = False) -> bytes:
    """The content of a document that is one JSON string, in UTF-8: as `str` it could take four times as much.

    `allow_control` is as for `parse_json`. Raises ValueError for anything else.
    """
    try:
        return _BYTES.validate_json(data, strict=True)
    except ValidationError:
        if (mended := _mended(data, allow_control=allow_control)) is None:
            raise
    return _BYTES.validate_json(mended, strict=True)


def without_long_strings(data: bytes) -> bytes:
    """`data`, when it is large, with strings of more than `MAX_STRING` bytes made empty.

    As Python's text they could take four times as much, and pydantic copies a document into each error about it.
    """
    if len(data) <= LARGE:
        return data
    parts: list[bytes] = []
    begin = 0
    for number, found in enumerate(_STRINGS.finditer(data)):
        if number > 2 * MAX_VALUES:
            # Too many to be read at all.
            return data
        if found.end() - found.start() > MAX_STRING:
            parts += data[begin : found.start()], b'""'
            begin = found.end()
    return b"".join([*parts, data[begin:]]) if parts else data


def _require_few_values(data: bytes, limit: int) -> None:
    """Every value but the first one follows a comma or opens a list or an object. Those in strings count only when
    there are many of all, since to tell them apart takes longer."""
    if len(data) < limit or data.count(b",") + data.count(b"[") + data.count(b"{") < limit:
        return
    values, depth = 1, 0
    for number, found in enumerate(_TOKENS.finditer(data)):
        match data[found.start()]:
            case 0x5B | 0x7B:
                values += 1
                depth += 1
            case 0x5D | 0x7D:
                depth -= 1
            case 0x2C:
                values += 1
        if depth > _TOO_DEEP:
            # The parser comes no further than this either.
            return
        # A value has two strings at most, its key and itself, and one end; what has more is no JSON.
        if values > limit or number > 4 * limit:
            raise TooManyValuesError(limit)


def _mended(data: bytes, *, allow_control: bool) -> bytes | None:
    """`data` without lone surrogates and, with `allow_control`, without control characters in its strings; None when
    it has none."""
    mended = _without_lone_surrogates(data)
    if not allow_control:
        return mended
    known = data if mended is None else mended
    # An escape takes six times as much.
    escape = b" " if len(known) > LARGE else b"\\u%04x"
    escaped = _STRINGS.sub(lambda string: _CONTROL.sub(partial(_escaped, escape), string[0]), known)
    return escaped if escaped != data else None


def _escaped(escape: bytes, found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return found[0]
    return escape % found[1][0] if b"%" in escape else escape


def _without_lone_surrogates(data: bytes) -> bytes | None:
    """`data` with each lone surrogate replaced; None when it has none. One such name must not blind a check."""
    mended = _SURROGATE.sub(_replacement, data)
    return mended if mended != data else None


def _replacement(found: re.Match[bytes]) -> bytes:
    if found["encoded"]:
        return "\ufffd".encode()
    return found[0] if found["whole"] else found[1] + b"\\ufffd"


def first_problem(error: ValidationError) -> str:
    """The first field that does not fit its model, and why: `place.in.document: message`; never its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"


def is_no_json(error: ValidationError) -> bool:
    """Whether the document is no JSON at all, rather than of another shape."""
    return error.errors(include_url=False, include_input=False, include_context=False)[0]["type"] == "json_invalid"
