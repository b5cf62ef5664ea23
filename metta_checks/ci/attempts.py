"""Whether an earlier attempt of a re-run failed: only GitHub's record of that attempt says so."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import LOST_ATTEMPT, Ledger, letter_of
from metta_checks.ci.together import together
from metta_checks.ci.wire import attempt_conclusion
from metta_checks.core.errors import Kind, SourceError

OF_ALL_REQUESTS: Final = frozenset({Kind.UNAUTHORISED, Kind.RATE_LIMITED})
"""Errors that the next request would end in as well; all others may be those of a single attempt."""

MOST_UNREADABLE: Final = 8
"""Attempts that could not be read after which a collection asks for no more of them: the server has a fault, and each
may take as long as its timeout."""

Place = tuple[int, int]
"""A run's id and the number of one of its attempts."""


def resolve_flakiness(github: GitHub, ledger: Ledger, run_ids: Iterable[int]) -> None:
    """Ask for the attempts that decide whether these runs are flaky, and remember them. The last but one comes first:
    a run is run again because that one failed, so that one request is nearly always enough.

    An attempt that cannot be read leaves its run undecided, unless an older one failed. One that does not exist is
    not asked for again, the others are by the next collection. Raises SourceError for what every request would end in.
    """
    open_ids = list(run_ids)
    unreadable: set[Place] = set()
    while asked := [place for run_id in open_ids if (place := _next(ledger, run_id, unreadable))]:
        for start in range(0, len(asked), MOST_UNREADABLE):
            if len(unreadable) >= MOST_UNREADABLE:
                return
            batch = asked[start : start + MOST_UNREADABLE]
            letters = together([partial(_letter, github, *place) for place in batch])
            for place, letter in zip(batch, letters, strict=True):
                if letter is None:
                    unreadable.add(place)
                else:
                    ledger.note_attempt(*place, letter)


def _next(ledger: Ledger, run_id: int, unreadable: set[Place]) -> Place | None:
    """The latest attempt of a run that is to be asked for; None where there is none."""
    open_places = [(run_id, attempt) for attempt in ledger.runs[run_id].open_attempts]
    return max((place for place in open_places if place not in unreadable), default=None)


def _letter(github: GitHub, run_id: int, attempt: int) -> str | None:
    """What the ledger notes of an attempt; None where it could not be read this time."""
    about = f"attempt {attempt} of workflow run {run_id}"
    parameters = {"exclude_pull_requests": "true"}
    path = f"/actions/runs/{run_id}/attempts/{attempt}"
    try:
        return letter_of(attempt_conclusion(github.get_of_repo(path, about=about, params=parameters)))
    except SourceError as error:
        if error.kind in OF_ALL_REQUESTS or github.out_of_time:
            raise
        return LOST_ATTEMPT if error.kind is Kind.NOT_FOUND else None
