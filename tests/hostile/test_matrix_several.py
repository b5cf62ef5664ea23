"""Every class of fault at every place of a check that watches several targets: the list, one target of many, the tokens
of an App, the list of a run's jobs. What is not struck keeps its figures, and what is struck is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest
from datadog_checks.base.stubs import datadog_agent
from hostile_support.faults import BODIES, CONNECTIONS, STATUSES, Fault
from hostile_support.gate import Behaviour, Exchange
from hostile_support.outcome import Outcome
from hostile_support.playing import LIMIT, Play
from hostile_support.several import NAMES, OWNER, STRUCK, gauges_of, points_of, statuses, target_of, ups
from hostile_support.stages import Kind

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile


class Place(NamedTuple):
    """Where a fault strikes: requests that `hits` takes. `named` is how messages name the object."""

    kind: Kind
    hits: Callable[[Exchange], bool]
    named: str


PLACES: Final = {
    "list of projects": Place("entity", lambda it: b"models(" in it.body, "projects of entity team"),
    "one project": Place("entity", lambda it: f'"{STRUCK}"'.encode() in it.body, f"team/{STRUCK}"),
    "list of repositories": Place("organisation", lambda it: "/orgs/" in it.target, f"organisation {OWNER}"),
    "one repository": Place("organisation", lambda it: f"/{OWNER}/{STRUCK}/" in it.target, f"{OWNER}/{STRUCK}"),
    "lists of jobs": Place("organisation", lambda it: it.target.split("?")[0].endswith("/jobs"), "jobs"),
    "tokens of an App": Place("app", lambda it: "/access_tokens" in it.target, "GitHub App 12345"),
}

LISTS: Final = ("list of projects", "list of repositories")
WHOLE: Final = (*LISTS, "tokens of an App")
"""Places that stand before all targets: they are struck before there was a good collection, too."""

CLASSES: Final[dict[str, Fault]] = {
    name: {**CONNECTIONS, **STATUSES, **BODIES}[name]
    for name in (
        "it accepts and never answers", "a reset in the body", "an answer that is cut short", "no HTTP at all",
        "a redirect to another host", "304 to what was no condition", "400", "401", "403",
        "403 with a secondary limit", "404", "429 with Retry-After", "500", "503 with Retry-After",
        "an error that repeats the request", "nothing", "half a document", "a login page", "null", "a number",
        "an object of something else", "NaN", "100,000 brackets", "200 MB", "a gzip bomb",
    )
}  # fmt: skip

OF_ALL: Final = frozenset({Called.UNAUTHORISED, Called.RATE_LIMITED, Called.UNREACHABLE, Called.REDIRECTED})
"""What the next request would end in as well, so that other targets may be left unread."""


def at(place: Place, fault: Behaviour) -> Behaviour:
    """The fault, at this place alone."""

    def behave(exchange: Exchange) -> None:
        if place.hits(exchange):
            fault(exchange)
        else:
            exchange.line.send(exchange.fetch().raw())

    return behave


controls: dict[Kind, tuple[Outcome, Outcome]] = {}


def control_of(play: Callable[..., Any], kind: Kind) -> tuple[Outcome, Outcome]:
    """The second and the third collection of a check that saw no fault."""
    if kind not in controls:
        with play(kind) as it:
            it.begin()
            during = it.suffer()
            assert during.error is None, during.message
            controls[kind] = during, it.recover()
        assert statuses(during) == {"read": len(NAMES)}
        assert all(gauges_of(during, name) for name in NAMES)
        assert all(points_of(one, name) for one in controls[kind] for name in NAMES)
        datadog_agent.reset()
    return controls[kind]


def assert_true_or_unknown(outcome: Outcome, truth: Outcome, name: str) -> bool:
    """A target's figures are all there and right, or none is; gives whether they are there."""
    if ups(outcome).get(name) == 1 and gauges_of(outcome, name) == gauges_of(truth, name):
        return True
    assert ups(outcome).get(name) == 0, (name, ups(outcome))
    found = gauges_of(outcome, name)
    assert {series[0] for series in found} <= {"metta.infra.health.state", "metta.infra.health.target"}
    assert {value for series, value in found.items() if series[0].endswith(".state")} <= {1.0}
    assert points_of(outcome, name) == []
    return False


def assert_once(play: Callable[..., Any], kind: Kind, *outcomes: Outcome) -> None:
    """What is known of ends in the end: each once, under the tags of its own target."""
    expected = Counter(point for one in control_of(play, kind) for point in one.points)
    assert Counter(point for one in outcomes for point in one.points) == expected


def told(outcome: Outcome) -> str:
    return "\n".join([outcome.message, *map(str, outcome.warnings)])


def restarted(it: Play) -> Outcome:
    """The good collection after it, by a check that has nothing but what was saved."""
    it.check = it.stage.check(it.gate.url)
    return it.recover()


@pytest.mark.parametrize("fault", CLASSES)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_after_a_good_collection(play: Callable[..., Any], place: str, fault: str) -> None:
    kind, _, named = PLACES[place]
    truth, after = control_of(play, kind)
    called = CLASSES[fault].kind
    with play(kind) as it:
        it.begin()
        it.gate.stand(at(PLACES[place], CLASSES[fault].behave))
        outcome = it.suffer(LIMIT if CLASSES[fault].hangs else 20.0)
        read = {name for name in NAMES if assert_true_or_unknown(without_jobs(outcome, place), truth, name)}
        if place == "one repository" and fault.startswith("304"):
            # There it is the good answer to what is known.
            return
        if place in LISTS and fault.startswith("304") and kind == "organisation":
            assert read == set(NAMES)
            return
        if place in LISTS or place == "lists of jobs":
            if called not in OF_ALL and not CLASSES[fault].hangs:
                assert read == set(NAMES), told(outcome)
        elif place == "tokens of an App":
            assert read == set()
        else:
            assert STRUCK not in read
            if called not in OF_ALL and not CLASSES[fault].hangs:
                assert read == set(NAMES) - {STRUCK}, told(outcome)
        assert named in told(outcome), told(outcome)
        assert sum(statuses(outcome).values()) == len(NAMES)
        recovered = restarted(it)
        for name in NAMES:
            assert gauges_of(recovered, name) == gauges_of(after, name)
        assert ups(recovered) == dict.fromkeys(NAMES, 1.0)
        assert_once(play, kind, outcome, recovered)


def without_jobs(outcome: Outcome, place: str) -> Outcome:
    """Jobs are a part of their own: a target whose jobs are struck is up."""
    return outcome


@pytest.mark.parametrize("fault", CLASSES)
@pytest.mark.parametrize("place", WHOLE)
def test_a_fault_before_there_was_a_good_collection(play: Callable[..., Any], place: str, fault: str) -> None:
    kind, _, named = PLACES[place]
    control_of(play, kind)
    with play(kind) as it:
        it.gate.stand(at(PLACES[place], CLASSES[fault].behave))
        outcome = it.suffer(LIMIT if CLASSES[fault].hangs else 20.0)
        assert isinstance(outcome.error, SourceError), repr(outcome.error)
        assert outcome.error.kind is CLASSES[fault].kind, outcome.message
        assert re.search(CLASSES[fault].says, outcome.message), outcome.message
        assert named in outcome.message
        assert len(outcome.error.remedy) > 20
        assert (outcome.gauges, list(outcome.points)) == ({}, [])
        assert (ups(outcome), statuses(outcome)) == ({"": 0.0}, {})
        recovered = restarted(it)
        assert ups(recovered) == dict.fromkeys(NAMES, 1.0)
        assert {target_of(tags) for _, tags in recovered.gauges} == set(NAMES)
