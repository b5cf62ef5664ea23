"""Dashboards as one HTML file that needs no network: it contains its styles, its script and its charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Final

from metta_checks.board.document import COLUMNS, Dashboard, Layout, Widget
from metta_checks.board.evaluate import Answers
from metta_checks.board.recording import Recording
from metta_checks.board.widgets import body_of

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
    title = next(iter(dashboards.values())).title if len(dashboards) == 1 else "Metta: boards"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_resource('page.css')}</style>",
            f'</head><body><header><nav aria-label="Dashboards">{"".join(_tabs(dashboards))}</nav>',
            f"<p>{_extent(recording, values or {})}</p>",
            '<button id="theme" type="button" aria-label="Switch between dark and light">◐</button></header>',
            f"<main>{''.join(sections)}</main><script>{_resource('page.js')}</script></body></html>",
        ]
    )


def _tabs(dashboards: Mapping[str, Dashboard]) -> Iterator[str]:
    for name, dashboard in dashboards.items():
        yield f'<a href="#{escape(name)}">{escape(dashboard.title)}</a>'


def _extent(recording: Recording, values: Mapping[str, str]) -> str:
    moments = recording.moments
    span = f"{_time(moments[0])} to {_time(moments[-1])}" if len(moments) > 1 else _time(moments[-1])
    chosen = "".join(f" · {escape(name)} {escape(value)}" for name, value in values.items())
    return f"{len(moments)} {'moment' if len(moments) == 1 else 'moments'}, {span} UTC{chosen}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _section(name: str, dashboard: Dashboard, answers: Answers) -> str:
    tiles = list(_tiles(dashboard.widgets, answers, 0))
    rows = max((tile.layout.y + tile.layout.height for tile in tiles), default=1)
    headings = {tile.layout.y for tile in tiles if tile.heading}
    kind, heights = "scrolling", " ".join("var(--heading)" if row in headings else "var(--row)" for row in range(rows))
    if rows <= ROWS_OF_A_SCREEN:
        kind, heights = "screen", f"repeat({rows},minmax(0,1fr))"
    inner = "".join(tile.html() for tile in tiles)
    return (
        f'<section data-name="{escape(name)}" class="{kind}" style="--heights:{heights}" '
        f'aria-label="{escape(dashboard.title)}">'
        f'<h1 class="unseen">{escape(dashboard.title)}</h1>{inner}</section>'
    )


def _tiles(widgets: tuple[Widget, ...], answers: Answers, down: int) -> Iterator[_Tile]:
    """Every widget with its place, `down` rows below; a group becomes a heading with its widgets under it."""
    below = down
    for widget in widgets:
        layout = widget.layout or Layout(x=0, y=below - down, width=COLUMNS, height=3)
        layout = layout.model_copy(update={"y": layout.y + down})
        below = layout.y + layout.height
        definition = widget.definition
        if definition.type == "group":
            yield _Tile(layout.model_copy(update={"height": 1}), definition.title, "", heading=True)
            yield from _tiles(definition.widgets, answers, layout.y + 1)
        else:
            yield _Tile(layout, definition.title, body_of(definition, answers), kind=definition.type)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A widget in its place, or the heading of a group."""

    layout: Layout
    title: str
    body: str
    heading: bool = False
    kind: str = ""

    def html(self) -> str:
        layout, title = self.layout, escape(self.title)
        place = f"--area:{layout.y + 1}/{layout.x + 1}/span {layout.height}/span {layout.width}"
        if self.heading:
            return f'<h2 style="{place}">{title}</h2>'
        head = f"<h3>{title}</h3>" if title else ""
        label = f' aria-label="{title}"' if title else ""
        return (
            f'<article class="{escape(self.kind)}" style="{place}" data-widget="{title}"{label}>{head}'
            f"<div>{self.body}</div></article>"
        )


def _resource(name: str) -> str:
    return files("metta_checks.board").joinpath(name).read_text(encoding="utf-8")
