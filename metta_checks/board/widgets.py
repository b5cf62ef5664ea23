"""Widgets as HTML, their figures taken from a recording."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Final

from metta_checks.board.charts import Line, chart
from metta_checks.board.document import ConditionalFormat, Definition, FormulaEntry, Request, Sort
from metta_checks.board.evaluate import Answer, Answers, Group, UnsupportedError, scalar, timeseries
from metta_checks.board.filters import QuerySyntaxError
from metta_checks.board.query import parse_formula

COMPARATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": lambda value, limit: value == limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
}

CHARACTER: Final = 0.57
"""The width of an average character, in ems, of the widest of the usual fonts: text is sized so that it fits."""

HEADING: Final = 0.64
"""The same in bold."""

NO_DATA: Final = '<p class="nothing">no data</p>'
NOTHING: Final = '<p class="nothing">none</p>'


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure with the palette that its condition gives it."""

    value: float
    palette: str = ""


def body_of(definition: Definition, answers: Answers) -> str:
    """What stands under a widget's title. What cannot be drawn says so."""
    draw = _DRAWN.get(definition.type)
    if draw is None:
        return _not_drawn(f"a widget of type {definition.type}")
    try:
        return draw(definition, answers)
    except (UnsupportedError, QuerySyntaxError) as error:
        return _not_drawn(str(error))


def shown(value: float, precision: int | None = None) -> str:
    """A figure as people read it: thousands apart, as many decimals as asked for or as mean something."""
    if precision is not None:
        return f"{value:,.{precision}f}"
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _not_drawn(what: str) -> str:
    return f'<p class="undrawn">Not drawn here: {escape(what)}</p>'


def _answers_to(request: Request, definition: Definition, answers: Answers) -> dict[str, Answer]:
    if request.q is not None:
        raise UnsupportedError("a request with `q`; write `queries` and `formulas`")
    span = definition.time.live_span if definition.time else None
    return {entry.name: answers.to(entry, span) for entry in request.queries}


def _cells(entry: FormulaEntry, found: Mapping[str, Answer], formats: Sequence[ConditionalFormat]) -> dict[Group, Cell]:
    values = scalar(parse_formula(entry.formula), found)
    return {group: Cell(value, _palette(value, formats)) for group, value in values.items() if isfinite(value)}


def _palette(value: float, formats: Sequence[ConditionalFormat]) -> str:
    for one in formats:
        if one.comparator in COMPARATORS and COMPARATORS[one.comparator](value, one.value):
            return one.palette
    return ""


def _query_value(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    entry = request.formulas[0]
    cells = _cells(entry, found, entry.conditional_formats or request.conditional_formats)
    if not cells:
        return NO_DATA
    cell = next(iter(cells.values()))
    text = shown(cell.value, definition.precision)
    unit = definition.custom_unit or ""
    return (
        f'<p class="figure {escape(cell.palette)}" style="--ems:{0.64 * len(text) + 0.5 * len(unit):.1f}"'
        f' data-value="{cell.value!r}"><span class="number">{text}</span><span class="unit">{escape(unit)}</span></p>'
    )


def _query_table(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    columns = [_cells(entry, found, entry.conditional_formats) for entry in request.formulas]
    groups = _sorted_groups(columns, request.sort)
    if not groups:
        return NO_DATA
    keys = [key for key, _ in groups[0]]
    head = [*keys, *(entry.alias or entry.formula for entry in request.formulas)]
    rows = [
        [
            *(_renamed(request, place, value) for place, (_, value) in enumerate(group)),
            *(_text(c, group) for c in columns),
        ]
        for group in groups
    ]
    widths = [
        max(HEADING * len(title), *(CHARACTER * len(row[place]) for row in rows)) for place, title in enumerate(head)
    ]
    lines = "".join(
        "<tr>"
        + "".join(f"<th>{escape(text)}</th>" for text in row[: len(keys)])
        + "".join(_td(column.get(group), text) for column, text in zip(columns, row[len(keys) :], strict=True))
        + "</tr>"
        for group, row in zip(groups, rows, strict=True)
    )
    titles = "".join(
        f"<th{'' if place < len(keys) else ' class=amount'}>{escape(text)}</th>" for place, text in enumerate(head)
    )
    return (
        f'<table style="--rows:{len(rows) + 1};--ems:{sum(widths) + len(widths) + 2:.1f}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
    )


def _text(column: Mapping[Group, Cell], group: Group) -> str:
    return shown(column[group].value) if group in column else "-"


def _td(cell: Cell | None, text: str) -> str:
    if cell is None:
        return f"<td>{text}</td>"
    return f'<td class="{escape(cell.palette)}" data-value="{cell.value!r}">{text}</td>'


def _toplist(definition: Definition, answers: Answers) -> str:
    request = definition.requests[0]
    found = _answers_to(request, definition, answers)
    entry = request.formulas[0]
    cells = _cells(entry, found, entry.conditional_formats or request.conditional_formats)
    groups = _sorted_groups([cells], request.sort)
    if not groups:
        # A list that a cut-off has emptied is good news; one whose queries found nothing is not.
        return NOTHING if any(answer.found for answer in found.values()) else NO_DATA
    largest = max(abs(cells[group].value) for group in groups) or 1.0
    labels = [" · ".join(value for _, value in group) or definition.title for group in groups]
    texts = [shown(cells[group].value) for group in groups]
    ems = CHARACTER * (max(map(len, labels)) + max(map(len, texts))) + 2
    items = "".join(
        f'<li class="{escape(cells[group].palette)}" data-value="{cells[group].value!r}">'
        f'<i style="width:{max(1.0, abs(cells[group].value) / largest * 100):.1f}%"></i>'
        f"<b>{text}</b><span>{escape(label)}</span></li>"
        for group, label, text in zip(groups, labels, texts, strict=True)
    )
    return f'<ol style="--rows:{len(groups)};--ems:{ems:.1f}">{items}</ol>'


def _timeseries(definition: Definition, answers: Answers) -> str:
    lines: list[Line] = []
    for request in definition.requests:
        found = _answers_to(request, definition, answers)
        lines += [(request, entry, timeseries(parse_formula(entry.formula), found)) for entry in request.formulas]
    return chart(definition, lines) if any(frame for _, _, frame in lines) else NO_DATA


def _note(definition: Definition, _: Answers) -> str:
    return html_of(definition.content)


def _sorted_groups(columns: Sequence[Mapping[Group, Cell]], sort: Sort | None) -> list[Group]:
    """All groups of all columns in the order that the widget asks for, and no more than it asks for."""
    groups = sorted({group for column in columns for group in column})
    for order in reversed(sort.order_by if sort else ()):
        backwards = order.order == "desc"
        if order.type == "group":
            groups.sort(key=lambda group: dict(group).get(order.name, ""), reverse=backwards)
            continue
        column = columns[order.index]
        without = [group for group in groups if group not in column]
        groups = sorted(
            (group for group in groups if group in column), key=lambda group: column[group].value, reverse=backwards
        )
        groups += without
    return groups[: sort.count] if sort and sort.count else groups


def _renamed(request: Request, place: int, value: str) -> str:
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


_STRONG = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`]+)`")


def html_of(text: str) -> str:
    """Paragraphs, headings, bold and code; everything else stands as it is."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", text) if block.strip()]
    return "".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    marks = len(block) - len(block.lstrip("#"))
    if marks:
        return f"<h3>{_inline(block[marks:].strip())}</h3>"
    return f"<p>{_inline(block)}</p>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", _STRONG.sub(r"<b>\1</b>", escape(text))).replace("\n", "<br>")
