"""The latest decisive run of a workflow that has had none in the look-back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from metta_checks.ci.client import GitHub
from metta_checks.ci.pages import LISTED, MAY_BE_TOO_LARGE, SIZES, goes_on
from metta_checks.ci.question import HISTORY
from metta_checks.ci.records import Run, Workflow
from metta_checks.ci.reply import PastRun
from metta_checks.ci.wire import run_page
from metta_checks.core.errors import SourceError


def settled_by_graphql(past_runs: Sequence[PastRun], branch: str, since: datetime) -> list[Run] | None:
    """The runs on the branch down to the latest decisive one, newest first, all of them where there is none; None
    where a list that short does not tell.

    GraphQL does not say whether a run is a fork's. A run that a pull request or another run set off may be, so that
    its verdict is not taken from here.
    """
    runs: list[Run] = []
    for past in sorted(past_runs, key=lambda past: past.run.number, reverse=True):
        if past.branch != branch or past.run.created_at >= since:
            continue
        if past.event.startswith("pull_request") or past.event == "workflow_run":
            if past.run.decisive:
                return None
            continue
        runs.append(past.run)
        if past.run.decisive:
            return runs
    return runs if len(past_runs) < HISTORY else None


def read_by_rest(github: GitHub, workflow: Workflow, size: int) -> list[Run]:
    """The runs on the branch down to the latest decisive one, newest first, as far as GitHub lists them: a request
    for each page of `size`, or of fewer where that is too much for the server. Raises SourceError."""
    for smaller in SIZES:
        if smaller <= size:
            try:
                return _read_in_pages(github, workflow, smaller)
            except SourceError as error:
                if error.kind not in MAY_BE_TOO_LARGE or not github.has_time or smaller == SIZES[-1]:
                    raise
    raise AssertionError(f"{size} is smaller than any page")


def _read_in_pages(github: GitHub, workflow: Workflow, size: int) -> list[Run]:
    runs: list[Run] = []
    for number in range(1, LISTED // size + 1):
        parameters = {
            "branch": github.settings.branch,
            "per_page": str(size),
            "page": str(number),
            "exclude_pull_requests": "true",
        }
        path = f"/actions/workflows/{workflow.id}/runs"
        page = run_page(github.get_of_repo(path, about=f"the runs of {workflow.file}", params=parameters))
        runs += page.runs
        if not goes_on(page, size) or any(run.own and run.decisive for run in page.runs):
            return runs
    return runs
