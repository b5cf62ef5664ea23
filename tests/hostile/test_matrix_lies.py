"""Answers of the right form that lie: lists of targets, one target among many, an App's token; and what a stop at any
moment leaves. The other targets keep their figures, and nothing is counted twice."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from datadog_checks.base.stubs import aggregator as agent
from datadog_checks.base.stubs import datadog_agent
from hostile_support.damage import DAMAGES, Damage
from hostile_support.gate import Behaviour, Exchange, Page
from hostile_support.outcome import Outcome
from hostile_support.places import PLACES, control_of, is_read, restarted, told
from hostile_support.several import NAMES, STRUCK, gauges_of, points_of, statuses, target_of, ups
from hostile_support.stages import BEGIN, Kind

pytestmark = pytest.mark.hostile

Edit = Callable[[Any, int], Any]
"""Gives the document in place of that of the n-th answer, which counts from one; None where it was changed itself."""

ALL: Final = frozenset(NAMES)


def edited(place: str, edit: Edit, more: bool = False) -> Behaviour:
    """The true answers, those at the place edited; with `more` they link to another page."""
    numbers = itertools.count(1)

    def behave(exchange: Exchange) -> None:
        page = exchange.fetch()
        if PLACES[place].hits(exchange) and page.status in {200, 201}:
            document = json.loads(page.body)
            changed = edit(document, next(numbers))
            link = (("Link", f'<http://127.0.0.1:9{exchange.target}&page=2>; rel="next"'),) if more else ()
            body = json.dumps(document if changed is None else changed).encode()
            headers = tuple(pair for pair in page.headers if pair[0].lower() not in {"etag", "link"})
            page = Page(page.status, (*headers, *link), body)
        exchange.line.send(page.raw())

    return behave


def projects(change: Callable[[list[Any]], list[Any]], **page_info: Any) -> Edit:
    def edit(document: Any, number: int) -> None:
        models = document["data"]["models"]
        models["edges"] = change(models["edges"])
        models["pageInfo"] |= {name: value.format(number % 2) if isinstance(value, str) else value
                               for name, value in page_info.items()}  # fmt: skip

    return edit


def named(*names: Any) -> list[Any]:
    return [{"node": {"name": name}} for name in names]


def repositories(change: Callable[[list[Any]], Any]) -> Edit:
    return lambda document, _: change(document)


def with_fields(**fields: Any) -> Edit:
    return repositories(lambda listed: [{**one, **fields} for one in listed])


def and_named(*names: Any) -> Edit:
    return repositories(lambda listed: listed + [{**listed[0], "name": name} for name in names])


NASTY: Final = ("../zoo", "a\nb", "x" * 5_000, "", "a\x00b", "\ud83d", "%2e%2e", "maze?x=1", ".", "..")
MANY: Final = [f"zz{number:05}" for number in range(10_000)]


def lie(kind: str, edit: Edit, read: Sequence[str], words: str = "", *, more: bool = False) -> Any:
    place = f"list of {kind}"
    return place, lambda: edited(place, edit, more), set(read), words


def the_first_page_again() -> Edit:
    first: list[Any] = []

    def edit(document: Any, _: int) -> Any:
        first[:] = first or [document]
        return first[0]

    return edit


STAYS: Final = "the list of 480 s ago stays in use"
GONE: Final = "missing from the list since"

LIES: Final[dict[str, Any]] = {
    "projects: each twice": lie("projects", projects(lambda edges: edges * 2), NAMES),
    "projects: a cursor that repeats": lie(
        "projects", projects(lambda edges: edges, hasNextPage=True, endCursor="again"), NAMES, STAYS
    ),
    "projects: cursors in a circle": lie(
        "projects", projects(lambda edges: edges, hasNextPage=True, endCursor="c{0}"), NAMES, STAYS
    ),
    "projects: an empty page with more": lie(
        "projects", projects(lambda _: [], hasNextPage=True, endCursor=None), (), GONE
    ),
    "projects: nothing": lie("projects", projects(lambda _: []), (), GONE),
    "projects: half of them": lie("projects", projects(lambda edges: edges[:2]), NAMES[:2], GONE),
    "projects: 10,000": lie("projects", projects(lambda edges: edges + named(*MANY)), NAMES, STAYS),
    "projects: names that are none": lie("projects", projects(lambda edges: edges + named(*NASTY)), NAMES, ""),
    "projects: a node of nothing": lie("projects", projects(lambda edges: [*edges, {"node": None}]), NAMES, STAYS),
    "projects: a name that is a number": lie("projects", projects(lambda edges: edges + named(7)), NAMES, STAYS),
    "projects: no user": lie("projects", lambda _, __: {"data": {"viewer": None, "models": None}}, NAMES, STAYS),
    "projects: no entity": lie("projects", lambda it, _: it["data"].update(models=None), NAMES, STAYS),
    "repositories: each twice": lie("repositories", repositories(lambda listed: listed * 2), NAMES),
    "repositories: the same page for ever": lie("repositories", the_first_page_again(), NAMES, STAYS, more=True),
    "repositories: an empty page with more": lie("repositories", repositories(lambda _: []), (), GONE, more=True),
    "repositories: nothing": lie("repositories", repositories(lambda _: []), (), GONE),
    "repositories: half of them": lie("repositories", repositories(lambda listed: listed[:2]), NAMES[:2], GONE),
    "repositories: 10,000 on a page": lie("repositories", and_named(*MANY), NAMES, STAYS),
    "repositories: names that are none": lie("repositories", and_named(*NASTY), NAMES),
    "repositories: all are archived": lie("repositories", with_fields(archived=True), (), GONE),
    "repositories: no default branch": lie("repositories", with_fields(default_branch=None), NAMES),
    "repositories: a default branch that is none": lie("repositories", with_fields(default_branch=7), NAMES, STAYS),
    "repositories: a branch of a megabyte": lie("repositories", with_fields(default_branch="b" * 10**6), NAMES),
    "repositories: a name that is null": lie("repositories", and_named(None), NAMES, STAYS),
    "repositories: an object": lie("repositories", lambda _, __: {"message": "none"}, NAMES, STAYS),
}
"""By name: the place, the fault, the targets that are read, and what the warnings hold."""


def project(change: Callable[[Any, str], Any]) -> Edit:
    """Changes the part of the struck project, in a batch or alone."""

    def edit(document: Any, _: int) -> None:
        alias = f"p{NAMES.index(STRUCK)}"
        change(document, alias if alias in document["data"] else "project")

    return edit


def put(value: Any) -> Callable[[Any, str], Any]:
    return lambda document, alias: document["data"].update({alias: value})


def refused(message: str) -> Callable[[Any, str], Any]:
    def change(document: Any, alias: str) -> None:
        document["data"][alias] = None
        document["errors"] = [{"message": message, "path": [alias]}]

    return change


ONE: Final[dict[str, tuple[str, Edit, str]]] = {
    "project: nothing": ("one project", project(put(None)), "no such project"),
    "project: a number": ("one project", project(put(7)), "malformed"),
    "project: a list": ("one project", project(put([])), "malformed"),
    "project: no alias": ("one project", project(lambda it, alias: it["data"].pop(alias)), "no such project"),
    "project: no runs": ("one project", project(put({"runs": None})), "malformed"),
    "project: forbidden": ("one project", project(refused("permission denied")), "forbidden"),
    "project: too slow": ("one project", project(refused("context deadline exceeded")), "server error"),
    "project: too large": ("one project", project(refused("response is too large")), "too large"),
    "project: not found": ("one project", project(refused("project not found")), "not found"),
    "repository: runs of nothing": ("one repository", lambda _, __: {}, "shape"),
    "repository: a list": ("one repository", lambda _, __: [], "shape"),
    "repository: totals below nothing": (
        "one repository",
        lambda it, _: {**it, "total_count": "many"} if "total_count" in it else {"total_count": "many"},
        "shape",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_list_that_lies(play: Callable[..., Any], name: str) -> None:
    place, fault, read, words = LIES[name]
    kind = PLACES[place].kind
    truth, after = control_of(play, kind)
    with play(kind) as it:
        it.begin()
        it.gate.stand(fault())
        outcome = it.suffer(20.0)
        assert {one for one in NAMES if is_read(outcome, truth, one)} == read, told(outcome)
        assert words in told(outcome)
        if words == GONE:
            assert statuses(outcome)["failed"] == len(NAMES) - len(read)
        assert_right_and_once(play, kind, outcome, restarted(it), after)


@pytest.mark.parametrize("name", ONE)
def test_one_of_many_that_lies(play: Callable[..., Any], name: str) -> None:
    place, edit, words = ONE[name]
    kind = PLACES[place].kind
    truth, after = control_of(play, kind)
    with play(kind) as it:
        it.begin()
        it.gate.stand(edited(place, edit))
        outcome = it.suffer(20.0)
        assert {one for one in NAMES if is_read(outcome, truth, one)} == ALL - {STRUCK}, told(outcome)
        assert words in told(outcome)
        assert STRUCK in told(outcome)
        assert_right_and_once(play, kind, outcome, restarted(it), after)


TOKENS: Final[dict[str, Edit]] = {
    "nothing": lambda _, __: {},
    "a token of nothing": lambda it, _: it.update(token=None),
    "an empty token": lambda it, _: it.update(token=""),
    "a token of two lines": lambda it, _: it.update(token="ghs_a\r\nX-Evil: 1"),
    "a token that is no ASCII": lambda it, _: it.update(token="ghs_\u00fc\u2028"),
    "a token that is a list": lambda it, _: it.update(token=["ghs_a"]),
    "no end": lambda it, _: it.pop("expires_at") and None,
    "an end that is none": lambda it, _: it.update(expires_at="soon"),
    "an end that is a number": lambda it, _: it.update(expires_at=10**30),
    "an end before the calendar": lambda it, _: it.update(expires_at="0001-01-01T00:00:00+14:00"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_of_an_app_that_is_none(play: Callable[..., Any], name: str) -> None:
    _, after = control_of(play, "app")
    with play("app") as it:
        it.begin()
        it.gate.stand(edited("tokens of an App", TOKENS[name]))
        outcome = it.suffer(20.0)
        assert ups(outcome) == dict.fromkeys(NAMES, 0.0)
        assert "GitHub App 12345" in told(outcome)
        assert_right_and_once(play, "app", outcome, restarted(it), after)


@pytest.mark.parametrize("ends", ["2026-03-01T12:08:00Z", "2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_app_whose_clock_is_another(play: Callable[..., Any], ends: str) -> None:
    """A token that has ended when it comes is used once, and one without an end until GitHub refuses it."""
    truth, after = control_of(play, "app")
    with play("app") as it:
        it.begin()
        it.gate.stand(edited("tokens of an App", lambda document, _: document.update(expires_at=ends)))
        outcome = it.suffer(20.0)
        assert {one for one in NAMES if is_read(outcome, truth, one)} == ALL, told(outcome)
        assert_right_and_once(play, "app", outcome, restarted(it), after)


@pytest.mark.parametrize("old", [True, False], ids=["an old one", "a new one"])
@pytest.mark.parametrize("spared", [0, 1, 2, 5, 9, 17])
def test_a_token_of_an_app_that_ends_within_a_collection(play: Callable[..., Any], spared: int, old: bool) -> None:
    """From some request on GitHub refuses the token. In place of an old one another is made, and every target is read;
    one that was just made is not replaced, and what is submitted then is right."""
    truth, after = control_of(play, "app")
    with play("app") as it:
        if old:
            later = "2026-03-01T13:00:00Z"
            it.gate.stand(edited("tokens of an App", lambda document, _: document.update(expires_at=later)))
        it.begin()
        refused: list[str] = []
        numbers, lock = itertools.count(1), threading.Lock()

        def ends(exchange: Exchange) -> None:
            page = exchange.fetch()
            given = exchange.head.decode("latin-1").partition("uthorization: Bearer ")[2].split("\r\n")[0]
            with lock:
                if "/access_tokens" in exchange.target:
                    document = json.loads(page.body)
                    document["token"] += str(len(refused))
                    page = Page(page.status, page.headers, json.dumps(document).encode())
                elif given in refused or (not refused and next(numbers) > spared):
                    refused[:] = [given]
                    page = Page(401, (("Content-Type", "application/json"),), b'{"message": "Bad credentials"}')
            exchange.line.send(page.raw())

        it.gate.stand(ends)
        outcome = it.suffer(20.0)
        assert refused
        if old:
            assert {one for one in NAMES if is_read(outcome, truth, one)} == ALL, told(outcome)
        else:
            assert "HTTP 401" in told(outcome)
            figures = {series: value for series, value in outcome.gauges.items() if ".health." not in series[0]}
            assert figures.items() <= truth.gauges.items()
        assert_right_and_once(play, "app", outcome, restarted(it), after)


def assert_right_and_once(
    play: Callable[..., Any], kind: Kind, outcome: Outcome, recovered: Outcome, after: Outcome
) -> None:
    for one in NAMES:
        assert gauges_of(recovered, one) == gauges_of(after, one)
    assert {ups(recovered)[one] for one in NAMES} == {1.0}
    expected = Counter(point for one in control_of(play, kind) for point in one.points)
    assert Counter(point for one in (outcome, recovered) for point in one.points) == expected


@pytest.mark.parametrize("kind", ["entity", "organisation"])
def test_a_stop_at_any_request_of_a_reading(play: Callable[..., Any], kind: Kind) -> None:
    """What is in the Agent's cache at each request is what a stop then leaves. A check that begins with it has the
    right figures, and of what was submitted before the stop nothing comes again."""
    _, after = control_of(play, kind)
    expected = Counter(point for one in control_of(play, kind) for point in one.points)
    with play(kind) as it:
        stops: list[tuple[dict[str, str], Counter[Any]]] = []

        def note(exchange: Exchange) -> None:
            stops.append((dict(datadog_agent._cache), submitted()))
            exchange.line.send(exchange.fetch().raw())

        it.gate.stand(note)
        it.at(BEGIN)
        first = len(stops)
        it.gate.stand(note)
        it.suffer(20.0)
        assert first >= 2
        assert len(stops) > first
        for number, (cache, points) in enumerate(stops):
            datadog_agent._cache.clear()
            datadog_agent._cache.update(cache)
            recovered = restarted(it)
            for one in NAMES:
                assert gauges_of(recovered, one) == gauges_of(after, one), number
            assert points + Counter(recovered.points) <= expected, number


def submitted() -> Counter[Any]:
    return Counter(
        ((name, tuple(sorted(bucket.tags))), float(bucket.lower_bound))
        for name, buckets in agent._histogram_buckets.items()
        for bucket in buckets
    )


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["entity", "organisation"])
def test_damage_to_the_state_of_one_target_is_its_own(play: Callable[..., Any], kind: Kind, damage: Damage) -> None:
    """The document of each target, and of the list, in turn: the other targets lose nothing, and it no figure."""
    truth, after = control_of(play, kind)
    expected = Counter(point for one in control_of(play, kind) for point in one.points)
    with play(kind) as it:
        it.begin()
        saved = dict(datadog_agent._cache)
        assert len(saved) == len(NAMES) + 1
        for key in saved:
            datadog_agent._cache.clear()
            datadog_agent._cache.update({**saved, key: damage(saved[key])})
            it.check = it.stage.check(it.gate.url)
            outcome = it.suffer(20.0)
            assert outcome.error is None
            for one in NAMES:
                assert gauges_of(outcome, one) == gauges_of(truth, one)
            recovered = it.recover()
            found = Counter(point for each in (outcome, recovered) for point in each.points)
            assert found <= expected
            lost = {target_of(series[1]) for series, _ in expected - found}
            assert len(lost) <= 1, lost
            for one in NAMES:
                assert gauges_of(recovered, one) == gauges_of(after, one)
                if one not in lost:
                    assert points_of(recovered, one) == points_of(after, one)
