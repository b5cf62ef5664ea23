"""Charts: every value has its place, gaps stay gaps, and what cannot be drawn is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from metta_checks.board.svg import Band, Line, chart, short, sparkline

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def course(*values: float, every: timedelta = timedelta(minutes=10)) -> dict[datetime, float]:
    return {START + number * every: value for number, value in enumerate(values)}


def paths(html: str, kind: str) -> list[str]:
    return re.findall(rf'<path class="{kind}"[^>]* d="([^"]*)"', html)


def ticks(html: str) -> list[str]:
    (axis,) = re.findall(r'<div class="ys">(.*?)</div>', html)
    return re.findall(r">([^<]+)<", axis)


def test_a_line_goes_through_its_values() -> None:
    html = chart([Line("runs", course(0, 5, 10))])
    assert paths(html, "line") == ["M0 1000L500 500L1000 0"]


def test_a_chart_is_well_formed_whatever_its_names_are() -> None:
    html = chart([Line("<script>\"&'", course(1, 2)), Line("日本", course(3))], describe='"<b>')
    ElementTree.fromstring(html)  # noqa: S314 (our own text)
    assert "<script>" not in html


def test_areas_and_bars_stand_on_each_other_and_lines_do_not() -> None:
    areas = chart([Line("a", course(1, 1), kind="area"), Line("b", course(3, 3), kind="area")])
    assert paths(areas, "area") == ["M0 750L1000 750L1000 1000L0 1000Z", "M0 0L1000 0L1000 750L0 750Z"]
    bars = chart([Line("a", course(1, 1), kind="bars"), Line("b", course(3, 3), kind="bars")])
    assert paths(bars, "bar")[0] == "M0 1000V750H200V1000Z"
    assert paths(bars, "bar")[3] == "M800 750V0H1000V750Z"
    lines = chart([Line("a", course(1, 1)), Line("b", course(4, 4))])
    assert paths(lines, "line") == ["M0 750L1000 750", "M0 0L1000 0"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 10), ["0", "2.5", "5", "7.5", "10"]),
        ((3, 97), ["0", "25", "50", "75", "100"]),
        ((-4, 4), ["-4", "-2", "0", "2", "4"]),
        ((0, 0), ["0", "0.25", "0.5", "0.75", "1"]),
        ((1.5e30, 2e30), ["0", "5e29", "1e30", "1.5e30", "2e30"]),
        ((17_400, 12_000), ["0", "5k", "10k", "15k", "20k"]),
    ],
)
def test_the_axis_has_round_ticks_around_all_values(values: tuple[float, ...], expected: list[str]) -> None:
    assert ticks(chart([Line("a", course(*values))])) == expected


def test_fixed_ends_stay_and_an_axis_may_leave_zero_out() -> None:
    assert ticks(chart([Line("a", course(40, 60))], ends=(0, 100))) == ["0", "25", "50", "75", "100"]
    assert ticks(chart([Line("a", course(99, 99.5))], include_zero=False))[0] == "99"


def test_a_gap_breaks_a_line_and_a_single_value_is_a_dot() -> None:
    values = course(1, 1, 1, 1, 1, 1, 1, 1)
    for missing in (3, 4, 5):
        del values[START + missing * timedelta(minutes=10)]
    assert len(paths(chart([Line("a", values)]), "line")) == 2
    (dot,) = paths(chart([Line("a", course(7))]), "line dot")
    assert dot.endswith("h0")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_are_left_out(value: float) -> None:
    assert "nan" not in chart([Line("a", course(1, value, 3))]).lower()
    assert chart([Line("a", course(value))]) == ""
    assert chart([]) == ""


def test_markers_are_lines_and_bands_and_one_far_away_does_not_flatten_the_chart() -> None:
    near = chart([Line("a", course(1, 4))], [Band(5, 5, "error"), Band(0, 2, "ok")])
    assert len(paths(near, "marker error")) == len(paths(near, "band ok")) == 1
    far = chart([Line("a", course(1, 4))], [Band(5_000, 5_000)])
    assert ticks(far)[-1] == "4"
    assert paths(far, "marker error") == []


def test_screen_readers_get_the_course_in_words() -> None:
    html = chart([Line("train", course(7, 9, 8)), Line("sweep", course(3))], describe="Running runs")
    assert 'aria-label="Running runs; train from 7 to 9, last 8; sweep 3"' in html


def test_the_legend_shows_each_last_value_and_colours_differ() -> None:
    html = chart([Line("train", course(7, 9)), Line("limit", course(5, 5), palette="red", dashed=True)])
    assert re.findall(r'<i class="(\w+)" style="--c:(#\w+)"></i>([^<]+)<b>([^<]+)</b>', html) == [
        ("solid", "#3598ec", "train", "9"),
        ("dashed", "#dc4b4b", "limit", "5"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (999.96, "1k"),
        (1_234, "1.23k"),
        (-2_500_000, "-2.5M"),
        (2.4e306, "2.4e306"),
        (5e-7, "5e-7"),
    ],
)
def test_short_figures(value: float, text: str) -> None:
    assert short(value) == text


def test_a_sparkline_needs_two_values() -> None:
    assert sparkline(course(5)) == ""
    assert paths(sparkline(course(0, 5)), "line") == ["M0 1000L1000 0"]
    ElementTree.fromstring(sparkline(course(3, 3, 3)))  # noqa: S314 (our own text)
