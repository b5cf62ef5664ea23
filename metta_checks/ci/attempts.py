"""Whether an earlier attempt of a re-run failed: only GitHub's record of that attempt says so."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import Known, Ledger
from metta_checks.ci.together import together
from metta_checks.ci.wire import attempt_conclusion


def settle(github: GitHub, ledger: Ledger, run_ids: Iterable[int]) -> None:
    """Ask for the attempts on which it hangs whether these runs are flaky, and remember them. The last but one comes
    first: a run is run again because that one failed, so that one request is nearly always enough.

    Raises SourceError.
    """
    open_ids = list(run_ids)
    while open_ids := [run_id for run_id in open_ids if ledger.runs[run_id].undecided]:
        asked = [(run_id, _latest_unknown(ledger.runs[run_id])) for run_id in open_ids]
        outcomes = together([partial(_conclusion, github, run_id, attempt) for run_id, attempt in asked])
        for (run_id, attempt), conclusion in zip(asked, outcomes, strict=True):
            ledger.note_attempt(run_id, attempt, conclusion)


def _latest_unknown(known: Known) -> int:
    return known.earlier.rindex("?") + 1


def _conclusion(github: GitHub, run_id: int, attempt: int) -> str | None:
    about = f"attempt {attempt} of workflow run {run_id}"
    parameters = {"exclude_pull_requests": "true"}
    path = f"/actions/runs/{run_id}/attempts/{attempt}"
    return attempt_conclusion(github.get_of_repo(path, about=about, params=parameters))
