"""What the linter finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The rules that dashboards and monitors are held against."""

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
    WINDOW = "window"
    ZERO = "zero"
    PALETTE = "palette"
    THRESHOLD = "threshold"
    NO_DATA = "no-data"
    GROUPS = "groups"
    MESSAGE = "message"

    @property
    def meaning(self) -> str:
        """The rule in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    Rule.JSON: "the file is JSON, and a dashboard or a monitor",
    Rule.MODEL: "Datadog's own models know every field and every word",
    Rule.WIDGET: "the widget is of a kind that is checked here",
    Rule.GRID: "widgets lie inside of the grid, and not on each other",
    Rule.VARIABLE: "template variables are declared, used, and stand for a tag",
    Rule.FORMULA: "the formula parses, and uses the queries that are there",
    Rule.QUERY: "the query parses",
    Rule.METRIC: "a check emits the metric",
    Rule.AGGREGATOR: "the aggregator suits the metric's type and meaning",
    Rule.TAG: "the metric carries the tag",
    Rule.VALUE: "the value of the tag can occur",
    Rule.REDUCER: "a single figure is taken from the course in a way that suits the metric",
    Rule.WINDOW: "the time window holds at least three collections",
    Rule.ZERO: "missing figures of a source are not shown as zero",
    Rule.PALETTE: "the palette exists",
    Rule.THRESHOLD: "thresholds agree with the query and with each other",
    Rule.NO_DATA: "missing data is reported late enough, and in one way",
    Rule.GROUPS: "groups are let go, and new ones left alone at first",
    Rule.MESSAGE: "the message says something, and names groups of the query",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, and where it is: a widget's title or a field of a monitor."""

    rule: Rule
    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem} [{self.rule}]" if self.place else f"{self.problem} [{self.rule}]"
