"""What is wrong with a monitor."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from metta_checks.board.contract import COUNTS, Contract, states
from metta_checks.board.document import Monitor, Thresholds
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.findings import Finding, Rule
from metta_checks.board.lint_dashboard import INTERVALS
from metta_checks.board.lint_query import query_findings, without_variables
from metta_checks.board.query import MonitorQuery, parse_monitor_query

TYPES: Final = frozenset({"metric alert", "query alert"})
OVER_TIME: Final = frozenset({"avg", "max", "min", "sum"})

BEYOND: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""When a value is beyond a threshold, by the query's comparator."""

COMING_AND_GOING: Final = frozenset({"run_id"})
"""Tags whose values come and go all day, each a new group."""

NOTIFYING: Final = frozenset({"show_no_data", "show_and_notify_no_data"})
"""Values of `on_missing_data` that make silence visible."""

SCOPE: Final = "env"
"""A downtime is scheduled for an environment, and reaches only monitors that group by it."""

FOREIGN: Final[Mapping[str, str]] = {
    "group_retention_duration": "metric monitors do not support it: they keep groups for 24 h",
    **dict.fromkeys(("enable_logs_sample", "groupby_simple_monitor"), "is for monitors of logs"),
    **dict.fromkeys(("aggregation", "enable_samples", "variables"), "is for monitors of events, logs and traces"),
    **dict.fromkeys(
        ("device_ids", "min_failure_duration", "min_location_failed", "synthetics_check_id"), "is for Synthetics"
    ),
    "locked": "is deprecated: restrict roles instead",
    "new_host_delay": "is replaced by new_group_delay where the query groups by a tag",
    "silenced": "is deprecated: schedule a downtime instead",
}
"""Options that Datadog documents for other types of monitors, or has replaced."""

_SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400}
_PROMISE: Final = re.compile(
    r"\b(?:above|below|fail\w*|been|read|over|under|unknown|down|idle|red)\b[^.!?\n]*?"
    r"\bfor (?:more than |at least )?(half an|an?|\d+) (minute|hour|day)s?\b"
)

_PLACEHOLDER: Final = re.compile(r"\{\{([#/^]?)\s*([a-z0-9_.\-]+)[^{}]*\}\}")
_LINK: Final = re.compile(r"\[[^\]]+\]\(https?://[^)\s]+\)")
_BUILT_IN: Final = frozenset({"value", "threshold", "warn_threshold", "comparator", "last_triggered_at"})


def monitor_findings(monitor: Monitor, contract: Contract) -> Iterator[Finding]:
    """Every fault of a monitor."""
    if monitor.type not in TYPES:
        yield Finding(Rule.QUERY, "type", f"the linter does not support monitors of type {monitor.type!r}")
        return
    try:
        query = parse_monitor_query(monitor.query)
    except QuerySyntaxError as error:
        yield Finding(Rule.QUERY, "query", str(error))
        return
    yield from query_findings(query.query, contract, "query")
    yield from _time_findings(monitor, query, contract)
    yield from _threshold_findings(monitor.options.thresholds, query)
    yield from _option_findings(monitor, query)
    yield from _no_data_findings(monitor, query)
    yield from _group_findings(monitor, query, contract)
    yield from _message_findings(monitor, query)


def _time_findings(monitor: Monitor, query: MonitorQuery, contract: Contract) -> Iterator[Finding]:
    if query.query.method("rollup"):
        yield Finding(Rule.ROLLUP, "query", "remove .rollup(): the window of the monitor already aggregates over time")
    metric = contract.find(query.query.metric)
    if metric is None:
        return
    if query.over_time not in OVER_TIME:
        yield Finding(Rule.REDUCER, "query", f"there is no {query.over_time}() over time")
    elif (query.over_time == "sum") != query.query.counts:
        yield Finding(Rule.REDUCER, "query", "sum() over time and .as_count() belong together: they count events")
    if query.query.by and metric.name in COUNTS - states() and query.query.aggregator in {"max", "min"}:
        yield Finding(
            Rule.AGGREGATOR,
            "query",
            f"{query.query.aggregator}:{metric.name} is one series; the number of things is sum:{metric.name}",
        )
    if query.window < INTERVALS * metric.interval:
        yield Finding(
            Rule.WINDOW,
            "query",
            f"the window of {query.window} s holds fewer than {INTERVALS} times {metric.interval} s",
        )
    if monitor.options.require_full_window is not False:
        yield Finding(Rule.WINDOW, "options.require_full_window", "has to be false: gauges leave gaps in any window")


def _threshold_findings(thresholds: Thresholds, query: MonitorQuery) -> Iterator[Finding]:
    place = "options.thresholds"
    beyond = BEYOND.get(query.comparator)
    if beyond is None:
        yield Finding(Rule.THRESHOLD, "query", f"a monitor cannot compare with {query.comparator}")
        return
    if thresholds.critical != query.threshold:
        told = "is not set" if thresholds.critical is None else f"is {thresholds.critical:g}"
        yield Finding(Rule.THRESHOLD, place, f"the query says {query.threshold:g}, and critical {told}")
        return
    earlier = {
        "warning": thresholds.warning,
        "critical_recovery": thresholds.critical_recovery,
        "warning_recovery": thresholds.warning_recovery,
    }
    for name, value in earlier.items():
        if value is not None and (value == query.threshold or beyond(value, query.threshold)):
            yield Finding(
                Rule.THRESHOLD, place, f"{name} {value:g} lies beyond the critical threshold {query.threshold:g}"
            )
    if thresholds.warning_recovery is not None and thresholds.warning is None:
        yield Finding(Rule.THRESHOLD, place, "there is a warning_recovery, and no warning")


def _option_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    for name in sorted(FOREIGN.keys() & monitor.options.others.keys()):
        yield Finding(Rule.OPTION, f"options.{name}", FOREIGN[name])
    for key in monitor.options.notify_by:
        if key != "*" and key not in query.query.by:
            yield Finding(Rule.OPTION, "options.notify_by", f"the query does not group by {key!r}")


def _no_data_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    options, place = monitor.options, "options.on_missing_data"
    for name, value in (
        ("notify_no_data", options.notify_no_data),
        ("no_data_timeframe", options.no_data_timeframe),
    ):
        if value is not None:
            yield Finding(Rule.NO_DATA, f"options.{name}", "on_missing_data replaces it on metric monitors")
            return
    missing, temporary = options.on_missing_data, sorted(COMING_AND_GOING & set(query.query.by))
    if missing is None:
        yield Finding(Rule.NO_DATA, place, "is not set: state what silence means")
    elif temporary and missing != "resolve":
        yield Finding(
            Rule.NO_DATA,
            place,
            f"groups by {temporary[0]!r} end every day: {missing!r} keeps or reports each; set resolve",
        )
    elif options.timeout_h and not temporary:
        yield Finding(Rule.NO_DATA, "options.timeout_h", "turns missing data into OK, as resolve does")
    elif missing == "resolve" and not temporary and not query.query.counts:
        yield Finding(Rule.NO_DATA, place, "resolve turns missing data into OK; default keeps the last known status")


def _group_findings(monitor: Monitor, query: MonitorQuery, contract: Contract) -> Iterator[Finding]:
    metric, by = contract.find(query.query.metric), query.query.by
    if metric is None:
        return
    if SCOPE not in by:
        yield Finding(Rule.GROUPS, "query", f"does not group by {SCOPE!r}: a downtime for an environment misses it")
    matching = metric.matching(without_variables(query.query.filter))
    for key in by:
        if metric.can_carry(key) and any(key not in shape.values for shape in matching):
            yield Finding(
                Rule.GROUPS, "query", f"series without the tag {key!r} belong to no group: nobody watches them"
            )
    # A sum over a window that is not full is too small, and so alerts too late at most.
    if by and query.over_time != "sum" and (monitor.options.new_group_delay or 0) < query.window:
        yield Finding(
            Rule.GROUPS,
            "options.new_group_delay",
            f"is less than the window of {query.window} s: one bad point of a new group is enough to alert",
        )


def _message_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    if not monitor.message.strip():
        yield Finding(Rule.MESSAGE, "message", "there is none: write what to look at first")
    elif not _LINK.search(monitor.message):
        yield Finding(Rule.MESSAGE, "message", "has no link, such as [Board](https://…): add the board and the runbook")
    if "{{#is_no_data}}" in monitor.message and monitor.options.on_missing_data not in NOTIFYING:
        yield Finding(Rule.MESSAGE, "message", "has a text for missing data that on_missing_data never sends")
    yield from _promise_findings(monitor, query)
    opened: list[str] = []
    for mark, name in _PLACEHOLDER.findall(monitor.message):
        if mark in {"#", "^"}:
            opened.append(name)
        elif mark == "/":
            if not opened or opened.pop() != name:
                yield Finding(Rule.MESSAGE, "message", f"{{{{/{name}}}}} closes what is not open")
        elif name.partition(".")[0] not in query.query.by and name not in _BUILT_IN:
            yield Finding(Rule.MESSAGE, "message", f"{{{{{name}}}}} stays empty: the query does not group by it")
    for name in opened:
        yield Finding(Rule.MESSAGE, "message", f"{{{{#{name}}}}} is not closed")


def _promise_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    """`for 30 minutes` is true where all points of a window of 30 minutes have to be beyond the threshold."""
    lasting = {"<": "max", ">": "min"}.get(query.comparator[:1])
    for found in _PROMISE.finditer(monitor.message):
        amount = {"half an": 0.5, "a": 1.0, "an": 1.0}.get(found[1]) or float(found[1])
        seconds, text = amount * _SECONDS[found[2]], f"for {found[1]} {found[2]}"
        if query.query.metric.endswith("_seconds") and seconds == query.threshold:
            continue
        if query.over_time in {"max", "min"} and query.over_time != lasting:
            yield Finding(
                Rule.MESSAGE, "message", f"promises {text!r}, and one point alerts: use {lasting}() over time"
            )
        elif query.window != seconds:
            yield Finding(Rule.MESSAGE, "message", f"promises {text!r}, and the window is {query.window} s")
