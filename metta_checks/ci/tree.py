"""The files in `.github/workflows` of the watched branch: GitHub goes on listing workflows whose file is gone, as
active, for months (https://github.com/orgs/community/discussions/26256)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from metta_checks.ci.advice import advised_for_tree
from metta_checks.ci.client import GitHub
from metta_checks.ci.graphql import Data, QueryField
from metta_checks.ci.ledger import Ledger
from metta_checks.ci.records import WORKFLOW_FOLDER, Workflow
from metta_checks.ci.reply import tree_names
from metta_checks.ci.wire import file_names
from metta_checks.core.errors import Kind, SourceError

ALIAS: Final = "tree"
KEPT: Final = timedelta(hours=1)
"""How long REST's answer is used. An anonymous caller's quota counts a 304 too."""


class WorkflowFiles:
    """The files as of one collection, in the ledger. `fields` go along with the other questions and `take` reads their
    answer; `read_by_rest` is for where GraphQL has none. `problem` says why they are not known."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime) -> None:
        self.problem: SourceError | None = None
        self._github = github
        self._settings = github.settings
        self._ledger = ledger
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

    def take(self, data: Data) -> None:
        """Read the answer to `fields`."""
        if not self._are_needed:
            return
        operation = f"{self._github.source}: POST {self._settings.graphql_url} for {WORKFLOW_FOLDER} of {self._place}"
        try:
            self._ledger.files = tree_names(data, ALIAS, operation=operation)
            self._is_read = True
        except SourceError as error:
            self._fail(error)

    def read_by_rest(self) -> None:
        """A folder that is not there is a 404: the branch was read already."""
        ledger = self._ledger
        if not self._are_needed:
            return
        if ledger.files is not None and ledger.files_at is not None and self._now - ledger.files_at < KEPT:
            self._is_read = True
            return
        etag = ledger.files_etag if ledger.files is not None else None
        path, about = f"/contents/{WORKFLOW_FOLDER.rstrip('/')}", f"{WORKFLOW_FOLDER} of {self._place}"
        try:
            answer = self._github.get_of_repo(path, about=about, params={"ref": self._settings.branch}, etag=etag)
            if answer.status != 304:
                ledger.files, ledger.files_etag = file_names(answer), answer.headers.get("etag")
        except SourceError as error:
            if error.kind is not Kind.NOT_FOUND:
                self._fail(error)
                return
            ledger.files, ledger.files_etag = frozenset(), None
        ledger.files_at = self._now
        self._is_read = True

    def exists(self, workflow: Workflow) -> bool:
        """Whether the workflow is active and its file is there; what is no file of the folder needs none. Where the
        files are not known, or not yet, every active one may exist."""
        files = self._ledger.files if self._is_read else None
        path = workflow.path
        is_file = path.startswith(WORKFLOW_FOLDER)
        return workflow.active and (files is None or not is_file or path.removeprefix(WORKFLOW_FOLDER) in files)

    @property
    def _are_needed(self) -> bool:
        return any(one.active and one.path.startswith(WORKFLOW_FOLDER) for one in self._ledger.workflows.values())

    @property
    def _place(self) -> str:
        return f"{self._settings.branch} of {self._settings.repo}"

    def _fail(self, error: SourceError) -> None:
        self.problem = advised_for_tree(error, self._settings)
        self._ledger.files, self._ledger.files_etag, self._ledger.files_at = None, None, None
