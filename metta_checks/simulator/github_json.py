"""The demo repository's records as the JSON that GitHub's REST API sends."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from metta_checks.simulator.github_jobs import DemoJob, job_fields
from metta_checks.simulator.github_links import REPOSITORY_LINKS, USER_LINKS
from metta_checks.simulator.github_records import DemoAttempt, DemoIssue, DemoPullRequest, DemoWorkflow, DemoWorkflowRun
from metta_checks.simulator.github_repository import DemoRepository

HTML_URL = "https://github.com"
FULL_ONLY = ("network_count", "subscribers_count")
"""What a repository tells at its own address alone."""


def encode(value: object) -> str:
    """Compact JSON, as GitHub sends it."""
    return json.dumps(value, separators=(",", ":"))


def timestamp(moment: datetime) -> str:
    # Several times as fast as strftime, and a page of runs has a thousand.
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"


def node_id(kind: str, database_id: int) -> str:
    """An opaque id that GraphQL's `nodes` takes."""
    return f"{kind}_{base64.urlsafe_b64encode(str(database_id).encode()).decode().rstrip('=')}"


def database_id(kind: str, node: str) -> int | None:
    """The number behind a node id of that kind, or `None`."""
    prefix, _, encoded = node.partition("_")
    if prefix != kind:
        return None
    try:
        return int(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError):
        return None


class RestPayloads:
    """Renders the records of one repository. `api_url` is where the links in a payload point.

    A run carries some 9 KB of its repository, its head repository and its actors: those are rendered once
    and pasted into each run's text, so that a page of 100 runs takes a few milliseconds.
    """

    def __init__(self, repository: DemoRepository, api_url: str) -> None:
        self.repository = repository
        self.api_url = api_url
        self.url = f"{api_url}/repos/{repository.full_name}"
        self.html_url = f"{HTML_URL}/{repository.full_name}"

    def run(
        self, run: DemoWorkflowRun, *, attempt: DemoAttempt | None = None, exclude_pull_requests: bool = False
    ) -> str:
        """A workflow run as its last attempt left it, or as `attempt` did."""
        workflow = self.repository.workflow(run.workflow_id)
        if workflow is None:
            raise ValueError(f"workflow run {run.id} belongs to no workflow of {self.repository.full_name}")
        own = encode(self._run_fields(run, attempt or run.last_attempt, workflow, exclude_pull_requests))
        user = _user_text(self.api_url, run.actor)
        repository = _repository_text(self.api_url, self.repository.full_name, self.repository.id, False)
        head = repository
        if run.head_repository != self.repository.full_name:
            head = _repository_text(self.api_url, run.head_repository, _stable_id(run.head_repository), True)
        return (
            f'{own[:-1]},"actor":{user},"triggering_actor":{user},"repository":{repository},"head_repository":{head}}}'
        )

    def job(self, run: DemoWorkflowRun, attempt: DemoAttempt, job: DemoJob) -> dict[str, Any]:
        fields = job_fields(job, run, attempt.number, {"api": self.url, "html": self.html_url})
        return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in fields.items()}

    def workflow(self, workflow: DemoWorkflow) -> dict[str, Any]:
        fields = {
            "id": workflow.id,
            "node_id": node_id("W", workflow.id),
            "name": workflow.name,
            "path": workflow.path,
            "state": workflow.state,
            "created_at": timestamp(workflow.created_at),
            "updated_at": timestamp(workflow.updated_at),
            "url": f"{self.url}/actions/workflows/{workflow.id}",
            "html_url": f"{self.html_url}/blob/{self.repository.default_branch}/{workflow.path}",
            "badge_url": f"{self.html_url}/workflows/{workflow.name.replace(' ', '%20')}/badge.svg",
        }
        if workflow.state == "deleted":
            fields["deleted_at"] = timestamp(workflow.updated_at)
        return fields

    def branch(self, name: str) -> dict[str, Any]:
        """A branch, without what its latest commit holds."""
        url = f"{self.url}/branches/{quote(name, safe='')}"
        return {
            "name": name,
            "protected": False,
            "protection_url": f"{url}/protection",
            "_links": {"self": url, "html": f"{self.html_url}/tree/{quote(name)}"},
        }

    def full_repository(self) -> dict[str, Any]:
        repository = self.repository
        fields: dict[str, Any] = json.loads(_repository_text(self.api_url, repository.full_name, repository.id, False))
        created_at = timestamp(repository.created_at)
        open_issues = sum(item.closed_at is None for item in repository.items)
        return fields | {
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "created_at": created_at,
            "updated_at": created_at,
            "pushed_at": created_at,
            "default_branch": repository.default_branch,
            "git_url": f"git://github.com/{repository.full_name}.git",
            "ssh_url": f"git@github.com:{repository.full_name}.git",
            "clone_url": f"{self.html_url}.git",
            "svn_url": self.html_url,
            "mirror_url": None,
            "homepage": None,
            "language": "Python",
            "license": None,
            "size": 4096,
            "archived": repository.archived,
            "disabled": False,
            "open_issues": open_issues,
            "open_issues_count": open_issues,
            **dict.fromkeys(("forks", "forks_count", "network_count"), 2),
            **dict.fromkeys(("watchers", "watchers_count", "stargazers_count", "subscribers_count"), 12),
            **dict.fromkeys(("has_issues", "has_projects", "has_wiki", "has_discussions", "has_downloads"), True),
            "has_pages": False,
        }

    def search_item(self, item: DemoIssue | DemoPullRequest) -> dict[str, Any]:
        """An issue or a pull request as the search tells it."""
        is_pull_request = isinstance(item, DemoPullRequest)
        url, html_url = f"{self.url}/issues/{item.number}", f"{self.html_url}/issues/{item.number}"
        if is_pull_request:
            html_url = f"{self.html_url}/pull/{item.number}"
        fields: dict[str, Any] = {
            "id": 2_000_000_000 + item.number,
            "node_id": node_id("PR" if is_pull_request else "I", item.number),
            "number": item.number,
            "title": item.title,
            "url": url,
            "repository_url": self.url,
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "html_url": html_url,
            "user": json.loads(_user_text(self.api_url, item.author)),
            "labels": [self._label(name) for name in item.labels],
            "state": "open" if item.closed_at is None else "closed",
            "locked": False,
            "assignee": None,
            "assignees": [],
            "milestone": None,
            "comments": 0,
            "created_at": timestamp(item.created_at),
            "updated_at": timestamp(item.updated_at),
            "closed_at": None if item.closed_at is None else timestamp(item.closed_at),
            "author_association": "MEMBER",
            "active_lock_reason": None,
            "score": 1.0,
        }
        if isinstance(item, DemoPullRequest):
            fields["draft"] = False
            fields["pull_request"] = {
                "url": f"{self.url}/pulls/{item.number}",
                "html_url": html_url,
                "diff_url": f"{html_url}.diff",
                "patch_url": f"{html_url}.patch",
                "merged_at": None if item.merged_at is None else timestamp(item.merged_at),
            }
        return fields

    def pull_request(self, item: DemoPullRequest) -> dict[str, Any]:
        """A pull request as the list of them tells it."""
        found = self.search_item(item)
        url, html_url, issue_url = f"{self.url}/pulls/{item.number}", found["html_url"], found["url"]
        links = {
            "self": url,
            "html": html_url,
            "issue": issue_url,
            "comments": f"{issue_url}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{url[: url.rindex('/')]}/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": f"{self.url}/statuses/{_sha_of(item)}",
        }
        shared = ("id", "node_id", "number", "title", "user", "labels", "state", "locked", "assignee", "assignees")
        times = ("milestone", "created_at", "updated_at", "closed_at", "author_association", "active_lock_reason")
        return {
            **{name: found[name] for name in (*shared, *times, "html_url", "draft")},
            **{f"{name}_url": link for name, link in links.items() if name not in ("self", "html")},
            "url": url,
            "diff_url": f"{html_url}.diff",
            "patch_url": f"{html_url}.patch",
            "body": None,
            "merged_at": found["pull_request"]["merged_at"],
            "merge_commit_sha": _sha_of(item),
            "requested_reviewers": [],
            "requested_teams": [],
            "head": self._end(f"change-{item.number}", item),
            "base": self._end(item.base, item),
            "_links": {name: {"href": link} for name, link in links.items()},
            "auto_merge": None,
        }

    def _end(self, branch: str, item: DemoPullRequest) -> dict[str, Any]:
        """One end of a pull request."""
        owner = self.repository.full_name.partition("/")[0]
        return {
            "label": f"{owner}:{branch}",
            "ref": branch,
            "sha": _sha_of(item),
            "user": json.loads(_user_text(self.api_url, owner)),
            "repo": {name: value for name, value in self.full_repository().items() if name not in FULL_ONLY},
        }

    def _run_fields(
        self, run: DemoWorkflowRun, attempt: DemoAttempt, workflow: DemoWorkflow, exclude_pull_requests: bool
    ) -> Mapping[str, Any]:
        url = f"{self.url}/actions/runs/{run.id}"
        return {
            "id": run.id,
            "name": workflow.name,
            "node_id": node_id("WFR", run.id),
            "check_suite_id": run.check_suite_id,
            "check_suite_node_id": node_id("CS", run.check_suite_id),
            "head_branch": run.branch,
            "head_sha": run.head_sha,
            "path": workflow.path,
            "display_title": run.display_title,
            "run_number": run.number,
            "event": run.event,
            "status": attempt.status,
            "conclusion": attempt.conclusion,
            "workflow_id": run.workflow_id,
            "url": url,
            "html_url": f"{self.html_url}/actions/runs/{run.id}",
            "pull_requests": [] if exclude_pull_requests else self._pull_requests(run),
            "created_at": timestamp(run.created_at),
            "updated_at": timestamp(attempt.updated_at),
            "run_attempt": attempt.number,
            "referenced_workflows": [],
            "run_started_at": timestamp(attempt.started_at),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{self.url}/check-suites/{run.check_suite_id}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": None if attempt.number == 1 else f"{url}/attempts/{attempt.number - 1}",
            "workflow_url": f"{self.url}/actions/workflows/{run.workflow_id}",
            "head_commit": {
                "id": run.head_sha,
                "tree_id": run.head_sha[::-1],
                "message": run.display_title,
                "timestamp": timestamp(run.created_at),
                "author": {"name": run.actor, "email": f"{run.actor}@users.noreply.github.com"},
                "committer": {"name": "GitHub", "email": "noreply@github.com"},
            },
        }

    def _pull_requests(self, run: DemoWorkflowRun) -> list[dict[str, Any]]:
        pull_request = None if run.pull_request is None else self.repository.pull_request(run.pull_request)
        if pull_request is None:
            return []
        repository = {
            "id": self.repository.id,
            "url": self.url,
            "name": self.repository.full_name.partition("/")[2],
        }
        return [
            {
                "id": 1_000_000_000 + pull_request.number,
                "number": pull_request.number,
                "url": f"{self.url}/pulls/{pull_request.number}",
                "head": {"ref": run.branch, "sha": run.head_sha, "repo": repository},
                "base": {"ref": pull_request.base, "sha": run.head_sha[::-1], "repo": repository},
            }
        ]

    def _label(self, name: str) -> dict[str, Any]:
        number = _stable_id(name)
        return {
            "id": number,
            "node_id": node_id("LA", number),
            "url": f"{self.url}/labels/{name}",
            "name": name,
            "color": f"{number & 0xFFFFFF:06x}",
            "default": False,
            "description": "",
        }


@lru_cache(maxsize=256)
def _user_text(api_url: str, login: str) -> str:
    number = _stable_id(login)
    is_bot = login.endswith("[bot]")
    return encode(
        {
            "login": login,
            "id": number,
            "node_id": node_id("U", number),
            "avatar_url": f"https://avatars.githubusercontent.com/u/{number}",
            "gravatar_id": "",
            "url": f"{api_url}/users/{login}",
            "html_url": f"{HTML_URL}/{login}",
            **{name: f"{api_url}/users/{login}{path}" for name, path in USER_LINKS.items()},
            "type": "Bot" if is_bot else "User",
            "site_admin": False,
        }
    )


@lru_cache(maxsize=64)
def _repository_text(api_url: str, full_name: str, number: int, fork: bool) -> str:
    owner, _, name = full_name.partition("/")
    url = f"{api_url}/repos/{full_name}"
    return encode(
        {
            "id": number,
            "node_id": node_id("R", number),
            "name": name,
            "full_name": full_name,
            "private": False,
            "owner": json.loads(_user_text(api_url, owner)),
            "html_url": f"{HTML_URL}/{full_name}",
            "description": None,
            "fork": fork,
            "url": url,
            **{link: f"{url}{path}" for link, path in REPOSITORY_LINKS.items()},
        }
    )


def _sha_of(item: DemoPullRequest) -> str:
    return f"{item.number:040x}"


def _stable_id(text: str) -> int:
    return zlib.crc32(text.encode())
