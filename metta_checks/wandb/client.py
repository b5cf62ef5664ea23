"""The W&B API: pages of runs in, runs out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

from requests.auth import HTTPBasicAuth

from metta_checks.core import Kind, SourceError
from metta_checks.core.credentials import Credential, Credentials, with_fresh_credential
from metta_checks.core.transport import Answer, ShapeError, Transport
from metta_checks.wandb.blobs import Wanted
from metta_checks.wandb.graphql_errors import GraphQLFault, graphql_fault, is_transient
from metta_checks.wandb.nodes import RUN_BYTES, RunConnection, RunsAnswer, UnknownStateError, run_of
from metta_checks.wandb.query import ORDER, runs_query
from metta_checks.wandb.runs import Run

USER: Final = "api"
"""W&B takes its keys as the password of this user."""

MAX_KEPT_BYTES: Final = 128 * 1024 * 1024
"""What the runs of one project may take in memory: those of 100,000 runs without values, or of 10,000 with 150 each."""


@dataclass(frozen=True, slots=True)
class ProjectPath:
    """Which project of which entity, on which server."""

    entity: str
    name: str
    base_url: str

    def __str__(self) -> str:
        return f"{self.entity}/{self.name}"


@dataclass(frozen=True, slots=True)
class Listing:
    """All runs that matched, each once, by id; `unknown` tells of those whose state this version does not know."""

    runs: dict[str, Run]
    unknown: tuple[str, ...]


class WandbClient:
    """Lists the runs of projects. `page_size` runs a request, at most `max_pages` requests a listing."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        wanted: Wanted,
        run_tags: tuple[str, ...],
        *,
        page_size: int,
        max_pages: int,
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._wanted = wanted
        self._run_tags = run_tags
        self._page_size = page_size
        self._max_pages = max_pages
        self._query = runs_query(summary_keys=wanted.summary_keys, system=wanted.wants_system, extra=run_tags)

    def runs(self, project: ProjectPath, filters: str) -> Listing:
        """Every run of the project that `filters` (W&B's filter language, JSON) matches.

        Raises SourceError when the listing cannot be read to its end: half a listing would count half the runs.
        """
        found: dict[str, Run] = {}
        unknown: dict[str, str] = {}
        cursor: str | None = None
        seen: set[str | None] = {None}
        kept = 0
        for _ in range(self._max_pages):
            answer, page = self._page(project, filters, cursor)
            if len(page.edges) > self._page_size:
                raise _malformed(answer, f"{len(page.edges):,} runs on a page of {self._page_size:,}")
            kept += self._read(page, found, unknown)
            require_room(kept, answer.tried)
            cursor = page.pageInfo.endCursor
            # An empty page that promises more and leads nowhere has been seen live: it is the last one.
            if not page.pageInfo.hasNextPage or (cursor in seen and not page.edges):
                return Listing(found, tuple(unknown.values()))
            if cursor in seen:
                remedy = "The next collection tries again; if it stays, look at W&B's status page."
                raise SourceError(Kind.MALFORMED, answer.tried, "more pages, but the cursor repeats", remedy)
            seen.add(cursor)
        came_back = f"more than {self._max_pages} pages of {self._page_size} runs"
        remedy = "Raise `max_pages` or `page_size`, or shorten `timeframe`."
        raise SourceError(Kind.OVERSIZED, answer.tried, came_back, remedy)

    def _read(self, page: RunConnection, found: dict[str, Run], unknown: dict[str, str]) -> int:
        """Adds the runs of the page, and returns about how many bytes they take."""
        kept = 0
        for edge in page.edges:
            try:
                run = found[edge.node.name] = run_of(edge.node, self._wanted, self._run_tags)
                kept += run.kept_bytes
            except UnknownStateError as error:
                unknown[edge.node.name] = str(error)
                kept += RUN_BYTES + sys.getsizeof(unknown[edge.node.name])
        return kept

    def _page(self, project: ProjectPath, filters: str, cursor: str | None) -> tuple[Answer, RunConnection]:
        variables: dict[str, Any] = {
            "entity": project.entity,
            "project": project.name,
            "filters": filters,
            "order": ORDER,
            "first": self._page_size,
            "after": cursor,
        }
        if self._wanted.summary_keys:
            variables["keys"] = self._wanted.summary_keys
        return with_fresh_credential(
            lambda credential: self._post(project, variables, credential),
            self._credentials.get(),
            self._credentials.renewed,
            _refuses_key,
        )

    def _post(
        self, project: ProjectPath, variables: dict[str, Any], credential: Credential
    ) -> tuple[Answer, RunConnection]:
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

    def _connection(self, answer: Answer) -> RunConnection:
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
        return data.project.runs

    def _error_of(self, answer: Answer, fault: GraphQLFault) -> SourceError:
        remedies = {
            Kind.NOT_FOUND: self._project_remedy(),
            Kind.RATE_LIMITED: "Raise `min_collection_interval`; the next collection tries again.",
            Kind.SERVER_ERROR: "The W&B server has a fault; look at its status page. The next collection tries again.",
            Kind.REJECTED: "W&B refuses the query; look for a newer version of this check.",
        }
        came_back = f'GraphQL error "{fault.message}"'
        return SourceError(fault.kind, answer.tried, came_back, remedies.get(fault.kind, ""), status=answer.status)

    def _project_remedy(self) -> str:
        return "Check `entity` and `project`, and that the key's user may see them."


def require_room(kept_bytes: int, tried: str) -> None:
    """Raises SourceError where the runs of a project take more than `MAX_KEPT_BYTES`."""
    if kept_bytes > MAX_KEPT_BYTES:
        came_back = f"runs that take more than {MAX_KEPT_BYTES // 2**20} MiB of memory"
        remedy = "Shorten `timeframe`, or name fewer `metrics`: a pattern may match very many."
        raise SourceError(Kind.OVERSIZED, tried, came_back, remedy)


def _refuses_key(error: SourceError) -> bool:
    """Whether another key may help. W&B refuses keys with "permission denied" too, not only with a 401."""
    return error.refuses_credential or error.kind is Kind.FORBIDDEN


def _key_remedy(error: SourceError, credential: Credential, project: ProjectPath) -> str:
    origin = f"The key came from {credential.origin}"
    if error.kind is Kind.FORBIDDEN:
        return f"{origin}: it may not read this project; use one of a member of the entity."
    return f"{origin}: check that it is whole, valid and for {project.base_url}."


def _malformed(answer: Answer, came_back: str) -> SourceError:
    remedy = "Check `base_url`: another service may answer there, or a newer W&B than this version knows."
    return SourceError(Kind.MALFORMED, answer.tried, came_back, remedy, status=answer.status)
