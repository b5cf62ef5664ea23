"""Numbers out of the JSON blobs in which W&B keeps a run's summary and system metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache, partial
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from metta_checks.core.decode import parse_json, parse_text, without_long_strings
from metta_checks.core.patterns import compile_stars
from metta_checks.core.sample import are_finite

_FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "gpu_utilization": (r"gpu\.(?P<device>\d+)\.gpu",),
    "gpu_memory_utilization": (r"gpu\.(?P<device>\d+)\.memoryAllocated",),
    "gpu_temperature": (r"gpu\.(?P<device>\d+)\.temp",),
    "gpu_power": (r"gpu\.(?P<device>\d+)\.powerWatts",),
    "cpu_utilization": (r"cpu",),
    # SDKs before wandb-core write `memory` and `disk`.
    "memory_utilization": (r"memory_percent", r"memory"),
    "disk_utilization": (r"disk\..+\.usagePercent", r"disk\.usagePercent", r"disk"),
}
"""The SDK's keys behind each system metric, the newest form first."""


def _key_pattern(key: str) -> re.Pattern[str]:
    # With `x_label`, which runs over several nodes need, the SDK ends every key in the node's label (wandb#7470).
    return re.compile(rf"system\.{key}(?:/(?:l:)?(?P<label>.*))?", re.DOTALL)


SYSTEM_KEYS: Final[Mapping[str, tuple[re.Pattern[str], ...]]] = {
    name: tuple(map(_key_pattern, forms)) for name, forms in _FORMS.items()
}
_DEVICE: Final = _key_pattern(r"gpu\.(?P<device>\d+)\.[^/]+")
_PROCESS: Final = _key_pattern(r"gpu\.process\.(?P<device>\d+)\.[^/]+")
"""Keys of the devices that the logging process and its descendants use; they repeat the device's readings."""

MAX_PATH: Final = 1000
"""Characters that the name of a nested value may have under a pattern; a tag holds 200."""

LOGGED_AT: Final = "_timestamp"
"""The summary key under which the SDK keeps when the run last logged, in epoch seconds."""

_NOT_FINITE_TEXTS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
"""How W&B writes such numbers where it keeps strict JSON."""


SMALL: Final = 64 * 1024
"""Bytes of a blob that holds neither long strings nor very many values."""

MAX_QUOTED: Final = 4
"""How often a blob may be a JSON string inside of another one."""

MAX_VALUES: Final = 500_000
"""Values of one blob, at most some 190 bytes each: a summary of 10 MB has fewer."""

_AROUND: Final = "\ufeff".encode() + b"\x00 \t\r\n"
"""Bytes around a document that mean nothing: a byte-order mark, NUL, white space."""


MAX_KEPT_BYTES: Final = 200_000
"""Of the keys of one run that are kept for the next run with the same: over a thousand devices."""

KEY_OVERHEAD: Final = 60
"""Bytes that a text takes beside its characters."""

_PLAIN: Final = frozenset({int, float})


_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


class UnreadableError(ValueError):
    """A blob is no JSON object, or has too many values."""


class GpuDevices(StrEnum):
    """Which GPUs of a node count for a run: all that it reports, or those that the run's processes use."""

    VISIBLE = "visible"
    USED = "used"


class Summary(NamedTuple):
    """The selected numbers of one summary, when its run last logged, and how many GPUs the run says it has.

    `not_finite` counts NaN and infinities; `invalid` are the keys named exactly whose values are no numbers.
    `log_is_known` is False where the run logged at a moment that cannot be read.
    """

    sps: float | None = None
    metrics: Mapping[str, float] = _NOTHING
    not_finite: int = 0
    invalid: tuple[str, ...] = ()
    logged_at: datetime | None = None
    log_is_known: bool = True
    gpus: float | None = None


class System(NamedTuple):
    """Means over a run's devices by metric name, and how many GPUs count. The rest is as in `Summary`."""

    means: Mapping[str, float] = _NOTHING
    not_finite: int = 0
    invalid: tuple[str, ...] = ()
    gpus: int = 0


_NO_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of one blob behind each selected system metric, and of how many GPUs they are that count."""

    behind: tuple[tuple[str, tuple[str, ...]], ...]
    gpus: int


class SummarySelection:
    """What the configuration asks of the blobs.

    `metrics` are exact summary keys, or patterns with `*`; `sps_keys` are tried in order; `system_metrics` are names
    of `SYSTEM_KEYS`. A key may be a path into a nested value (`val/acc.max`), as W&B's own interface names it.
    `gpus_key` is the one that holds the run's number of GPUs. `summary_keys` is what to ask the API for: None means
    the whole summary.
    """

    def __init__(
        self,
        metrics: Iterable[str],
        sps_keys: Iterable[str],
        system_metrics: Iterable[str],
        gpu_devices: GpuDevices = GpuDevices.VISIBLE,
        gpus_key: str | None = None,
    ) -> None:
        metrics = list(dict.fromkeys(metrics))
        self._exact = [key for key in metrics if "*" not in key]
        self._patterns = [compile_stars(key) for key in metrics if "*" in key]
        self._sps_keys = tuple(dict.fromkeys(sps_keys))
        self._gpus_key = gpus_key
        self._named = tuple(dict.fromkeys([*self._exact, *self._sps_keys, *([gpus_key] if gpus_key else [])]))
        self._system = {name: SYSTEM_KEYS[name] for name in dict.fromkeys(system_metrics)}
        self._gpu_devices = gpu_devices
        # The runs of a project have the same few dozen keys in the same order; the bound is for one where they do not.
        self._keys_of = lru_cache(maxsize=128)(self._matched_keys)
        self.summary_keys = None if self._patterns else list(dict.fromkeys([*_with_prefixes(self._named), LOGGED_AT]))

    @property
    def has_patterns(self) -> bool:
        """Whether names of metrics come from the runs, rather than from the configuration alone."""
        return bool(self._patterns)

    def summary(self, blob: object) -> Summary:
        """Read a summary: JSON in UTF-8, or what it holds. Raises UnreadableError."""
        values = _object(blob)
        numbers: dict[str, float] = {}
        invalid: tuple[str, ...] = ()
        not_finite = 0
        matched = self._matched_names(values) if self._patterns else ()
        for key in dict.fromkeys((*self._named, *matched)) if matched else self._named:
            value = values.get(key)
            # Nearly always it is a plain number.
            if type(value) is float and isfinite(value):
                numbers[key] = value
                continue
            if value is None and (value := _inner_value(values, key)) is None:
                continue
            if (number := _number(value)) is None:
                if key in self._named:
                    invalid += (key,)
            elif isfinite(number):
                numbers[key] = number
            else:
                not_finite += 1
        sps = None
        for key in self._sps_keys:
            if (sps := numbers.get(key)) is not None:
                break
        metrics = {key: numbers[key] for key in self._exact if key in numbers}
        for key in matched:
            if key in numbers:
                metrics[key] = numbers[key]
        gpus = numbers.get(self._gpus_key) if self._gpus_key else None
        if gpus is not None and gpus < 0:
            gpus, invalid = None, (*invalid, str(self._gpus_key))
        logged = values.get(LOGGED_AT)
        logged_at = None if logged is None else _moment(logged)
        return Summary(sps, metrics, not_finite, invalid, logged_at, logged is None or logged_at is not None, gpus)

    def system(self, blob: object) -> System:
        """Read the system metrics, given as for `summary`. Raises UnreadableError."""
        values = _object(blob)
        if not values:
            return _NO_SYSTEM
        keys = tuple(values)
        is_usual = isinstance(blob, bytes) and len(blob) + KEY_OVERHEAD * len(keys) <= MAX_KEPT_BYTES
        known = (self._keys_of if is_usual else self._matched_keys)(keys)
        means: dict[str, float] = {}
        invalid: list[str] = []
        not_finite = 0
        for name, wanted in known.behind:
            found = [values[key] for key in wanted]
            # Nearly always all are plain numbers.
            if _PLAIN.issuperset(map(type, found)) and found and are_finite(found):
                means[name] = sum(found) / len(found)
                continue
            numbers: list[float] = []
            for key, value in zip(wanted, found, strict=True):
                if value is None:
                    continue
                if (number := _number(value)) is None:
                    invalid.append(key)
                elif isfinite(number):
                    numbers.append(number)
                else:
                    not_finite += 1
            if numbers:
                means[name] = sum(numbers) / len(numbers)
        return System(means, not_finite, tuple(invalid), known.gpus)

    def _matched_names(self, values: Mapping[str, Any]) -> list[str]:
        return [name for name in _flattened(values) if any(fits(name) for fits in self._patterns)]

    def _matched_keys(self, keys: tuple[str, ...]) -> _Keys:
        counts = self._device_filter(keys)
        behind = ((name, tuple(_newest_form(forms, keys, counts))) for name, forms in self._system.items())
        devices = {
            (found["label"], found["device"]) for found in filter(None, map(_DEVICE.fullmatch, keys)) if counts(found)
        }
        return _Keys(tuple(behind), len(devices))

    def _device_filter(self, keys: Iterable[str]) -> Callable[[re.Match[str]], bool]:
        """Whether the key that was matched is of a node, or of a device that counts."""
        if self._gpu_devices is GpuDevices.VISIBLE:
            return lambda _: True
        used: dict[str | None, set[str]] = {}
        for found in filter(None, map(_PROCESS.fullmatch, keys)):
            used.setdefault(found["label"], set()).add(found["device"])
        return partial(_is_used, used)


def _is_used(used: Mapping[str | None, set[str]], found: re.Match[str]) -> bool:
    # The keys of processes cover the descendants of the logging one only: without any, all of a node's devices count.
    device, processes = found.groupdict().get("device"), used.get(found["label"])
    return device is None or processes is None or device in processes


def _newest_form(
    forms: Iterable[re.Pattern[str]], keys: Iterable[str], counts: Callable[[re.Match[str]], bool]
) -> Iterator[str]:
    """The keys that count; of each node only those in the first of the forms that it writes."""
    done: set[str | None] = set()
    for form in forms:
        found = [match for match in map(form.fullmatch, keys) if match is not None and match["label"] not in done]
        done.update(match["label"] for match in found)
        yield from (match[0] for match in found if counts(match))


def _with_prefixes(keys: Iterable[str]) -> Iterator[str]:
    """Each key, and each of its dotted prefixes: whether the service resolves dots in `keys` is not known."""
    for key in keys:
        yield key
        yield from (prefix for prefix, _ in _splits(key))


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """The ways to divide `path` at a dot, the longest first part first."""
    at = path.rfind(".")
    while at > 0:
        yield path[:at], path[at + 1 :]
        at = path.rfind(".", 0, at)


def _inner_value(values: Mapping[str, Any], path: str) -> Any:
    """The value under a path into nested objects, None where there is none; a key that has dots itself wins."""
    for key, rest in _splits(path):
        inner = values.get(key)
        if isinstance(inner, dict):
            value = inner.get(rest)
            if value is not None or (value := _inner_value(inner, rest)) is not None:
                return value
    return None


def _flattened(values: Mapping[str, Any]) -> Iterator[str]:
    """The names of all values, those inside of objects too. Media, which W&B marks by `_type`, count as one value."""
    pending: list[tuple[str, Mapping[str, Any]]] = [("", values)]
    while pending:
        prefix, level = pending.pop()
        for key, value in level.items():
            name = prefix + key
            if not isinstance(value, dict) or "_type" in value:
                yield name
            elif len(name) <= MAX_PATH:
                pending.append((f"{name}.", value))


def _object(blob: object) -> dict[str, Any]:
    """The object in a blob; a null or empty one is empty. One that is a JSON string (crashed runs) is opened.

    As the SDK does, it reads NaN, infinities, and control characters inside strings (wandb PR 6299).
    """
    value = blob.encode("utf-8", "replace") if isinstance(blob, str) else blob
    if isinstance(value, bytes):
        # Nearly always it is a small plain object, and there are thousands of them.
        if value.startswith(b"{") and len(value) <= SMALL:
            try:
                plain: dict[str, Any] = parse_json(value, allow_nan=True)
            except ValueError:
                pass
            else:
                return plain
        try:
            value = _parsed(value)
        except ValueError as error:
            raise UnreadableError(str(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"a {type(value).__name__} instead of an object")
    return value


def _parsed(data: bytes) -> Any:
    data = data.strip(_AROUND)
    for _ in range(MAX_QUOTED):
        if not data.startswith(b'"'):
            break
        data = parse_text(data, allow_control=True).strip(_AROUND)
    if not data:
        return None
    return parse_json(without_long_strings(data), allow_nan=True, allow_control=True, max_values=MAX_VALUES)


def _number(value: object) -> float | None:
    """`value` as a float, which may be NaN or infinite; None for booleans, other text and objects."""
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        return float(value) if value in _NOT_FINITE_TEXTS else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _moment(value: object) -> datetime | None:
    """The moment of a number of epoch seconds; None where it is none, or none that the calendar has."""
    seconds = _number(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
