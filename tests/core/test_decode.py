"""JSON from foreign hands."""

from __future__ import annotations

import json
from math import inf, isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from metta_checks.core.decode import parse_json, parse_model


class Named(BaseModel):
    name: str


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("[1e999, -1e999]", [inf, -inf]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"half \ud83d a pair"', "half \ufffd a pair"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\\ud83d is no escape, \ud83d is"', "\\ud83d is no escape, \ufffd is"),
        ('"half \ud83d a pair"', "half ? a pair"),
        (b'"\xed\xa0\x80 encoded by itself"', "\ufffd encoded by itself"),
        (
            b'"\xed\x9f\xbf and \xee\x80\x80 are no surrogates, \xed\xbf\xbf is"',
            "\ud7ff and \ue000 are no surrogates, \ufffd is",
        ),
        (r'{"\ud800": [{"\udfff": "\ud800\ud800\udc00"}]}', {"\ufffd": [{"\ufffd": "\ufffd\U00010000"}]}),
        ("[" * 150 + "]" * 150, json.loads("[" * 150 + "]" * 150)),
    ],
)
def test_what_is_read(text: str | bytes, value: Any) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{'a': 1}",
        "[1,]",
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "9" * 5000,
        "[" * 100_000,
        '{"a":' * 100_000,
        r'"\ud83d',
        r'"\uZZZZ"',
        b"\xff",
        b'"\xed\xa0"',
        b"\xef\xbb\xbf[]",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="."):
        parse_json(text)


def test_infinite_where_it_is_allowed() -> None:
    nan, infinite = parse_json("[NaN, Infinity]", allow_nan=True)
    assert isnan(nan)
    assert infinite == inf


@given(st.text(st.characters(codec=None)))
def test_any_text_that_the_standard_library_writes(text: str) -> None:
    read = parse_json(json.dumps(text))
    assert read == "".join(json.loads(json.dumps(text))).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"name": "a"}', "a"),
        (rb'{"name": "half \ud83d"}', "half \ufffd"),
        (rb'{"name": "\ud83d\ude00"}', "\U0001f600"),
        (b'{"name": "\xed\xb0\x80"}', "\ufffd"),
        (rb'{"name": "a", "\udc00": {"other": ["\uDBFF"]}}', "a"),
    ],
)
def test_a_model(data: bytes, name: str) -> None:
    assert parse_model(Named, data).name == name


@pytest.mark.parametrize("data", [b'{"name": 1}', b"[]", b"", b"<html>", rb'{"other": "\ud83d"}'])
def test_what_is_not_the_model(data: bytes) -> None:
    with pytest.raises(ValidationError):
        parse_model(Named, data)
