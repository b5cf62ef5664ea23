"""The W&B API: requests for pages of runs and for the list of projects, and what its refusals mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from requests.auth import HTTPBasicAuth

from metta_checks.core import Kind, SourceError
from metta_checks.core.credentials import Credential, Credentials, with_fresh_credential
from metta_checks.core.discovery import ListPage
from metta_checks.core.transport import Response, ShapeError, Transport
from metta_checks.wandb.api_models import (
    BatchData,
    BatchResponse,
    ErrorsResponse,
    NamesResponse,
    Project,
    RunConnection,
    RunReader,
    RunsResponse,
)
from metta_checks.wandb.graphql_errors import GraphQLFault, graphql_faults, is_transient, run_faults, worst
from metta_checks.wandb.models import ProjectPath
from metta_checks.wandb.query import ALIAS, DISPENSABLE, NAMES_A_PAGE, ORDER, PROJECTS, runs_query

USER: Final = "api"
"""W&B takes its keys as the password of this user."""

WITHOUT_SUMMARIES: Final = -1
"""In place of the number of projects in a query: one, whose runs come without their summaries."""

M = TypeVar("M", bound=ErrorsResponse)

_UNKNOWN_NAME: Final = re.compile(
    r"(?:cannot query field|(?:unknown|undefined) (?:argument|field))\W{1,4}(\w+)"
    r"|field\W{1,4}(\w+)\W{1,4}(?:(?:in|on) type \W?\w+\W? is undefined"
    r"|is (?:not defined|undefined)|not found in type|doesn't exist on|does not exist on)",
    re.IGNORECASE,
)
"""The field or argument that a GraphQL server does not have, in the words of the common implementations."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page to ask for: the first `first` runs behind the cursor `after` that `filters` (W&B's filter language, JSON)
    matches; without their summaries unless `summaries`."""

    project: ProjectPath
    filters: str
    first: int
    after: str | None = None
    summaries: bool = True

    def variables(self, part: str = "") -> dict[str, Any]:
        values = {"project": self.project.name, "filters": self.filters, "first": self.first, "after": self.after}
        return {f"{name}{part}": value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class PageOfRuns:
    """One page of runs, W&B's own count of all that match (None where it has none), and the request in messages.

    `faults` gives, by row and field, the reason for what the server could not read of single runs.
    """

    runs: RunConnection
    total: int | None
    operation: str
    faults: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


class WandbClient:
    """Asks the API. A key that is refused is looked up anew; a field that the server does not have is left out from
    then on where the check can do without it, and `warnings` says what follows."""

    def __init__(self, transport: Transport, credentials: Credentials, reader: RunReader) -> None:
        self._transport = transport
        self._credentials = credentials
        self._keys = reader.selection.summary_keys
        self._extra = (*reader.run_tags, *reader.completed_tags)
        self._left_out: dict[str, str] = {}
        self._queries: dict[int, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server cannot give."""
        return tuple(self._left_out.values())

    @property
    def time_left(self) -> float:
        """The share of the collection's time that is left, from 1 down to 0."""
        return self._transport.time_left

    def page(self, request: PageRequest) -> PageOfRuns:
        """One page of one project. Raises SourceError."""
        project = request.project
        query = 0 if request.summaries else WITHOUT_SUMMARIES
        response, parsed = self._ask(project, f"project {project}", query, request.variables(), RunsResponse)
        faults = run_faults(response, parsed, "project")
        return _page_of(parsed.data.project if parsed.data else None, response.operation, faults)

    def pages(self, requests: Sequence[PageRequest]) -> list[PageOfRuns | SourceError]:
        """A page of each of several projects of one entity, in one request; an error for each that has none.

        Raises SourceError where nothing in the response can be used.
        """
        variables: dict[str, Any] = {}
        for number, request in enumerate(requests):
            variables |= request.variables(str(number))
        project = requests[0].project
        about = f"{len(requests)} projects of entity {project.entity}"
        response, parsed = self._ask(project, about, len(requests), variables, BatchResponse)
        faults, projects = graphql_faults(response, parsed), parsed.data.projects if parsed.data else {}
        pages: list[PageOfRuns | SourceError] = []
        for number, request in enumerate(requests):
            alias = f"{ALIAS}{number}"
            operation = response.operation.replace(about, f"project {request.project}")
            try:
                if alias in faults:
                    raise _error_of(operation, faults[alias], response.status)
                pages.append(_page_of(projects.get(alias), operation, run_faults(response, parsed, alias)))
            except SourceError as error:
                pages.append(error)
        return pages

    def project_names(self, base_url: str, entity: str, cursor: str | None) -> ListPage:
        """One page of the list of the entity's projects. Raises SourceError."""
        variables = {"first": NAMES_A_PAGE, "after": cursor}
        where = ProjectPath(entity, "", base_url)
        response, parsed = self._ask(where, f"the projects of entity {entity}", PROJECTS, variables, NamesResponse)
        models = parsed.data.models if parsed.data else None
        if models is None:
            remedy = "Check `entity`, and that the key's user may see it."
            raise SourceError(Kind.NOT_FOUND, response.operation, "W&B has no such entity", remedy)
        page = models.pageInfo
        names = dict.fromkeys((edge.node.name for edge in models.edges), "")
        return ListPage(names, (page.endCursor or "") if page.hasNextPage else None)

    def _ask(
        self, project: ProjectPath, about: str, query: int | str, variables: Mapping[str, Any], model: type[M]
    ) -> tuple[Response, M]:
        """The response to the runs query of so many projects (0: one, without an alias; `WITHOUT_SUMMARIES`), or to
        another query."""
        while True:
            try:
                text = query if isinstance(query, str) else self._runs_query(query)
                values = {"entity": project.entity, **variables}
                if not isinstance(query, str):
                    values["order"] = ORDER
                    if self._keys and "keys" not in self._left_out and query != WITHOUT_SUMMARIES:
                        values["keys"] = self._keys
                sent = {"query": text, "variables": values}
                return with_fresh_credential(
                    lambda credential: self._post(project, about, sent, credential, model),  # noqa: B023 (called now)
                    self._credentials.get(),
                    self._credentials.refresh,
                    _refuses_key,
                )
            except SourceError as error:
                if not self._leave_out(error):
                    raise

    def _runs_query(self, parts: int) -> str:
        if parts not in self._queries:
            keys = () if parts == WITHOUT_SUMMARIES else self._keys
            self._queries[parts] = runs_query(
                summary_keys=keys, extra=self._extra, without=self._left_out.keys(), parts=max(0, parts)
            )
        return self._queries[parts]

    def _leave_out(self, error: SourceError) -> bool:
        """Whether the server refused the query for a field, or an argument, that it can now be asked without."""
        refused = _UNKNOWN_NAME.search(error.detail) if error.kind is Kind.REJECTED else None
        name = (refused[1] or refused[2]) if refused else ""
        if name not in DISPENSABLE or name in self._left_out:
            return False
        self._left_out[name] = f"the W&B server has no `{name}`, so {DISPENSABLE[name]}: it may be an older version"
        self._queries.clear()
        return True

    def _post(
        self, project: ProjectPath, about: str, sent: Mapping[str, Any], credential: Credential, model: type[M]
    ) -> tuple[Response, M]:
        try:
            response = self._transport.send(
                "POST",
                f"{project.base_url}/graphql",
                about=about,
                auth=HTTPBasicAuth(USER, credential.value.encode()),
                json=sent,
                is_transient=is_transient,
            )
            return response, _parsed(response, model)
        except SourceError as error:
            if _refuses_key(error):
                raise error.with_remedy(_key_remedy(error, credential, project)) from None
            raise


def _parsed(response: Response, model: type[M]) -> M:
    """The response as `model`. Raises SourceError for another shape, and for an error that is not one part's alone."""
    problem: str | None = None
    try:
        parsed = response.model(model, with_blobs=True)
    except ShapeError as error:
        problem = str(error)
        parsed = None
    # Beside an error the data may have any shape.
    if parsed is None or parsed.reported:
        faults: Mapping[str, GraphQLFault] = graphql_faults(response, parsed)
        if isinstance(parsed, BatchResponse) and parsed.data is not None:
            faults = _of_all(faults, parsed.data)
        if faults:
            raise _error_of(response.operation, worst(faults.values()), response.status)
    if parsed is None:
        raise _malformed(response.operation, problem or "")
    if parsed.data is None:
        raise _malformed(response.operation, "`data` is null, and no error explains it")
    if parsed.data.viewer is None and not parsed.data.shows:
        # W&B responds to a wrong key with HTTP 200 and nulls, if it responds at all.
        raise SourceError(Kind.UNAUTHORISED, response.operation, "W&B has no user for this key", "")
    return parsed


def _of_all(faults: Mapping[str, GraphQLFault], data: BatchData) -> Mapping[str, GraphQLFault]:
    """The faults of a batch that are not one project's alone: a refusal of every project is one of the key."""
    refusals = {Kind.UNAUTHORISED, Kind.FORBIDDEN}
    if not data.shows and {fault.kind for fault in faults.values()} <= refusals:
        return faults
    return {field: fault for field, fault in faults.items() if field not in data.projects}


def _page_of(project: Project | None, operation: str, faults: Mapping[int, Mapping[str, str]]) -> PageOfRuns:
    if project is None:
        raise SourceError(Kind.NOT_FOUND, operation, "W&B has no such project", PROJECT_REMEDY)
    if project.runs is None:
        raise _malformed(operation, "`data.project.runs` is null, and no error explains it")
    return PageOfRuns(project.runs, project.runCount, operation, faults)


PROJECT_REMEDY: Final = "Check `entity` and `project`, and that the key's user may see them."

_REMEDIES: Final[Mapping[Kind, str]] = {
    Kind.NOT_FOUND: PROJECT_REMEDY,
    Kind.FORBIDDEN: "The key's user is not allowed to read this project: use the key of a member of the entity.",
    Kind.UNAUTHORISED: "Check that the key is whole and valid for this server.",
    Kind.RATE_LIMITED: "Raise `min_collection_interval`; the next collection tries again.",
    Kind.OVERSIZED: "Lower `page_size`.",
    Kind.SERVER_ERROR: "The W&B server has a fault; look at its status page. The next collection tries again.",
    Kind.REJECTED: "W&B refuses the query; look for a newer version of this check.",
}


def _error_of(operation: str, fault: GraphQLFault, status: int) -> SourceError:
    detail = f'GraphQL error "{fault.message}"'
    return SourceError(fault.kind, operation, detail, _REMEDIES.get(fault.kind, ""), status=status)


def _refuses_key(error: SourceError) -> bool:
    """Whether another key may help. W&B refuses keys with "permission denied" too, not only with a 401."""
    return error.refuses_credential or error.kind is Kind.FORBIDDEN


def _key_remedy(error: SourceError, credential: Credential, project: ProjectPath) -> str:
    origin = f"The key came from {credential.origin}"
    if error.kind is Kind.FORBIDDEN:
        return f"{origin}: it is not allowed to read this project; use one of a member of the entity."
    return f"{origin}: check that it is whole, valid and for {project.base_url}."


def _malformed(operation: str, detail: str) -> SourceError:
    remedy = "Check `base_url`: another service may respond there, or a newer W&B than this version supports."
    return SourceError(Kind.MALFORMED, operation, detail, remedy, status=200)
