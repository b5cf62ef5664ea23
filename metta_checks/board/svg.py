"""Charts as inline SVG: lines, stacked areas, bars, markers and sparklines.

The drawing is stretched over its tile, in a square of `SIDE` units, with strokes of a constant width. Texts are HTML
beside it, so that they keep their shape at every size. Colours come from the page's style sheet or from a palette.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise
from typing import Final, Literal

SIDE: Final = 1000

LARGEST: Final = 1e300
"""Values from here on are left out, as those that are not finite: differences of them have no number."""

PALETTES: Final[Mapping[str, Sequence[str]]] = {
    "classic": ("#3598ec", "#9b6bdf", "#e08a1e", "#1fa187", "#d9548a", "#8a9a3c", "#5f7fd4", "#c8743f"),
    "cool": ("#2f9fd0", "#1fa187", "#5f7fd4", "#5cb85f"),
    "warm": ("#e08a1e", "#e06c3c", "#c9a81f", "#d4527a"),
    "purple": ("#9b6bdf", "#c08bea", "#7a4fc0"),
    "green": ("#2f9a55", "#6ab884", "#2b7a45"),
    "red": ("#dc4b4b", "#ef8a8a", "#a83232"),
    "orange": ("#e08a1e", "#f0a860", "#c2651c"),
    "gray": ("#8b95a5", "#b3bac6", "#656f80"),
}
"""Colours that differ clearly on a dark and on a light background; an unknown palette is `classic`."""

Kind = Literal["area", "bars", "line"]


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a chart: its values by moment, in the chart's unit."""

    name: str
    values: Mapping[datetime, float]
    palette: str = "classic"
    kind: Kind = "line"
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """A marker: a horizontal line where `low` and `high` are equal, else what lies between them."""

    low: float
    high: float
    tone: str = "error"
    label: str = ""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Moments and values as coordinates; y grows downwards."""

    first: datetime
    last: datetime
    low: float
    high: float

    def x(self, at: datetime) -> float:
        span = (self.last - self.first).total_seconds()
        return (at - self.first).total_seconds() / span * SIDE if span else SIDE / 2

    def y(self, value: float) -> float:
        return SIDE - (value - self.low) / (self.high - self.low) * SIDE


def chart(
    lines: Sequence[Line],
    bands: Sequence[Band] = (),
    *,
    include_zero: bool = True,
    ends: tuple[float, float] | None = None,
    describe: str = "",
) -> str:
    """A chart with axes and a legend; an empty text without a single value.

    `ends` fixes the vertical axis. `describe` begins the text for screen readers, which names each line with its
    smallest, largest and last value. Values that are not finite are left out.
    """
    drawn = [line for line in map(_finite, lines) if line.values]
    if not drawn:
        return ""
    colours = _colours(drawn)
    stacked = _stacked(drawn)
    ticks = _ticks(*_range(stacked, bands, include_zero), ends)
    moments = sorted({at for line in drawn for at in line.values})
    scale = _Scale(moments[0], moments[-1], ticks[0], ticks[-1])
    shapes = [*_grid(ticks, scale), *_band_shapes(bands, scale)]
    for line, (bottoms, tops), colour in zip(drawn, stacked, colours, strict=True):
        shapes += _shapes(line, bottoms, tops, scale, colour, len(moments))
    y_labels = "".join(
        f'<span style="top:{scale.y(tick) / SIDE * 100:.1f}%">{escape(short(tick))}</span>' for tick in ticks
    )
    x_labels = "".join(
        f'<span style="left:{scale.x(at) / SIDE * 100:.1f}%">{text}</span>' for at, text in _times(moments)
    )
    left = 0.8 + 0.58 * max(len(short(tick)) for tick in ticks)
    legend = "".join(
        f'<li><i class="{"dashed" if line.dashed else "solid"}" style="--c:{colour}"></i>{escape(line.name)}'
        f"<b>{escape(short(line.values[max(line.values)]))}</b></li>"
        for line, colour in zip(drawn, colours, strict=True)
    )
    spoken = escape("; ".join(filter(None, (describe, *map(_spoken, drawn)))), quote=True)
    return (
        f'<div class="chart" role="img" aria-label="{spoken}">'
        f'<div class="plot" style="--left:{left:.1f}em"><div class="ys">{y_labels}</div>'
        f'{_svg(shapes)}<div class="xs">{x_labels}</div></div><ul class="legend">{legend}</ul></div>'
    )


def sparkline(values: Mapping[datetime, float]) -> str:
    """The area below a series, without axes; an empty text for fewer than two values."""
    line = _finite(Line("", values, kind="area"))
    if len(line.values) < 2:
        return ""
    low, high = min(0.0, *line.values.values()), max(line.values.values())
    scale = _Scale(min(line.values), max(line.values), low, high if high > low else low + 1)
    zeros = dict.fromkeys(line.values, 0.0)
    body = "".join(_shapes(line, zeros, line.values, scale, "currentColor", len(line.values)))
    return f'<svg class="spark" aria-hidden="true" viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none">{body}</svg>'


def short(value: float) -> str:
    """A figure in little room: `1.2k`, `3M`, `0.25`, `2.4e30`."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:.1e}".replace("e+", "e").replace("e-0", "e-").replace(".0e", "e")
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _finite(line: Line) -> Line:
    values = {at: value for at, value in sorted(line.values.items()) if abs(value) < LARGEST}
    return Line(line.name, values, line.palette, line.kind, line.dashed)


def _colours(lines: Sequence[Line]) -> list[str]:
    used: dict[str, int] = {}
    colours: list[str] = []
    for line in lines:
        palette = PALETTES.get(line.palette, PALETTES["classic"])
        place = used[line.palette] = used.get(line.palette, -1) + 1
        colours.append(palette[place % len(palette)])
    return colours


Course = Mapping[datetime, float]


def _stacked(lines: Sequence[Line]) -> list[tuple[Course, Course]]:
    """Bottom and top of each line; areas and bars stand on those before them."""
    heights: dict[str, dict[datetime, float]] = {"area": {}, "bars": {}}
    found: list[tuple[Course, Course]] = []
    for line in lines:
        if line.kind == "line":
            found.append((dict.fromkeys(line.values, 0.0), line.values))
            continue
        height = heights[line.kind]
        bottoms = {at: height.get(at, 0.0) for at in line.values}
        tops = {at: bottoms[at] + value for at, value in line.values.items()}
        height.update(tops)
        found.append((bottoms, tops))
    return found


def _range(stacked: Sequence[tuple[Course, Course]], bands: Sequence[Band], include_zero: bool) -> tuple[float, float]:
    """The smallest and the largest value. A band far away would flatten the lines, and so is left outside."""
    values = [value for _, tops in stacked for value in tops.values()]
    low, high = min(values), max(values)
    near = 3 * max(abs(low), abs(high), 1e-9)
    for band in bands:
        for edge in (band.low, band.high):
            if abs(edge) <= near:
                low, high = min(low, edge), max(high, edge)
    return (min(low, 0.0), max(high, 0.0)) if include_zero else (low, high)


def _ticks(low: float, high: float, ends: tuple[float, float] | None) -> list[float]:
    """About four round values that enclose everything, or lie between fixed ends."""
    if ends and ends[0] < ends[1]:
        low, high = ends
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = (low, high + 1) if low >= 0 else (low - 1, high)
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(number * step, 12) for number in range(first, last + 1)]
    return [low, *(tick for tick in ticks if low < tick < high), high] if ends else ticks


def _times(moments: Sequence[datetime]) -> Iterator[tuple[datetime, str]]:
    """Up to five moments with their texts, in UTC: days in a chart of more than two, seconds in one of minutes.

    Texts with seconds are longer, so that there are three of them at most.
    """
    first, last = moments[0], moments[-1]
    form = "%d %b" if last - first > timedelta(days=2) else "%H:%M"
    count = min(5, len(moments))
    if timedelta(0) < last - first < timedelta(minutes=5):
        form, count = "%H:%M:%S", min(3, count)
    for number in range(count):
        at = first + (last - first) * (number / (count - 1)) if count > 1 else first
        yield at, f"{at:{form}}"


def _grid(ticks: Sequence[float], scale: _Scale) -> Iterator[str]:
    for tick in ticks:
        yield f'<path class="grid" d="M0 {scale.y(tick):.0f}H{SIDE}"/>'


def _band_shapes(bands: Sequence[Band], scale: _Scale) -> Iterator[str]:
    for band in bands:
        low, high = max(band.low, scale.low), min(band.high, scale.high)
        if low > high:
            continue
        tone = escape(band.tone, quote=True)
        if low == high:
            yield f'<path class="marker {tone}" d="M0 {scale.y(low):.0f}H{SIDE}"/>'
        else:
            top, bottom = scale.y(high), scale.y(low)
            yield f'<path class="band {tone}" d="M0 {top:.0f}H{SIDE}V{bottom:.0f}H0Z"/>'


def _shapes(line: Line, bottoms: Course, tops: Course, scale: _Scale, colour: str, moments: int) -> Iterator[str]:
    if line.kind == "bars":
        half = 0.4 * SIDE / max(moments, 1)
        for at, top in tops.items():
            left, right, foot = max(scale.x(at) - half, 0), min(scale.x(at) + half, SIDE), scale.y(bottoms[at])
            box = f"M{left:.0f} {foot:.0f}V{scale.y(top):.0f}H{right:.0f}V{foot:.0f}Z"
            yield f'<path class="bar" style="--c:{colour}" d="{box}"/>'
        return
    for run in _unbroken(list(tops)):
        points = [f"{scale.x(at):.0f} {scale.y(tops[at]):.0f}" for at in run]
        if line.kind == "area" and len(run) > 1:
            back = [f"{scale.x(at):.0f} {scale.y(bottoms[at]):.0f}" for at in reversed(run)]
            yield f'<path class="area" style="--c:{colour}" d="M{"L".join(points + back)}Z"/>'
        # A line of one point is a dot: a stroke without length, with round ends.
        path = f"M{'L'.join(points)}" if len(run) > 1 else f"M{points[0]}h0"
        kind = "line dashed" if line.dashed else "line" if len(run) > 1 else "line dot"
        yield f'<path class="{kind}" style="--c:{colour}" d="{path}"/>'


def _unbroken(moments: Sequence[datetime]) -> Iterator[list[datetime]]:
    """Parts without a gap: a pause of three usual steps or more breaks a line."""
    steps = sorted(later - earlier for earlier, later in pairwise(moments))
    usual = steps[len(steps) // 2] if steps else timedelta(0)
    part: list[datetime] = []
    for at in moments:
        if part and at - part[-1] >= 3 * usual:
            yield part
            part = []
        part.append(at)
    yield part


def _spoken(line: Line) -> str:
    values = list(line.values.values())
    if len(values) == 1:
        return f"{line.name} {short(values[0])}"
    return f"{line.name} from {short(min(values))} to {short(max(values))}, last {short(values[-1])}"


def _svg(shapes: Sequence[str]) -> str:
    return f'<svg aria-hidden="true" viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none">{"".join(shapes)}</svg>'
