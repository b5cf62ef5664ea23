"""Tags that Datadog keeps as they were meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta_checks.core.tags import MAX_TAG_LENGTH, keys_of, tag


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("main", "k:main"),
        ("", "k:"),
        (3, "k:3"),
        (0.5, "k:0.5"),
        ("Straße/ünïcode:x", "k:Straße/ünïcode:x"),
        ("> 0.5 and UPPER", "k:> 0.5 and UPPER"),
        ("a,b,c", "k:a_b_c"),
        ("nul\0byte", "k:nul_byte"),
        ("two\nlines", "k:two_lines"),
        ("dos\r\nlines", "k:dos_lines"),
        ("tab\there", "k:tab_here"),
        ("unicode\u2028line\u2029paragraph\x85next", "k:unicode_line_paragraph_next"),
        ("half \ud83d a pair", "k:half _ a pair"),
        ("\U0001f600", "k:\U0001f600"),
        ("x" * 300, "k:" + "x" * 198),
        ("\0" * 300, "k:_"),
    ],
)
def test_a_tag(value: object, text: str) -> None:
    assert tag("k", value) == text


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_every_tag_can_be_submitted(key: str, value: str) -> None:
    text = tag(key, value)
    text.encode()
    assert len(text) <= MAX_TAG_LENGTH
    assert len(text.splitlines()) <= 1
    assert not {"\0", ",", "\n"} & set(text)


@given(st.text(st.characters(codec=None)))
def test_a_safe_tag_stays_as_it_is(value: str) -> None:
    once = tag("k", value)
    assert tag("k", once.removeprefix("k:")) == once


@pytest.mark.parametrize(
    ("tags", "keys"),
    [
        ([], set()),
        (["env:prod", "team:a:b"], {"env", "team"}),
        (["ENV:prod", " Version :1"], {"env", "version"}),
        (["env"], {"env"}),
    ],
)
def test_the_keys_of_tags(tags: list[str], keys: set[str]) -> None:
    assert keys_of(tags) == keys
