"""GitHub's REST answers, parsed at the door."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from metta_checks.ci.models import QueuedRun, QueuePage, RepositoryName, Workflow, WorkflowJob, WorkflowRun, file_of
from metta_checks.core.clock import in_utc
from metta_checks.core.decode import first_problem
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.transport import Response, ShapeError

ModelT = TypeVar("ModelT", bound=BaseModel)


_NEXT = re.compile(r"""\brel\s*=\s*["']?next\b""", re.IGNORECASE)
"""In a header `Link`; proxies write it anew, and the quotes may be missing (RFC 8288)."""

MOST_ATTEMPTS: Final = 1_000
"""A run may be run again fifty times; what is remembered of a run grows with its attempts."""

MOST_LISTED: Final = 200
"""Twice what GitHub lists on a page, of whatever: one that has each entry twice is seen through. What is remembered
grows with what a page may hold."""

MAX_TEXT: Final = 500
"""Characters of a name that are kept: a file's name has 255 at most, and runs are remembered for days."""

Text = Annotated[str, AfterValidator(lambda text: text[:MAX_TEXT])]
"""A name. It is cut rather than refused, so that one long name does not blind the check."""

Reference = Annotated[str, Field(max_length=MAX_TEXT)]
"""What is sent back to GitHub as it came, such as a node id or a cursor."""

Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""An id or a count; none of GitHub's has more than 64 bits, and what has many more is no float either."""


class RunPage(NamedTuple):
    """One page of a listing of runs, newest first. `total` counts the matching runs; GitHub stops counting somewhere
    above the thousand that it lists. `has_next`: it links to another page, also where it is not full. `repository` is
    None where the page is empty. `invalid` says of runs that cannot be read what is wrong with each; `total` does not
    count them."""

    runs: tuple[WorkflowRun, ...]
    total: int
    etag: str | None
    repository: RepositoryName | None
    has_next: bool = False
    invalid: tuple[str, ...] = ()


class WorkflowPage(NamedTuple):
    workflows: tuple[Workflow, ...]
    total: int
    etag: str | None


class JobPage(NamedTuple):
    """One page of the jobs of an attempt. `total` counts all of them."""

    jobs: tuple[WorkflowJob, ...]
    total: int


def job_page(answer: Response, run_id: int) -> JobPage:
    parsed = _parse(answer, _Jobs)
    return JobPage(tuple(_job(job, run_id) for job in parsed.jobs), parsed.total_count)


def queue_page(answer: Response) -> QueuePage:
    parsed = _parse(answer, _Queue)
    return QueuePage(
        runs=tuple(
            QueuedRun(
                id=run.id,
                workflow_id=run.workflow_id,
                name=run.name or "",
                file=file_of(run.path),
                status=run.status or "",
                created_at=run.created_at,
                started_at=max(run.run_started_at or run.created_at, run.created_at),
            )
            for run in parsed.workflow_runs
        ),
        total=parsed.total_count,
        etag=answer.headers.get("etag"),
        has_next=_has_next(answer),
    )


def run_page(answer: Response) -> RunPage:
    """One run of another shape is left out; where most are, the answer is none."""
    invalid: list[str] = []
    try:
        parsed = _parse(answer, _Runs)
        rows = parsed.workflow_runs
    except SourceError:
        in_part = _parse(answer, _RunsInPart)
        rows = [one for one in in_part.workflow_runs if isinstance(one, _Run)]
        invalid = [one for one in in_part.workflow_runs if isinstance(one, str)]
        if len(invalid) >= len(rows):
            raise
        parsed = _Runs(total_count=in_part.total_count, workflow_runs=rows)
    repository = rows[0].repository if rows else None
    return RunPage(
        runs=tuple(map(_run, rows)),
        total=parsed.total_count - len(invalid),
        etag=answer.headers.get("etag"),
        repository=RepositoryName(repository.full_name, repository.html_url) if repository else None,
        has_next=_has_next(answer),
        invalid=tuple(invalid),
    )


def workflow_page(answer: Response) -> WorkflowPage:
    parsed = _parse(answer, _Workflows)
    workflows = tuple(Workflow(w.id, w.node_id, w.name or "", w.path or "", w.state) for w in parsed.workflows)
    return WorkflowPage(workflows, parsed.total_count, answer.headers.get("etag"))


def file_names(answer: Response) -> frozenset[str]:
    """The names in a folder of the repository."""
    return frozenset(entry.name for entry in _parse(answer, _Folder).root)


class IssuedToken(NamedTuple):
    """A token of a GitHub App's installation, and when it ends (UTC)."""

    token: str
    ends_at: datetime


def issued_token(answer: Response) -> IssuedToken:
    parsed = _parse(answer, _IssuedToken)
    return IssuedToken(parsed.token, parsed.expires_at)


def attempt_conclusion(answer: Response) -> str | None:
    """How an attempt ended."""
    return _parse(answer, _Attempt).conclusion


class Repository(BaseModel):
    """What GitHub calls the repository now, its page, and its default branch."""

    model_config = ConfigDict(frozen=True)

    full_name: Text
    html_url: Text
    default_branch: Text


def repository(answer: Response) -> Repository:
    return _parse(answer, Repository)


class ListedRepository(BaseModel):
    """A repository in the list of an organization."""

    model_config = ConfigDict(frozen=True)

    name: Text
    default_branch: Text | None = None
    archived: bool = False


class RepositoryPage(NamedTuple):
    """One page of the repositories of an organization; `has_next`: it links to another one."""

    repositories: tuple[ListedRepository, ...]
    has_next: bool


def repository_page(answer: Response) -> RepositoryPage:
    return RepositoryPage(tuple(_parse(answer, _Repositories).root), _has_next(answer))


def branch_name(answer: Response) -> str:
    """The name of the branch that GitHub gave."""
    return _parse(answer, _Branch).name


def search_count(answer: Response) -> int:
    """How many items a search found. Raises SourceError when GitHub gave up before it had looked at all of them."""
    parsed = _parse(answer, _Search)
    if parsed.incomplete_results:
        remedy = "GitHub's search is slow at the moment; the next collection tries again."
        raise SourceError(Kind.SERVER_ERROR, answer.operation, "the search was not completed in time", remedy)
    return parsed.total_count


Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: in_utc(moment).replace(microsecond=0))]
"""A time of GitHub's: UTC, in whole seconds."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Repository(_Wire):
    id: Number
    full_name: Text
    html_url: Text


class _HeadRepository(_Wire):
    id: Number


class _Run(_Wire):
    id: Number
    node_id: Reference
    workflow_id: Number
    path: Text
    name: Text | None = None
    run_number: Number
    run_attempt: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] | None = None
    status: Text | None
    conclusion: Text | None
    created_at: Moment
    run_started_at: Moment | None = None
    updated_at: Moment
    repository: _Repository
    # A fork that is gone by now leaves null behind.
    head_repository: _HeadRepository | None


class _Runs(_Wire):
    total_count: Number
    workflow_runs: Annotated[list[_Run], Field(max_length=MOST_LISTED)]


def _or_problem(value: Any, parse: ValidatorFunctionWrapHandler) -> Any:
    """The run, or what is wrong with it."""
    try:
        return parse(value)
    except ValidationError as error:
        name = value.get("id") if isinstance(value, dict) else None
        return f"run {name if isinstance(name, int) else 'without an id'} ({first_problem(error)})"


class _RunsInPart(_Wire):
    total_count: Number
    workflow_runs: Annotated[list[Annotated[_Run | str, WrapValidator(_or_problem)]], Field(max_length=MOST_LISTED)]


class _Job(_Wire):
    id: int
    name: str
    status: str | None
    conclusion: str | None
    created_at: Moment
    started_at: Moment | None = None
    completed_at: Moment | None = None
    labels: list[str] = []
    runner_id: int | None = None
    runner_name: str | None = None


class _Jobs(_Wire):
    total_count: int
    jobs: list[_Job]


class _Queued(_Wire):
    id: int
    workflow_id: int
    path: str
    name: str | None = None
    status: str | None
    created_at: Moment
    run_started_at: Moment | None = None


class _Queue(_Wire):
    total_count: int
    workflow_runs: list[_Queued]


class _Workflow(_Wire):
    id: Number
    node_id: Reference
    name: Text | None
    path: Text | None
    state: Text


class _Workflows(_Wire):
    total_count: Number
    workflows: Annotated[list[_Workflow], Field(max_length=MOST_LISTED)]


class _IssuedToken(_Wire):
    token: Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[\x21-\x7e]+$")]
    expires_at: Moment


class _Attempt(_Wire):
    conclusion: Text | None


class _Entry(_Wire):
    name: Text


class _Folder(RootModel[list[_Entry]]):
    model_config = ConfigDict(frozen=True)


class _Repositories(RootModel[Annotated[list[ListedRepository], Field(max_length=MOST_LISTED)]]):
    model_config = ConfigDict(frozen=True)


class _Branch(_Wire):
    name: Text


class _Search(_Wire):
    total_count: Number
    incomplete_results: bool


def _run(parsed: _Run) -> WorkflowRun:
    return WorkflowRun(
        id=parsed.id,
        node_id=parsed.node_id,
        workflow_id=parsed.workflow_id,
        file=file_of(parsed.path),
        number=parsed.run_number,
        attempt=parsed.run_attempt or 1,
        conclusion=parsed.conclusion if parsed.status == "completed" else None,
        created_at=parsed.created_at,
        started_at=parsed.run_started_at or parsed.created_at,
        updated_at=parsed.updated_at,
        # By id: a repository that was renamed is still the same one.
        from_this_repo=parsed.head_repository is not None and parsed.head_repository.id == parsed.repository.id,
        ended_at=parsed.updated_at,
        name=parsed.name or "",
    )


def _job(parsed: _Job, run_id: int) -> WorkflowJob:
    return WorkflowJob(
        id=parsed.id,
        name=parsed.name,
        conclusion=parsed.conclusion if parsed.status == "completed" else None,
        created_at=parsed.created_at,
        started_at=parsed.started_at,
        completed_at=parsed.completed_at,
        # Runners that are made for one run have its id in a label: each would be a series of its own.
        labels=tuple(label.replace(str(run_id), "RUN_ID") for label in parsed.labels),
        had_runner=bool(parsed.runner_id or parsed.runner_name),
    )


def _has_next(answer: Response) -> bool:
    return _NEXT.search(answer.headers.get("link", "")) is not None


def _parse(answer: Response, model: type[ModelT]) -> ModelT:
    """The body as a `model`. A page of runs has a megabyte of which this needs a hundredth: it goes from bytes to the
    model without a detour through Python objects. Raises SourceError for anything else."""
    try:
        return answer.model(model)
    except ShapeError as error:
        detail = f"a response of an unknown shape ({error})"
        remedy = "Is `api_url` the address of a GitHub API? If it is, this version does not support its responses."
        raise SourceError(Kind.MALFORMED, answer.operation, detail, remedy, status=answer.status) from None
