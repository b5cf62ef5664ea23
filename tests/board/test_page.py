"""The page shows what was collected, says what it cannot show, and needs nothing from outside."""

from __future__ import annotations

import re
from typing import Any

import pytest

from metta_checks.board.document import Dashboard, Definition, parse_board
from metta_checks.board.evaluate import Answers
from metta_checks.board.library import dashboard, names
from metta_checks.board.page import page
from metta_checks.board.recording import Recording, recorded
from metta_checks.board.widgets import body_of, html_of, shown

from .conftest import document_of

STATES = document_of(
    [("state", 2, "task:a"), ("state", 1, "task:b")],
    [("state", 0, "task:a"), ("state", 1, "task:b"), ("state", 2, "task:<i>")],
)
COLOURS = [
    {"comparator": ">=", "value": 2, "palette": "white_on_red"},
    {"comparator": "=", "value": 1, "palette": "white_on_yellow"},
    {"comparator": "<=", "value": 0, "palette": "white_on_green"},
]


def widget(kind: str, query: str, formula: str = "query1", **more: Any) -> Definition:
    request = {
        "response_format": "scalar",
        "queries": [{"name": "query1", "query": query, "aggregator": "last"}],
        "formulas": [{"formula": formula, "alias": "state", "conditional_formats": COLOURS}],
        **more,
    }
    return Definition.model_validate({"type": kind, "title": "Tasks", "requests": [request]})


def drawn(definition: Definition, document: str = STATES) -> str:
    return body_of(definition, Answers(recorded({"samples": document})))


@pytest.mark.parametrize(
    ("task", "palette"), [("a", "white_on_green"), ("b", "white_on_yellow"), ("_i_", "white_on_red")]
)
def test_a_value_has_the_colour_of_its_condition(task: str, palette: str) -> None:
    assert f'class="figure {palette}"' in drawn(widget("query_value", f"max:state{{task:{task}}}"))


def test_a_table_has_a_row_for_each_group_in_the_order_asked_for() -> None:
    sort = {"count": 2, "order_by": [{"type": "formula", "index": 0, "order": "desc"}]}
    html = drawn(widget("query_table", "max:state{*} by {task}", sort=sort))
    assert re.findall(r'<th>([^<]+)</th><td class="(\w+)"', html) == [("_i_", "white_on_red"), ("b", "white_on_yellow")]


def test_a_table_sorted_by_tag() -> None:
    sort = {"order_by": [{"type": "group", "name": "task", "order": "asc"}]}
    html = drawn(widget("query_table", "max:state{*} by {task}", sort=sort))
    assert re.findall(r"<tr><th>([^<]+)</th><td", html) == ["_i_", "a", "b"]


def test_a_table_renames_values_of_tags() -> None:
    formats = [[{"match": {"type": "is", "value": "a"}, "replace": {"type": "all", "with": "alpha & omega"}}]]
    html = drawn(widget("query_table", "max:state{*} by {task}", text_formats=formats))
    assert "<th>alpha &amp; omega</th>" in html
    assert "<th>b</th>" in html


def test_a_list_that_a_cut_off_empties_is_told_from_one_without_data() -> None:
    assert "none" in drawn(widget("toplist", "max:state{task:b} by {task}", "cutoff_min(query1, 2)"))
    assert "no data" in drawn(widget("toplist", "max:state{task:z} by {task}", "cutoff_min(query1, 2)"))


def test_a_figure_without_data_is_no_zero() -> None:
    html = drawn(widget("query_value", "max:state{task:z}"))
    assert html == '<p class="nothing">no data</p>'


@pytest.mark.parametrize(
    ("definition", "told"),
    [
        (Definition(type="hostmap", title="Hosts"), "a widget of type hostmap"),
        (widget("query_value", "max:state{*}", "ewma_3(query1)"), "the function ewma_3()"),
        (widget("query_value", "max:state{*}.rollup(max, 60)"), ".rollup()"),
        (widget("query_value", "max:state{$task}"), "$task"),
        (widget("query_value", "max:state{*}", "query9"), "query9"),
    ],
)
def test_what_cannot_be_drawn_says_so(definition: Definition, told: str) -> None:
    html = drawn(definition)
    assert 'class="undrawn"' in html
    assert told in html


@pytest.mark.parametrize(
    ("value", "precision", "text"),
    [
        (0.0, None, "0"),
        (0.125, None, "0.12"),
        (0.0042, None, "0.0042"),
        (74.52, None, "74.5"),
        (5.5, None, "5.50"),
        (194_330.4, None, "194,330"),
        (1e27, None, "1e+27"),
        (88.888, 1, "88.9"),
        (12_345.6, 0, "12,346"),
    ],
)
def test_figures_as_people_read_them(value: float, precision: int | None, text: str) -> None:
    assert shown(value, precision) == text


def test_notes_and_their_markdown() -> None:
    html = html_of("# Wall\n\n**Red** is `2` & bad\nsecond line")
    assert html == "<h3>Wall</h3><p><b>Red</b> is <code>2</code> &amp; bad<br>second line</p>"


def test_the_wall_counts_what_a_check_found_and_could_not_use() -> None:
    """By check, over its instances: no figures over a limit, and no W&B runs, which have no verdicts."""
    rows = [
        ("metta.check.dropped", value, f"check_name:{check},suite:{suite},reason:{reason}")
        for check, suite, reason, value in (
            ("metta_training", "a", "invalid", 1),
            ("metta_training", "b", "invalid", 0),
            ("metta_training", "a", "unreadable", 0),
            ("metta_training", "b", "unreadable", 2),
            ("metta_training", "a", "over_limit", 7),
            ("metta_eval", "a", "invalid", 0),
            ("metta_eval", "a", "unreadable", 0),
            ("metta_eval", "a", "not_finite", 7),
            ("metta_wandb", "a", "unreadable", 7),
        )
    ]
    (tile,) = (one.definition for one in dashboard("health_wall").leaves() if one.definition.title == "Left out")
    board = dashboard("health_wall")
    html = body_of(tile, Answers(recorded({"samples": document_of(rows)}), board.variables))
    assert re.findall(r'<th>([^<]+)</th><td class="(\w+)" data-value="([\d.]+)"', html) == [
        ("metta_training", "white_on_yellow", "3.0"),
        ("metta_eval", "white_on_green", "0.0"),
    ]


def test_a_page_asks_nobody_for_anything(recording: Recording) -> None:
    html = page({name: dashboard(name) for name in names("dashboards")}, recording)
    outside_of_the_library = re.sub(r"<script>.*?</script>", "", html, count=1, flags=re.DOTALL)
    assert re.findall(r"""(?:src|href)=["'](?!#)[^"']*|@import|url\(""", outside_of_the_library) == []
    assert "https://" not in outside_of_the_library


def test_all_our_widgets_are_drawn_and_have_data(recording: Recording) -> None:
    for name in names("dashboards"):
        html = page({name: dashboard(name)}, recording)
        assert "Not drawn here" not in html
        assert "no data" not in html, name


def test_a_page_without_charts_carries_no_chart_library(recording: Recording) -> None:
    assert len(page({"health_wall": dashboard("health_wall")}, recording)) < 100_000


def test_what_people_write_stays_text() -> None:
    board = parse_board(
        {
            "title": "<script>1</script>",
            "layout_type": "ordered",
            "widgets": [{"definition": {"type": "note", "content": "<script>2</script>"}}],
        }
    )
    assert isinstance(board, Dashboard)
    html = page({'x"><script>3</script>': board}, recorded({"samples": STATES}))
    assert re.findall(r"<script>\d", html) == []
