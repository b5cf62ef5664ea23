"""Conditions: what they mean, and the tag that they become."""

from __future__ import annotations

import re

import pytest

from metta_checks.health import condition_tag, parse_condition

PARSED = [
    # text, tag, target, values that satisfy it, values that do not
    ("> 0.5", "gt_0.5", 0.5, [0.51, 1e300], [0.5, -1]),
    (">= 1", "gte_1", 1, [1, 2], [0.999]),
    ("< 5", "lt_5", 5, [4.9, -5], [5, 6]),
    ("<= 5.0", "lte_5", 5, [5], [5.1]),
    ("== 3", "eq_3", 3, [3.0], [3.1]),
    ("!= 3", "ne_3", 3, [2], [3]),
    ("in [1, 2]", "in_1_2", None, [1, 1.5, 2], [0.9, 2.1]),
    ("in [-0.05,0.05]", "in_-0.05_0.05", None, [0], [0.06]),
    ("in [2, 2]", "in_2_2", None, [2], [1]),
    ("  >1e-3 ", "gt_0.001", 0.001, [1], [0]),
    (">-.5", "gt_-0.5", -0.5, [0], [-1]),
    ("> 5.", "gt_5", 5, [6], [5]),
    ("< 1e20", "lt_1e20", 1e20, [0], [1e21]),
    ("IN [1, 2]", "in_1_2", None, [1], [3]),
]

NOT_PARSED = [
    ("", "none"),
    ("???", "none"),
    ("0.5", "0.5"),
    ("=> 5", "eq_gt_5"),
    ("=< 5", "eq_lt_5"),
    ("> five", "gt_five"),
    ("> 1e999", "gt_1e999"),
    ("> nan", "gt_nan"),
    ("> 1 and < 2", "gt_1_and_lt_2"),
    ("in [2, 1]", "in_2_1"),
    ("in (1, 2)", "in_1_2"),
    ("within 5 % of baseline", "within_5_of_baseline"),
]


@pytest.mark.parametrize(("text", "tag", "target", "satisfying", "others"), PARSED)
def test_a_condition_holds_for_what_it_says(
    text: str, tag: str, target: float | None, satisfying: list[float], others: list[float]
) -> None:
    condition = parse_condition(text)

    assert (condition.tag_value, condition.target) == (tag, target)
    assert all(condition.holds(value) for value in satisfying)
    assert not any(condition.holds(value) for value in others)


@pytest.mark.parametrize(("text", "tag", "target", "satisfying", "others"), PARSED)
def test_the_tag_of_a_condition_is_its_own(
    text: str, tag: str, target: object, satisfying: object, others: object
) -> None:
    assert condition_tag(text) == tag


@pytest.mark.parametrize(("text", "tag"), NOT_PARSED)
def test_what_is_no_condition_is_refused_with_the_grammar_and_keeps_a_tag(text: str, tag: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_condition(text)

    assert condition_tag(text) == tag


def test_the_refusal_shows_the_grammar() -> None:
    with pytest.raises(ValueError, match=r"write an operator \(>, >=, <, <=, ==, !=\) and a number"):
        parse_condition("about 5")


def test_the_refusal_cuts_a_long_text() -> None:
    with pytest.raises(ValueError, match="x{80}…") as refusal:
        parse_condition("x" * 10_000)

    assert len(str(refusal.value)) < 300
