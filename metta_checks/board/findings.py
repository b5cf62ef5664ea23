"""What the linter finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The rules for dashboards and monitors."""

    JSON = "json"
    MODEL = "model"
    WIDGET = "widget"
    GRID = "grid"
    VARIABLE = "variable"
    FORMULA = "formula"
    QUERY = "query"
    METRIC = "metric"
    AGGREGATOR = "aggregator"
    TAG = "tag"
    VALUE = "value"
    REDUCER = "reducer"
    ROLLUP = "rollup"
    WINDOW = "window"
    ZERO = "zero"
    PALETTE = "palette"
    STATE = "state"
    FORMAT = "format"
    UNIT = "unit"
    LIST = "list"
    MARKER = "marker"
    LINK = "link"
    THRESHOLD = "threshold"
    OPTION = "option"
    NO_DATA = "no-data"
    GROUPS = "groups"
    MESSAGE = "message"

    @property
    def meaning(self) -> str:
        """The rule in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    Rule.JSON: "the file is JSON, and a dashboard or a monitor",
    Rule.MODEL: "Datadog's own models have every field and every value",
    Rule.WIDGET: "the linter supports the widget's type",
    Rule.GRID: "widgets lie inside the grid, and do not overlap",
    Rule.VARIABLE: "template variables are declared, reach every query with their tag, and no row mixes verdicts",
    Rule.FORMULA: "the formula parses, uses the queries of its request, and divides like by like",
    Rule.QUERY: "the query parses",
    Rule.METRIC: "a check emits the metric",
    Rule.AGGREGATOR: "the aggregator suits the metric's type and meaning",
    Rule.TAG: "the metric carries the tag",
    Rule.VALUE: "the tag can have the value, and text formats name each value once",
    Rule.REDUCER: "the function that reduces a series to one figure suits the metric",
    Rule.ROLLUP: "rollups suit the metric: states keep their worst value over time, and monitors have none",
    Rule.WINDOW: "the time window holds at least three collections, and a missed one leaves no gap in a sum",
    Rule.ZERO: "missing figures of a source are not shown as zero",
    Rule.PALETTE: "the palette exists",
    Rule.STATE: "a figure is a count or a failure, and not the code of a state",
    Rule.FORMAT: "failures have a color, and conditional formats include every value and are all used",
    Rule.UNIT: "a figure or chart whose metric has a unit shows that unit",
    Rule.LIST: "a list of exceptions or states shows at least twelve",
    Rule.MARKER: "a marker of a chart is a value or a range",
    Rule.LINK: "a link uses tags of its widget and variables of its dashboard",
    Rule.THRESHOLD: "thresholds agree with the query and with each other",
    Rule.OPTION: "metric monitors support the option, and it is not deprecated",
    Rule.NO_DATA: "on_missing_data is set, and suits the metric",
    Rule.GROUPS: "monitors group by env and by tags that every series has, and wait for new groups",
    Rule.MESSAGE: "the message has a text and a link, and its groups and durations are those of the query",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and where it is: a widget's title or a field of a monitor."""

    rule: Rule
    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem} [{self.rule}]" if self.place else f"{self.problem} [{self.rule}]"
