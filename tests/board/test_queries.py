"""Queries, filters and formulas are read as Datadog reads them."""

from __future__ import annotations

import pytest

from metta_checks.board.filters import QuerySyntaxError, holds, normalised, parse_filter
from metta_checks.board.query import (
    Call,
    Number,
    Operation,
    Reference,
    parse_formula,
    parse_monitor_query,
    parse_query,
    references,
)

TAGS = {"state": frozenset({"failed"}), "run_type": frozenset({"train"}), "team": frozenset({"research", "infra"})}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("*", True),
        ("state:failed", True),
        ("State:FAILED", True),
        ("state:finished", False),
        ("!state:finished", True),
        ("state:fail*", True),
        ("state:*", True),
        ("branch:*", False),
        ("state:failed,run_type:train", True),
        ("state:failed,run_type:sweep", False),
        ("state:failed,!run_type:train", False),
        ("state:finished OR run_type:train", True),
        ("state:finished or run_type:sweep", False),
        ("NOT (state:finished OR run_type:sweep)", True),
        ("state:failed AND NOT run_type:train", False),
        ("state:finished OR state:failed AND run_type:train", True),
        ("(state:finished OR state:failed) AND run_type:sweep", False),
        ("state IN (finished, failed)", True),
        ("state NOT IN (finished,failed)", False),
        ("team:infra,team:research", True),
    ],
)
def test_which_series_a_filter_means(condition: str, expected: bool) -> None:
    assert holds(parse_filter(condition), TAGS) is expected


@pytest.mark.parametrize(
    "condition",
    ["", "state", "state:", ":failed", "state:failed,", "state:failed run_type:train", "(state:failed", "state:failed)",
     "state IN failed", "state IN ()", "NOT", "$", "a:b AND", "{a:b}"],
)  # fmt: skip
def test_a_filter_that_says_nothing_is_refused(condition: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse_filter(condition)


def test_the_parts_of_a_query() -> None:
    query = parse_query("p95:wandb.run.completed.sps{$project,state:failed} by {Run_Type, state}.rollup(max, 300)")
    assert (query.aggregator, query.percentile, query.metric) == ("p95", 95, "wandb.run.completed.sps")
    assert query.by == ("run_type", "state")
    assert [(method.name, method.arguments) for method in query.methods] == [("rollup", ("max", "300"))]


@pytest.mark.parametrize(
    "text",
    ["wandb.runs{*}", "sum:wandb.runs", "sum:wandb.runs{*", "sum:wandb.runs{*} by run_type", "sum:wandb.runs{*} by {}",
     "sum:wandb.runs{*} / sum:wandb.runs{*}", "top(sum:wandb.runs{*}, 5, 'last', 'desc')", "sum:{*}"],
)  # fmt: skip
def test_what_is_no_single_query_is_refused(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse_query(text)


@pytest.mark.parametrize(
    ("text", "window", "comparator", "threshold"),
    [
        ("max(last_30m):min:metta.check.up{*} < 1", 1_800, "<", 1),
        ("sum(last_4h):count:wandb.run.completed.sps{*}.as_count()>=10.5", 14_400, ">=", 10.5),
        ("avg(last_1d):avg:wandb.run.sps{*} by {run_id} > -1", 86_400, ">", -1),
    ],
)
def test_the_parts_of_a_monitor_query(text: str, window: int, comparator: str, threshold: float) -> None:
    query = parse_monitor_query(text)
    assert (query.window, query.comparator, query.threshold) == (window, comparator, threshold)


@pytest.mark.parametrize("text", ["sum:wandb.runs{*} > 1", "max(last_30m):min:up{*}", "max(last_x):min:up{*} > 1"])
def test_what_is_no_monitor_query_is_refused(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse_monitor_query(text)


def test_the_shape_of_a_formula() -> None:
    formula = parse_formula("cutoff_min(query1, 2) / (query1 + 1.5)")
    cut = Call("cutoff_min", Reference("query1"), (2,))
    assert formula == Operation("/", cut, Operation("+", Reference("query1"), Number(1.5)))
    assert references(formula) == {"query1"}


@pytest.mark.parametrize(
    "text",
    ["", "query1 +", "query1 ** 2", "query1 > 1", "__import__('os')", "query1.real", "[query1]", "lambda: 1", "True",
     "abs()", "top(query1, key=1)", "'text'", "nothing_known(query1)", "(" * 500],
)  # fmt: skip
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(QuerySyntaxError):
        parse_formula(text)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Env:PROD", "env:prod"),
        ("condition:< 5", "condition:__5"),
        ("run_name:日本 e", "run_name:日本_e"),
        ("metric_name:overview/reward", "metric_name:overview/reward"),
        ("x:" + "y" * 300, "x:" + "y" * 198),
    ],
)
def test_tags_as_datadog_keeps_them(given: str, kept: str) -> None:
    assert normalised(given) == kept
