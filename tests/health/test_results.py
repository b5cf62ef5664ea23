"""Records made of what other tools wrote: `publish --from`, and the same in Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metta_checks.cli import main
from metta_checks.core import SourceError
from metta_checks.health import RulesError, convert, publish, read_results, read_rules

Make = Callable[..., Any]

LM_EVAL: Mapping[str, Any] = {
    "results": {
        "gsm8k": {
            "alias": "gsm8k",
            "exact_match,strict-match": 0.571,
            "exact_match_stderr,strict-match": 0.0136,
            "exact_match,flexible-extract": 0.58,
            "exact_match_stderr,flexible-extract": "N/A",
        },
        "arc_easy": {"alias": "arc_easy", "acc,none": 0.71, "acc_norm,none": 0.69},
        "mmlu": {"alias": "mmlu", "acc,none": 0.44, "acc_stderr,none": 0.004},
    },
    "groups": {"mmlu": {"alias": "mmlu", "acc,none": 0.44, "acc_stderr,none": 0.004}},
    "versions": {"gsm8k": 3},
    "n-shot": {"gsm8k": 5},
    "date": 1736866800.25,
}
PYTEST: Mapping[str, Any] = {
    "created": 1736866800.0,
    "duration": 12.5,
    "exitcode": 1,
    "root": "/src",
    "environment": {},
    "summary": {"passed": 10, "failed": 2, "total": 12, "collected": 12},
    "tests": [{"nodeid": "a.py::b", "outcome": "failed"}],
}
NUMBERS: Mapping[str, Any] = {"eval_loss": 0.25, "epoch": 3, "model": "large", "best": True, "train/loss": 0.5}
JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="all">
  <testsuite name="unit" tests="4" failures="1" errors="0" skipped="1" time="2.5" timestamp="2025-01-14T15:00:00+00:00">
    <testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><skipped/></testcase>
    <testcase name="d"/>
  </testsuite>
  <testsuite name="slow" tests="1" failures="0" errors="1" time="1,000.5">
    <testcase name="e"><error/></testcase>
  </testsuite>
</testsuites>
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """`publish eval RESULTS --from FORM`, with rules as YAML or as a mapping."""

    def invoke(results: Any, form: str, rules: Any, *options: str) -> Result:
        path, rules_path = tmp_path / "their.results", tmp_path / "rules.yaml"
        path.write_bytes(
            results
            if isinstance(results, bytes)
            else (results if isinstance(results, str) else json.dumps(results)).encode()
        )
        rules_path.write_text(rules if isinstance(rules, str) else json.dumps(rules), encoding="utf-8")
        arguments = ["publish", "eval", str(path), "--from", form, "--rules", str(rules_path), *options]
        return CliRunner().invoke(main, arguments)

    return invoke


@pytest.fixture
def published(run: Make, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """The records that it writes."""

    def invoke(results: Any, form: str, rules: Any) -> list[dict[str, Any]]:
        result = run(results, form, rules, "--to", str(tmp_path / "out.json"))
        assert result.exit_code == 0, result.stderr
        records: list[dict[str, Any]] = json.loads((tmp_path / "out.json").read_text())
        return records

    return invoke


def rules(given: Mapping[str, Any], **top: Any) -> dict[str, Any]:
    return {"workflow_name": "nightly", **top, "rules": dict(given)}


def test_a_result_of_the_evaluation_harness(published: Make) -> None:
    yaml = """
workflow_name: nightly
tags: {model: large}
rules:
  "gsm8k/exact_match,strict-match": {condition: ">= 0.6", check: accuracy, tags: {shots: 5}}
  "*/acc,none": ">= 0.4"
"""
    records = published(LM_EVAL, "lm-eval", yaml)

    common = {"workflow_name": "nightly", "timestamp": "2025-01-14T15:00:00.250000Z"}
    assert records == [
        {
            **common,
            "metric": "acc",
            "value": 0.44,
            "task": "mmlu",
            "check": "threshold",
            "condition": ">= 0.4",
            "tags": {"model": "large"},
        },
        {
            **common,
            "metric": "exact_match_strict_match",
            "value": 0.571,
            "task": "gsm8k",
            "check": "accuracy",
            "condition": ">= 0.6",
            "tags": {"model": "large", "shots": 5},
        },
        {
            **common,
            "metric": "acc",
            "value": 0.71,
            "task": "arc_easy",
            "check": "threshold",
            "condition": ">= 0.4",
            "tags": {"model": "large"},
        },
    ]


def test_the_verdicts_are_those_of_the_rules(run: Make) -> None:
    result = run(LM_EVAL, "lm-eval", rules({"gsm8k/exact_match,*": ">= 0.575"}), "--check-only")

    assert result.exit_code == 0
    assert "2 valid eval records (1 pass, 1 fail); nothing was written" in result.stdout


def test_what_no_rule_names_is_listed_and_not_published(run: Make, tmp_path: Path) -> None:
    given = rules({"mmlu/acc,none": "> 0"})

    listed = run(LM_EVAL, "lm-eval", given, "--check-only")
    written = run(LM_EVAL, "lm-eval", given, "--to", str(tmp_path / "out.json"))

    assert [line for line in listed.stdout.splitlines() if line.startswith("no rule names")] == [
        "no rule names mmlu/acc_stderr,none",
        "no rule names gsm8k/exact_match,strict-match",
        "no rule names gsm8k/exact_match_stderr,strict-match",
        "no rule names gsm8k/exact_match,flexible-extract",
        "no rule names arc_easy/acc,none",
        "no rule names arc_easy/acc_norm,none",
    ]
    assert "6 figures are named by no rule" in written.stderr
    assert len(json.loads((tmp_path / "out.json").read_text())) == 1


def values(records: list[dict[str, Any]]) -> dict[str, float]:
    return {f"{one['task']}/{one['metric']}": one["value"] for one in records}


def test_a_report_of_pytest(published: Make) -> None:
    records = published(PYTEST, "pytest-json", rules({"pytest/*": ">= 0"}))

    assert values(records) == {
        "pytest/passed": 10,
        "pytest/failed": 2,
        "pytest/error": 0,
        "pytest/skipped": 0,
        "pytest/xfailed": 0,
        "pytest/xpassed": 0,
        "pytest/total": 12,
        "pytest/collected": 12,
        "pytest/duration": 12.5,
        "pytest/exitcode": 1,
    }
    assert {one["timestamp"] for one in records} == {"2025-01-14T15:00:00Z"}


def test_junit(published: Make) -> None:
    records = published(JUNIT, "junit", rules({"*": ">= 0"}))

    assert values(records) == {
        f"{suite}/{name}": value
        for suite, counts in {
            "unit": {"tests": 4, "failures": 1, "errors": 0, "skipped": 1, "passed": 2, "duration_seconds": 2.5},
            "slow": {"tests": 1, "failures": 0, "errors": 1, "skipped": 0, "passed": 0, "duration_seconds": 1000.5},
            "total": {"tests": 5, "failures": 1, "errors": 1, "skipped": 1, "passed": 2, "duration_seconds": 1003},
        }.items()
        for name, value in counts.items()
    }
    assert {one["timestamp"] for one in records} == {"2025-01-14T15:00:00Z"}


SUITES = {
    "one suite as the root": ('<testsuite name="a" tests="2" failures="1"/>', {"tests": 2, "failures": 1}),
    "no attributes": (
        "<testsuite><testcase/><testcase><failure/><error/></testcase></testsuite>",
        {"tests": 2, "failures": 1},
    ),
    "attributes of another run": (
        '<testsuite tests="1" failures="0"><testcase><failure/></testcase></testsuite>',
        {"failures": 1},
    ),
    "a suite of suites": (
        '<testsuites><testsuite tests="3" failures="1"><testsuite tests="3" failures="1"/></testsuite></testsuites>',
        {"tests": 3, "failures": 1},
    ),
    "two of one name": (
        '<testsuites><testsuite name="a" tests="1"/><testsuite name="a" tests="2"/></testsuites>',
        {"tests": 3},
    ),
    "no tests": ("<testsuite/>", {"tests": 0, "failures": 0}),
    "a failure outside of a case": ("<testsuite><failure/></testsuite>", {"failures": 0}),
}


@pytest.mark.parametrize(("xml", "counts"), SUITES.values(), ids=SUITES)
def test_counts_of_junit(xml: str, counts: Mapping[str, float], published: Make) -> None:
    found = values(published(xml, "junit", rules({"total/*": ">= 0"})))

    assert {name: found[f"total/{name}"] for name in counts} == counts


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>'
HOSTILE = {
    "entities": (LAUGHS, "declares a document type or entities"),
    "a document type": ('<!DOCTYPE testsuite SYSTEM "http://127.0.0.1/x.dtd"><testsuite/>', "document type"),
    "an entity that is not declared": ('<testsuite name="&b;"/>', "no valid XML"),
    "too deep": ("<testsuite>" * 200, "more than 100 levels"),
    "too many": (f"<testsuite>{'<testcase/>' * 250_001}</testsuite>", "250,000 elements"),
    "torn": ('<testsuite tests="1">', "no valid XML"),
    "another root": ("<coverage/>", "no test suite in it: its root is <coverage>"),
    "suites without a suite": ("<testsuites/>", "no test suite in it"),
    "a count that is none": ('<testsuite tests="many"/>', "`tests` of a test suite is no number"),
    "empty": ("", "no valid XML"),
}


@pytest.mark.parametrize(("xml", "named"), HOSTILE.values(), ids=HOSTILE)
def test_xml_that_is_refused(xml: str, named: str, run: Make) -> None:
    result = run(xml, "junit", rules({"*": ">= 0"}), "--check-only")

    assert result.exit_code == 1
    assert named in result.stderr


def test_an_object_of_numbers(published: Make) -> None:
    """What a Trainer, MLflow and evaluate have; texts and booleans are no figures."""
    records = published(NUMBERS, "numbers", rules({"*": ">= 0"}, task="arena"))

    assert values(records) == {"arena/eval_loss": 0.25, "arena/epoch": 3, "arena/train_loss": 0.5}
    assert all(one["timestamp"] > "2025" for one in records)


@pytest.mark.parametrize(
    ("results", "form", "named"),
    [
        (LM_EVAL, "numbers", "--from lm-eval"),
        (LM_EVAL, "junit", "--from lm-eval"),
        (PYTEST, "lm-eval", "--from pytest-json"),
        (NUMBERS, "pytest-json", "--from numbers"),
        (JUNIT, "lm-eval", "--from junit"),
        (JUNIT, "numbers", "--from junit"),
        ([], "lm-eval", "another shape"),
        ("[1", "numbers", "it is cut off"),
    ],
)
def test_another_format_is_named(results: Any, form: str, named: str, run: Make) -> None:
    result = run(results, form, rules({"*": ">= 0"}), "--check-only")

    assert result.exit_code == 1
    assert named in result.stderr


TOP = "workflow_name: nightly\nrules:\n"
WRONG_RULES = {
    "a slip in a key": (f'{TOP}  "m/acc":\n    conditon: "> 0"\n', "line 4: `m/acc`: `conditon` is no key"),
    "a slip at the top": ('workflow: x\nruls: {a: "> 0"}\n', "line 2: `ruls` is no key of this file: write `rules`"),
    "an unknown key": (f'{TOP}  "m/acc": {{condition: "> 0", colour: red}}\n', "line 3: `m/acc`: `colour`"),
    "a condition that is none": (f'{TOP}  "m/acc": "=> 0"\n', "line 3: `m/acc`: '=> 0' is not a condition"),
    "a number": (f'{TOP}  "m/acc": 0.5\n', "line 3: `m/acc`: `condition` must be a text"),
    "no condition": (f'{TOP}  "m/acc": {{metric: x}}\n', "line 3: `m/acc`: `condition` must be a text"),
    "no workflow": ('rules:\n  "m/acc": "> 0"\n', "line 2: `m/acc`: `workflow_name` is missing"),
    "no rules": ("workflow_name: nightly\n", "`rules` must map patterns to conditions"),
    "a list of rules": ('workflow_name: a\nrules:\n- "> 0"\n', "`rules` must map patterns to conditions"),
    "no mapping": ("- a\n", "it must be a mapping"),
    "without quotes": (f"{TOP}  m/acc: > 0.5\n", "stand in quotes"),
    "a star without quotes": (f'{TOP}  */acc: "> 0"\n', "stand in quotes"),
    "twice": (f'{TOP}  "m/acc": "> 0"\n  "m/acc": "> 1"\n', "line 4: `m/acc` is there twice"),
    "tags that are none": (f'{TOP}  "m/acc": {{condition: "> 0", tags: [a]}}\n', "`tags` must be a mapping"),
    "matches nothing": (
        f'{TOP}  "m/acd": "> 0"\n',
        "line 3: `m/acd` matches nothing in this result; close to it is `m/acc`",
    ),
    "never reached": (
        f'{TOP}  "*": "> 0"\n  "m/acc": "> 0"\n',
        "line 4: `m/acc` matches only what an earlier rule takes",
    ),
    "one record of two": (
        f'{TOP}  "*/acc": {{condition: "> 0", task: all}}\n',
        "m/acc and n/acc become the same record",
    ),
    "a name that is none": (f'{TOP}  "m/acc": {{condition: "> 0", metric: "9 lives"}}\n', "makes no record: metric"),
    "a name of another check": (f'{TOP}  "m/acc": {{condition: "> 0", metric: metta.check.up}}\n', "metric"),
}


@pytest.mark.parametrize(("yaml", "named"), WRONG_RULES.values(), ids=WRONG_RULES)
def test_a_mistake_in_the_rules_is_named_with_its_place(yaml: str, named: str, run: Make, tmp_path: Path) -> None:
    result = run(
        {"results": {"m": {"acc": 0.44}, "n": {"acc": 0.71}}}, "lm-eval", yaml, "--to", str(tmp_path / "out.json")
    )

    assert result.exit_code == 1
    assert named in result.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_figure_that_is_no_number_is_named(value: str, run: Make) -> None:
    results = f'{{"results": {{"a": {{"acc,none": {value}}}, "b": {{"acc,none": 1}}}}}}'

    result = run(results, "lm-eval", rules({"a/acc,none": "> 0"}), "--check-only")
    other = run(results, "lm-eval", rules({"b/acc,none": "> 0"}), "--check-only")

    assert (result.exit_code, other.exit_code) == (1, 0)
    assert "a/acc,none is " in result.stderr


def test_lenient_allows_a_rule_that_matches_nothing(run: Make) -> None:
    given = rules({"mmlu/acc,none": "> 0", "hellaswag/acc,none": "> 0"})

    assert run(LM_EVAL, "lm-eval", given, "--check-only").exit_code == 1
    assert run(LM_EVAL, "lm-eval", given, "--check-only", "--lenient").exit_code == 0


@pytest.mark.parametrize(
    ("results", "form"), [(LM_EVAL, "lm-eval"), (PYTEST, "pytest-json"), (NUMBERS, "numbers"), (JUNIT, "junit")]
)
def test_suggested_rules_hold_for_the_result_that_they_were_made_of(results: Any, form: str, tmp_path: Path) -> None:
    path, rules_path = tmp_path / "their.results", tmp_path / "rules.yaml"
    path.write_text(results if isinstance(results, str) else json.dumps(results), encoding="utf-8")
    base = ["publish", "eval", str(path), "--from", form]

    suggested = CliRunner().invoke(main, [*base, "--suggest-rules", str(rules_path)])
    checked = CliRunner().invoke(main, [*base, "--rules", str(rules_path), "--check-only"])
    printed = CliRunner().invoke(main, [*base, "--suggest-rules", "-"])

    assert (suggested.exit_code, checked.exit_code, printed.exit_code) == (0, 0, 0)
    assert " fail" not in checked.stdout
    assert printed.stdout == rules_path.read_text()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--rules", "r.yaml"], "--rules needs --from"),
        (["--suggest-rules", "r.yaml"], "--suggest-rules needs --from"),
        (["--from", "lm-eval"], "--from needs --rules"),
        (["--from", "lm-eval", "--rules", "r", "--suggest-rules", "s"], "give one of them"),
        (["--from", "lm_eval"], "lm-eval"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], named: str) -> None:
    result = CliRunner().invoke(main, ["publish", "eval", "-", "--check-only", *options])

    assert result.exit_code == 2
    assert named in result.stderr


def test_in_python(collect: Make, now: Any, tmp_path: Path) -> None:
    made = convert(read_results(LM_EVAL, "lm-eval"), read_rules(rules({"gsm8k/exact_match,strict-match": ">= 0.6"})))
    publish(made.records, tmp_path / "out.json", now=now)

    assert len(made.unnamed) == 6
    assert collect(tmp_path / "out.json").value("metta.infra.health.state") == 2


def test_in_python_mistakes_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(RulesError) as refused:
        read_rules(rules({"a": "=> 0", "b": {"condition": "> 0", "cheque": "x"}}))
    with pytest.raises(RulesError, match="matches nothing"):
        convert(read_results(NUMBERS, "numbers"), read_rules(rules({"loss": "< 1"}, task="x")))
    with pytest.raises(SourceError, match="no such file"):
        read_results(tmp_path / "none.json", "lm-eval")
    with pytest.raises(SourceError, match="no such file"):
        read_rules(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="'lmeval' is no format"):
        read_results(LM_EVAL, "lmeval")

    assert len(refused.value.faults) == 2
