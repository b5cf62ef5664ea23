"""Patterns that operators write: which are refused, and what those that pass may cost."""

from __future__ import annotations

import re
import time
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metta_checks.core.patterns import MAX_TEXT, compile_pattern, compile_stars

AMBIGUOUS = [
    r"(a+)+",
    r"(a|a)*",
    r"(.*)*",
    r"(a*)*b",
    r"(\w+\s?)+",
    r"(a|ab|b)*c",
    r"(a|[a-c])+$",
    r"(\w|\d)+x",
    r"(?i)(a|A)+b",
    r"(ab|ab)*c",
    r"((a*)?b)*c",
    r"((ab)*)*",
    r"(?:(a+)|b)*c",
    r"(a+)+?b",
    r"(a{1,30}){1,30}",
    r"(a?){30}b",
    r"(x+x+)+y",
    r"(?=(a+)+)b",
    r"(.*?,){11}P",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?x)(a | a)+ # |",
    r"([]|a]|a)+",
    pytest.param("a?" * 30 + "b", id="thirty optional parts"),
    pytest.param("(?:ab|ab)" * 30, id="thirty alternatives that overlap"),
    r".*.*.*.*x",
    pytest.param("^" + "(?:a|a|a|a|a|a|a|a)" * 4 + ".*.*.*c", id="alternatives before repetitions"),
    r"^(?:a|a|a)(?:a|a|a).*a.*a.*c",
    r"a?a?a?.*a.*c",
    r".*(?:(?!.*a.*b)a)*c",
    r"^.*.*.*(?=.*a.*b)",
    r"^.*.*(?!.*(?=.*a.*b)a)c",
    r"^(?:(?!.*.*.*b)a)*c",
    r"(?:a(?:(?!b))*)+x",
    r"(?:a(?:(?=a))*)+x",
    r"(?:a(?:(?:))*)+x",
    "(?i)(?:sa|\u017fa)*b",
    "(?i:(?:kx|\u212ax)*c)",
    "(?i)(?:\u00b5a|\u03bca)*b",
    "(?a:(?:\\Wx|\u00e9x)*c)",
    r"\w*\w*\w*$",
    r"\w+\w+\w+-end",
    r"(?m)^[^x]*[^x]*[^x]*(?:..|..)x",
    pytest.param("(?:" + ".?" * 80 + ".)*x", id="pairs without number"),
    pytest.param("a|" * 2_000, id="4,000 characters"),
    pytest.param("(?:" + "[ab]c" * 100 + ")*", id="a long repetition"),
]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_pattern_that_can_take_too_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can take too long on some names: ") as raised:
        compile_pattern(text)
    assert f"(it is `{text[:90]}" in str(raised.value)
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        r"^github\.sky\.",
        r"(?i)sweep",
        r"(foo|bar)-\d+",
        r"(?:v\d+\.)?x",
        r"(abc)+",
        r"(foo|far)+",
        r"(a|b)*c",
        r"(\w+-)+\w+",
        r"(\d{1,3}\.){3}\d{1,3}",
        r"(?:\d{1,3}\.)+",
        r"([0-9a-f]{8})+",
        r"\d+-\d+-\d+-\d+-\d+",
        r".*sweep.*",
        r"^a.*b.*c$",
        r"a.*b.*c",
        r"^.*a.*a.*c",
        r".*train.*gpu",
        r"^(?:(?!tmp).)*$",
        r"^(?=.*train)(?=.*gpu)",
        r"(?i)(?:train|test|tune).*-v?\d+$",
        r"^(?!test).*nightly",
        r"(?<=x)y+",
        r"train|training|trained|test",
        r"[|a]+\|b|c",
        r"[\w.-]+@[\w.-]+",
        r"(?P<day>\d\d)-(?P=day)",
        r"\bsweep\b",
        "$^",
        "",
        ".",
    ],
)
def test_other_patterns_pass_as_they_are(text: str) -> None:
    assert compile_pattern(text) == re.compile(text)


@pytest.mark.parametrize("text", ["(", "*x", "a{99999999999}", "[a", "(?P<x>a)(?P<x>b)"])
def test_what_is_no_regular_expression(text: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        compile_pattern(text)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["a", "b", "[ab]", "."]),
        lambda inner: st.one_of(
            st.builds("(?:{}|{})".format, inner, inner),
            st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{1,9}"])),
            st.builds("{}{}".format, inner, inner),
        ),
        max_leaves=6,
    )
)
def test_whatever_passes_is_quick(text: str) -> None:
    """By processor time: an exponential search of these texts would take hours."""
    try:
        pattern = compile_pattern(f"(?:{text})c")
    except ValueError:
        return
    started = time.thread_time()
    for word in map("".join, product("ab", repeat=3)):
        pattern.search((word * MAX_TEXT)[: MAX_TEXT // 2])
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*", ["", "a", "a\nb"], []),
        ("a*", ["a", "ab"], ["ba", ""]),
        ("*a", ["a", "ba"], ["ab"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a**b", ["ab", "a*b"], ["a"]),
        ("*ab*ba*", ["abba", "xabxbax"], ["aba", "baab"]),
        ("a*b*c", ["abc", "a-b-c", "abbcc"], ["acb", "ab"]),
        ("[a]?*", ["[a]?", "[a]?x"], ["a", "ax"]),
        ("a", ["a"], ["aa", "A"]),
    ],
)
def test_stars(pattern: str, fitting: list[str], others: list[str]) -> None:
    fits = compile_stars(pattern)
    assert [key for key in [*fitting, *others] if fits(key)] == fitting


@given(st.text("ab*", max_size=6), st.text("ab*", max_size=8))
def test_stars_mean_what_a_regular_expression_of_them_means(pattern: str, key: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert compile_stars(pattern)(key) == bool(re.fullmatch(expression, key, re.DOTALL))


def test_many_stars_on_a_long_key() -> None:
    """By processor time; a translation to a regular expression takes hours."""
    fits = compile_stars("*a" * 40 + "*b")
    started = time.thread_time()
    assert not fits("a" * 100_000)
    assert time.thread_time() - started < 1
