"""Dashboards as one HTML file that needs nothing else: styles, script and charts stand inside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Final

from metta_checks.board import charts
from metta_checks.board.answers import Answers
from metta_checks.board.document import Dashboard, Layout, Widget
from metta_checks.board.draw import body_of
from metta_checks.board.recording import Recording

ROWS_OF_A_SCREEN: Final = 9
"""A dashboard of at most so many rows is stretched over the whole screen; a longer one scrolls."""


def page(dashboards: Mapping[str, Dashboard], recording: Recording, values: Mapping[str, str] | None = None) -> str:
    """The page of one dashboard or several, by name; `values` are those of template variables, by name.

    In the browser `#name` chooses the dashboard, `?theme=dark` or `?theme=light` the colours.
    """
    sections = [
        _section(name, dashboard, Answers(recording, dashboard.variables, values))
        for name, dashboard in dashboards.items()
    ]
    body = "".join(sections)
    has_charts = 'class="chart"' in body
    title = next(iter(dashboards.values())).title if len(dashboards) == 1 else "Metta: boards"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_resource('page.css')}</style>",
            f"<script>{charts.script()}</script>" if has_charts else "",
            f"</head><body><header><nav>{''.join(_tabs(dashboards))}</nav>",
            f"<p>{_told(recording, values or {})}</p>",
            '<button id="theme" title="dark or light">◐</button></header>',
            f"<main>{body}</main><script>{_resource('page.js')}</script></body></html>",
        ]
    )


def _tabs(dashboards: Mapping[str, Dashboard]) -> Iterator[str]:
    for name, dashboard in dashboards.items():
        yield f'<a href="#{escape(name)}">{escape(dashboard.title)}</a>'


def _told(recording: Recording, values: Mapping[str, str]) -> str:
    moments = recording.moments
    span = f"{_time(moments[0])} to {_time(moments[-1])}" if len(moments) > 1 else _time(moments[-1])
    chosen = "".join(f" · {escape(name)} {escape(value)}" for name, value in values.items())
    return f"{len(moments)} {'moment' if len(moments) == 1 else 'moments'}, {span} UTC{chosen}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _section(name: str, dashboard: Dashboard, answers: Answers) -> str:
    tiles = list(_tiles(dashboard.widgets, answers, 0))
    rows = max((layout.y + layout.height for layout, _ in tiles), default=1)
    headings = {layout.y for layout, html in tiles if html.startswith("<h2")}
    kind, heights = "scrolling", " ".join("3.4rem" if row in headings else "var(--row)" for row in range(rows))
    if rows <= ROWS_OF_A_SCREEN:
        kind, heights = "screen", f"repeat({rows},minmax(0,1fr))"
    return (
        f'<section data-name="{escape(name)}" class="{kind}" style="grid-template-rows:{heights}">'
        + "".join(_placed(layout, html) for layout, html in tiles)
        + "</section>"
    )


def _tiles(widgets: tuple[Widget, ...], answers: Answers, down: int) -> Iterator[tuple[Layout, str]]:
    """Every widget with its place; a group becomes a heading with its widgets below."""
    row = down
    for widget in widgets:
        layout = widget.layout or Layout(x=0, y=row - down, width=12, height=3)
        layout = layout.model_copy(update={"y": layout.y + down})
        row = layout.y + layout.height
        definition = widget.definition
        if definition.type == "group":
            yield layout.model_copy(update={"height": 1}), f"<h2>{escape(definition.title)}</h2>"
            yield from _tiles(definition.widgets, answers, layout.y + 1)
            continue
        title = f"<h4>{escape(definition.title)}</h4>" if definition.title else ""
        body = body_of(definition, answers)
        yield layout, f'<article data-widget="{escape(definition.title)}">{title}<div>{body}</div></article>'


def _placed(layout: Layout, html: str) -> str:
    place = f"grid-area:{layout.y + 1}/{layout.x + 1}/span {layout.height}/span {layout.width}"
    tag, _, rest = html.partition(" ") if html.startswith("<article ") else html.partition(">")
    joint = " " if html.startswith("<article ") else ">"
    return f'{tag} style="{place}"{joint}{rest}'


def _resource(name: str) -> str:
    return files("metta_checks.board").joinpath(name).read_text(encoding="utf-8")
