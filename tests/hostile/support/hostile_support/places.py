"""Where faults strike a check that watches several targets, and what has to hold of each target then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from datadog_checks.base.stubs import datadog_agent
from hostile_support.gate import Behaviour, Exchange
from hostile_support.outcome import Outcome
from hostile_support.playing import Play
from hostile_support.several import NAMES, OWNER, STRUCK, gauges_of, points_of, statuses, ups
from hostile_support.stages import Kind


class Place(NamedTuple):
    """Where a fault strikes: requests that `hits` takes. `named` is how messages name the object."""

    kind: Kind
    hits: Callable[[Exchange], bool]
    named: str


PLACES: Final = {
    "list of projects": Place("entity", lambda it: b"models(" in it.body, "projects of entity team"),
    "one project": Place("entity", lambda it: f'"{STRUCK}"'.encode() in it.body, f"team/{STRUCK}"),
    "list of repositories": Place("organisation", lambda it: "/orgs/" in it.target, f"organization {OWNER}"),
    "one repository": Place("organisation", lambda it: f"/{OWNER}/{STRUCK}/" in it.target, f"{OWNER}/{STRUCK}"),
    "lists of jobs": Place("organisation", lambda it: it.target.split("?")[0].endswith("/jobs"), "jobs"),
    "tokens of an App": Place("app", lambda it: "/access_tokens" in it.target, "GitHub App 12345"),
}


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
            during = it.suffer(20.0)
            assert during.error is None, during.message
            controls[kind] = during, it.recover()
        assert statuses(during) == {"read": len(NAMES)}
        assert all(gauges_of(during, name) for name in NAMES)
        assert all(points_of(one, name) for one in controls[kind] for name in NAMES)
        datadog_agent.reset()
    return controls[kind]


def is_read(outcome: Outcome, truth: Outcome, name: str) -> bool:
    """Whether a target's figures are all there and right; if not, none may be. One whose turn did not come repeats
    whether it was up, and its verdicts."""
    found = gauges_of(outcome, name)
    if ups(outcome).get(name) == 1 and found == gauges_of(truth, name):
        return True
    assert {series[0] for series in found} <= {"metta.infra.health.state", "metta.infra.health.target"}
    if "waiting" not in statuses(outcome):
        assert ups(outcome).get(name) == 0, (name, ups(outcome))
        assert {value for series, value in found.items() if series[0].endswith(".state")} <= {1.0}
    assert points_of(outcome, name) == []
    return False


def told(outcome: Outcome) -> str:
    return "\n".join([outcome.message, *map(str, outcome.warnings)])


def restarted(it: Play) -> Outcome:
    """The good collection after it, by a check that has nothing but what was saved."""
    it.check = it.stage.check(it.gate.url)
    return it.recover()
