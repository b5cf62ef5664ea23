"""The repository's workflows, the files that they are, and which of them an option means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from pydantic import TypeAdapter

from metta_checks.ci.advice import advised_for_tree
from metta_checks.ci.api_models import Text, WorkflowPage, branch_name, file_names, repository, workflow_page
from metta_checks.ci.client import GitHub
from metta_checks.ci.graphql import Data, GraphQLModel, QueryField, parse_alone
from metta_checks.ci.ledger import FileNames, ListingPage, WorkflowList
from metta_checks.ci.models import WORKFLOW_FOLDER, RepositoryName, Workflow, WorkflowRun, folded
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.patterns import compile_stars

LIST_KEPT: Final = timedelta(hours=1)
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


class Exclusion:
    """The workflows that `exclude_workflows` leaves out of everything: a name, file name, path or id in any case, with
    `*` for any characters."""

    def __init__(self, entries: Sequence[str]) -> None:
        # Not by regular expressions: with several stars they take years on a long name that does not match.
        self._fits = [compile_stars(folded(entry)) for entry in entries]

    def excludes(self, workflow: Workflow) -> bool:
        return self._matches(workflow.id, workflow.name, workflow.path)

    def excludes_run(self, run: WorkflowRun, workflows: Mapping[int, Workflow]) -> bool:
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


class Workflows:
    """The repository's workflows as of one collection; `state` is the list by now."""

    def __init__(self, github: GitHub, before: WorkflowList, now: datetime) -> None:
        self.state = before
        self._github = github
        self._now = now
        self._exclusion = Exclusion(github.settings.exclude_workflows)

    @property
    def known(self) -> Mapping[int, Workflow]:
        """All workflows by id, excluded ones too."""
        return self.state.by_id

    @property
    def included(self) -> dict[int, Workflow]:
        """Those that are not excluded."""
        return {one: workflow for one, workflow in self.known.items() if not self._exclusion.excludes(workflow)}

    @property
    def lists(self) -> dict[str, Selection]:
        """By metric, the workflows that its option lists."""
        lists = self._github.settings.lists
        return {metric: select(self.known, entries, self._exclusion) for metric, entries in lists.items()}

    def counts(self, run: WorkflowRun) -> bool:
        """Whether the run is one of the repository's own branch, of a workflow that is not excluded."""
        return run.from_this_repo and not self._exclusion.excludes_run(run, self.known)

    def is_due(self, read: Iterable[WorkflowRun]) -> bool:
        """Whether the list is an hour old, or one of the runs just `read` belongs to a workflow that came after it."""
        listed_at = self.state.listed_at
        if listed_at is None or not timedelta(0) <= self._now - listed_at < LIST_KEPT:
            return True
        return any(run.workflow_id not in self.known and run.created_at > listed_at - CLOCKS_DIFFER for run in read)

    def take_states(self, states: Mapping[int, Workflow]) -> None:
        """Names and states that GraphQL gave."""
        self.state = replace(self.state, by_id={**self.known, **states})

    def refresh(self) -> None:
        """Read the list again; a page that has not changed costs no quota. Raises SourceError, and keeps the list then
        as it is."""
        github, remembered = self._github, self.state.pages
        pages: list[ListingPage] = []
        workflows: dict[int, Workflow] = {}
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
                workflows |= {workflow_id: self.known[workflow_id] for workflow_id in old.ids}
                more = len(pages) < len(remembered)
            elif page is not None:
                pages.append(ListingPage(page.etag, tuple(workflow.id for workflow in page.workflows)))
                workflows |= {workflow.id: workflow for workflow in page.workflows}
                # A total below what is listed is none: the end is then where a page is empty.
                more = bool(page.workflows) and (len(pages) * PER_PAGE < page.total or len(workflows) > page.total)
        self.state = WorkflowList(workflows, tuple(pages), self._now)


def _read_page(github: GitHub, number: int, etag: str | None) -> WorkflowPage | None:
    """None where nothing on the page has changed since `etag`."""
    parameters = {"per_page": str(PER_PAGE), "page": str(number)}
    answer = github.get_of_repo("/actions/workflows", about="the workflows", params=parameters, etag=etag)
    return None if answer.status == 304 else workflow_page(answer)


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
    return workflow.state != "deleted" and folded(entry) in _names(workflow.id, workflow.name, workflow.path)


def _names(workflow_id: int, name: str, path: str) -> set[str]:
    """What an option may call a workflow."""
    path = folded(path)
    return {folded(name).strip(), path, path.rpartition("/")[2], str(workflow_id)}


ALIAS: Final = "tree"
FILES_KEPT: Final = timedelta(hours=1)
"""How long REST's answer is used. An anonymous caller's quota counts a 304 too."""


class WorkflowFiles:
    """The files as of one collection. `fields` go along with the other questions and `read_answer` reads their answer;
    `read_by_rest` is for where GraphQL has none. `state` has their names, `problem` says why they are not known."""

    def __init__(self, github: GitHub, workflows: Workflows, before: FileNames, now: datetime) -> None:
        self.state = before
        self.problem: SourceError | None = None
        self._github = github
        self._settings = github.settings
        self._workflows = workflows
        self._now = now
        self._is_read = False

    def fields(self) -> list[QueryField]:
        """What is to be asked; nothing where no workflow is a file."""
        if not self._are_needed:
            return []
        owner, _, repo = self._settings.repo.partition("/")
        expression = f"{self._settings.branch}:{WORKFLOW_FOLDER.rstrip('/')}"
        variables = {"owner": ("String!", owner), "repo": ("String!", repo), ALIAS: ("String!", expression)}
        text = f"object(expression: ${ALIAS}) {{ ... on Tree {{ entries {{ name }} }} }}"
        return [QueryField(ALIAS, f"{ALIAS}: repository(owner: $owner, name: $repo) {{ {text} }}", variables)]

    def read_answer(self, data: Data) -> None:
        """Read the answer to `fields`."""
        if not self._are_needed:
            return
        operation = f"{self._github.source}: POST {self._settings.graphql_url} for {WORKFLOW_FOLDER} of {self._place}"
        try:
            self.state = replace(self.state, names=tree_names(data, ALIAS, operation=operation))
            self._is_read = True
        except SourceError as error:
            self._fail(error)

    def read_by_rest(self) -> None:
        """A folder that is not there is a 404: the branch was read already."""
        if not self._are_needed:
            return
        known, now = self.state, self._now
        if known.names is not None and known.read_at is not None and timedelta(0) <= now - known.read_at < FILES_KEPT:
            self._is_read = True
            return
        path, about = f"/contents/{WORKFLOW_FOLDER.rstrip('/')}", f"{WORKFLOW_FOLDER} of {self._place}"
        etag = known.etag if known.names is not None else None
        try:
            answer = self._github.get_of_repo(path, about=about, params={"ref": self._settings.branch}, etag=etag)
            if answer.status == 304:
                self.state = replace(known, read_at=now)
            else:
                self.state = FileNames(file_names(answer), answer.headers.get("etag"), now)
        except SourceError as error:
            if error.kind is not Kind.NOT_FOUND:
                self._fail(error)
                return
            self.state = FileNames(frozenset(), None, now)
        self._is_read = True

    def exists(self, workflow: Workflow) -> bool:
        """Whether the workflow is active and its file is there; what is no file of the folder needs none. Where the
        files are not known, or not yet, every active one may exist."""
        return _exists_among(workflow, self.state.names if self._is_read else None)

    def existed(self, workflow: Workflow) -> bool:
        """The same, by the files that are known from before."""
        return _exists_among(workflow, self.state.names)

    @property
    def _are_needed(self) -> bool:
        return any(one.active and one.path.startswith(WORKFLOW_FOLDER) for one in self._workflows.known.values())

    @property
    def _place(self) -> str:
        return f"{self._settings.branch} of {self._settings.repo}"

    def _fail(self, error: SourceError) -> None:
        self.problem = advised_for_tree(error, self._settings)
        self.state = FileNames()


def _exists_among(workflow: Workflow, files: frozenset[str] | None) -> bool:
    path = workflow.path
    is_file = path.startswith(WORKFLOW_FOLDER)
    return workflow.active and (files is None or not is_file or path.removeprefix(WORKFLOW_FOLDER) in files)


def default_in_place_of_missing(github: GitHub) -> tuple[RepositoryName, str | None]:
    """The repository's present name, which otherwise comes with its runs, and its default branch where the watched one
    does not exist; None where it does. Raises SourceError."""
    branch = github.settings.branch
    found = repository(github.get_of_repo("", about="the default branch"))
    is_there = branch == found.default_branch or _exists(github, branch)
    return RepositoryName(found.full_name, found.html_url), None if is_there else found.default_branch


def _exists(github: GitHub, branch: str) -> bool:
    try:
        answer = github.get_of_repo(f"/branches/{quote(branch, safe='')}", about=f"the branch {branch}")
    except SourceError as error:
        if error.kind is Kind.NOT_FOUND:
            return False
        raise
    # GitHub redirects from the old name of a branch that was renamed, and lists no runs under it.
    return branch_name(answer) == branch


class _Entry(GraphQLModel):
    name: Text


class _Tree(GraphQLModel):
    # Missing where the folder's name is that of a file, which has no entries.
    entries: tuple[_Entry, ...] = ()


class _WithTree(GraphQLModel):
    object: _Tree | None


_TREE: Final = TypeAdapter(_WithTree)


def tree_names(data: Data, alias: str, *, operation: str) -> frozenset[str]:
    """The names in a folder of the repository; none where there is no such folder. Raises SourceError."""
    tree = parse_alone(data, alias, _TREE, operation).object
    return frozenset(entry.name for entry in tree.entries) if tree else frozenset()
