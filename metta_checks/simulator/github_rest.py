"""GitHub's REST endpoints for repositories, workflows, runs, pull requests and the search, over demo repositories."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlencode

from metta_checks.simulator.github_dates import DateRange, parse_range
from metta_checks.simulator.github_json import RestPayloads, encode
from metta_checks.simulator.github_records import DemoAttempt, DemoWorkflow, DemoWorkflowRun
from metta_checks.simulator.github_refusals import JSON_HEADERS, invalid, not_found, permission_missing, refusal
from metta_checks.simulator.github_repository import DemoRepository
from metta_checks.simulator.github_search import parse_query
from metta_checks.simulator.server import Reply, Request

PER_PAGE = 30
PER_PAGE_LIMIT = 100
FILTERED_LIMIT = 1_000
"""A listing with a filter gives no more than this many results, whatever the page."""
FILTERED_COUNT_LIMIT = 2_500
"""A listing with a filter counts no further than this (GitHub's changelog of 2026-09-25)."""
UNFILTERED_LIMIT = 40_000
"""A listing without one counts no further, and refuses pages beyond (seen live, not documented)."""
SEARCH_LIMIT = 1_000
FILTERS = ("actor", "branch", "check_suite_id", "created", "event", "head_sha", "status")

Handler = Callable[[DemoRepository, Request, Sequence[str]], Reply]


@dataclass(frozen=True, slots=True)
class Paging:
    """The slice that `per_page` and `page` ask for; values out of range are corrected, as GitHub does."""

    per_page: int
    page: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Paging:
        per_page = _number(query.get("per_page"), PER_PAGE)
        return cls(min(per_page, PER_PAGE_LIMIT), _number(query.get("page"), 1))

    @property
    def start(self) -> int:
        return (self.page - 1) * self.per_page

    @property
    def end(self) -> int:
        return self.page * self.per_page

    def links(self, url: str, query: Mapping[str, str], reachable: int) -> dict[str, str]:
        """The `Link` header, where there is more than one page of the `reachable` results."""
        last = -(-reachable // self.per_page)
        pages = {}
        if self.page > 1:
            pages["prev"] = min(self.page - 1, max(1, last))
        if self.page < last:
            pages |= {"next": self.page + 1, "last": last}
        if self.page > 1:
            pages["first"] = 1
        links = (f'<{url}?{urlencode({**query, "page": page})}>; rel="{rel}"' for rel, page in pages.items())
        return {"Link": ", ".join(links)} if pages else {}


class RestApi:
    """Answers REST requests. `repositories` are those that the caller may see; all others are 404."""

    def __init__(self, api_url: str, repositories: Sequence[DemoRepository], lacking: Collection[str] = ()) -> None:
        self.api_url = api_url
        self.repositories = repositories
        self.lacking = lacking
        self._routes: tuple[tuple[re.Pattern[str], Handler], ...] = (
            (re.compile(r""), self._repository),
            (re.compile(r"/branches/(.+)"), self._branch),
            (re.compile(r"/contents/\.github/workflows"), self._workflow_files),
            (re.compile(r"/actions/runs"), self._runs),
            (re.compile(r"/actions/runs/(\d+)"), self._run),
            (re.compile(r"/actions/runs/(\d+)/attempts/(\d+)"), self._attempt),
            (re.compile(r"/actions/runs/(\d+)/attempts/(\d+)/jobs"), self._attempt_jobs),
            (re.compile(r"/actions/runs/(\d+)/jobs"), self._run_jobs),
            (re.compile(r"/actions/workflows"), self._workflows),
            (re.compile(r"/actions/workflows/([^/]+)"), self._workflow),
            (re.compile(r"/actions/workflows/([^/]+)/runs"), self._workflow_runs),
            (re.compile(r"/pulls"), self._pulls),
        )

    def answer(self, request: Request) -> Reply:
        if request.method != "GET":
            return not_found()
        if request.path == "/search/issues":
            return self._search(request)
        if found := re.fullmatch(r"/orgs/([^/]+)/repos", request.path):
            return self._organization(request, found[1])
        repository, rest = self._find(request.path)
        if repository is None:
            return self._moved(request) or not_found("/rest/repos/repos#get-a-repository")
        for pattern, handler in self._routes:
            if found := pattern.fullmatch(rest):
                return handler(repository, request, found.groups())
        return not_found()

    def _find(self, path: str) -> tuple[DemoRepository | None, str]:
        """The repository by its name or by its id (GitHub's own links name it by id), and the path below it."""
        found = re.fullmatch(r"/(?:repos/([^/]+/[^/]+)|repositories/(\d+))(/.*)?", path)
        if found is None:
            return None, ""
        for repository in self.repositories:
            if found[2] == str(repository.id) or (found[1] or "").lower() == repository.full_name.lower():
                return repository, (found[3] or "").rstrip("/")
        return None, ""

    def _moved(self, request: Request) -> Reply | None:
        """A name that a repository had leads to it."""
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", request.path)
        for repository in self.repositories:
            if found and repository.had_name(found[1]):
                target = request.target.removeprefix(f"/repos/{found[1]}")
                location = f"{self.api_url}/repositories/{repository.id}{target}"
                return refusal(301, "Moved Permanently", headers={"Location": location})
        return None

    def _organization(self, request: Request, name: str) -> Reply:
        """The repositories of an organization, by name."""
        owned = [one for one in self.repositories if one.full_name.partition("/")[0].lower() == name.lower()]
        if not owned:
            return not_found("/rest/repos/repos#list-organization-repositories")
        paging = Paging.of(request.query)
        page = sorted(owned, key=lambda one: one.full_name.lower())[paging.start : paging.end]
        links = paging.links(f"{self.api_url}/organizations/{owned[0].id}/repos", request.query, len(owned))
        return _json(encode([self._payloads(one).full_repository() for one in page]), links)

    def _repository(self, repository: DemoRepository, _request: Request, _groups: Sequence[str]) -> Reply:
        return _json(encode(self._payloads(repository).full_repository()))

    def _branch(self, repository: DemoRepository, _request: Request, groups: Sequence[str]) -> Reply:
        name = unquote(groups[0])
        if name not in repository.branches:
            return not_found("/rest/branches/branches#get-a-branch")
        return _json(encode(self._payloads(repository).branch(name)))

    def _workflow_files(self, repository: DemoRepository, _request: Request, _groups: Sequence[str]) -> Reply:
        if "contents" in self.lacking:
            return permission_missing("contents=read")
        names = repository.workflow_files
        entries = [{"type": "file", "name": name, "path": f".github/workflows/{name}"} for name in names]
        return _json(encode(entries)) if entries else not_found("/rest/repos/contents#get-repository-content")

    def _runs(self, repository: DemoRepository, request: Request, _groups: Sequence[str]) -> Reply:
        return self._run_listing(repository, request, None)

    def _workflow_runs(self, repository: DemoRepository, request: Request, groups: Sequence[str]) -> Reply:
        workflow = _workflow_named(repository, groups[0])
        return not_found() if workflow is None else self._run_listing(repository, request, workflow)

    def _run_listing(self, repository: DemoRepository, request: Request, workflow: DemoWorkflow | None) -> Reply:
        paging, filtered = Paging.of(request.query), any(name in request.query for name in FILTERS)
        reachable, counted = (
            (FILTERED_LIMIT, FILTERED_COUNT_LIMIT) if filtered else (UNFILTERED_LIMIT, UNFILTERED_LIMIT)
        )
        if not filtered and paging.end > UNFILTERED_LIMIT:
            return invalid("In order to keep the API fast for everyone, pagination is limited for this resource.")
        try:
            created = parse_range(request.query["created"]) if "created" in request.query else DateRange()
        except ValueError as error:
            return invalid(f"Validation Failed: created: {error}")

        runs = repository.runs_created(created.since, created.until, None if workflow is None else workflow.id)
        runs = [run for run in runs if run.id not in repository.unlisted]
        for name in FILTERS:
            if name in request.query and name != "created":
                runs = [run for run in runs if _matches(run, name, request.query[name])]
        payloads = self._payloads(repository)
        exclude = request.query.get("exclude_pull_requests") == "true"
        texts = (
            payloads.run(run, exclude_pull_requests=exclude) for run in runs[paging.start : min(paging.end, reachable)]
        )
        url = f"{self.api_url}/repositories/{repository.id}/actions/runs"
        if workflow is not None:
            url = f"{self.api_url}/repositories/{repository.id}/actions/workflows/{workflow.id}/runs"
        return _json(
            f'{{"total_count":{min(len(runs), counted)},"workflow_runs":[{",".join(texts)}]}}',
            paging.links(url, request.query, min(len(runs), reachable)),
        )

    def _run(self, repository: DemoRepository, request: Request, groups: Sequence[str]) -> Reply:
        run = repository.run(int(groups[0]))
        if run is None:
            return not_found("/rest/actions/workflow-runs#get-a-workflow-run")
        exclude = request.query.get("exclude_pull_requests") == "true"
        return _json(self._payloads(repository).run(run, exclude_pull_requests=exclude))

    def _attempt(self, repository: DemoRepository, request: Request, groups: Sequence[str]) -> Reply:
        run, number = repository.run(int(groups[0])), int(groups[1])
        if run is None or not 1 <= number <= run.run_attempt:
            return not_found("/rest/actions/workflow-runs#get-a-workflow-run-attempt")
        exclude = request.query.get("exclude_pull_requests") == "true"
        attempt = run.attempts[number - 1]
        return _json(self._payloads(repository).run(run, attempt=attempt, exclude_pull_requests=exclude))

    def _attempt_jobs(self, repository: DemoRepository, request: Request, groups: Sequence[str]) -> Reply:
        run, number = repository.run(int(groups[0])), int(groups[1])
        if run is None or not 1 <= number <= run.run_attempt:
            return not_found("/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run-attempt")
        return self._job_listing(repository, request, run, run.attempts[number - 1 : number])

    def _run_jobs(self, repository: DemoRepository, request: Request, groups: Sequence[str]) -> Reply:
        run = repository.run(int(groups[0]))
        if run is None:
            return not_found("/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run")
        attempts = run.attempts if request.query.get("filter") == "all" else run.attempts[-1:]
        return self._job_listing(repository, request, run, attempts)

    def _job_listing(
        self, repository: DemoRepository, request: Request, run: DemoWorkflowRun, attempts: Sequence[DemoAttempt]
    ) -> Reply:
        paging, payloads = Paging.of(request.query), self._payloads(repository)
        jobs = [payloads.job(run, attempt, job) for attempt in attempts for job in repository.jobs.of(run, attempt)]
        url = f"{self.api_url}/repositories/{repository.id}/actions/runs/{run.id}/jobs"
        body = {"total_count": len(jobs), "jobs": jobs[paging.start : paging.end]}
        return _json(encode(body), paging.links(url, request.query, len(jobs)))

    def _workflows(self, repository: DemoRepository, request: Request, _groups: Sequence[str]) -> Reply:
        paging, workflows = Paging.of(request.query), repository.workflows
        payloads = self._payloads(repository)
        body = {
            "total_count": len(workflows),
            "workflows": [payloads.workflow(workflow) for workflow in workflows[paging.start : paging.end]],
        }
        url = f"{self.api_url}/repositories/{repository.id}/actions/workflows"
        return _json(encode(body), paging.links(url, request.query, len(workflows)))

    def _workflow(self, repository: DemoRepository, _request: Request, groups: Sequence[str]) -> Reply:
        workflow = _workflow_named(repository, groups[0])
        return not_found() if workflow is None else _json(encode(self._payloads(repository).workflow(workflow)))

    def _pulls(self, repository: DemoRepository, request: Request, _groups: Sequence[str]) -> Reply:
        if "pull_requests" in self.lacking:
            return permission_missing("pull_requests=read")
        paging, query = Paging.of(request.query), request.query
        state = query.get("state", "open")
        found = [
            one for one in repository.pull_requests if state == "all" or (one.closed_at is None) == (state == "open")
        ]
        key = "updated_at" if query.get("sort") == "updated" else "created_at"
        found.sort(key=lambda one: (getattr(one, key), one.number), reverse=query.get("direction", "desc") == "desc")
        payloads = self._payloads(repository)
        body = [payloads.pull_request(one) for one in found[paging.start : paging.end]]
        links = paging.links(f"{self.api_url}/repositories/{repository.id}/pulls", query, len(found))
        return _json(encode(body), links)

    def _search(self, request: Request) -> Reply:
        paging, documentation = Paging.of(request.query), "/rest/search/search#search-issues-and-pull-requests"
        try:
            search = parse_query(request.query.get("q", ""))
        except ValueError as error:
            return invalid(f"Validation Failed: {error}", documentation)
        if not search.names_a_kind:
            return invalid("Query must include 'is:issue' or 'is:pull-request'", documentation)
        if any(not self._is_searchable(name) for name in search.repositories):
            return invalid(
                "Validation Failed: The listed users and repositories cannot be searched either because the resources "
                "do not exist or you do not have permission to view them.",
                documentation,
            )
        if paging.end > SEARCH_LIMIT and paging.page > 1:
            return invalid("Only the first 1000 search results are available", documentation)
        found = search.find(self.repositories, self.lacking)
        body = {
            "total_count": len(found),
            "incomplete_results": False,
            "search_type": "lexical",
            "items": [
                self._payloads(entry.repository).search_item(entry.item) for entry in found[paging.start : paging.end]
            ],
        }
        links = paging.links(f"{self.api_url}/search/issues", request.query, min(len(found), SEARCH_LIMIT))
        return _json(encode(body), links)

    def _is_searchable(self, name: str) -> bool:
        """A name that a repository had before is no error, and nothing is found under it."""
        return any(one.full_name.lower() == name or one.had_name(name) for one in self.repositories)

    def _payloads(self, repository: DemoRepository) -> RestPayloads:
        return RestPayloads(repository, self.api_url)


def _json(text: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(200, text.encode(), {**JSON_HEADERS, **(headers or {})})


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdigit() and int(text) > 0 else default


def _workflow_named(repository: DemoRepository, name: str) -> DemoWorkflow | None:
    """By id or by file name."""
    for workflow in repository.workflows:
        if name in (str(workflow.id), workflow.path.rpartition("/")[2]):
            return workflow
    return None


def _matches(run: DemoWorkflowRun, name: str, value: str) -> bool:
    match name:
        case "actor":
            return run.actor.lower() == value.lower()
        case "branch":
            return run.branch == value
        case "check_suite_id":
            return str(run.check_suite_id) == value
        case "event":
            return run.event == value
        case "head_sha":
            return run.head_sha == value
        case _:
            return value in (run.status, run.conclusion)
