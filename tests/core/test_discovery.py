"""Targets that come from a list: what is watched when the list changes, fails, or does not end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from datadog_checks.base.stubs import datadog_agent as agent

from metta_checks.core import Kind, SourceError
from metta_checks.core.discovery import LIST_FORMAT, Discovered, Discovery, ListName, ListPage
from metta_checks.core.names import name_selection
from metta_checks.core.option_errors import OptionError
from metta_checks.core.state import new_store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEAM = ListName("project", "projects", "entity team", "this key can see: check `entity`")


@dataclass
class Options:
    """The option, as the generated models have it."""

    include: Sequence[str]
    exclude: Sequence[str] | None = None
    limit: int | None = None
    interval: float | None = None


class Listed:
    """A source whose list has pages of `size` names, and an Agent that looks at it. Restarts keep its cache."""

    def __init__(self, options: Options, size: int = 100, **how: Any) -> None:
        self.names: list[str] = []
        self.size = size
        self.requests = 0
        self.error: Exception | None = None
        self.answer: Callable[[str | None], ListPage] | None = None
        self.time_left = 1.0
        self.now = NOW
        self._selection = name_selection("projects", options, **how)
        self.restart()

    def restart(self) -> None:
        store = new_store("metta_probe", agent, {"entity": "team", "names": self._selection.key}, LIST_FORMAT)
        self._discovery = Discovery(TEAM, self._selection, self._read, store, timedelta(days=7))

    def look(self, after: timedelta = timedelta(0)) -> Discovered:
        self.now += after
        return self._discovery.look(self.now, lambda: self.time_left)

    def _read(self, cursor: str | None) -> ListPage:
        self.requests += 1
        if self.error is not None:
            raise self.error
        if self.answer is not None:
            return self.answer(cursor)
        begin = int(cursor or 0)
        end = begin + self.size
        page = dict.fromkeys(self.names[begin:end], "main")
        return ListPage(page, str(end) if end < len(self.names) else None)


def down() -> SourceError:
    return SourceError(Kind.SERVER_ERROR, "list the projects", "HTTP 502", "Try later.")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options([".*"]), ["Arena", "arena-2", "maze", "maze-scratch", "zoo"]),
        (Options(["maze"]), ["maze"]),
        (Options(["maz.*"]), ["maze", "maze-scratch"]),
        (Options(["maz"]), ["maz"]),
        (Options(["ma[xz]e", "zoo"]), ["zoo", "maze"]),
        (Options([".*"], exclude=["maze.*"]), ["Arena", "arena-2", "zoo"]),
        (Options([".*"], exclude=["maze"]), ["Arena", "arena-2", "maze-scratch", "zoo"]),
        (Options([".*"], exclude=["mazes?-.*", "z"]), ["Arena", "arena-2", "maze", "zoo"]),
        (Options(["arena.*"]), ["arena-2"]),
        (Options(["nothing.*", "gone"]), ["gone"]),
        (Options([".*"], limit=2), ["Arena", "arena-2"]),
        (Options([".*", "zoo"], limit=2), ["zoo", "Arena"]),
        (Options(["maze|zoo"]), ["maze", "zoo"]),
    ],
)
def test_names_that_match_as_a_whole_are_watched(options: Options, expected: list[str]) -> None:
    listed = Listed(options)
    listed.names = ["zoo", "maze", "Arena", "arena-2", "maze-scratch"]
    assert list(listed.look().names) == expected


def test_case_may_not_matter() -> None:
    listed = Listed(Options(["ARENA-.*", "Zoo", "zoo"], exclude=["arena-3"]), ignore_case=True)
    listed.names = ["arena-2", "Arena-3", "Arena-4"]
    assert list(listed.look().names) == ["zoo", "Arena-4", "arena-2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options([]), "`projects` is empty"),
        (Options(["arena"], exclude=["aren.*"]), "`exclude` takes out every name"),
        (Options(["(a+)+b"]), "can take too long"),
        (Options(["arena", "("]), "`projects` in `include`: `(` is not a regular expression: `(` is not closed"),
        (
            Options(["arena"], exclude=["["]),
            "`projects` in `exclude`: `[` is not a regular expression",
        ),
        (Options(["  "]), "that is empty"),
    ],
)
def test_options_that_cannot_be_meant(options: Options, words: str) -> None:
    with pytest.raises(OptionError, match=".*") as raised:
        name_selection("projects", options)
    assert words in str(raised.value)


def test_literal_names_need_no_list_and_are_never_gone() -> None:
    listed = Listed(Options(["maze", "a.b", "arena_2-x"]))
    listed.error = down()
    found = listed.look()
    assert (list(found.names), found.warnings, listed.requests) == (["maze", "a.b", "arena_2-x"], (), 0)


def test_the_list_is_read_again_after_the_interval_and_keeps_what_it_says_of_a_name() -> None:
    listed = Listed(Options(["ma.*"], interval=600), size=2)
    listed.names = ["maze", "other", "mania"]
    assert listed.look().names == {"mania": "main", "maze": "main"}
    assert listed.requests == 2
    listed.names.append("max")
    assert list(listed.look(timedelta(seconds=599)).names) == ["mania", "maze"]
    assert listed.requests == 2
    assert list(listed.look(timedelta(seconds=1)).names) == ["mania", "max", "maze"]
    assert listed.requests == 4


def test_a_clock_that_is_set_back_reads_the_list_again() -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["a"]
    listed.look()
    listed.look(timedelta(hours=-5))
    assert listed.requests == 2


@pytest.mark.parametrize("restart", [False, True])
def test_when_a_refresh_fails_the_last_list_stays_in_use(restart: bool) -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["a", "b"]
    listed.look()
    if restart:
        listed.restart()
    listed.error = down()
    found = listed.look(timedelta(minutes=12))
    assert list(found.names) == ["a", "b"]
    (warning,) = found.warnings
    assert "the projects of entity team could not be listed; the list of 720 s ago stays in use" in warning
    assert "HTTP 502" in warning
    listed.error = None
    assert listed.look(timedelta(minutes=2)).warnings == ()


def test_a_list_that_was_never_read_is_an_error_unless_names_are_literal() -> None:
    listed = Listed(Options([".*"]))
    listed.error = down()
    with pytest.raises(SourceError, match="HTTP 502"):
        listed.look()
    literal = Listed(Options(["zoo", "m.*"]))
    literal.error = down()
    found = literal.look()
    assert list(found.names) == ["zoo"]
    assert "only those named in full are read" in found.warnings[0]


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_gone_is_reported_for_a_day(restart: bool) -> None:
    listed = Listed(Options(["a", "m.*"]))
    listed.names = ["a", "maze", "mint"]
    listed.look()
    listed.names = ["mint"]
    gone_at = NOW + timedelta(minutes=10)
    found = listed.look(timedelta(minutes=10))
    assert (list(found.names), found.gone) == (["a", "mint"], {"maze": gone_at})
    if restart:
        listed.restart()
    assert listed.look(timedelta(hours=23, minutes=59)).gone == {"maze": gone_at}
    assert listed.look(timedelta(minutes=1)).gone == {}
    assert listed.look(timedelta(minutes=20)).gone == {}


def test_what_comes_back_is_watched_again_and_its_next_absence_begins_anew() -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["maze", "mint"]
    listed.look()
    for _ in range(3):
        listed.names = ["mint"]
        assert listed.look(timedelta(minutes=10)).gone == {"maze": listed.now}
        listed.names = ["maze", "mint"]
        found = listed.look(timedelta(minutes=10))
        assert (list(found.names), found.gone) == (["maze", "mint"], {})


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_gone_for_as_long_as_it_could_count_is_forgotten_once(restart: bool) -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["maze", "mint", "zoo"]
    listed.look()
    listed.names = ["mint", "zoo"]
    listed.look(timedelta(minutes=10))
    listed.names = ["mint"]
    listed.look(timedelta(days=6))
    if restart:
        listed.restart()
    assert listed.look(timedelta(hours=23)).forgotten == {}
    assert listed.look(timedelta(hours=1)).forgotten == {"maze": "main"}
    assert listed.look(timedelta(hours=1)).forgotten == {}
    listed.names = ["maze", "mint"]
    assert listed.look(timedelta(days=7)).forgotten == {"zoo": "main"}


def test_what_comes_back_in_time_is_not_forgotten() -> None:
    listed = Listed(Options([".*"]))
    for names in (["maze", "mint"], ["mint"], ["maze", "mint"], ["maze", "mint"]):
        listed.names = names
        assert listed.look(timedelta(days=5)).forgotten == {}


def test_a_list_that_always_has_other_names_does_not_pile_them_up() -> None:
    """At most `limit` are gone at a time; the others are forgotten, the earliest first."""
    listed = Listed(Options([".*"], limit=3))
    forgotten: list[str] = []
    for turn in range(6):
        listed.names = [f"{turn}a", f"{turn}b"]
        found = listed.look(timedelta(minutes=10))
        assert len(found.gone) <= 3
        forgotten += found.forgotten
    assert forgotten == ["0b", "1b", "0a", "2b", "1a", "3b", "2a"]


def test_a_list_that_shrinks_to_nothing_leaves_all_gone() -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["a", "b"]
    listed.look()
    listed.names = []
    found = listed.look(timedelta(minutes=10))
    assert (found.names, sorted(found.gone)) == ({}, ["a", "b"])
    (warning,) = listed.look(timedelta(hours=25)).warnings
    assert warning == "Entity team has no project that this key can see: check `entity`"


@pytest.mark.parametrize(
    ("names", "size", "expected"),
    [
        (["maze"], 100, "Entity team has 1 project (maze); none matches `include`"),
        (["maze", "zoo"], 1, "Entity team has 2 projects (maze, zoo); none matches `include`"),
        ([f"p{n:04}" for n in range(1_200)], 100, "1,200 projects (p0000, p0001, p0002, …); none matches `include`"),
    ],
)
def test_a_list_of_which_nothing_matches_is_counted_also_after_a_restart(
    names: list[str], size: int, expected: str
) -> None:
    listed = Listed(Options(["x.*"]), size)
    listed.names = names
    assert listed.look().warnings[0].endswith(expected)
    listed.restart()
    assert listed.look().warnings[0].endswith(expected)
    assert listed.requests == -(-len(names) // size)


def test_a_list_that_an_earlier_version_saved_was_not_counted() -> None:
    listed = Listed(Options(["x.*"]))
    listed.names = ["maze"]
    listed.look()
    for key, text in agent._cache.copy().items():
        document = json.loads(text)
        del document["state"]["count"], document["state"]["first"]
        agent.write_persistent_cache(key, json.dumps(document))
    listed.restart()
    assert listed.look().warnings == ("none of the projects of entity team matches `include`",)


def test_what_is_over_the_limit_is_named_and_counted_and_not_gone() -> None:
    listed = Listed(Options([".*"], limit=3))
    listed.names = [f"p{i}" for i in range(9)]
    found = listed.look()
    assert (list(found.names), len(found.over_limit)) == (["p0", "p1", "p2"], 6)
    assert found.warnings == ("6 projects of entity team are over the `limit` of 3 and not read: p3; p4; p5; 3 more",)
    # A new name takes the place of the last one, which is still there.
    listed.names.append("a")
    found = listed.look(timedelta(minutes=10))
    assert (list(found.names), found.gone) == (["a", "p0", "p1"], {})


def test_ten_thousand_names_take_a_request_for_each_hundred() -> None:
    listed = Listed(Options(["p.*"], limit=50))
    listed.names = [f"p{i:05}" for i in range(10_000)]
    found = listed.look()
    assert (len(found.names), len(found.over_limit), listed.requests) == (50, 9_950, 100)


def test_a_list_that_takes_too_long_goes_on_in_the_next_collection() -> None:
    listed = Listed(Options(["zoo", "p.*"]), size=2)
    listed.names = ["p1", "p2", "p3"]
    listed.time_left = 0.4
    found = listed.look()
    assert (list(found.names), listed.requests) == (["zoo"], 1)
    assert "the list of projects of entity team is long: 1 pages are read" in found.warnings[0]
    found = listed.look(timedelta(minutes=2))
    assert (list(found.names), listed.requests, found.warnings) == (["zoo", "p1", "p2", "p3"], 2, ())


@pytest.mark.parametrize("literal", [False, True], ids=["after a list", "beside a literal name"])
@pytest.mark.parametrize(("time_left", "requests"), [(0.0, 1), (0.4, 1), (0.6, 5), (1.0, 5)])
def test_a_refresh_that_takes_the_time_of_the_targets_waits_for_the_interval(
    literal: bool, time_left: float, requests: int
) -> None:
    """A list that never answers would leave the targets without a turn in every collection."""
    listed = Listed(Options(["zoo", "p.*"] if literal else [".*"], interval=600))
    listed.names = ["zoo"]
    if not literal:
        listed.look()
    listed.error, listed.requests = down(), 0
    listed.time_left = time_left
    listed.now += timedelta(minutes=10)
    for _ in range(5):
        found = listed.look()
        assert list(found.names) == ["zoo"]
        assert "could not be listed" in found.warnings[0]
        assert "HTTP 502" in found.warnings[0]
        listed.now += timedelta(minutes=1)
    assert listed.requests == requests
    listed.error, listed.time_left = None, 1.0
    assert listed.look(timedelta(minutes=5)).warnings == ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: ListPage({"a": ""}, "same"), "the cursor repeats"),
        (lambda cursor: ListPage({"a": ""}, "x" if cursor == "y" else "y"), "the cursor repeats"),
        (lambda cursor: ListPage({"a": ""}, f"{cursor}."), "the list does not end"),
    ],
)
def test_a_list_that_does_not_end_is_an_error(answer: Callable[[str | None], ListPage], words: str) -> None:
    listed = Listed(Options([".*"]))
    listed.answer = answer
    with pytest.raises(SourceError, match=words):
        listed.look()
    assert listed.requests <= 1_000
    listed.answer = None
    listed.names = ["b"]
    assert list(listed.look().names) == ["b"]
    listed.answer = answer
    found = listed.look(timedelta(minutes=10))
    assert list(found.names) == ["b"]
    assert words in found.warnings[0]


def test_an_empty_page_that_promises_more_and_leads_nowhere_is_the_last_one() -> None:
    listed = Listed(Options([".*"]))
    listed.answer = lambda cursor: ListPage({"a": ""}, "x") if cursor is None else ListPage({}, "x")
    assert list(listed.look().names) == ["a"]


def test_other_patterns_begin_with_a_list_of_their_own() -> None:
    first = Listed(Options(["a.*"]))
    first.names = ["a", "b"]
    first.look()
    other = Listed(Options(["b.*"]))
    other.names = ["a", "b"]
    found = other.look()
    assert (list(found.names), found.gone, other.requests) == (["b"], {}, 1)


@pytest.mark.parametrize("text", ["rubbish", '{"version":1,"state":{"read_at":"x"}}', '{"version":1,"state":[]}'])
def test_a_saved_list_that_cannot_be_used_is_read_anew(text: str) -> None:
    listed = Listed(Options([".*"]))
    listed.names = ["a"]
    listed.look()
    for key in list(agent._cache):
        agent.write_persistent_cache(key, text)
    listed.restart()
    assert (list(listed.look().names), listed.requests) == (["a"], 2)
