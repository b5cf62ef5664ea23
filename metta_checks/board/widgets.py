"""Widgets as HTML, their figures taken from a recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Final
from urllib.parse import quote

from metta_checks.board import svg
from metta_checks.board.document import (
    ConditionalFormat,
    CustomLink,
    Definition,
    FormulaEntry,
    Marker,
    Order,
    Sort,
    WidgetRequest,
)
from metta_checks.board.evaluate import Answer, Answers, Group, Series, UnsupportedError, scalar, timeseries
from metta_checks.board.figures import figure_text
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.query import parse_formula

COMPARATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda value, limit: value == limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
}

MEANINGS: Final = {"red": "alert", "yellow": "warning", "green": "ok"}
"""What the colours of the palettes mean, for those who do not see them."""

CHARACTER: Final = 0.6
"""The width of an average character, in ems, of the widest of the usual fonts."""

NARROW_NAMES: Final = 2
NARROW_CELLS: Final = 6
"""A table with more names or cells than this in a row does not fit a narrow screen."""

NO_DATA: Final = '<p class="nothing">no data</p>'
NOTHING: Final = '<p class="nothing">none</p>'

_LARGEST_FIRST: Final = Sort(order_by=(Order(type="formula"),))
"""The order of a top list that names none."""

_STRONG: Final = re.compile(r"\*\*(.+?)\*\*")
_CODE: Final = re.compile(r"`([^`]+)`")
_OF_LINK: Final = re.compile(r"\{\{\s*([\w.\-]+?)\.value\s*\}\}")
_LINE: Final = re.compile(r"\s*y\s*=\s*(\S+)\s*")
_BAND: Final = re.compile(r"\s*(\S+?)\s*<\s*y\s*<\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure with its text and the palette that its condition gives it; `judged` where there are conditions."""

    value: float
    text: str
    palette: str = ""
    judged: bool = False

    def html(self, element: str, label: str = "") -> str:
        """The cell as a table's or a list's element; screen readers also get the meaning of the colour."""
        kind = self.palette or ("zero" if self.judged and self.value == 0 else "")
        number = f'<span class="number">{escape(self.text)}</span>{_meaning(self.palette)}'
        return f'<{element} class="{escape(kind)}" data-value="{self.value!r}"{label}>{number}</{element}>'


def body_of(definition: Definition, answers: Answers) -> str:
    """The content of a widget, below its title. A widget that cannot be drawn gives a text with the reason."""
    draw = _DRAWN.get(definition.type)
    if draw is None:
        return _not_drawn(f"a widget of type {definition.type}")
    if definition.type != "note" and not any(request.formulas or request.q for request in definition.requests[:1]):
        return _not_drawn("a widget without a query")
    try:
        return draw(definition, answers)
    except (UnsupportedError, QuerySyntaxError) as error:
        return _not_drawn(str(error))


def html_of(text: str) -> str:
    """The Markdown of notes as HTML: paragraphs, headings, bold and code; everything else stays text."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    return "".join(map(_block, blocks))


def _block(block: str) -> str:
    marks = len(block) - len(block.lstrip("#"))
    if marks:
        return f"<h4>{_inline(block[marks:].strip())}</h4>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", _STRONG.sub(r"<b>\1</b>", escape(text))).replace("\n", "<br>")


def _not_drawn(what: str) -> str:
    return f'<p class="undrawn">Not drawn here: {escape(what)}</p>'


def _meaning(palette: str) -> str:
    meaning = next((text for colour, text in MEANINGS.items() if colour in palette), "")
    return f'<span class="unseen">, {meaning}</span>' if meaning else ""


def _answers_to(request: WidgetRequest, definition: Definition, answers: Answers) -> dict[str, Answer]:
    if request.q is not None:
        raise UnsupportedError("a request with `q`; write `queries` and `formulas`")
    return {entry.name: answers.to(entry, definition.time) for entry in request.queries}


def _cells(
    definition: Definition,
    entry: FormulaEntry,
    found: Mapping[str, Answer],
    formats: Sequence[ConditionalFormat],
) -> dict[Group, Cell]:
    values = scalar(parse_formula(entry.formula), found)
    return {
        group: Cell(value, figure_text(value, entry, definition), _palette(value, formats), bool(formats))
        for group, value in values.items()
        if isfinite(value)
    }


def _palette(value: float, formats: Sequence[ConditionalFormat]) -> str:
    for one in formats:
        if one.comparator in COMPARATORS and COMPARATORS[one.comparator](value, one.value):
            return one.palette
    return ""


def _query_value(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    entry = request.formulas[0]
    cells = _cells(definition, entry, found, entry.conditional_formats or request.conditional_formats)
    if not cells:
        return NO_DATA
    cell = next(iter(cells.values()))
    number, _, unit = cell.text.partition(" ")
    background = ""
    if definition.timeseries_background:
        course = next(iter(timeseries(parse_formula(entry.formula), found).values()), {})
        background = svg.sparkline(course)
    ems = 0.7 * len(number) + (0.32 * len(unit) + 0.15 if unit else 0)
    return (
        f'<p class="figure {escape(cell.palette)}" style="--ems:{ems:.1f}" data-value="{cell.value!r}">{background}'
        f'<span class="number">{escape(number)}</span><span class="unit">{escape(unit)}</span>'
        f"{_meaning(cell.palette)}</p>"
    )


def _query_table(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    columns = [_cells(definition, entry, found, entry.conditional_formats) for entry in request.formulas]
    groups = _sorted_groups(columns, _order_of(request))
    if not groups:
        return _nothing(found)
    keys = [key for key, _ in groups[0]]
    aliases = [entry.alias or entry.formula for entry in request.formulas]
    head = "".join(f'<th scope="col">{escape(key)}</th>' for key in keys)
    head += "".join(f'<th scope="col" class="amount">{escape(alias)}</th>' for alias in aliases)
    # A wide table becomes a list of cards on a narrow screen, where each figure needs its own label.
    cards = len(keys) > NARROW_NAMES or len(keys) + len(columns) > NARROW_CELLS
    labels = [f' data-label="{escape(alias)}"' if cards else "" for alias in aliases]
    names = [[_renamed(request, place, value) for place, (_, value) in enumerate(group)] for group in groups]
    body = "".join(
        f"<tr>{_key_cells(own, definition, group)}"
        + "".join(
            column[group].html("td", label) if group in column else '<td class="zero absent">-</td>'
            for column, label in zip(columns, labels, strict=True)
        )
        + "</tr>"
        for group, own in zip(groups, names, strict=True)
    )
    longest = [max(map(len, texts)) for texts in zip(keys, *names, strict=True)]
    longest += [
        max(len(alias), *(len(cell.text) for cell in column.values()), 3)
        for alias, column in zip(aliases, columns, strict=True)
    ]
    # Names give way to figures.
    tracks = " ".join(["minmax(0,auto)"] * len(keys) + ["max-content"] * len(columns))
    ems = CHARACTER * sum(longest) + len(longest)
    return (
        f'<div class="scroll"><table{" class=cards" if cards else ""} '
        f'style="--rows:{len(groups) + 1};--ems:{ems:.0f};--tracks:{tracks}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _key_cells(names: Sequence[str], definition: Definition, group: Group) -> str:
    texts = [escape(name) for name in names]
    if names:
        texts[-1] = _linked(names[-1], definition, group)
    return "".join(
        f'<th scope="row" title="{escape(name)}">{text}</th>' for name, text in zip(names, texts, strict=True)
    )


def _toplist(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    entry = request.formulas[0]
    cells = _cells(definition, entry, found, entry.conditional_formats or request.conditional_formats)
    groups = _sorted_groups([cells], _order_of(request) or _LARGEST_FIRST)
    if not groups:
        return _nothing(found)
    largest = max(abs(cells[group].value) for group in groups) or 1.0
    items = []
    for group in groups:
        label = " · ".join(value for _, value in group) or definition.title
        share = abs(cells[group].value) / largest * 100
        items.append(
            f'<li class="{escape(cells[group].palette)}"><i style="width:{max(0.5, share):.1f}%"></i>'
            f'<span class="name" title="{escape(label)}">{_linked(label, definition, group)}</span>'
            f"{cells[group].html('b')}</li>"
        )
    return f'<div class="scroll"><ol style="--rows:{len(groups)}">{"".join(items)}</ol></div>'


def _nothing(found: Mapping[str, Answer]) -> str:
    """A list that a cut-off has emptied is good news; one whose queries found nothing is not."""
    return NOTHING if any(answer.found for answer in found.values()) else NO_DATA


def _linked(text: str, definition: Definition, group: Group) -> str:
    """The text as a link, where the widget has one whose parts are all known."""
    address = _address(definition.custom_links[0], group) if definition.custom_links else ""
    if not address:
        return escape(text)
    title = escape(definition.custom_links[0].label, quote=True)
    return f'<a href="{escape(address, quote=True)}" rel="noreferrer" title="{title}">{escape(text)}</a>'


def _address(link: CustomLink, group: Group) -> str:
    tags = dict(group)
    wanted = _OF_LINK.findall(link.link)
    if not link.link.startswith("https://") or "$" in link.link or any(key not in tags for key in wanted):
        return ""
    return _OF_LINK.sub(lambda found: quote(tags[found[1]], safe="/"), link.link)


def _timeseries(definition: Definition, answers: Answers) -> str:
    lines: list[svg.Line] = []
    for request in definition.requests:
        found = _answers_to(request, definition, answers)
        for entry in request.formulas:
            for group, series in timeseries(parse_formula(entry.formula), found).items():
                lines.append(_line(request, entry, group, series))
    axis = definition.yaxis
    drawn = svg.chart(
        lines,
        [band for marker in definition.markers if (band := _band(marker))],
        include_zero=axis.include_zero if axis else True,
        ends=axis.ends if axis else None,
        describe=definition.title,
    )
    return drawn or NO_DATA


def _line(request: WidgetRequest, entry: FormulaEntry, group: Group, series: Series) -> svg.Line:
    values = ", ".join(value for _, value in group)
    style = request.style
    kind: svg.Kind = "area" if request.display_type == "area" else "bars" if request.display_type == "bars" else "line"
    return svg.Line(
        name=", ".join(part for part in (entry.alias, values) if part) or "value",
        values=series,
        palette=(style and style.palette) or "classic",
        kind=kind,
        dashed=bool(style and style.line_type != "solid"),
    )


def _band(marker: Marker) -> svg.Band | None:
    found = _LINE.fullmatch(marker.value) or _BAND.fullmatch(marker.value)
    if not found:
        return None
    try:
        low, high = float(found[1]), float(found[found.re.groups])
    except ValueError:
        return None
    tone = marker.display_type.partition(" ")[0]
    return svg.Band(low, high, tone, marker.label) if isfinite(low) and isfinite(high) else None


def _note(definition: Definition, _: Answers) -> str:
    return f'<div class="note">{html_of(definition.content)}</div>'


def _order_of(request: WidgetRequest) -> Sort | None:
    """How a list is sorted and cut: by the request itself, or by the first formula with a limit."""
    if request.sort:
        return request.sort
    for index, entry in enumerate(request.formulas):
        if entry.limit:
            by = Order(type="formula", index=index, order=entry.limit.order)
            return Sort(count=entry.limit.count, order_by=(by,))
    return None


def _sorted_groups(columns: Sequence[Mapping[Group, Cell]], sort: Sort | None) -> list[Group]:
    """All groups of all columns in the order that the widget asks for, and no more than it asks for."""
    groups = sorted({group for column in columns for group in column})
    for order in reversed(sort.order_by if sort else ()):
        backwards = order.order == "desc"
        if order.type == "group":
            groups.sort(key=lambda group: dict(group).get(order.name, ""), reverse=backwards)
            continue
        if not 0 <= order.index < len(columns):
            raise QuerySyntaxError(f"a list sorted by formula {order.index}, and there are {len(columns)}")
        column = columns[order.index]
        without = [group for group in groups if group not in column]
        groups = sorted(
            (group for group in groups if group in column), key=lambda group: column[group].value, reverse=backwards
        )
        groups += without
    return groups[: sort.count] if sort and sort.count else groups


def _renamed(request: WidgetRequest, place: int, value: str) -> str:
    """A tag's value as the table's text formats rename it."""
    for rule in request.text_formats[place] if place < len(request.text_formats) else ():
        if (name := rule.renamed(value)) is not None:
            return name
    return value


_DRAWN: Final[Mapping[str, Callable[[Definition, Answers], str]]] = {
    "note": _note,
    "query_table": _query_table,
    "query_value": _query_value,
    "timeseries": _timeseries,
    "toplist": _toplist,
}
