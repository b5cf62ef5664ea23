"""Numbers out of the JSON blobs in which W&B keeps a run's summary and system metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from metta_checks.core.decode import parse_json, parse_text, without_long_strings
from metta_checks.core.patterns import compile_stars

SYSTEM_KEYS: Final[Mapping[str, re.Pattern[str]]] = {
    # With `x_label`, which runs over several nodes need, the SDK ends every key in the node's label (wandb#7470).
    name: re.compile(rf"{key}(/l:.*)?", re.DOTALL)
    for name, key in {
        "gpu_utilization": r"system\.gpu\.\d+\.gpu",
        "gpu_memory_utilization": r"system\.gpu\.\d+\.memoryAllocated",
        "gpu_temperature": r"system\.gpu\.\d+\.temp",
        "gpu_power": r"system\.gpu\.\d+\.powerWatts",
        "cpu_utilization": r"system\.cpu",
        "memory_utilization": r"system\.memory_percent",
        "disk_utilization": r"system\.disk\..+\.usagePercent",
    }.items()
}
"""The SDK's keys behind each system metric. `system.gpu.process.…` is the run's own process, not a device."""


MAX_VALUES: Final = 500_000
"""Values of one blob, at most some 190 bytes each: a summary of 10 MB has fewer."""

_IS_TEXT: Final = re.compile(rb'\s*"')


MAX_KEPT_BYTES: Final = 200_000
"""Of the keys of one run that are kept for the next run with the same: over a thousand devices."""

KEY_OVERHEAD: Final = 60
"""Bytes that a text takes beside its characters."""


class UnreadableError(ValueError):
    """A blob is no JSON object, or has too many values."""


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
        self._patterns = [compile_stars(key) for key in metrics if "*" in key]
        self._sps_keys = tuple(dict.fromkeys(sps_keys))
        self._system = {name: SYSTEM_KEYS[name] for name in dict.fromkeys(system_metrics)}
        # The runs of a project have the same few dozen keys in the same order; the bound is for one where they do not.
        self._device_keys = lru_cache(maxsize=128)(self._matched_keys)
        self.summary_keys = None if self._patterns else list(dict.fromkeys([*self._exact, *self._sps_keys]))

    @property
    def wants_system(self) -> bool:
        return bool(self._system)

    def summary(self, blob: bytes | str | None) -> Summary:
        """Read a summary. Raises UnreadableError."""
        values = _object(blob)
        names = self._metric_names(values)
        numbers: dict[str, float] = {}
        not_finite = 0
        for key in self.summary_keys or dict.fromkeys([*names, *self._sps_keys]):
            if (value := values.get(key)) is None:
                continue
            if (number := _number(value)) is None:
                not_finite += 1
            else:
                numbers[key] = number
        sps = next((numbers[key] for key in self._sps_keys if key in numbers), None)
        return Summary(sps, {key: numbers[key] for key in names if key in numbers}, not_finite)

    def system(self, blob: bytes | str | None) -> tuple[Mapping[str, float], int]:
        """Means over the devices by metric name, and how many wanted values are no numbers. Raises UnreadableError."""
        if not self._system:
            return {}, 0
        values = _object(blob)
        means: dict[str, float] = {}
        not_finite = 0
        keys_of_run = tuple(values)
        matched = self._device_keys if _is_usual(keys_of_run) else self._matched_keys
        for name, keys in matched(keys_of_run):
            devices = [value for key in keys if (value := values[key]) is not None]
            numbers = [number for value in devices if (number := _number(value)) is not None]
            not_finite += len(devices) - len(numbers)
            if numbers:
                means[name] = sum(numbers) / len(numbers)
        return means, not_finite

    def _metric_names(self, values: Mapping[str, Any]) -> list[str]:
        matched = [key for key in values if any(fits(key) for fits in self._patterns)]
        return list(dict.fromkeys([*self._exact, *matched]))

    def _matched_keys(self, keys: tuple[str, ...]) -> list[tuple[str, list[str]]]:
        """Of `keys`, those behind each wanted system metric."""
        return [(name, [key for key in keys if pattern.fullmatch(key)]) for name, pattern in self._system.items()]


def _is_usual(keys: tuple[str, ...]) -> bool:
    """Whether the keys can be those of a run's devices, rather than what fills the memory of who keeps them."""
    return sum(map(len, keys)) + KEY_OVERHEAD * len(keys) <= MAX_KEPT_BYTES


def _object(blob: bytes | str | None) -> dict[str, Any]:
    """The object in a blob; a null one is empty, and one that is a JSON string (crashed runs) is opened once more."""
    if blob is None:
        return {}
    data = blob.encode("utf-8", "replace") if isinstance(blob, str) else blob
    try:
        if _IS_TEXT.match(data):
            data = parse_text(data)
        value = parse_json(without_long_strings(data), allow_nan=True, max_values=MAX_VALUES)
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"a {type(value).__name__} instead of an object")
    return value


def _number(value: object) -> float | None:
    """`value` if it is a finite number; booleans, strings (also "NaN") and objects are none."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
