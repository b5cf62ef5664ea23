"""The page shows what was collected, says what it cannot show, and needs nothing from outside."""

from __future__ import annotations

import re
from typing import Any

import pytest

from metta_checks.board.document import CustomLink, Dashboard, Definition, FormulaEntry, Span, parse_board
from metta_checks.board.evaluate import Answers
from metta_checks.board.figures import figure_text, shown
from metta_checks.board.library import dashboard, names
from metta_checks.board.page import page
from metta_checks.board.recording import Recording, recorded
from metta_checks.board.widgets import body_of, html_of

from .conftest import Row, document_of

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


def tile(title: str, board: str = "health_wall") -> Definition:
    (found,) = [one.definition for one in dashboard(board).leaves() if one.definition.title == title]
    return found


VARIABLES = dashboard("health_wall").variables + dashboard("ci").variables + dashboard("wandb_runs").variables


def drawn(definition: Definition, document: str = STATES) -> str:
    return body_of(definition, Answers(recorded({"samples": document}), VARIABLES))


@pytest.mark.parametrize(
    ("task", "palette"), [("a", "white_on_green"), ("b", "white_on_yellow"), ("_i_", "white_on_red")]
)
def test_a_value_has_the_colour_of_its_condition(task: str, palette: str) -> None:
    assert f'class="figure {palette}"' in drawn(widget("query_value", f"max:state{{task:{task}}}"))


def test_a_table_has_a_row_for_each_group_in_the_order_asked_for() -> None:
    sort = {"count": 2, "order_by": [{"type": "formula", "index": 0, "order": "desc"}]}
    html = drawn(widget("query_table", "max:state{*} by {task}", sort=sort))
    assert re.findall(r'<th[^>]*>([^<]+)</th><td class="(\w+)"', html) == [
        ("_i_", "white_on_red"),
        ("b", "white_on_yellow"),
    ]


def test_a_table_sorted_by_tag() -> None:
    sort = {"order_by": [{"type": "group", "name": "task", "order": "asc"}]}
    html = drawn(widget("query_table", "max:state{*} by {task}", sort=sort))
    assert re.findall(r"<tr><th[^>]*>([^<]+)</th><td", html) == ["_i_", "a", "b"]


def test_a_table_renames_values_of_tags() -> None:
    formats = [[{"match": {"type": "is", "value": "a"}, "replace": {"type": "all", "with": "alpha & omega"}}]]
    html = drawn(widget("query_table", "max:state{*} by {task}", text_formats=formats))
    assert re.findall(r'<th scope="row"[^>]*>([^<]+)</th>', html) == ["_i_", "alpha &amp; omega", "b"]


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
        (widget("query_value", "max:state{*}.weighted()"), ".weighted()"),
        (widget("query_value", "max:state{$task}"), "$task"),
        (widget("query_value", "max:state{*}", "query9"), "query9"),
    ],
)
def test_what_cannot_be_drawn_says_so(definition: Definition, told: str) -> None:
    html = drawn(definition)
    assert 'class="undrawn"' in html
    assert told in html


@pytest.mark.parametrize(
    ("kind", "request_", "told"),
    [
        ("query_value", {"queries": [], "formulas": []}, "a widget without a query"),
        ("query_table", {"sort": {"order_by": [{"type": "formula", "index": 4}]}}, "sorted by formula 4"),
        ("query_value", {"formulas": [{"formula": f"query1 * {'9' * 400}"}]}, "cannot stand in the formula"),
        ("query_value", {"queries": [{"name": "query1", "query": f"max:state{{{'(' * 3000}*}}"}]}, "too deeply"),
    ],
)
def test_a_widget_that_says_nothing_sensible_is_named_and_the_others_are_drawn(
    kind: str, request_: dict[str, Any], told: str
) -> None:
    html = drawn(widget(kind, "max:state{*} by {task}", **request_))
    assert 'class="undrawn"' in html
    assert told in html


@pytest.mark.parametrize("kind", ["query_value", "query_table", "toplist", "timeseries"])
def test_without_formulas_each_query_is_shown(kind: str) -> None:
    assert "1" in re.sub(r"<[^>]+>", "", drawn(widget(kind, "max:state{task:b}", formulas=[])))


def test_a_limit_cuts_a_list_and_a_list_without_an_order_begins_with_the_largest() -> None:
    limited = [{"formula": "query1", "limit": {"count": 1, "order": "asc"}}]
    assert re.findall(r'class="name"[^>]*>([^<]+)<', drawn(widget("toplist", "max:state{*} by {task}"))) == [
        "_i_",
        "b",
        "a",
    ]
    html = drawn(widget("toplist", "max:state{*} by {task}", formulas=limited))
    assert re.findall(r'class="name"[^>]*>([^<]+)<', html) == ["a"]


@pytest.mark.parametrize(
    "time",
    [
        {"live_span": "15m"},
        {"type": "live", "unit": "minute", "value": 15},
        {"type": "live", "unit": "year", "value": 10**9},
    ],
)
def test_a_time_window_in_both_forms(time: dict[str, Any]) -> None:
    definition = widget("query_value", "max:state{task:b}")
    narrowed = definition.model_copy(update={"time": Span.model_validate(time)})
    assert 'data-value="1"' in drawn(narrowed).replace('"1.0"', '"1"')


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 1e299])
@pytest.mark.parametrize("shape", ["line", "bars", "area"])
def test_a_chart_holds_the_largest_and_the_smallest_number(value: float, shape: str) -> None:
    rounds = [("big", value, "p:a"), ("big", -value, "p:b"), ("big", 1, "p:c")]
    definition = widget("timeseries", "max:big{*} by {p}", display_type=shape)
    html = drawn(definition, document_of(rounds, rounds))
    assert "state, c<b>1</b>" in html
    assert not re.search(r'd="[^"]*(nan|inf)', html)


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
    assert html == "<h4>Wall</h4><p><b>Red</b> is <code>2</code> &amp; bad<br>second line</p>"


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
    rows += [("metta.check.up", up, f"check_name:{check}") for check, up in (("metta_eval", 0), ("metta_wandb", 1))]
    html = drawn(tile("Checks"), document_of(rows))
    found = re.findall(r'<th scope="row"[^>]*>([^<]+)</th>(.*?)</tr>', html)
    cells = {name: re.findall(r'<td class="([\w ]+)"(?: data-value="([\d.]+)")?', row) for name, row in found}
    assert cells == {
        "eval": [("white_on_red", "1.0"), ("white_on_green", "0.0")],
        "training": [("zero absent", ""), ("white_on_yellow", "3.0")],
        "wandb": [("white_on_green", "0.0"), ("zero absent", "")],
    }


def test_a_page_loads_nothing_from_elsewhere(recording: Recording) -> None:
    html = page({name: dashboard(name) for name in names("dashboards")}, recording)
    assert re.findall(r"""(?:src=|<link|@import|url\()[^>]*""", html) == []
    assert {address[:8] for address in re.findall(r'href="([^#"][^"]*)"', html)} == {"https://"}


OF_DISCOVERY = {
    "Projects of an entity by status of the last reading",
    "Projects unread the longest",
    "Repositories of an organization by status of the last reading",
    "Repositories unread the longest",
}
"""Widgets of instances with several projects or repositories; the sample data have one."""


def test_all_our_widgets_are_drawn_and_have_data(recording: Recording) -> None:
    for name in names("dashboards"):
        html = page({name: dashboard(name)}, recording)
        assert "Not drawn here" not in html
        silent = re.findall(r'data-widget="([^"]*)"[^>]*>(?:<h3>[^<]*</h3>)?<div><p class="nothing">no data', html)
        assert set(silent) <= OF_DISCOVERY, name


@pytest.mark.parametrize("name", names("dashboards"))
def test_a_page_is_tens_of_kilobytes(name: str, recording: Recording) -> None:
    assert len(page({name: dashboard(name)}, recording)) < 100_000


def test_without_data_every_widget_says_so_and_none_is_drawn_wrongly() -> None:
    """Also a percentile, whose metric nobody has seen."""
    nothing = recorded({"samples": document_of([("else", 1, "")])})
    for name in names("dashboards"):
        board = dashboard(name)
        html = page({name: board}, nothing)
        assert "Not drawn here" not in html
        silent = [widget for widget in board.leaves() if widget.definition.type != "note"]
        # "Up, 24 h" is 0 when nothing was heard: silence is no availability.
        zeros = [widget for widget in silent if widget.definition.title == "Up, 24 h"]
        assert html.count(">no data<") == len(silent) - len(zeros)


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


def verdict(state: float, name: str, *, value: float = 1, target: float = 2, more: str = "") -> list[Row]:
    tags = f"workflow_category:ci,workflow_name:w,task:t,check:c,metric_name:{name},repo:o/r,branch:main{more}"
    figures = (("state", state), ("value", value), ("target", target))
    return [(f"metta.infra.health.{metric}", figure, tags) for metric, figure in figures]


@pytest.mark.parametrize(
    ("states", "text", "palette", "unknown"),
    [
        ((0, 0), "0", "white_on_green", "0"),
        ((0, 1), "0", "white_on_yellow", "1"),
        ((1, 1), "0", "white_on_yellow", "2"),
        ((2, 1), "1", "white_on_red", "1"),
        ((2, 2), "2", "white_on_red", "0"),
    ],
)
def test_a_composite_tile_is_green_only_when_all_pass(
    states: tuple[float, ...], text: str, palette: str, unknown: str
) -> None:
    document = document_of([row for number, state in enumerate(states) for row in verdict(state, f"m{number}")])
    html = drawn(tile("CI failing"), document)
    assert (palette in html, re.findall(r'class="number">([^<]+)<', html)) == (True, [text])
    first_unknown = next(
        one.definition for one in dashboard("health_wall").leaves() if one.definition.title == "unknown"
    )
    assert re.findall(r'class="number">([^<]+)<', drawn(first_unknown, document)) == [unknown]


@pytest.mark.parametrize(("failing", "listed", "more"), [(0, 0, "0"), (1, 1, "0"), (12, 12, "0"), (15, 12, "3")])
def test_the_list_of_failing_verdicts_shows_twelve_and_how_many_more_there_are(
    failing: int, listed: int, more: str
) -> None:
    rows = [row for number in range(failing) for row in verdict(2, f"m{number:02}", value=29, target=10)]
    document = document_of([*rows, *verdict(0, "passes"), *verdict(1, "unknown")])
    html = drawn(tile("Failing verdicts: value, limit, age"), document)
    assert html.count("<tr>") == (listed + 1 if listed else 0)
    assert ("passes" in html, "unknown" in html) == (False, False)
    assert re.findall(r'class="number">([^<]+)<', drawn(tile("Not listed"), document)) == [more]


@pytest.mark.parametrize(
    ("value", "target", "sides"),
    [(29, 10, ("10", "-")), (0.3, 0.5, ("-", "0.50")), (10, 10, ("10", "-")), (-3, 0, ("-", "0"))],
)
def test_a_failing_value_stands_beside_the_side_of_its_limit(
    value: float, target: float, sides: tuple[str, str]
) -> None:
    html = drawn(
        tile("Failing verdicts: value, limit, age"),
        document_of(verdict(2, "m", value=value, target=target)),
    )
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", html)]
    assert tuple(cells[2:4]) == sides


def test_two_branches_do_not_mix_their_values() -> None:
    """Each row is one verdict: state, value and limit are of the same branch."""
    document = document_of([
        *verdict(2, "ci.workflow.flaky_tests", value=29, target=10),
        *verdict(0, "ci.workflow.flaky_tests", value=3, target=50, more="x"),
    ])  # fmt: skip
    html = drawn(tile("Verdicts of the branch, failing ones first", "ci"), document)
    rows = [re.findall(r'data-value="([\d.]+)"', row) for row in re.findall(r"<tr><th scope=\"row.*?</tr>", html)]
    assert rows == [["1.0", "0.0", "0.0", "29.0", "10.0"], ["0.0", "0.0", "1.0", "3.0", "50.0"]]


def test_the_verdicts_follow_the_branch_that_is_chosen() -> None:
    board = dashboard("ci")
    document = document_of([*verdict(2, "main_fails"), *verdict(0, "other_passes", more="2")])
    definition = tile("Verdicts of the branch, failing ones first", "ci")
    html = body_of(definition, Answers(recorded({"samples": document}), board.variables, {"branch": "main2"}))
    assert ("main_fails" in html, "other_passes" in html) == (False, True)


@pytest.mark.parametrize(
    ("tags", "address"),
    [
        ("wandb_entity:e,wandb_project:p,run_name:n,run_id:abc", "https://wandb.ai/e/p/runs/abc"),
        ("wandb_entity:e,wandb_project:p q,run_name:n,run_id:a&b", "https://wandb.ai/e/p_q/runs/a_b"),
        ("wandb_entity:e,wandb_project:p,run_name:n", "https://wandb.ai/e/p/runs/N/A"),
    ],
)
def test_rows_link_to_what_they_are_about(tags: str, address: str) -> None:
    document = document_of([("wandb.run.sps", 5, f"{tags},state:running,run_type:all")])
    assert f'<a href="{address}" rel="noreferrer"' in drawn(tile("Fastest running runs", "wandb_runs"), document)


@pytest.mark.parametrize("address", ["javascript:alert(1)", "http://example.com", "https://example.com/$repo.value"])
def test_only_complete_addresses_become_links(address: str) -> None:
    definition = widget("query_table", "max:state{*} by {task}")
    linked = definition.model_copy(update={"custom_links": (CustomLink(label="x", link=address),)})
    assert "<a " not in drawn(linked)


@pytest.mark.parametrize(
    ("value", "unit", "precision", "text"),
    [
        (17_400, "minute", None, "12.1 d"),
        (90, "minute", None, "90 min"),
        (45, "second", None, "45 s"),
        (0.5, "hour", None, "30 min"),
        (6.81, "minute", 1, "6.8 min"),
        (88.888, "percent", 1, "88.9 %"),
        (-3_000, "second", None, "-50 min"),
    ],
)
def test_times_are_read_in_the_unit_that_fits(value: float, unit: str, precision: int | None, text: str) -> None:
    entry = FormulaEntry.model_validate({"formula": "query1", "number_format": {"unit": {"unit_name": unit}}})
    assert figure_text(value, entry, Definition(type="query_value", precision=precision)) == text
