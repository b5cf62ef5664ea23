"""Which names of a list a discovery watches, compared with a plain matcher that tries every way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from datadog_checks.base.stubs import datadog_agent as agent
from hypothesis import assume, given
from hypothesis import strategies as st

from metta_checks.core.discovery import LIST_FORMAT, Discovery, ListName, ListPage
from metta_checks.core.names import name_selection
from metta_checks.core.option_errors import OptionError
from metta_checks.core.state import new_store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Part = tuple[str, str]
"""Characters that a part of a pattern takes (empty: any), and how often: `` once, `?` or `*`."""

parts = st.tuples(st.sampled_from(["a", "b", "-", "ab", ""]), st.sampled_from(["", "?", "*"]))
patterns = st.lists(parts, min_size=1, max_size=4)
names = st.text("ab-.", min_size=1, max_size=6).filter(lambda name: name not in {".", ".."})


@dataclass
class Options:
    """The option, as the generated models have it."""

    include: Sequence[str]
    exclude: Sequence[str] | None
    limit: int
    interval: float = 600


def text_of(pattern: Sequence[Part]) -> str:
    return "".join((f"[{chars}]" if chars else "(?:.)") + often for chars, often in pattern)


def fits(pattern: Sequence[Part], name: str) -> bool:
    if not pattern:
        return not name
    (chars, often), rest = pattern[0], pattern[1:]
    takes = bool(name) and (not chars or name[0] in chars)
    if often and fits(rest, name):
        return True
    return takes and fits(pattern if often == "*" else rest, name[1:])


@given(
    listed=st.lists(names, unique=True, max_size=12),
    include=st.lists(patterns, max_size=2),
    literals=st.lists(names, max_size=2, unique=True),
    exclude=st.lists(patterns, max_size=2),
    limit=st.integers(1, 5),
)
def test_it_watches_what_matches_as_a_whole_and_is_not_excluded(
    listed: list[str], include: list[list[Part]], literals: list[str], exclude: list[list[Part]], limit: int
) -> None:
    def out(name: str) -> bool:
        return any(fits(pattern, name) for pattern in exclude)

    entries = [*literals, *map(text_of, include)]
    wanted = [name for name in literals if not out(name)]
    try:
        selection = name_selection("projects", Options(entries, list(map(text_of, exclude)), limit))
    except OptionError as error:
        assume("can take too long" not in str(error))
        assert not wanted
        assert not include
        return
    agent.reset()
    store = new_store("metta_probe", agent, {"entity": "team", "names": selection.key}, LIST_FORMAT)
    what = ListName("project", "projects", "entity team", "this key can see")
    discovery = Discovery(what, selection, lambda _: ListPage(dict.fromkeys(listed, "main")), store, timedelta(days=1))
    found = discovery.look(NOW, lambda: 1.0)
    matching = sorted(
        name for name in listed if name not in wanted and not out(name) and any(fits(one, name) for one in include)
    )
    assert list(found.names) == [*wanted, *matching][:limit]
    assert list(found.over_limit) == [*wanted, *matching][limit:]


# Python announces that it may read some sets in another way one day.
@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(text=st.text(max_size=12) | st.text("ab.*+?()[]{}|\\-^$<>=!:P", max_size=12))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    try:
        selection = name_selection("projects", Options([text], None, 5))
    except OptionError:
        return
    for name in ("a", "ab" * 60, "x" * 10_000):
        selection.matches(name)
