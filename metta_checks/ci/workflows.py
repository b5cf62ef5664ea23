"""The repository's workflows, and which of them an option means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from metta_checks.ci.client import GitHub
from metta_checks.ci.ledger import Ledger, ListPage
from metta_checks.ci.records import Run, Workflow
from metta_checks.ci.wire import WorkflowPage, workflow_page
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.patterns import compile_stars

KEPT: Final = timedelta(hours=1)
"""How long the list is used. Names and states come with every GraphQL answer, and a run of an unknown workflow brings
the list forward; what is left is a new workflow that has not run yet."""

CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""How far GitHub's clock and this one may be apart."""

PER_PAGE: Final = 100

MOST_PAGES: Final = 100
"""Pages of the list; no repository comes near, and a server that promises more would be asked until the time is up."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The workflows that an option lists, by id, the entries that mean none, and those that mean excluded ones only."""

    ids: frozenset[int]
    unknown: tuple[str, ...]
    excluded: tuple[str, ...] = ()


def list_is_due(ledger: Ledger, read: Iterable[int], now: datetime) -> bool:
    """Whether the list is an hour old, or one of the runs just `read` belongs to a workflow that came after it."""
    listed_at = ledger.workflows_at
    if listed_at is None or not timedelta(0) <= now - listed_at < KEPT:
        return True
    runs = (ledger.runs[run_id].run for run_id in read)
    return any(run.workflow_id not in ledger.workflows and run.created_at > listed_at - CLOCKS_DIFFER for run in runs)


def refresh(github: GitHub, ledger: Ledger, now: datetime) -> None:
    """Read the list of workflows again; a page that has not changed costs no quota. Raises SourceError."""
    pages: list[ListPage] = []
    workflows: dict[int, Workflow] = {}
    remembered = ledger.workflow_pages
    more = True
    while more:
        if len(pages) == MOST_PAGES:
            operation = f"{github.source}: the workflows of {github.settings.repo}"
            remedy = "Is `api_url` the address of a GitHub API? Something on the way may repeat its pages."
            raise SourceError(Kind.OVERSIZED, operation, f"more than {MOST_PAGES} pages", remedy)
        old = remembered[len(pages)] if len(pages) < len(remembered) else None
        page = _read_page(github, len(pages) + 1, old.etag if old else None)
        if page is None and old is not None:
            pages.append(old)
            workflows |= {workflow_id: ledger.workflows[workflow_id] for workflow_id in old.ids}
            more = len(pages) < len(remembered)
        elif page is not None:
            pages.append(ListPage(page.etag, tuple(workflow.id for workflow in page.workflows)))
            workflows |= {workflow.id: workflow for workflow in page.workflows}
            # A total below what is listed is none: the end is then where a page is empty.
            more = bool(page.workflows) and (len(pages) * PER_PAGE < page.total or len(workflows) > page.total)
    ledger.workflow_pages, ledger.workflows, ledger.workflows_at = tuple(pages), workflows, now


def _read_page(github: GitHub, number: int, etag: str | None) -> WorkflowPage | None:
    """None where nothing on the page has changed since `etag`."""
    parameters = {"per_page": str(PER_PAGE), "page": str(number)}
    answer = github.get_of_repo("/actions/workflows", about="the workflows", params=parameters, etag=etag)
    return None if answer.status == 304 else workflow_page(answer)


class Exclusion:
    """The workflows that `exclude_workflows` leaves out of everything: a name, file name, path or id in any case, with
    `*` for any characters."""

    def __init__(self, entries: Sequence[str]) -> None:
        # Not by regular expressions: with several stars they take years on a long name that does not match.
        self._fits = [compile_stars(entry.casefold()) for entry in entries]

    def excludes(self, workflow: Workflow) -> bool:
        return self._matches(workflow.id, workflow.name, workflow.path)

    def excludes_run(self, run: Run, workflows: Mapping[int, Workflow]) -> bool:
        """By the run's workflow, and by what the run says of it where the list has none: that of a ruleset."""
        return self.excludes_named(run.workflow_id, run.name, run.file, workflows)

    def excludes_named(self, workflow_id: int, name: str, file: str, workflows: Mapping[int, Workflow]) -> bool:
        """The same, of a run whose workflow has this name and file where the list does not have it."""
        workflow = workflows.get(workflow_id)
        return self.excludes(workflow) if workflow else self._matches(workflow_id, name, file)

    def _matches(self, workflow_id: int, name: str, path: str) -> bool:
        if not self._fits:
            return False
        names = _names(workflow_id, name, path)
        return any(fits(one) for fits in self._fits for one in names)


def select(workflows: Mapping[int, Workflow], entries: Sequence[str], exclusion: Exclusion) -> Selection:
    """The workflows that `entries` name: by name, file name, path or id, in any case. A name may mean several; one that
    belongs to active workflows does not mean the disabled ones too."""
    ids: set[int] = set()
    unknown: list[str] = []
    excluded: list[str] = []
    for entry in entries:
        meant = [workflow for workflow in workflows.values() if _is_meant(workflow, entry)]
        included = [workflow for workflow in meant if not exclusion.excludes(workflow)]
        chosen = [workflow for workflow in included if workflow.active] or included
        ids.update(workflow.id for workflow in chosen)
        if not chosen:
            (excluded if meant else unknown).append(entry)
    return Selection(frozenset(ids), tuple(unknown), tuple(excluded))


def _is_meant(workflow: Workflow, entry: str) -> bool:
    return workflow.state != "deleted" and entry.casefold() in _names(workflow.id, workflow.name, workflow.path)


def _names(workflow_id: int, name: str, path: str) -> set[str]:
    """What an option may call a workflow."""
    path = path.casefold()
    return {name.strip().casefold(), path, path.rpartition("/")[2], str(workflow_id)}
