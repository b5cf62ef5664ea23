"""What may have become of a saved state."""

from __future__ import annotations

from collections.abc import Callable

Damage = Callable[[str], str]

DAMAGES: dict[str, Damage] = {
    "lost": lambda _: "",
    "cut short": lambda text: text[: len(text) // 2],
    "torn in the middle": lambda text: text[: len(text) // 3] + text[len(text) // 2 :],
    "foreign": lambda _: "\x00\xff not ours",
    "of another program": lambda _: '{"version": 1, "state": {"cursor": "abc"}}',
    "of an older version": lambda text: text.replace('"version":1', '"version":0'),
    "of a newer version": lambda text: text.replace('"version":1', '"version":2'),
    "deep": lambda _: "[" * 100_000,
    "a number": lambda _: "17",
    "NaN": lambda _: '{"version":NaN,"state":null}',
}
