"""Figures are computed from samples as Datadog computes them from what it stored."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from metta_checks.board.document import QueryEntry, Span, TemplateVariable
from metta_checks.board.evaluate import Answer, Answers, UnsupportedError, scalar, timeseries
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.query import parse_formula
from metta_checks.board.recording import Recording, RecordingError, recorded

from .conftest import START, document_of

RUNS = document_of(
    [("runs", 4, "type:train,state:ok"), ("runs", 1, "type:train,state:bad"), ("runs", 7, "type:sweep,state:ok")],
    [("runs", 6, "type:train,state:ok"), ("runs", 2, "type:train,state:bad")],
)
HOURS = document_of(
    [("hours", 1, "state:ok"), ("hours", 2, "state:ok"), ("hours", 30, "state:bad")],
    [("hours", 3, "state:ok"), ("hours", 4, "state:ok"), ("hours", 5, "state:ok")],
    kind="distribution",
)


def answered(query: str, reducer: str = "last", span: str | None = None, document: str = RUNS) -> Answer:
    entry = QueryEntry(name="query1", query=query, aggregator=reducer)
    return Answers(recorded({"samples": document})).to(entry, Span(live_span=span) if span else None)


def figures(query: str, reducer: str = "last", span: str | None = None, document: str = RUNS) -> dict[str, float]:
    values = scalar(parse_formula("query1"), {"query1": answered(query, reducer, span, document)})
    return {",".join(value for _, value in group): value for group, value in values.items()}


@pytest.mark.parametrize(
    ("query", "reducer", "span", "expected"),
    [
        ("sum:runs{*}", "last", None, {"": 8}),
        ("sum:runs{*}", "max", None, {"": 12}),
        ("sum:runs{*}", "avg", None, {"": 10}),
        ("avg:runs{*}", "last", None, {"": 4}),
        ("min:runs{type:train}", "min", None, {"": 1}),
        ("sum:runs{*} by {type}", "last", None, {"train": 8, "sweep": 7}),
        ("sum:runs{*} by {type}", "last", "5m", {"train": 8}),
        ("max:runs{*} by {state,type}", "last", None, {"ok,train": 6, "bad,train": 2, "ok,sweep": 7}),
        ("max:runs{*} by {branch}", "last", None, {"N/A": 6}),
        ("sum:runs{state:never}", "last", None, {}),
    ],
)
def test_a_gauge_is_put_together_over_series_then_over_time(
    query: str, reducer: str, span: str | None, expected: dict[str, float]
) -> None:
    assert figures(query, reducer, span) == expected


@pytest.mark.parametrize(
    ("query", "reducer", "span", "expected"),
    [
        ("count:hours{*}.as_count()", "sum", None, {"": 6}),
        ("count:hours{state:ok}.as_count()", "sum", "5m", {"": 3}),
        ("avg:hours{state:ok}", "avg", None, {"": 3}),
        ("p50:hours{state:ok}", "percentile", None, {"": 3}),
        ("p90:hours{state:ok}", "percentile", None, {"": pytest.approx(4.6)}),
        ("max:hours{*} by {state}", "max", None, {"ok": 5, "bad": 30}),
    ],
)
def test_a_distribution_is_taken_over_all_its_points(
    query: str, reducer: str, span: str | None, expected: dict[str, float]
) -> None:
    assert figures(query, reducer, span, HOURS) == expected


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("ok / (ok + bad) * 100", {"train": 75}),
        ("all - bad", {"train": 6}),
        ("bad / all", {"train": 0.25}),
        ("bad / (bad - bad)", {}),
        ("cutoff_min(ok, 6.5)", {"sweep": 7}),
        ("cutoff_max(ok, 6)", {"train": 6}),
        ("clamp_max(ok, 5)", {"train": 5, "sweep": 5}),
        ("abs(0 - ok)", {"train": 6, "sweep": 7}),
        ("-ok", {"train": -6, "sweep": -7}),
    ],
)
def test_formulas_go_group_by_group(formula: str, expected: dict[str, float]) -> None:
    answers = {
        "ok": answered("sum:runs{state:ok} by {type}"),
        "bad": answered("sum:runs{state:bad} by {type}"),
        "all": answered("sum:runs{*}"),
    }
    values = scalar(parse_formula(formula), answers)
    assert {group[0][1]: value for group, value in values.items()} == expected


@pytest.mark.parametrize(
    ("states", "failing", "unknown"),
    [((0, 0, 0), 0, 0), ((2, 1, 0), 1, 1), ((2, 2, 2), 3, 0), ((1, 1, 1), 0, 3), ((), None, None)],
)
def test_verdicts_are_counted_by_formula(
    states: tuple[float, ...], failing: float | None, unknown: float | None
) -> None:
    """No verdict at all is no 0."""
    rows = [("state", value, f"task:{number}") for number, value in enumerate(states)]
    answers = {"query1": answered("max:state{*} by {task}", document=document_of([*rows, ("else", 1, "")]))}
    fails = "count_nonzero(clamp_min(query1, 1) - 1)"
    assert scalar(parse_formula(fails), answers).get(()) == failing
    assert scalar(parse_formula(f"count_nonzero(query1) - {fails}"), answers).get(()) == unknown


def test_a_verdict_that_was_not_in_the_last_round_counts_with_its_last_state() -> None:
    document = document_of([("state", 2, "task:a"), ("state", 2, "task:b")], [("state", 0, "task:a")])
    answers = {"query1": answered("max:state{*} by {task}", document=document)}
    assert scalar(parse_formula("count_nonzero(query1)"), answers) == {(): 1}
    assert scalar(parse_formula("count_not_null(query1)"), answers) == {(): 2}


GAPS = document_of(
    [("runs", 4, "p:a"), ("runs", 1, "p:b")], [("runs", 6, "p:a")], [("runs", 7, "p:a")], every=timedelta(minutes=4)
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sum:runs{*}", [5, 6, 7]),
        ("sum:runs{*}.fill(last, 600)", [5, 7, 8]),
        ("sum:runs{*}.fill(last, 300)", [5, 7, 7]),
        ("sum:runs{*}.fill(last)", [5, 7, 7]),
        ("sum:runs{*}.rollup(max)", [5, 6, 7]),
        ("sum:runs{*}.rollup(max, 86400)", [8]),
        ("sum:runs{*}.rollup(avg, 86400)", [pytest.approx(17 / 3 + 1)]),
    ],
)
def test_time_is_aggregated_series_by_series_before_space(query: str, expected: list[float]) -> None:
    course = timeseries(parse_formula("query1"), {"query1": answered(query, document=GAPS)})
    assert list(course[()].values()) == expected


@pytest.mark.parametrize(("metric", "expected"), [("runs", 50), ("unheard", 0)])
def test_silence_counts_as_zero_only_where_a_formula_asks_for_it(metric: str, expected: float) -> None:
    document = document_of([("runs", 100, "")], [("else", 1, "")])
    answers = {"query1": answered(f"avg:{metric}{{*}}", "avg", document=document)}
    assert scalar(parse_formula("default_zero(query1)"), answers) == {(): expected}


def test_a_mean_over_runs_is_a_sum_over_a_count() -> None:
    answers = {
        "query1": answered("sum:hours{state:ok}.as_count()", "sum", document=HOURS),
        "query2": answered("count:hours{state:ok}.as_count()", "sum", document=HOURS),
    }
    assert scalar(parse_formula("query1 / query2"), answers) == {(): 3}


@pytest.mark.parametrize("reducer", ["percentile", "last", "sum", "avg"])
@pytest.mark.parametrize(
    "query", ["p95:hours{*}", "p50:never{*} by {state}", "count:never{*}.as_count()", "sum:never{*}"]
)
def test_a_metric_without_points_has_no_value_whatever_its_reducer(query: str, reducer: str) -> None:
    assert figures(query, reducer) == {}


def test_a_cut_off_looks_at_the_whole_course() -> None:
    """So a verdict that failed within the window and passed since is still listed: rather that than the reverse."""
    document = document_of([("state", 2, "task:a")], [("state", 0, "task:a")])
    answers = {"query1": answered("max:state{*} by {task}", document=document)}
    assert scalar(parse_formula("cutoff_min(query1, 2)"), answers) == {(("task", "a"),): 2}


def test_the_course_of_a_formula() -> None:
    course = timeseries(parse_formula("query1 * 10"), {"query1": answered("sum:runs{type:train}")})
    assert course == {(): {START - timedelta(minutes=10): 50, START: 80}}


@pytest.mark.parametrize(
    ("variables", "values", "expected"),
    [
        ((TemplateVariable(name="kind", prefix="type"),), {}, 8),
        ((TemplateVariable(name="kind", prefix="type", defaults=("sweep",)),), {}, 7),
        ((TemplateVariable(name="kind", prefix="type"),), {"kind": "Train"}, 8),
        ((TemplateVariable(name="kind", prefix="type"),), {"kind": "swe*"}, 7),
    ],
)
def test_template_variables(variables: tuple[TemplateVariable, ...], values: dict[str, str], expected: float) -> None:
    answers = Answers(recorded({"samples": RUNS}), variables, values)
    answer = answers.to(QueryEntry(name="query1", query="sum:runs{$kind}", aggregator="last"), None)
    assert list(scalar(parse_formula("query1"), {"query1": answer}).values()) == [expected]


def test_an_undeclared_variable_is_refused() -> None:
    with pytest.raises(QuerySyntaxError, match="kind"):
        answered("sum:runs{$kind}")


@pytest.mark.parametrize(
    ("query", "reducer", "told"),
    [
        ("sum:runs{*}.weighted()", "last", ".weighted()"),
        ("sum:runs{*}.fill(linear, 60)", "last", ".fill(linear, 60)"),
        ("sum:runs{*}", "l2norm", "the aggregator l2norm"),
        ("sum:runs{*}", "area", "the aggregator area"),
    ],
)
def test_what_cannot_be_computed_here_is_named(query: str, reducer: str, told: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(told)):
        figures(query, reducer)


def test_collections_of_one_round_share_a_moment() -> None:
    """The checks run one after another; what they say in one minute is one moment."""
    first = document_of([("a", 1, "")], [("a", 2, "")])
    second = first.replace(":00+00:00", ":40+00:00").replace('"a"', '"b"')
    recording: Recording = recorded({"first": first, "second": second})
    assert len(recording.moments) == 2
    assert [point.at for point in recording.points["a"]] == [point.at for point in recording.points["b"]]


@pytest.mark.parametrize(("seconds", "moments"), [(0, 1), (1, 3), (20, 3), (90, 3)])
def test_collections_seconds_apart_are_not_added_up(seconds: int, moments: int) -> None:
    """One value for each series and moment, the last one: eight runs stay eight."""
    rows = [("runs", 5, "type:train"), ("runs", 3, "type:sweep")]
    document = document_of(rows, [*rows[:1], ("runs", 4, "type:sweep")], rows, every=timedelta(seconds=seconds))
    assert len(recorded({"samples": document}).moments) == moments
    assert figures("sum:runs{*}", document=document) == {"": 8}


def test_a_series_that_ended_seconds_ago_is_not_counted_beside_its_successor() -> None:
    """The tag of a run's state, or of a verdict's status, moves within a minute."""
    rounds = [[("sps", 5, "run:a,state:running"), ("up", 1, "")], [("sps", 6, "run:a,state:finished"), ("up", 1, "")]]
    document = document_of(*rounds, every=timedelta(seconds=5))
    assert figures("sum:sps{*}", document=document) == {"": 6}


def test_several_checks_collected_by_one_command_are_one_document() -> None:
    one, other = document_of([("a", 1, "")]), document_of([("b", 2, "")])
    recording = recorded({"samples": f"[{one},{other}]"})
    assert (len(recording.moments), set(recording.points)) == (1, {"a", "b"})


def test_the_same_document_twice_changes_no_gauge() -> None:
    recording = recorded({"first": RUNS, "second": RUNS})
    answer = Answers(recording).to(QueryEntry(name="query1", query="sum:runs{*}", aggregator="last"), None)
    assert list(scalar(parse_formula("query1"), {"query1": answer}).values()) == [8]


def test_every_point_of_a_distribution_counts_in_a_round() -> None:
    document = document_of([("hours", 1, "")], [("hours", 1, "")], kind="distribution", every=timedelta(seconds=5))
    assert figures("count:hours{*}.as_count()", "sum", document=document) == {"": 2}


@pytest.mark.parametrize(
    "text", ["", "[]", "[1]", "{", '{"check": "x"}', '{"check": "x", "collections": [{}]}', "[" * 100_000]
)
def test_what_is_no_collection_is_refused(text: str) -> None:
    with pytest.raises(RecordingError, match="samples"):
        recorded({"samples": text})
