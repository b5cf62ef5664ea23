"""Chances that never change: they come from a hash of their names, so that no release of Python moves them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2b
from typing import Final, TypeVar

T = TypeVar("T")

START: Final = datetime(2026, 2, 23, 9, 0, tzinfo=UTC)
"""The first collection of every play; the month ends 31 days later."""

MONTH: Final = timedelta(days=31)


@cache
def chance(*names: object) -> float:
    """A number in [0, 1) that belongs to these names."""
    digest = blake2b("\0".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def between(low: int, high: int, *names: object) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(chance(*names) * (high - low + 1))


def pick(options: Sequence[T], *names: object) -> T:
    return options[int(chance(*names) * len(options))]


def day(number: float) -> datetime:
    """So many days after the start."""
    return START + timedelta(days=number)


@cache
def time_text(moment: datetime) -> str:
    """The form in which both APIs write times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
