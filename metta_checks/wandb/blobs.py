"""Numbers out of the JSON blobs in which W&B keeps a run's summary and system metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from math import isfinite
from typing import Any, Final

from metta_checks.core.decode import parse_json

SYSTEM_KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    "gpu_utilization": re.compile(r"system\.gpu\.\d+\.gpu"),
    "gpu_memory_utilization": re.compile(r"system\.gpu\.\d+\.memoryAllocated"),
    "gpu_temperature": re.compile(r"system\.gpu\.\d+\.temp"),
    "gpu_power": re.compile(r"system\.gpu\.\d+\.powerWatts"),
    "cpu_utilization": re.compile(r"system\.cpu"),
    "memory_utilization": re.compile(r"system\.memory_percent"),
    "disk_utilization": re.compile(r"system\.disk\..+\.usagePercent", re.DOTALL),
}
"""The SDK's keys behind each system metric. `system.gpu.process.…` is the run's own process, not a device."""


class UnreadableError(ValueError):
    """A blob is no JSON object."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The wanted numbers of one summary; `not_finite` counts wanted values that are none."""

    sps: float | None
    metrics: Mapping[str, float]
    not_finite: int


class Wanted:
    """What the configuration asks of the blobs.

    `metrics` are exact summary keys, or patterns with `*`; `sps_keys` are tried in order; `system_metrics` are names
    of `SYSTEM_KEYS`. `summary_keys` is what to ask the API for: None means the whole summary.
    """

    def __init__(self, metrics: Iterable[str], sps_keys: Iterable[str], system_metrics: Iterable[str]) -> None:
        metrics = list(dict.fromkeys(metrics))
        self._exact = [key for key in metrics if "*" not in key]
        patterns = [translate(_only_stars(key)) for key in metrics if "*" in key]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        self._sps_keys = tuple(dict.fromkeys(sps_keys))
        self._system = {name: SYSTEM_KEYS[name] for name in dict.fromkeys(system_metrics)}
        self.summary_keys = None if patterns else list(dict.fromkeys([*self._exact, *self._sps_keys]))

    @property
    def wants_system(self) -> bool:
        return bool(self._system)

    def summary(self, blob: str | None) -> Summary:
        """Read a summary. Raises UnreadableError."""
        values = _object(blob)
        names = dict.fromkeys(key for key in self._exact if values.get(key) is not None)
        if self._pattern is not None:
            names |= dict.fromkeys(key for key in values if values[key] is not None and self._pattern.fullmatch(key))
        metrics = {key: number for key in names if (number := _number(values[key])) is not None}
        candidates = {key: _number(values[key]) for key in self._sps_keys if values.get(key) is not None}
        sps = next((number for number in candidates.values() if number is not None), None)
        asked = len(names | dict.fromkeys(candidates))
        finite = len(dict.fromkeys(metrics) | {key: None for key, number in candidates.items() if number is not None})
        return Summary(sps, metrics, asked - finite)

    def system(self, blob: str | None) -> tuple[Mapping[str, float], int]:
        """Means over the devices by metric name, and how many wanted values are no numbers. Raises UnreadableError."""
        if not self._system:
            return {}, 0
        values = _object(blob)
        means: dict[str, float] = {}
        dropped = 0
        for name, keys in self._system.items():
            devices = [value for key, value in values.items() if value is not None and keys.fullmatch(key)]
            numbers = [number for value in devices if (number := _number(value)) is not None]
            dropped += len(devices) - len(numbers)
            if numbers:
                means[name] = sum(numbers) / len(numbers)
        return means, dropped


def _only_stars(pattern: str) -> str:
    """`pattern` with nothing special but `*`: summary keys do hold brackets and question marks."""
    return re.sub(r"[\[?]", r"[\g<0>]", pattern)


def _object(blob: str | None) -> dict[str, Any]:
    """The object in a blob; a null one is empty, and one that is a JSON string (crashed runs) is opened once more."""
    if blob is None:
        return {}
    try:
        value = parse_json(blob, allow_nan=True)
        if isinstance(value, str):
            value = parse_json(value, allow_nan=True)
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"a {type(value).__name__} instead of an object")
    return value


def _number(value: object) -> float | None:
    """`value` if it is a finite number; booleans, strings (also "NaN") and objects are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
