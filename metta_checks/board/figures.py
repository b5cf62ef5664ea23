"""Figures as people read them: thousands apart, with a unit, and times in the unit that fits."""

from __future__ import annotations

from typing import Final

from metta_checks.board.document import Definition, FormulaEntry

SYMBOLS: Final = {"percent": "%", "second": "s", "minute": "min", "hour": "h", "day": "d", "fraction": ""}

_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
_BELOW: Final = (("second", 120.0), ("minute", 7_200.0), ("hour", 172_800.0), ("day", float("inf")))
"""Up to which number of seconds a time is read in a unit."""


def figure_text(value: float, entry: FormulaEntry, definition: Definition) -> str:
    """The text of a widget's figure, with the unit that its formula or the widget has."""
    unit = entry.number_format.unit if entry.number_format else None
    name = unit.unit_name if unit else ""
    precision = definition.precision
    if name in _SECONDS and precision is None:
        value, name = scaled(value, name)
    symbol = SYMBOLS.get(name, name) or (unit.label if unit else "") or definition.custom_unit or ""
    text = shown(value, precision)
    return f"{text} {symbol}" if symbol else text


def scaled(value: float, unit: str) -> tuple[float, str]:
    """A time in the unit in which it is a small number, such as 3,000 minutes in days."""
    seconds = value * _SECONDS[unit]
    fitting = next(name for name, limit in _BELOW if abs(seconds) < limit or limit == float("inf"))
    return seconds / _SECONDS[fitting], fitting


def shown(value: float, precision: int | None = None) -> str:
    """A number with thousands apart, and as many decimals as asked for or as have a meaning."""
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if precision is not None:
        return f"{value:,.{min(max(precision, 0), 10)}f}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"
