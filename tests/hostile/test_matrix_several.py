"""Every class of fault at every place of a check that watches several targets: the list, one target of many, the tokens
of an App, the list of a run's jobs. What is not struck keeps its figures, and what is struck is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from hostile_support.faults import BODIES, CONNECTIONS, STATUSES, Fault
from hostile_support.outcome import Outcome
from hostile_support.places import PLACES, at, control_of, is_read, restarted, told
from hostile_support.playing import LIMIT, Play
from hostile_support.several import NAMES, STRUCK, gauges_of, statuses, target_of, ups
from hostile_support.stages import FAULTY

from metta_checks.core import Kind as Called
from metta_checks.core import SourceError

pytestmark = pytest.mark.hostile


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


@pytest.mark.parametrize("fault", CLASSES)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_after_a_good_collection(play: Callable[..., Any], place: str, fault: str) -> None:
    """What is not struck keeps its figures, what is struck is named, and after a restart everything is right and each
    end has been counted once."""
    kind, _, named = PLACES[place]
    truth, after = control_of(play, kind)
    with play(kind) as it:
        it.begin()
        it.gate.stand(at(PLACES[place], CLASSES[fault].behave))
        outcome = it.suffer(seconds_for(fault))
        struck = struck_by(place)
        believed = kind == "organisation" and fault.startswith("304")
        read = {name for name in NAMES if not (believed and name in struck) and is_read(outcome, truth, name)}
        if believed:
            # To a request about what is known it is a good answer: what is new waits for a true one.
            assert (read, outcome.error, outcome.warnings) == (set(NAMES) - struck, None, [])
        elif CLASSES[fault].kind in OF_ALL or CLASSES[fault].hangs:
            assert not read & struck
        else:
            assert read == set(NAMES) - struck, told(outcome)
        if place != "lists of jobs" and not believed:
            assert named in told(outcome), told(outcome)
        assert sum(statuses(outcome).values()) == len(NAMES)
        outcomes = [outcome]
        if place in LISTS and CLASSES[fault].hangs:
            outcomes.append(next_without_waiting_for_the_list(it, place, fault))
        recovered = restarted(it)
        outcomes.append(recovered)
        for name in NAMES:
            assert gauges_of(recovered, name) == gauges_of(after, name)
        assert ups(recovered) == dict.fromkeys(NAMES, 1.0)
        lost = Counter(point for one in control_of(play, kind) for point in one.points)
        lost.subtract(point for one in outcomes for point in one.points)
        assert min(lost.values()) >= 0, "a point came twice, or under the tags of another target"
        if place == "lists of jobs" and "unreadable" in told(outcome):
            # Jobs that GitHub does not have any more are named.
            assert {series[0] for (series, _), count in lost.items() if count} == set(JOBS)
        else:
            assert not any(lost.values())


def next_without_waiting_for_the_list(it: Play, place: str, fault: str) -> Outcome:
    """A list that never answers takes the targets' time once in its interval, and goes on being reported."""
    it.gate.stand(at(PLACES[place], CLASSES[fault].behave))
    again = it.at(FAULTY + timedelta(minutes=2))
    it.gate.stand(None)
    assert ups(again) == dict.fromkeys(NAMES, 1.0)
    assert statuses(again) == {"read": len(NAMES)}
    assert PLACES[place].named in told(again)
    return again


JOBS: Final = ("metta.infra.cron.ci.job.duration_minutes", "metta.infra.cron.ci.job.queue_minutes")


def seconds_for(fault: str) -> float:
    return LIMIT if CLASSES[fault].hangs else 20.0


def struck_by(place: str) -> set[str]:
    """The targets that cannot be read with this fault at this place."""
    if place.startswith("one "):
        return {STRUCK}
    return set(NAMES) if place == "tokens of an App" else set()


@pytest.mark.parametrize("fault", CLASSES)
@pytest.mark.parametrize("place", WHOLE)
def test_a_fault_before_there_was_a_good_collection(play: Callable[..., Any], place: str, fault: str) -> None:
    kind, _, named = PLACES[place]
    control_of(play, kind)
    with play(kind) as it:
        it.gate.stand(at(PLACES[place], CLASSES[fault].behave))
        outcome = it.suffer(seconds_for(fault))
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
