"""What is wrong with a monitor."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from metta_checks.board.contract import Contract
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

_PLACEHOLDER: Final = re.compile(r"\{\{([#/^]?)\s*([a-z0-9_.\-]+)[^{}]*\}\}")
_BUILT_IN: Final = frozenset({"value", "threshold", "warn_threshold", "comparator", "last_triggered_at"})


def monitor_findings(monitor: Monitor, contract: Contract) -> Iterator[Finding]:
    """Everything that the rules have against a monitor."""
    if monitor.type not in TYPES:
        yield Finding(Rule.QUERY, "type", f"monitors of type {monitor.type!r} are not read")
        return
    try:
        query = parse_monitor_query(monitor.query)
    except QuerySyntaxError as error:
        yield Finding(Rule.QUERY, "query", str(error))
        return
    yield from query_findings(query.query, contract, "query")
    yield from _time_findings(monitor, query, contract)
    yield from _threshold_findings(monitor.options.thresholds, query)
    yield from _no_data_findings(monitor, query)
    yield from _group_findings(monitor, query, contract)
    yield from _message_findings(monitor, query)


def _time_findings(monitor: Monitor, query: MonitorQuery, contract: Contract) -> Iterator[Finding]:
    metric = contract.find(query.query.metric)
    if metric is None:
        return
    if query.over_time not in OVER_TIME:
        yield Finding(Rule.REDUCER, "query", f"there is no {query.over_time}() over time")
    elif (query.over_time == "sum") != query.query.counts:
        yield Finding(Rule.REDUCER, "query", "sum() over time and .as_count() belong together: they count events")
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


def _no_data_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    options = monitor.options
    if options.on_missing_data is not None and (options.notify_no_data or options.no_data_timeframe is not None):
        yield Finding(
            Rule.NO_DATA, "options", "on_missing_data takes the place of notify_no_data and no_data_timeframe"
        )
    if options.notify_no_data and (options.no_data_timeframe or 0) * 60 < 2 * query.window:
        yield Finding(
            Rule.NO_DATA,
            "options.no_data_timeframe",
            f"has to be two windows at least, {2 * query.window // 60} minutes",
        )


def _group_findings(monitor: Monitor, query: MonitorQuery, contract: Contract) -> Iterator[Finding]:
    metric, by = contract.find(query.query.metric), query.query.by
    if metric is None or not by:
        return
    matching = metric.matching(without_variables(query.query.filter))
    for key in by:
        if metric.can_carry(key) and any(key not in shape.values for shape in matching):
            yield Finding(
                Rule.GROUPS, "query", f"series without the tag {key!r} are in none of the groups: nobody watches them"
            )
    if monitor.options.group_retention_duration is None:
        yield Finding(
            Rule.GROUPS, "options.group_retention_duration", "is not set: groups that are gone stay for a day"
        )
    if COMING_AND_GOING & set(by) and not monitor.options.new_group_delay:
        yield Finding(Rule.GROUPS, "options.new_group_delay", "is not set: every new run is judged by its first minute")


def _message_findings(monitor: Monitor, query: MonitorQuery) -> Iterator[Finding]:
    if not monitor.message.strip():
        yield Finding(Rule.MESSAGE, "message", "there is none: say what to look at first")
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
