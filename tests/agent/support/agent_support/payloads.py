"""The Agent's payloads: series as JSON and protobuf, sketches as protobuf.

The field numbers are those of `MetricPayload` and `SketchPayload` in DataDog/agent-payload, as the Agent writes them
(`pkg/serializer/internal/metrics/iterable_series.go`, `sketch_series_list.go`).
"""

from __future__ import annotations

import gzip
import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TYPES = {1: "count", 2: "rate", 3: "gauge"}

_GAMMA = 1 + 2 / 128
_BIAS = -math.floor(math.log(1e-9) / math.log(_GAMMA)) + 1
"""The sketch's bins: relative accuracy 1/128, smallest value 1e-9 (`pkg/util/quantile/config.go`)."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a series. `tags` are sorted; `host` is empty where the series has none."""

    metric: str
    kind: str
    tags: tuple[str, ...]
    host: str
    timestamp: int
    value: float


def decompressed(body: bytes, encoding: str) -> bytes:
    """The body before the Agent compressed it. Raises ValueError for an encoding that cannot be read."""
    match encoding:
        case "" | "identity":
            return body
        case "deflate":
            return zlib.decompress(body)
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            return _from_zstd(body)
    raise ValueError(f"cannot read the encoding {encoding}")


def _from_zstd(body: bytes) -> bytes:
    # Here, so that the tests are collected without the library.
    from zstandard import ZstdDecompressor, ZstdError

    try:
        # Several frames in a row, whose sizes are not in their headers.
        with ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            return bytes(reader.read())
    except ZstdError as error:
        raise ValueError(str(error)) from None


def series_v1(body: bytes) -> Iterator[Point]:
    """`/api/v1/series`: JSON."""
    for one in json.loads(body)["series"]:
        for timestamp, value in one["points"]:
            yield Point(one["metric"], one["type"], tuple(sorted(one["tags"] or ())), one["host"], timestamp, value)


def series_v2(body: bytes) -> Iterator[Point]:
    """`/api/v2/series`: `MetricPayload`."""
    for _, series in _fields(body):
        own: dict[int, list[Any]] = _grouped(series)
        resources = [_grouped(one) for one in own.get(1, ())]
        hosts = [_text(one[2]) for one in resources if _text(one[1]) == "host" and 2 in one]
        for point in map(_grouped, own.get(4, ())):
            yield Point(
                metric=_text(own[2]),
                kind=TYPES[own[5][0]],
                tags=_tags(own.get(3, ())),
                host=hosts[0] if hosts else "",
                timestamp=point[2][0],
                value=point.get(1, [0.0])[0],
            )


def sketches(body: bytes) -> Iterator[Point]:
    """`/api/beta/sketches`: `SketchPayload`, a point for each value of each sketch, within 0.8 % of what it was."""
    for number, sketch in _fields(body):
        if number != 1:
            continue
        own = _grouped(sketch)
        host = _text(own[2]) if 2 in own else ""
        for dogsketch in map(_grouped, own.get(7, ())):
            keys, counts = (list(_packed(dogsketch[field])) for field in (7, 8))
            assert sum(counts) == dogsketch[2][0]
            for key, count in zip(map(_zigzag, keys), counts, strict=True):
                point = Point(
                    _text(own[1]), "distribution", _tags(own.get(4, ())), host, dogsketch[1][0], _bin_value(key)
                )
                for _ in range(count):
                    yield point


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message: their numbers and values, of unknown ones too."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        match key & 7:
            case 0:
                value, position = _varint(data, position)
                yield key >> 3, value
            case 1:
                yield key >> 3, struct.unpack_from("<d", data, position)[0]
                position += 8
            case 2:
                size, position = _varint(data, position)
                yield key >> 3, data[position : position + size]
                position += size
            case other:
                raise ValueError(f"a field of wire type {other}")


def _grouped(data: bytes) -> dict[int, list[Any]]:
    grouped: dict[int, list[Any]] = {}
    for number, value in _fields(data):
        grouped.setdefault(number, []).append(value)
    return grouped


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _packed(values: list[Any]) -> Iterator[int]:
    """A repeated number, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            yield number


def _zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _bin_value(key: int) -> float:
    if key == 0:
        return 0.0
    return math.copysign(_GAMMA ** (abs(key) - _BIAS), key)


def _text(values: list[Any]) -> str:
    return bytes(values[0]).decode()


def _tags(values: Any) -> tuple[str, ...]:
    return tuple(sorted(bytes(one).decode() for one in values))
