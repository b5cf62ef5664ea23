"""The W&B API: pages of runs in, runs out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from requests.auth import HTTPBasicAuth

from metta_checks.core import Kind, SourceError
from metta_checks.core.credentials import Credential, Credentials, with_fresh_credential
from metta_checks.core.transport import Answer, ShapeError, Transport
from metta_checks.wandb.api_models import RunConnection, RunsAnswer, UnknownStateError, run_of
from metta_checks.wandb.blobs import SummarySelection
from metta_checks.wandb.graphql_errors import GraphQLFault, graphql_fault, is_transient, kind_of_text
from metta_checks.wandb.models import Run
from metta_checks.wandb.query import DISPENSABLE, ORDER, runs_query

USER: Final = "api"
"""W&B takes its keys as the password of this user."""

SECOND_TRY: Final = 0.25
"""The share of a collection's time that has to be left for asking again what took too long."""

_UNKNOWN_NAME: Final = re.compile(
    r"(?:cannot query field|(?:unknown|undefined) (?:argument|field))\W{1,4}(\w+)"
    r"|field\W{1,4}(\w+)\W{1,4}is not defined",
    re.IGNORECASE,
)
"""The field or argument that a GraphQL server does not have, in the words of the common implementations."""


@dataclass(frozen=True, slots=True)
class ProjectPath:
    """Which project of which entity, on which server."""

    entity: str
    name: str
    base_url: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"


@dataclass(frozen=True, slots=True)
class RunListing:
    """All runs that matched, each once, by id; `unknown` tells of those whose state this version does not know.

    `warnings` say what the server could not give.
    """

    runs: dict[str, Run]
    unknown: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class _Listed(NamedTuple):
    """One page, and W&B's count of all runs that match."""

    runs: RunConnection
    total: int | None


@dataclass(slots=True)
class _PageSize:
    """How many runs a request asks a project for: `most`, or fewer where that was too much; `worked` is the last size
    that was not."""

    most: int
    size: int
    worked: int = 0

    def shrink(self) -> bool:
        """Whether there is a smaller size to try."""
        if self.size == 1:
            return False
        self.size = self.worked if 0 < self.worked < self.size else max(1, self.size // 4)
        return True

    def grow(self) -> None:
        """Try more again: what made pages too large or too slow may be gone."""
        self.size = min(self.most, 2 * self.size)


@dataclass(slots=True)
class _Pages:
    """What the pages of one listing gave. `expected` is W&B's own count of the runs, None where it has none."""

    found: dict[str, Run] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    number: int = 0
    rows: int = 0
    expected: int | None = None

    @property
    def distinct(self) -> int:
        return len(self.found.keys() | self.unknown.keys())

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost at the seam of two pages, where rows may move while they are read (wandb#6614)."""
        if self.number == 1:
            return True
        return self.distinct == self.rows if self.expected is None else self.distinct >= self.expected


class WandbClient:
    """Lists the runs of projects. `page_size` runs a request, at most `max_pages` requests a listing."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        wanted: SummarySelection,
        run_tags: tuple[str, ...],
        completed_tags: tuple[str, ...] = (),
        *,
        page_size: int,
        max_pages: int,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._wanted = wanted
        self._run_tags = run_tags
        self._completed_tags = completed_tags
        self._page_size = page_size
        self._max_pages = max_pages
        self._sizes: dict[str, _PageSize] = {}
        self._left_out: dict[str, str] = {}
        self._query = self._new_query()

    def runs(self, project: ProjectPath, filters: str, *, full: bool = False) -> RunListing:
        """Every run of the project that `filters` (W&B's filter language, JSON) matches.

        A page that is too large or takes too long is asked for in smaller pages, and the size that worked is kept; a
        `full` listing tries a larger one again. A listing that lost a run between two pages is read once more. A field
        that the server does not have is left out from then on where the check can do without it.

        Raises SourceError when the listing cannot be read to its end: half a listing would count half the runs.
        """
        if full:
            self._size_of(project).grow()
        pages = self._pages(project, filters)
        lost = ""
        if not pages.is_whole:
            again = self._pages(project, filters)
            # What only one of the two has may have been lost by the other.
            again.found = pages.found | again.found
            again.unknown = pages.unknown | again.unknown
            pages = again
            if pages.expected is not None and not pages.is_whole:
                lost = f"W&B counts {pages.expected:,} runs of project {project}, and lists {pages.distinct:,} of them"
        warnings = (*self._left_out.values(), *((lost,) if lost else ()))
        return RunListing(pages.found, tuple(pages.unknown.values()), warnings)

    def _pages(self, project: ProjectPath, filters: str) -> _Pages:
        pages = _Pages()
        cursor: str | None = None
        seen: set[str | None] = {None}
        requested = 0
        while requested < self._max_pages * self._page_size:
            answer, listed = self._page(project, filters, cursor)
            requested += self._size_of(project).size
            page = listed.runs
            self._read(page, pages)
            pages.expected = listed.total
            cursor = page.pageInfo.endCursor
            # An empty page that promises more and leads nowhere has been seen live: it is the last one.
            if not page.pageInfo.hasNextPage or (cursor in seen and not page.edges):
                return pages
            if cursor in seen:
                remedy = "The next collection tries again; if it stays, look at W&B's status page."
                raise SourceError(Kind.MALFORMED, answer.tried, "more pages, but the cursor repeats", remedy)
            seen.add(cursor)
        came_back = f"more than {self._max_pages} pages of {self._page_size} runs"
        remedy = "Raise `max_pages` or `page_size`, or shorten `timeframe`."
        raise SourceError(Kind.OVERSIZED, answer.tried, came_back, remedy)

    def _read(self, page: RunConnection, pages: _Pages) -> None:
        pages.number += 1
        pages.rows += len(page.edges)
        for edge in page.edges:
            node = edge["node"]
            try:
                run = run_of(node, self._wanted, self._run_tags, self._completed_tags)
                pages.found[run.id] = run
            except UnknownStateError as error:
                pages.unknown[node["name"]] = str(error)

    def _page(self, project: ProjectPath, filters: str, cursor: str | None) -> tuple[Answer, _Listed]:
        """One page, in the largest size that the server and `max_response_bytes` can take."""
        size = self._size_of(project)
        while True:
            try:
                page = self._request(project, filters, cursor, size.size)
            except SourceError as error:
                if self._leave_out(error):
                    continue
                slow = error.kind is Kind.TIMED_OUT
                if not (slow or _is_too_large(error)) or not size.shrink():
                    raise
                if slow and self._transport.time_left < SECOND_TRY:
                    raise
            else:
                size.worked = size.size
                return page

    def _leave_out(self, error: SourceError) -> bool:
        """Whether the server refused the query for a field, or an argument, that it can now be asked without."""
        refused = _UNKNOWN_NAME.search(error.came_back) if error.kind is Kind.REJECTED else None
        name = (refused[1] or refused[2]) if refused else ""
        if name not in DISPENSABLE or name in self._left_out:
            return False
        self._left_out[name] = f"the W&B server has no `{name}`, so {DISPENSABLE[name]}: it may be an older version"
        self._query = self._new_query()
        return True

    def _new_query(self) -> str:
        wanted = self._wanted
        return runs_query(
            summary_keys=wanted.summary_keys,
            extra=(*self._run_tags, *self._completed_tags),
            without=self._left_out.keys(),
        )

    def _size_of(self, project: ProjectPath) -> _PageSize:
        return self._sizes.setdefault(str(project), _PageSize(self._page_size, self._page_size))

    def _request(self, project: ProjectPath, filters: str, cursor: str | None, size: int) -> tuple[Answer, _Listed]:
        variables: dict[str, Any] = {
            "entity": project.entity,
            "project": project.name,
            "filters": filters,
            "order": ORDER,
            "first": size,
            "after": cursor,
        }
        if self._wanted.summary_keys and "keys" not in self._left_out:
            variables["keys"] = self._wanted.summary_keys
        return with_fresh_credential(
            lambda credential: self._post(project, variables, credential),
            self._credentials.get(),
            self._credentials.renewed,
            _refuses_key,
        )

    def _post(self, project: ProjectPath, variables: dict[str, Any], credential: Credential) -> tuple[Answer, _Listed]:
        try:
            answer = self._transport.send(
                "POST",
                f"{project.base_url}/graphql",
                about=f"project {project}",
                auth=HTTPBasicAuth(USER, credential.value.encode()),
                json={"query": self._query, "variables": variables},
                is_transient=is_transient,
            )
            return answer, self._connection(answer)
        except SourceError as error:
            if _refuses_key(error):
                raise error.with_remedy(_key_remedy(error, credential, project)) from None
            raise

    def _connection(self, answer: Answer) -> _Listed:
        if (fault := graphql_fault(answer)) is not None:
            raise self._error_of(answer, fault)
        try:
            parsed = answer.model(RunsAnswer, with_blobs=True)
        except ShapeError as error:
            raise _malformed(answer, str(error)) from None
        data = parsed.data
        if data is None:
            raise _malformed(answer, "data: nothing, and no error that says why")
        if data.project is None and data.viewer is None:
            # W&B answers a wrong key with HTTP 200 and nulls where it answers at all.
            raise SourceError(Kind.UNAUTHORISED, answer.tried, "W&B knows no user for this key", "")
        if data.project is None:
            raise SourceError(Kind.NOT_FOUND, answer.tried, "W&B has no such project", self._project_remedy())
        if data.project.runs is None:
            raise _malformed(answer, "data.project.runs: nothing, and no error that says why")
        return _Listed(data.project.runs, data.project.runCount)

    def _error_of(self, answer: Answer, fault: GraphQLFault) -> SourceError:
        remedies = {
            Kind.NOT_FOUND: self._project_remedy(),
            Kind.RATE_LIMITED: "Raise `min_collection_interval`; the next collection tries again.",
            Kind.OVERSIZED: "Lower `page_size`.",
            Kind.SERVER_ERROR: "The W&B server has a fault; look at its status page. The next collection tries again.",
            Kind.REJECTED: "W&B refuses the query; look for a newer version of this check.",
        }
        came_back = f'GraphQL error "{fault.message}"'
        return SourceError(fault.kind, answer.tried, came_back, remedies.get(fault.kind, ""), status=answer.status)

    def _project_remedy(self) -> str:
        return "Check `entity` and `project`, and that the key's user may see them."


def _refuses_key(error: SourceError) -> bool:
    """Whether another key may help. W&B refuses keys with "permission denied" too, not only with a 401."""
    return error.refuses_credential or error.kind is Kind.FORBIDDEN


def _is_too_large(error: SourceError) -> bool:
    """Whether a smaller page may help. Some servers refuse a query as too complex with an HTTP 400."""
    return error.kind is Kind.OVERSIZED or (
        error.kind is Kind.REJECTED and kind_of_text(error.came_back) is Kind.OVERSIZED
    )


def _key_remedy(error: SourceError, credential: Credential, project: ProjectPath) -> str:
    origin = f"The key came from {credential.origin}"
    if error.kind is Kind.FORBIDDEN:
        return f"{origin}: it may not read this project; use one of a member of the entity."
    return f"{origin}: check that it is whole, valid and for {project.base_url}."


def _malformed(answer: Answer, came_back: str) -> SourceError:
    remedy = "Check `base_url`: another service may answer there, or a newer W&B than this version knows."
    return SourceError(Kind.MALFORMED, answer.tried, came_back, remedy, status=answer.status)
