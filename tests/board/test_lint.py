"""The linter finds each seeded fault, nothing beside it, and nothing in what we ship."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metta_checks.board.contract import contract
from metta_checks.board.findings import Rule
from metta_checks.board.library import text_of
from metta_checks.board.lint import findings_in

FIXTURES = Path(__file__).parent / "fixtures"

# The file's name begins with the rule; the text is part of the finding.
FAULTS = {
    "aggregator-as-count-of-mean": ".as_count() is for count: and sum:, and not for max:",
    "aggregator-count-of-gauge": "count: over the gauge wandb.runs is not documented",
    "aggregator-count-of-points-not-added": "count: over a distribution needs .as_count()",
    "aggregator-largest-of-count": "the number of things is sum:metta.check.series",
    "aggregator-mean-of-count": "wandb.runs counts things: avg: is their mean over series",
    "aggregator-mean-of-states": "metta.infra.health.state is a state",
    "aggregator-one-of-many": "the number of things is sum:wandb.runs",
    "aggregator-percentile-of-gauge": "wandb.run.duration_hours is a gauge, and p95: is for distributions",
    "aggregator-rate-of-distribution": ".as_rate() divides",
    "aggregator-rate-of-gauge": ".as_rate() divides wandb.runs",
    "aggregator-sum-not-added": "sum: over a distribution needs .as_count()",
    "aggregator-sum-of-level": "metta.infra.health.state is no count",
    "format-equals": "the comparator = leaves fractions without a color",
    "format-failures-uncoloured": "'fail' shows failures without a color",
    "format-gap": "values between the formats have no color",
    "format-never-applies": ">= 2 never applies",
    "formula-counts-nothing": "count_nonzero counts groups, and the query 'query1' has none",
    "formula-not-a-formula": "'query1 +' is not a formula",
    "formula-share-of-other-points": "are over different points",
    "formula-too-large": "cannot stand in the formula",
    "formula-unknown-function": "there is no function 'cut_off'",
    "formula-unknown-query": "uses a query 'query2' that is not there",
    "formula-unused-query": "no formula uses the query 'query2'",
    "grid-group-too-low": "Runs: its widgets need 3 rows",
    "grid-overlap": "Failed runs: it lies on 'Speed'",
    "grid-too-wide": "Speed: it leaves the 12 columns",
    "groups-new-runs": "options.new_group_delay: is less than the window of 1800 s",
    "groups-not-grouped": "does not group by 'env'",
    "groups-one-bad-point": "one bad point of a new group is enough",
    "groups-without-env": "does not group by 'env': a downtime for an environment misses it",
    "groups-without-the-tag": "series without the tag 'repo' belong to no group",
    "json-cut-off": "no valid JSON, line",
    "json-key-twice": "the key 'type' stands twice",
    "json-neither": "neither a dashboard",
    "link-names-no-group": "{{run_id}} stays empty in 'Run'",
    "link-undeclared-variable": "'Repo' uses an undeclared variable $repo",
    "list-hides-the-ninth": "shows only 8 exceptions, and hides the rest",
    "list-limit-of-a-column": "shows only 10 exceptions",
    "list-of-default-length": "shows the default number of exceptions",
    "list-of-states": "shows only 8 exceptions",
    "list-sorted-by-no-group": "is sorted by the tag 'type'",
    "list-sorted-by-nothing": "is sorted by formula 1, and there are 1",
    "list-top-of-exceptions": "shows only 8 exceptions",
    "marker-not-a-value": "'5 minutes' is neither `y = 5` nor",
    "message-missing": "there is none",
    "message-names-no-group": "{{project.name}} stays empty",
    "message-never-sent": "has a text for missing data that on_missing_data never sends",
    "message-not-closed": "{{#is_alert}} is not closed",
    "message-promises-another-time": "promises 'for 15 minute', and the window is 1800 s",
    "message-promises-for-one-point": "promises 'for 30 minute', and one point alerts",
    "message-without-link": "has no link",
    "metric-monitor": "no check emits metta.check.down",
    "metric-typo-below-record-namespace": "no check emits metta.infra.cron.ci.workflow.sucess",
    "metric-unknown": "no check emits wandb.run",
    "model-missing-field": "widgets[0].definition: the field 'content' is missing",
    "model-monitor-option": "options.no_data_timeframes: MonitorOptions has no such field",
    "model-no-request": "number of items must be greater",
    "model-unknown-aggregator": "queries[0].aggregator: 'median' is none of",
    "model-unknown-comparator": "conditional_formats[0].comparator: '=>' is none of",
    "model-unknown-data-source": "queries[0].data_source: 'metric' is nothing",
    "model-unknown-field": "widgets[0].definition.autoscaling: QueryValueWidgetDefinition has no such field",
    "model-unknown-palette": "conditional_formats[0].palette: 'white_on_pink' is none of",
    "model-widget-type": "widgets[0].definition.type: 'query_values' is nothing",
    "no-data-not-set": "options.on_missing_data: is not set",
    "no-data-of-runs": "groups by 'run_id' end every day",
    "no-data-old-option": "options.notify_no_data: on_missing_data replaces it",
    "no-data-old-timeframe": "options.no_data_timeframe: on_missing_data replaces it",
    "no-data-resolve": "resolve turns missing data into OK",
    "no-data-times-out": "options.timeout_h: turns missing data into OK",
    "option-group-retention": "options.group_retention_duration: metric monitors do not support it",
    "option-notify-by": "options.notify_by: the query does not group by 'runner'",
    "option-of-logs": "options.enable_logs_sample: is for monitors of logs",
    "option-silenced": "options.silenced: is deprecated",
    "palette-of-lines": "there is no palette 'rainbow'",
    "query-broken-filter": "')' is missing before 'the end'",
    "query-monitor": "is not `function(last_15m):query > threshold`",
    "query-nested-too-deeply": "is nested too deeply",
    "query-no-filter": "'sum:wandb.runs' is not",
    "query-unknown-method": "there is no method .as_counts()",
    "reducer-last-of-count": "is reduced by sum, not by last",
    "reducer-mean-of-gauge": "is reduced by last, not by avg",
    "reducer-mean-of-means": "is a mean of bucket means",
    "reducer-mean-of-percentile": "is reduced by percentile, not by avg",
    "reducer-monitor-sum-of-gauge": "sum() over time and .as_count() belong together",
    "rollup-last": "there is no .rollup(last)",
    "rollup-monitor": "remove .rollup()",
    "rollup-smoothed-states": "ewma_5() averages the states",
    "rollup-state-over-a-day": "add .rollup(max)",
    "rollup-sum-of-gauge": "adds up collections",
    "rollup-up-in-chart": "add .rollup(min)",
    "rollup-wrong-way": "add .rollup(max)",
    "state-code-in-table": "as a code",
    "state-code-in-tile": "metta.infra.health.state as a code",
    "state-code-of-up": "metta.check.up as a code",
    "tag-not-carried-by": "metta.infra.health.state has no tag 'condition' to group by",
    "tag-not-carried-filter": "wandb.runs has no tag 'repo'",
    "tag-verdict-tag-on-wall": "metta.infra.health.value has no tag 'status'",
    "threshold-comparator": "a monitor cannot compare with ==",
    "threshold-not-the-querys": "the query says 1, and critical is 2",
    "threshold-warning-beyond": "warning 5000 lies beyond the critical threshold 4000",
    "unit-converted": "age_seconds is in seconds: set number_format",
    "unit-missing": "wandb.run.duration_hours is in hours",
    "unit-not-the-metrics": "is in minutes, and shown in seconds",
    "unit-of-a-chart": "name the unit in the title",
    "value-check-name": "the tag 'check_name' of metta.check.up is never 'wandb'",
    "value-excluded": "the tag 'run_type' of wandb.runs is never 'other'",
    "value-monitor": "the tag 'check_name' of metta.check.up is never 'metta_github'",
    "value-never-together": "no series of metta.infra.health.state has all the tags",
    "value-one-name-for-two": "get the same name 'Suites'",
    "value-raw-state": "the tag 'state' of wandb.runs is never 'crashed'",
    "value-renames-what-never-is": "a text format renames 'cii'",
    "variable-ignored": "ignores $project, and it has the tag 'wandb_project'",
    "variable-mixes-branches": "without 'branch' in `by` one row mixes metta.infra.health.value",
    "variable-mixes-limits": "without 'repo' in `by` one row mixes metta.infra.health.target",
    "variable-not-declared": "the dashboard declares no variable $project",
    "variable-not-used": "$project: no query uses it",
    "variable-of-another-metric": "$repo stands for the tag 'repo', which wandb.runs has not",
    "widget-not-read": "does not support widgets of type iframe",
    "widget-old-request": "does not support `q`",
    "window-fill-too-long": ".fill(last, 3600) keeps values for more than 600 s",
    "window-monitor-full": "options.require_full_window: has to be false",
    "window-monitor-too-short": "the window of 600 s holds fewer than 3 times 240 s",
    "window-newer-form-too-short": "a time span of 10 minute",
    "window-not-fixed": "no time span of its own",
    "window-sum-with-gaps": "add .fill(last, 600)",
    "window-too-short": "a time span of 10m; metta.infra.health.state comes every 240 s",
    "zero-default": "with default_zero an outage of the source shows as wandb.runs 0",
    "zero-fill": "with .fill(zero) an outage of the source shows as wandb.runs 0",
}


@pytest.mark.parametrize(("name", "text"), FAULTS.items())
def test_a_seeded_fault_is_found_and_nothing_beside_it(name: str, text: str) -> None:
    (finding,) = findings_in((FIXTURES / f"{name}.json").read_text())
    assert name.startswith(f"{finding.rule}-")
    assert text in str(finding)


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("clean-*.json")), ids=lambda path: path.stem)
def test_without_its_fault_a_file_is_clean(path: Path) -> None:
    assert findings_in(path.read_text()) == []


def test_every_fixture_is_used_and_every_rule_has_one() -> None:
    files = {path.stem for path in FIXTURES.glob("*.json") if not path.stem.startswith("clean-")}
    assert files == set(FAULTS)
    assert {rule for rule in Rule if any(name.startswith(f"{rule}-") for name in FAULTS)} == set(Rule)


def test_tags_of_the_instances_are_known_once_they_are_named() -> None:
    text = text_of("dashboards", "health_wall").replace('"prefix": "env"', '"prefix": "team"')
    assert {finding.rule for finding in findings_in(text)} == {Rule.VARIABLE}
    assert findings_in(text, contract().with_tags(["team"])) == []


def _changed(change: Callable[[dict[str, Any]], None], name: str) -> str:
    document = json.loads(text_of("monitors", name))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda monitor: monitor["options"].update(no_data_timeframe=60), Rule.NO_DATA),
        (lambda monitor: monitor["options"].update(notify_no_data=True), Rule.NO_DATA),
        (lambda monitor: monitor["options"].update(on_missing_data="resolve"), Rule.NO_DATA),
        (lambda monitor: monitor["options"].update(on_missing_data="default"), Rule.MESSAGE),
        (lambda monitor: monitor["options"].update(on_missing_data="page"), Rule.MODEL),
        (lambda monitor: monitor["options"].update(notification_preset_name=[]), Rule.MODEL),
        (lambda monitor: monitor["options"].update(notification_preset_name={"a": 1}), Rule.MODEL),
        (lambda monitor: monitor["options"].update(renotify_statuses=[["alert"]]), Rule.MODEL),
        (lambda monitor: monitor["options"]["thresholds"].update(critical=0), Rule.THRESHOLD),
        (lambda monitor: monitor["options"].update(group_retention_duration="1h"), Rule.OPTION),
        (lambda monitor: monitor["options"].pop("new_group_delay"), Rule.GROUPS),
        (lambda monitor: monitor.update(query=monitor["query"].replace("by {env,", "by {")), Rule.GROUPS),
        (lambda monitor: monitor.update(query=monitor["query"].replace(" < 1", ".rollup(avg) < 1")), Rule.ROLLUP),
        (lambda monitor: monitor.update(query=monitor["query"].replace("by {env", "by {run_id")), Rule.TAG),
        (lambda monitor: monitor.update(type="log alert"), Rule.QUERY),
    ],
)
def test_a_change_for_the_worse_in_our_own_monitor_is_found(
    change: Callable[[dict[str, Any]], None], rule: Rule
) -> None:
    assert rule in {finding.rule for finding in findings_in(_changed(change, "ci_down"))}
