"""GitHub's REST and GraphQL APIs over the frozen repository."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from golden_support.faults import JSON, answering, only
from golden_support.github_data import (
    FORK,
    FORK_ID,
    FULL_NAMES,
    LABELS,
    RENAMED_AT,
    REPOSITORY_ID,
    WORKFLOWS,
    PullRequest,
    Run,
    Workflow,
    all_pull_requests,
    all_runs,
    files_in_tree,
)
from golden_support.github_schema import SCHEMA
from golden_support.graphql_api import GraphQLApi, refused
from golden_support.lot import between, time_text
from golden_support.server import Fault, Reply, Request
from graphql import GraphQLError

TOKEN: Final = "golden-token-0123456789"
LISTED: Final = 1_000
"""GitHub lists no more runs than this for one filter."""
HTML: Final = "https://github.com"


class GitHubApi:
    """Answers as of `now`, to everybody alike but for GraphQL, which needs a token. `closed` are GraphQL fields that
    the token may not read."""

    def __init__(self, now: datetime, url: Callable[[], str]) -> None:
        self.now = now
        self.closed: frozenset[str] = frozenset()
        self._url = url
        self._graphql = GraphQLApi(SCHEMA)
        self._visible: tuple[datetime | None, list[Run]] = (None, [])

    @property
    def full_name(self) -> str:
        return FULL_NAMES[self.now >= RENAMED_AT]

    def __call__(self, request: Request) -> Reply:
        anonymous = "authorization" not in request.headers
        if request.path == "/graphql":
            if anonymous:
                return _json({"message": "This endpoint requires you to be authenticated."}, 401)
            _, answer = self._graphql.answer(json.loads(request.body), _Root(self).fields())
            return self._with_quota(_json(answer), "graphql", anonymous=anonymous)
        reply = self._rest(request)
        if reply.status == 200:
            reply = _with_etag(reply, request)
        resource = "search" if request.path.startswith("/search/") else "core"
        return self._with_quota(reply, resource, anonymous=anonymous)

    def _with_quota(self, reply: Reply, resource: str, *, anonymous: bool) -> Reply:
        """What is left goes down with the hour, and not with the requests, whose number a rebuild may change."""
        limit = {"core": 60 if anonymous else 5_000, "search": 10 if anonymous else 30, "graphql": 5_000}[resource]
        reset = self.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(limit - limit * self.now.minute // 61),
            "X-RateLimit-Reset": str(int(reset.timestamp())),
            "X-RateLimit-Resource": resource,
        }
        return Reply(reply.status, reply.body, {**reply.headers, **headers})

    def _rest(self, request: Request) -> Reply:
        path, query = request.path, request.query
        if path == "/search/issues":
            found = self.search(query.get("q", ""))
            return _json(
                {
                    "total_count": len(found),
                    "incomplete_results": False,
                    "items": [self._issue(one) for one in found[:1]],
                }
            )
        if path == "/rate_limit":
            return _json({"resources": {}, "rate": {"limit": 5_000, "remaining": 5_000}})
        match = re.fullmatch(rf"/(?:repos/([^/]+/[^/]+)|repositories/{REPOSITORY_ID})(/.*)?", path)
        if match is None:
            return _not_found()
        name, rest = match[1], match[2] or ""
        if name is not None and name.lower() != self.full_name:
            if name.lower() not in FULL_NAMES or self.now < RENAMED_AT:
                return _not_found()
            text = f"?{urlencode(query)}" if query else ""
            location = f"{self._url()}/repositories/{REPOSITORY_ID}{rest}{text}"
            return Reply(
                301,
                json.dumps({"message": "Moved Permanently", "url": location}).encode(),
                {**JSON, "Location": location},
            )
        return self._of_repository(rest, request)

    def _of_repository(self, path: str, request: Request) -> Reply:
        query = request.query
        if path == "":
            return _json(self._repository())
        if path == "/actions/runs":
            return self._runs(self._listed(query), request)
        if path == "/actions/workflows":
            flows = [self._flow(flow) for flow in self.workflows()]
            return self._paged("workflows", flows, request)
        if match := re.fullmatch(r"/actions/workflows/([^/]+)(/runs)?", path):
            flow = next(
                (one for one in self.workflows() if match[1] in (str(one.id), one.path.rpartition("/")[2])), None
            )
            if flow is None:
                return _not_found()
            if match[2] is None:
                return _json(self._flow(flow))
            return self._runs([run for run in self._listed(query) if run.workflow is flow], request)
        if match := re.fullmatch(r"/actions/runs/(\d+)(?:/(jobs|attempts/(\d+)(/jobs)?))?", path):
            return self._run(int(match[1]), match[2], match[3], request)
        if path == "/branches":
            return _json([{"name": name} for name in ("main", "release")])
        if match := re.fullmatch(r"/branches/(.+)", path):
            return _json({"name": match[1]}) if match[1] in ("main", "release") else _not_found()
        if path == "/contents/.github/workflows":
            return _json(
                [
                    {"name": name, "path": f".github/workflows/{name}", "type": "file"}
                    for name in files_in_tree(self.now)
                ]
            )
        if path == "/labels":
            return _json([{"name": name} for name in LABELS])
        if path == "/pulls":
            return _json([self._pull(one) for one in self.pull_requests()][:100])
        return _not_found()

    def visible(self) -> list[Run]:
        """The runs that are there, newest first."""
        moment, runs = self._visible
        if moment != self.now:
            runs = [run for run in reversed(all_runs()) if run.exists(self.now)]
            self._visible = (self.now, runs)
        return list(runs)

    def workflows(self) -> list[Workflow]:
        # GitHub goes on listing a workflow whose file is gone, but not one that was deleted.
        return [flow for flow in WORKFLOWS.values() if flow.created <= self.now and flow.state(self.now) != "deleted"]

    def pull_requests(self) -> list[PullRequest]:
        return [one for one in all_pull_requests() if one.created <= self.now]

    def search(self, text: str) -> list[PullRequest]:
        """Issue search, of the qualifiers `repo`, `is`, `merged` and `label`; a comma means "or"."""
        terms = re.findall(r'(\w+):((?:"[^"]*"|[^\s"])+)', text)
        found = self.pull_requests()
        for key, value in terms:
            names = {one.strip('"').lower() for one in re.findall(r'"[^"]*"|[^,]+', value)}
            match key:
                case "repo":
                    found = found if self.full_name in names else []
                case "merged":
                    low, high = _range(value)
                    found = [one for one in found if self._merged(one) and low <= time_text(one.merged) <= high]
                case "label":
                    found = [one for one in found if names & {label.lower() for label in one.labels}]
                case "is":
                    found = [one for one in found if names != {"merged"} or self._merged(one)]
        return found

    def _merged(self, one: PullRequest) -> bool:
        return one.merged is not None and one.merged <= self.now

    def _listed(self, query: Mapping[str, str]) -> list[Run]:
        found = self.visible()
        if branch := query.get("branch"):
            found = [run for run in found if run.branch == branch]
        if event := query.get("event"):
            found = [run for run in found if run.event == event]
        if wanted := query.get("status"):
            found = [run for run in found if wanted in run.status(self.now)]
        if created := query.get("created"):
            low, high = _range(created)
            found = [run for run in found if low <= time_text(run.created) <= high]
        return found

    def _runs(self, runs: Sequence[Run], request: Request) -> Reply:
        return self._paged("workflow_runs", runs[:LISTED], request, total=len(runs), render=self.run_json)

    def _paged(
        self,
        key: str,
        items: Sequence[Any],
        request: Request,
        *,
        total: int | None = None,
        render: Callable[[Any], Any] = lambda item: item,
    ) -> Reply:
        per_page, number = min(100, int(request.query.get("per_page", 30))), int(request.query.get("page", 1))
        start = (number - 1) * per_page
        reply = _json(
            {
                "total_count": len(items) if total is None else total,
                key: [render(one) for one in items[start : start + per_page]],
            }
        )
        if start + per_page < len(items):
            further = urlencode({**request.query, "page": str(number + 1)})
            reply.headers["Link"] = f'<{self._url()}{request.path}?{further}>; rel="next"'  # type: ignore[index]
        return reply

    def _run(self, run_id: int, what: str | None, attempt: str | None, request: Request) -> Reply:
        run = next((run for run in self.visible() if run.id == run_id), None)
        if run is None:
            return _not_found()
        number = int(attempt or len(run.begun(self.now)))
        if not 1 <= number <= len(run.begun(self.now)):
            return _not_found()
        if what is not None and what.endswith("jobs"):
            return self._paged("jobs", self._jobs(run, number), request)
        return _json(self.run_json(run, number if attempt else None))

    def run_json(self, run: Run, attempt: int | None = None) -> dict[str, Any]:
        begun = run.begun(self.now)
        number = attempt or len(begun)
        one = begun[number - 1]
        status, conclusion = run.status(self.now) if number == len(begun) else ("completed", one.conclusion)
        updated = run.updated(self.now) if number == len(begun) else one.ended
        repository = {"id": REPOSITORY_ID, "full_name": self.full_name, "html_url": f"{HTML}/{self.full_name}"}
        head = repository if run.own else {"id": FORK_ID, "full_name": FORK, "html_url": f"{HTML}/{FORK}"}
        return {
            "id": run.id,
            "node_id": _node_id("WFR", run.id),
            "name": run.workflow.name,
            "path": run.workflow.path,
            "display_title": f"run {run.number}",
            "workflow_id": run.workflow.id,
            "run_number": run.number,
            "run_attempt": number,
            "event": run.event,
            "status": status,
            "conclusion": conclusion,
            "head_branch": run.branch,
            "head_sha": f"{run.id:040x}",
            "html_url": f"{HTML}/{self.full_name}/actions/runs/{run.id}",
            "created_at": time_text(run.created),
            "run_started_at": time_text(one.started),
            "updated_at": time_text(updated),
            "pull_requests": [],
            "repository": repository,
            # Now and then a fork is gone.
            "head_repository": None if not run.own and run.id % 5 == 0 else head,
        }

    def _jobs(self, run: Run, number: int) -> list[dict[str, Any]]:
        one = run.begun(self.now)[number - 1]
        names = ("lint",) if run.number % 2 else ("test (3.11)", "test (3.12)", "build")
        jobs = []
        for place, name in enumerate(names):
            started = one.started + timedelta(seconds=between(2, 90, run.id, number, place))
            done = one.ended <= self.now
            jobs.append(
                {
                    "id": run.id * 10 + place,
                    "run_id": run.id,
                    "run_attempt": number,
                    "name": name,
                    "status": "completed" if done else "in_progress",
                    "conclusion": one.conclusion if done else None,
                    "created_at": time_text(one.started),
                    "started_at": time_text(min(started, one.ended)),
                    "completed_at": time_text(one.ended) if done else None,
                    "labels": ["ubuntu-latest"] if place < 2 else ["self-hosted", "gpu"],
                    "runner_name": f"runner-{place}",
                }
            )
        return jobs

    def _flow(self, flow: Workflow) -> dict[str, Any]:
        return {
            "id": flow.id,
            "node_id": _node_id("W", flow.id),
            "name": flow.name,
            "path": flow.path,
            "state": flow.state(self.now),
            "created_at": time_text(flow.created),
            "updated_at": time_text(flow.created),
        }

    def _repository(self) -> dict[str, Any]:
        return {
            "id": REPOSITORY_ID,
            "node_id": _node_id("R", REPOSITORY_ID),
            "name": self.full_name.partition("/")[2],
            "full_name": self.full_name,
            "private": False,
            "default_branch": "main",
            "html_url": f"{HTML}/{self.full_name}",
            "archived": False,
        }

    def _issue(self, one: PullRequest) -> dict[str, Any]:
        return {
            "number": one.number,
            "title": f"change {one.number}",
            "labels": [{"name": label} for label in one.labels],
        }

    def _pull(self, one: PullRequest) -> dict[str, Any]:
        merged = time_text(one.merged) if one.merged and self._merged(one) else None
        return {
            **self._issue(one),
            "merged_at": merged,
            "created_at": time_text(one.created),
            "base": {"ref": one.base},
        }


class _Root:
    """The GraphQL data of one moment."""

    def __init__(self, api: GitHubApi) -> None:
        self._api = api
        self._now = api.now
        self._runs: dict[int, Run] | None = None

    def fields(self) -> dict[str, Any]:
        return {
            "viewer": {"login": "golden"},
            "rateLimit": {"limit": 5_000, "cost": 1, "remaining": 4_900, "used": 100, "resetAt": time_text(self._now)},
            "repository": self._repository,
            "search": self._search,
            "node": lambda id: self._node(id),
            "nodes": lambda ids: [self._node(one) for one in ids],
        }

    def _repository(self, owner: str, name: str, followRenames: bool = True) -> dict[str, Any]:  # noqa: N803
        asked = f"{owner}/{name}".lower()
        known = asked == self._api.full_name or (followRenames and asked in FULL_NAMES and self._now >= RENAMED_AT)
        if not known:
            raise refused(f"Could not resolve to a Repository with the name '{owner}/{name}'.", "NOT_FOUND")
        branches = {
            name: {"id": name, "name": name, "prefix": "refs/heads/", "target": None} for name in ("main", "release")
        }
        return {
            "__typename": "Repository",
            "id": _node_id("R", REPOSITORY_ID),
            "databaseId": REPOSITORY_ID,
            "name": self._api.full_name.partition("/")[2],
            "nameWithOwner": self._api.full_name,
            "url": f"{HTML}/{self._api.full_name}",
            "isPrivate": False,
            "isArchived": False,
            "viewerPermission": "READ",
            "defaultBranchRef": branches["main"],
            "ref": lambda qualifiedName: branches.get(qualifiedName.removeprefix("refs/heads/")),  # noqa: N803
            "object": self._object,
            "labels": self._labels,
            "label": lambda name: {"name": name} if name in LABELS else None,
            "pullRequests": self._pull_requests,
        }

    def _object(self, expression: str | None = None, **_: Any) -> dict[str, Any] | None:
        self._guard("object")
        branch, _, path = (expression or "").partition(":")
        if (
            branch.removeprefix("refs/heads/") not in ("main", "release", "HEAD")
            or path.strip("/") != ".github/workflows"
        ):
            return None
        entries = [
            {"name": name, "path": f".github/workflows/{name}", "type": "blob", "extension": ".yml"}
            for name in files_in_tree(self._now)
        ]
        return {"__typename": "Tree", "id": "tree", "oid": "0" * 40, "entries": entries}

    def _labels(
        self, query: str | None = None, first: int | None = None, after: str | None = None, **_: Any
    ) -> dict[str, Any]:
        self._guard("labels")
        found = [{"id": name, "name": name} for name in LABELS if query is None or query.lower() in name.lower()]
        return _connection(found, first, after)

    def _pull_requests(
        self,
        labels: list[str] | None = None,
        states: list[str] | None = None,
        baseRefName: str | None = None,  # noqa: N803
        orderBy: Mapping[str, str] | None = None,  # noqa: N803
        first: int | None = None,
        after: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        self._guard("pullRequests")
        found = self._api.pull_requests()
        # Case counts here, unlike in the search.
        found = [one for one in found if labels is None or set(labels) & set(one.labels)]
        found = [one for one in found if states is None or self._state_of(one) in states]
        found = [one for one in found if baseRefName in (None, one.base)]
        order = orderBy or {"field": "CREATED_AT", "direction": "ASC"}
        key = {"UPDATED_AT": lambda one: one.updated(self._now), "CREATED_AT": lambda one: one.created}[order["field"]]
        found = sorted(found, key=key, reverse=order["direction"] == "DESC")
        return _connection([self._pull_request(one) for one in found], first, after)

    def _state_of(self, one: PullRequest) -> str:
        return "MERGED" if one.merged and one.merged <= self._now else "OPEN"

    def _pull_request(self, one: PullRequest) -> dict[str, Any]:
        merged = self._state_of(one) == "MERGED"
        return {
            "__typename": "PullRequest",
            "id": _node_id("PR", one.number),
            "number": one.number,
            "title": f"change {one.number}",
            "url": f"{HTML}/{self._api.full_name}/pull/{one.number}",
            "state": self._state_of(one),
            "merged": merged,
            "createdAt": time_text(one.created),
            "updatedAt": time_text(one.updated(self._now)),
            "mergedAt": time_text(one.merged) if merged and one.merged else None,
            "baseRefName": one.base,
            "labels": lambda first=None, after=None, **_: _connection(
                [{"id": name, "name": name} for name in one.labels], first, after
            ),
        }

    def _search(
        self, query: str, type: str, first: int | None = None, after: str | None = None, **_: Any
    ) -> dict[str, Any]:
        self._guard("search")
        found = self._api.search(query)
        return {"issueCount": len(found), **_connection([self._pull_request(one) for one in found], first, after)}

    def _node(self, node: str) -> dict[str, Any] | GraphQLError:
        """An error in the place of a node that is gone is one of that node alone."""
        kind, number = _number(node)
        if kind == "WFR":
            if self._runs is None:
                self._runs = {run.id: run for run in self._api.visible()}
            if number in self._runs:
                return self._run(self._runs[number])
        if kind == "W" and (flow := next((one for one in self._api.workflows() if one.id == number), None)):
            return self._flow(flow)
        return refused(f"Could not resolve to a node with the global id of '{node}'.", "NOT_FOUND")

    def _flow(self, flow: Workflow) -> dict[str, Any]:
        def runs(first: int | None = None, after: str | None = None, **_: Any) -> dict[str, Any]:
            return _connection([self._run(run) for run in self._api.visible() if run.workflow is flow], first, after)

        return {
            "__typename": "Workflow",
            "id": _node_id("W", flow.id),
            "databaseId": flow.id,
            "name": flow.name,
            "state": flow.state(self._now).upper(),
            "url": f"{HTML}/{self._api.full_name}/actions/workflows/{flow.path.rpartition('/')[2]}",
            "resourcePath": f"/{self._api.full_name}/actions/workflows/{flow.path.rpartition('/')[2]}",
            "createdAt": time_text(flow.created),
            "updatedAt": time_text(flow.created),
            "runs": runs,
        }

    def _run(self, run: Run) -> dict[str, Any]:
        def suite() -> dict[str, Any]:
            self._guard("checkSuite")
            status, conclusion = run.status(self._now)
            return {
                "id": _node_id("CS", run.id),
                "status": status.upper(),
                "conclusion": conclusion.upper() if conclusion else None,
                "branch": {"id": run.branch, "name": run.branch, "prefix": "refs/heads/"},
                "createdAt": time_text(run.created),
                "updatedAt": time_text(run.updated(self._now)),
            }

        return {
            "__typename": "WorkflowRun",
            "id": _node_id("WFR", run.id),
            # It has outgrown GraphQL's 32-bit Int.
            "databaseId": None,
            "resourcePath": f"/{self._api.full_name}/actions/runs/{run.id}",
            "url": f"{HTML}/{self._api.full_name}/actions/runs/{run.id}",
            "runNumber": run.number,
            "event": run.event,
            "createdAt": time_text(run.created),
            "updatedAt": time_text(run.updated(self._now)),
            "file": {"path": run.workflow.path},
            "workflow": lambda: self._flow(run.workflow),
            "checkSuite": suite,
        }

    def _guard(self, field: str) -> None:
        if field in self._api.closed:
            raise refused("Resource not accessible by personal access token", "FORBIDDEN")


def _connection(nodes: list[Any], first: int | None, after: str | None) -> dict[str, Any]:
    start = int(after or 0)
    end = start + (30 if first is None else first)
    shown = nodes[start:end]
    return {
        "nodes": shown,
        "edges": [{"node": node, "cursor": str(start + place + 1)} for place, node in enumerate(shown)],
        "pageInfo": {
            "hasNextPage": end < len(nodes),
            "hasPreviousPage": start > 0,
            "startCursor": str(start + 1) if shown else None,
            "endCursor": str(start + len(shown)) if shown else None,
        },
        "totalCount": len(nodes),
    }


def _range(text: str) -> tuple[str, str]:
    """The first and the last moment of `>=a`, `a..b`, `*..b` and the like, as texts, which are in the order of time."""
    first, last = "", "~"
    if ".." in text:
        low, _, high = text.partition("..")
        return first if low == "*" else _edge(low), last if high == "*" else _edge(high, last=True)
    operator, value = re.fullmatch(r"(>=|<=|>|<)?(.*)", text).groups()  # type: ignore[union-attr]
    match operator:
        case ">=":
            return _edge(value), last
        case ">":
            return f"{_edge(value, last=True)}+", last
        case "<=":
            return first, _edge(value, last=True)
        case "<":
            return first, f"{_edge(value)[:-1]}!"
        case _:
            return _edge(value), _edge(value, last=True)


def _edge(text: str, *, last: bool = False) -> str:
    if "T" not in text:
        return f"{text}T{'23:59:59' if last else '00:00:00'}Z"
    return time_text(datetime.fromisoformat(text))


def _node_id(kind: str, number: int) -> str:
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def _number(node: str) -> tuple[str, int]:
    kind, _, text = node.partition("_")
    try:
        return kind, int(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return "", 0


def _json(document: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document, separators=(",", ":")).encode(), dict(JSON))


def _not_found() -> Reply:
    return _json({"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, 404)


def _with_etag(reply: Reply, request: Request) -> Reply:
    etag = f'W/"{hashlib.sha256(request.target.encode() + reply.body).hexdigest()}"'
    if etag in request.headers.get("if-none-match", ""):
        return Reply(304, b"", {"ETag": etag})
    return Reply(reply.status, reply.body, {**reply.headers, "ETag": etag})


def _on(text: str) -> Callable[[Request], bool]:
    return lambda request: text in request.path


FAULTS: Final[Mapping[str, Callable[[], Fault]]] = {
    "rate limit": lambda: answering(
        403, {"message": "API rate limit exceeded"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1900000000"}
    ),
    "secondary limit": lambda: answering(
        403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "60"}
    ),
    "single sign-on": lambda: answering(
        403,
        {"message": "Resource protected by organization SAML enforcement."},
        {"X-GitHub-SSO": "required; url=https://github.com/orgs/golden-org/sso"},
    ),
    "graphql 500": lambda: only(answering(500, {"message": "Server Error"}), _on("/graphql")),
    "graphql too slow": lambda: only(
        answering(
            200,
            {
                "errors": [
                    {"message": "Something went wrong while executing your query. This may be the result of a timeout"}
                ]
            },
        ),
        _on("/graphql"),
    ),
    "listing empty": lambda: only(answering(200, {"total_count": 0, "workflow_runs": []}), _on("/actions/runs")),
    "attempts 404": lambda: only(answering(404, {"message": "Not Found"}), _on("/attempts/")),
}
"""A fault called `closed:FIELD` makes that GraphQL field forbidden; the stage does it."""
