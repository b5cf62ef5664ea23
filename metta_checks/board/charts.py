"""Time series as charts; the page's own script draws them in the colours of the moment."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from typing import Any, Final

from metta_checks.board.document import Definition, FormulaEntry, Request
from metta_checks.board.evaluate import Frame, Group, Series

Line = tuple[Request, FormulaEntry, Frame]

HOW_TO_GET: Final = "pip install 'metta-checks[preview]'"

PALETTES: Final = {
    "classic": ("#3598ec", "#9b6bdf", "#f0a53a", "#2fb59b", "#e2618f", "#8a9a3c", "#5f7fd4", "#c8743f"),
    "cool": ("#2f9fd0", "#2fb59b", "#5f7fd4", "#6bc46d"),
    "warm": ("#f0a53a", "#e06c3c", "#e2c23a", "#d4527a"),
    "purple": ("#9b6bdf", "#c08bea", "#7a4fc0"),
    "green": ("#3da35d", "#7cc48f", "#2b7a45"),
    "red": ("#dc4b4b", "#ef8a8a", "#a83232"),
    "orange": ("#f0883a", "#f5b27e", "#c2651c"),
    "gray": ("#8b95a5", "#b3bac6", "#656f80"),
}
"""Colours that can be told apart on dark and on light ground."""


def available() -> bool:
    """Whether the chart library is installed."""
    return find_spec("plotly") is not None


def script() -> str:
    """The chart library itself, to stand inside of the page."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def chart(definition: Definition, lines: Sequence[Line]) -> str:
    """An element that holds the figure; the script on the page draws it."""
    if not available():
        return f'<p class="undrawn">Charts need the extra <code>preview</code>: <code>{escape(HOW_TO_GET)}</code></p>'
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": None})
    used: dict[str, int] = {}
    for request, entry, frame in lines:
        palette = (request.style and request.style.palette) or "classic"
        for group, series in frame.items():
            colours = PALETTES.get(palette, PALETTES["classic"])
            place = used[palette] = used.get(palette, -1) + 1
            colour = colours[place % len(colours)]
            figure.add_trace(_trace(request.display_type, _label(entry, group), series, colour))
    figure.update_layout(showlegend=len(figure.data) > 1, barmode="stack")
    if axis := definition.yaxis:
        figure.update_yaxes(rangemode="tozero" if axis.include_zero else "normal", range=axis.ends)
    return f'<div class="chart" data-figure="{escape(figure.to_json())}"></div>'


def _trace(display_type: str, label: str, series: Series, colour: str) -> Any:
    import plotly.graph_objects as go

    moments = sorted(series)
    common = {"x": moments, "y": [series[moment] for moment in moments], "name": label}
    if display_type == "bars":
        return go.Bar(**common, marker={"color": colour})
    # A line through one point is nothing to see.
    mode = "lines" if len(moments) > 1 else "markers"
    stacked = {"stackgroup": "all"} if display_type == "area" else {}
    return go.Scatter(**common, **stacked, mode=mode, line={"color": colour, "width": 2.5}, marker={"color": colour})


def _label(entry: FormulaEntry, group: Group) -> str:
    values = ", ".join(value for _, value in group)
    return ", ".join(part for part in (entry.alias, values) if part) or entry.formula
