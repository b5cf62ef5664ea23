"""Dashboards and monitors as this package reads them: what it understands, and the rest untouched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from math import isfinite
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from metta_checks.core.decode import first_problem

COLUMNS: Final = 12
"""Width of a dashboard's grid."""


SPANS: Final[Mapping[str, timedelta]] = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "10m": timedelta(minutes=10),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "2d": timedelta(days=2),
    "1w": timedelta(weeks=1),
    "1mo": timedelta(days=30),
    "3mo": timedelta(days=91),
    "6mo": timedelta(days=182),
    "1y": timedelta(days=365),
}
"""How far back a widget looks that says so."""

_DAYS: Final = {"minute": 1 / 1_440, "hour": 1 / 24, "day": 1, "week": 7, "month": 30, "year": 365}


TEXT_MATCHES: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "is": lambda value, wanted: value == wanted,
    "is_not": lambda value, wanted: value != wanted,
    "contains": lambda value, wanted: wanted in value,
    "does_not_contain": lambda value, wanted: wanted not in value,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}
"""How a text format of a table finds the values that it renames."""


class DocumentError(ValueError):
    """A file is no dashboard and no monitor; the text says what is wrong with it."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Layout(_Model):
    """Columns and rows of the grid, from the top left."""

    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: Layout) -> bool:
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        above = self.y + self.height <= other.y or other.y + other.height <= self.y
        return not (beside or above)


class ConditionalFormat(_Model):
    comparator: str
    value: float
    palette: str


class Limit(_Model):
    count: int | None = None
    order: Literal["asc", "desc"] = "desc"


class NumberUnit(_Model):
    """The unit behind a figure: `unit_name` is one of Datadog's own, `label` any text."""

    unit_name: str = ""
    label: str = ""
    per_unit_name: str = ""


class NumberFormat(_Model):
    unit: NumberUnit = NumberUnit()


class FormulaEntry(_Model):
    """One formula of a request: a line, a column, or the value."""

    formula: str
    alias: str | None = None
    number_format: NumberFormat | None = None
    limit: Limit | None = None
    conditional_formats: tuple[ConditionalFormat, ...] = ()


class QueryEntry(_Model):
    """One query of a request; `aggregator` reduces its points over time, where a single value is shown."""

    name: str
    query: str = ""
    data_source: str = "metrics"
    aggregator: str | None = None


class Order(_Model):
    """By which column a table is sorted: the formula at `index`, or the tag `name`."""

    type: str
    index: int = 0
    name: str = ""
    order: Literal["asc", "desc"] = "desc"


class Sort(_Model):
    count: int | None = None
    order_by: tuple[Order, ...] = ()


class TextMatch(_Model):
    type: str
    value: str


class TextReplacement(_Model):
    text: Annotated[str, Field(alias="with")]
    type: str = "all"
    substring: str = ""


class TextRule(_Model):
    """How a table renames the values of a tag."""

    match: TextMatch
    replace: TextReplacement | None = None

    def renamed(self, value: str) -> str | None:
        """The new name of a value, None when the rule does not mean it."""
        matches = TEXT_MATCHES.get(self.match.type)
        if self.replace is None or matches is None or not matches(value, self.match.value):
            return None
        if self.replace.type == "substring":
            return value.replace(self.replace.substring, self.replace.text)
        return self.replace.text


class Style(_Model):
    palette: str | None = None
    line_type: str = "solid"


class WidgetRequest(_Model):
    """Queries, and formulas over them; without formulas each query is shown by itself."""

    queries: tuple[QueryEntry, ...] = ()
    formulas: tuple[FormulaEntry, ...] = ()
    conditional_formats: tuple[ConditionalFormat, ...] = ()
    display_type: str = "line"
    response_format: str | None = None
    sort: Sort | None = None
    style: Style | None = None
    text_formats: tuple[tuple[TextRule, ...], ...] = ()
    q: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _each_query(cls, request: Any) -> Any:
        queries = request.get("queries") if isinstance(request, dict) else None
        if not isinstance(queries, list) or request.get("formulas"):
            return request
        names = [query.get("name") for query in queries if isinstance(query, dict)]
        return {**request, "formulas": [{"formula": name} for name in names]}


class Span(_Model):
    """A widget's own time window: `live_span` such as `15m`, or `value` and `unit`, as newer exports have it."""

    live_span: str | None = None
    value: int | None = None
    unit: str = ""

    @property
    def length(self) -> timedelta | None:
        """None where the window follows the calendar, or is nothing that Datadog documents."""
        if self.live_span is not None:
            return SPANS.get(self.live_span)
        days = _DAYS.get(self.unit)
        # Datadog keeps metrics for fifteen months; a longer window shows no more.
        return timedelta(days=min(days * self.value, 500)) if days and self.value is not None else None

    def __str__(self) -> str:
        return self.live_span or (f"{self.value} {self.unit}" if self.value is not None else "between two dates")


class Marker(_Model):
    """A horizontal line or band of a chart: `y = 5`, `0 < y < 5`."""

    value: str
    display_type: str = ""
    label: str = ""


class CustomLink(_Model):
    """A link of a row: `{{tag.value}}` stands for its tags, `$variable.value` for the dashboard's variables."""

    label: str = ""
    link: str = ""


class Axis(_Model):
    """The vertical axis; its ends are texts, `auto` where the figures decide."""

    include_zero: bool = True
    min: str = "auto"
    max: str = "auto"

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends where both are given."""
        try:
            low, high = float(self.min), float(self.max)
        except ValueError:
            return None
        return (low, high) if isfinite(low) and isfinite(high) else None


def _requests(value: object) -> object:
    """Some widgets (maps, scatter plots) have an object of named requests, which nobody here reads."""
    return value if isinstance(value, list) else []


class Definition(_Model):
    """What a widget shows. `widgets` are those of a group, `content` is a note's text."""

    type: str
    title: str = ""
    requests: Annotated[tuple[WidgetRequest, ...], BeforeValidator(_requests)] = ()
    yaxis: Axis | None = None
    time: Span | None = None
    precision: int | None = None
    custom_unit: str | None = None
    content: str = ""
    markers: tuple[Marker, ...] = ()
    custom_links: tuple[CustomLink, ...] = ()
    timeseries_background: Style | None = None
    layout_type: str | None = None
    widgets: tuple[Widget, ...] = ()


class Widget(_Model):
    definition: Definition
    layout: Layout | None = None


class TemplateVariable(_Model):
    """`$name` in a filter stands for `prefix:value`; the defaults are `*`, everything, where none are given."""

    name: str
    prefix: str | None = None
    defaults: tuple[str, ...] = ()
    default: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        return self.defaults or ((self.default,) if self.default else ("*",))


class Dashboard(_Model):
    title: str
    description: str | None = None
    layout_type: str
    reflow_type: str | None = None
    widgets: tuple[Widget, ...]
    template_variables: tuple[TemplateVariable, ...] | None = None

    @property
    def variables(self) -> tuple[TemplateVariable, ...]:
        return self.template_variables or ()

    def leaves(self) -> Iterator[Widget]:
        """The widgets that show something, those inside of groups among them."""
        for widget in self.widgets:
            yield from widget.definition.widgets or (widget,)


class Thresholds(_Model):
    critical: float | None = None
    critical_recovery: float | None = None
    warning: float | None = None
    warning_recovery: float | None = None


class Options(_Model):
    model_config = ConfigDict(frozen=True, extra="allow")

    thresholds: Thresholds = Thresholds()
    notify_no_data: bool | None = None
    no_data_timeframe: int | None = None
    on_missing_data: str | None = None
    require_full_window: bool | None = None
    new_group_delay: int | None = None
    timeout_h: int | None = None
    notify_by: tuple[str, ...] = ()

    @property
    def others(self) -> Mapping[str, Any]:
        """The options that have no field here, by name, where they are set."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


class Monitor(_Model):
    name: str
    type: str
    query: str
    message: str = ""
    tags: tuple[str, ...] = ()
    priority: int | None = None
    options: Options = Options()


Board = Dashboard | Monitor


def parse_json(text: str) -> dict[str, Any]:
    """The object in `text`. Raises DocumentError, for a key that stands twice too: one of the two would be lost."""
    try:
        document = json.loads(text, object_pairs_hook=_object_once)
    except json.JSONDecodeError as error:
        raise DocumentError(f"no valid JSON, line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise DocumentError("no valid JSON, nested too deeply") from None
    if not isinstance(document, dict):
        raise DocumentError("a dashboard or a monitor is a JSON object")
    return document


def parse_board(document: dict[str, Any]) -> Board:
    """The dashboard or the monitor that `document` is. Raises DocumentError."""
    if "widgets" in document:
        model: type[Dashboard] | type[Monitor] = Dashboard
    elif "query" in document:
        model = Monitor
    else:
        raise DocumentError("neither a dashboard, which has `widgets`, nor a monitor, which has a `query`")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise DocumentError(first_problem(error)) from None


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DocumentError(f"the key {twice!r} stands twice in one object")
    return document
