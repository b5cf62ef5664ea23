"""CI's figures counted a second time: every page of the API, and the plainest code."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from metta_checks.core.duration import parse_duration

Figure = tuple[str, str, str]
"""Metric without the namespace, workflow file or "", conclusion or ""."""

Get = Callable[[str, Mapping[str, str]], Any]
"""Asks the API for a path with a query, and gives the JSON. Raises what the caller wants to see."""

DECISIVE: Final = ("success", "failure", "timed_out", "startup_failure")
BROKEN: Final = ("failure", "timed_out", "startup_failure")
TIMED: Final = ("success", "failure", "timed_out")


@dataclass(frozen=True, slots=True)
class CiQuestion:
    """What is counted: the options of the instance, lists and durations as they mean them."""

    repo: str
    branch: str
    window: timedelta
    label_window: timedelta
    labels: Mapping[str, Sequence[str]]
    lists: Mapping[str, Sequence[str]]
    exclude: Sequence[str] = ()
    max_age: timedelta | None = None
    queue: bool = True

    @classmethod
    def of(cls, options: Any, *, repo: str, branch: str) -> CiQuestion:
        """The question behind the validated options, about one branch of one repository."""
        return cls(
            repo=repo,
            branch=branch,
            window=parse_duration(options.window),
            label_window=parse_duration(options.label_window),
            labels={
                "github.hotfix.count": options.hotfix_labels,
                "github.force_merge.count": options.force_merge_labels,
                "github.reverts.count": options.revert_labels,
            },
            lists={
                "ci.workflow.tests_blocking_merge": options.tests_blocking_merge_workflows or (),
                "ci.workflow.benchmarks": options.benchmarks_workflows or (),
            },
            exclude=options.exclude_workflows or (),
            max_age=parse_duration(options.max_age) if options.max_age else None,
            queue=options.queue,
        )


def independent_count(get: Get, question: CiQuestion, now: datetime) -> dict[Figure, float]:
    """All gauges of metta_ci but the verdicts, as of `now`; what cannot be decided is left out."""
    listed = list(_pages(get, f"/repos/{question.repo}/actions/workflows", {}, "workflows"))
    folder = ".github/workflows/"
    files = {one["path"] for one in get(f"/repos/{question.repo}/contents/{folder[:-1]}", {"ref": question.branch})}
    workflows = [
        {**one, "exists": one["state"] == "active" and (not one["path"].startswith(folder) or one["path"] in files)}
        for one in listed
        if not _is_excluded(one, question)
    ]
    out = {one["id"] for one in listed} - {one["id"] for one in workflows}
    runs = [
        run
        for run in _runs_in_window(get, question, now)
        if run["workflow_id"] not in out and not _is_excluded({**run, "id": run["workflow_id"]}, question)
    ]
    figures = {**_of_window(get, question, runs), **_by_workflow(workflows, runs)}
    latest = {one["id"]: _latest(get, question, one["id"]) for one in workflows if _counts(one, question)}
    figures |= _of_latest(workflows, latest, question, now)
    if question.queue:
        figures |= _of_queue(get, question, out, now)
    for metric, labels in question.labels.items():
        if labels:
            figures[metric, "", ""] = _merged_with(get, question, labels, now)
    return figures


def _runs_in_window(get: Get, question: CiQuestion, now: datetime) -> list[dict[str, Any]]:
    """Hour by hour, since one filter lists no more than a thousand runs."""
    oldest = now - question.window - timedelta(hours=24)
    found: dict[int, dict[str, Any]] = {}
    start = oldest.replace(microsecond=0)
    while start < now:
        end = start + timedelta(hours=1)
        created = f"{start:%Y-%m-%dT%H:%M:%SZ}..{end:%Y-%m-%dT%H:%M:%SZ}"
        query = {"branch": question.branch, "created": created}
        for run in _pages(get, f"/repos/{question.repo}/actions/runs", query, "workflow_runs"):
            found[run["id"]] = run
        start = end
    return [
        run
        for run in found.values()
        if _own(run, question)
        and run["status"] == "completed"
        and now - question.window <= _time(run["run_started_at"]) < now
        and _time(run["created_at"]) >= oldest
    ]


def _of_window(get: Get, question: CiQuestion, runs: list[dict[str, Any]]) -> dict[Figure, float]:
    conclusions = Counter(run["conclusion"] for run in runs)
    decisive = sum(conclusions[one] for one in DECISIVE)
    minutes = [
        max(0.0, (_time(run["updated_at"]) - _time(run["run_started_at"])).total_seconds() / 60)
        for run in runs
        if run["conclusion"] in TIMED
    ]
    flaky = [run for run in runs if run["conclusion"] == "success" and _failed_before(get, question, run)]
    figures: dict[Figure, float] = {
        ("ci.workflow.cancelled", "", ""): conclusions["cancelled"],
        ("ci.workflow.flaky_tests", "", ""): len(flaky),
    }
    if decisive:
        figures["ci.workflow.success", "", ""] = float(conclusions["success"] == decisive)
        figures["ci.workflow.success_ratio", "", ""] = conclusions["success"] / decisive
    if minutes:
        # Of one value there are no quantiles; it is all of them.
        tenths = statistics.quantiles(minutes * 2 if len(minutes) == 1 else minutes, n=10, method="inclusive")
        figures["ci.workflow.duration.p50", "", ""] = statistics.median(minutes)
        figures["ci.workflow.duration.p90", "", ""] = tenths[8]
    return figures


def _failed_before(get: Get, question: CiQuestion, run: Mapping[str, Any]) -> bool:
    path = f"/repos/{question.repo}/actions/runs/{run['id']}/attempts"
    return any(get(f"{path}/{number}", {})["conclusion"] in BROKEN for number in range(1, run["run_attempt"]))


def _by_workflow(workflows: list[dict[str, Any]], runs: list[dict[str, Any]]) -> dict[Figure, float]:
    zeros = {
        ("ci.workflow.runs", _file(one["path"]), conclusion): 0.0
        for one in workflows
        if one["exists"]
        for conclusion in ("success", "failure", "cancelled")
    }
    return {**zeros, **Counter(("ci.workflow.runs", _file(run["path"]), run["conclusion"]) for run in runs)}


def _latest(get: Get, question: CiQuestion, workflow_id: int) -> tuple[bool, datetime] | None:
    """Whether the latest decisive run on the branch succeeded, and when it ended; None where there is none."""
    path = f"/repos/{question.repo}/actions/workflows/{workflow_id}/runs"
    for run in _pages(get, path, {"branch": question.branch}, "workflow_runs"):
        if _own(run, question) and run["status"] == "completed" and run["conclusion"] in DECISIVE:
            return run["conclusion"] == "success", _time(run["updated_at"])
    return None


def _of_latest(
    workflows: list[dict[str, Any]],
    ends: Mapping[int, tuple[bool, datetime] | None],
    question: CiQuestion,
    now: datetime,
) -> dict[Figure, float]:
    latest = {one: end[0] if end else None for one, end in ends.items()}
    current = {one for one, end in ends.items() if end and (not question.max_age or now - end[1] <= question.max_age)}
    existing = [one for one in workflows if one["exists"]]
    current &= {one["id"] for one in existing}
    figures: dict[Figure, float] = {
        ("ci.workflow.latest_success", _file(one["path"]), ""): float(latest[one["id"]] is True)
        for one in existing
        if latest[one["id"]] is not None
    }
    for one in existing:
        if end := ends[one["id"]]:
            hours = (now - end[1]).total_seconds() / 3600
            figures["ci.workflow.latest_age_hours", _file(one["path"]), ""] = max(0.0, hours)
    listed: set[int] = set()
    for metric, entries in question.lists.items():
        meant = [[one["id"] for one in workflows if _is_meant(one, entry)] for entry in entries]
        ids = {workflow_id for some in meant for workflow_id in some}
        listed |= ids
        if any(latest[one] is False for one in ids):
            figures[metric, "", ""] = 0.0
        elif ids and all(meant) and ids <= current:
            figures[metric, "", ""] = 1.0
    failing = [one for one in existing if latest[one["id"]] is False and one["id"] not in listed]
    figures["ci.workflow.other_failing", "", ""] = len(failing)
    return figures


def _of_queue(get: Get, question: CiQuestion, out: set[int], now: datetime) -> dict[Figure, float]:
    """What waits and what runs, on every branch, unless it was created so long ago that GitHub has forgotten it."""
    runs: dict[int, dict[str, Any]] = {}
    for status in ("queued", "in_progress"):
        for run in _pages(get, f"/repos/{question.repo}/actions/runs", {"status": status}, "workflow_runs"):
            runs[run["id"]] = run
    counted = [
        run
        for run in runs.values()
        if _time(run["created_at"]) >= now - question.window - timedelta(hours=24)
        and run["workflow_id"] not in out
        and not _is_excluded({**run, "id": run["workflow_id"]}, question)
    ]
    waits = [now - _time(run["run_started_at"]) for run in counted if run["status"] == "queued"]
    return {
        ("ci.runs.queued", "", ""): len(waits),
        ("ci.runs.in_progress", "", ""): len(counted) - len(waits),
        ("ci.runs.oldest_queued_minutes", "", ""): max([timedelta(0), *waits]).total_seconds() / 60,
    }


def _merged_with(get: Get, question: CiQuestion, labels: Sequence[str], now: datetime) -> int:
    """All pull requests, by their last change: a merge is one. The issue search is no second opinion, as it finds
    nothing for a token that lacks the permission."""
    since, wanted = now - question.label_window, {label.lower() for label in labels}
    query = {"state": "closed", "sort": "updated", "direction": "desc"}
    found: set[int] = set()
    for one in _pages(get, f"/repos/{question.repo}/pulls", query, None):
        if _time(one["updated_at"]) < since:
            break
        merged = one["merged_at"] is not None and _time(one["merged_at"]) >= since
        if merged and wanted & {label["name"].lower() for label in one["labels"]}:
            found.add(one["number"])
    return len(found)


def _pages(get: Get, path: str, query: Mapping[str, str], key: str | None) -> Iterator[dict[str, Any]]:
    """The entries of all pages, which are under `key` or, with None, the page itself."""
    number = 1
    while page := get(path, {**query, "per_page": "100", "page": str(number)}):
        entries = page if key is None else page[key]
        if not entries:
            return
        yield from entries
        number += 1


def _counts(workflow: Mapping[str, Any], question: CiQuestion) -> bool:
    entries = [entry for some in question.lists.values() for entry in some]
    return workflow["state"] == "active" or any(_is_meant(workflow, entry) for entry in entries)


def _is_meant(workflow: Mapping[str, Any], entry: str) -> bool:
    return workflow["state"] != "deleted" and str(entry).casefold() in _names(workflow)


def _is_excluded(workflow: Mapping[str, Any], question: CiQuestion) -> bool:
    # In a pattern only `*` means more than itself.
    patterns = [entry.casefold().replace("[", "[[]").replace("?", "[?]") for entry in question.exclude]
    return any(fnmatchcase(name, pattern) for name in _names(workflow) for pattern in patterns)


def _names(workflow: Mapping[str, Any]) -> set[str]:
    path = workflow["path"].partition("@")[0].casefold()
    return {(workflow["name"] or "").casefold(), path, path.rpartition("/")[2], str(workflow["id"])}


def _own(run: Mapping[str, Any], question: CiQuestion) -> bool:
    home = run.get("head_repository") or {}
    return run["head_branch"] == question.branch and str(home.get("full_name")).lower() == question.repo.lower()


def _file(path: str) -> str:
    """What the tag `workflow` shows: only a file of the repository's own folder is known by its name alone."""
    folder, _, name = path.partition("@")[0].rpartition("/")
    return name if folder == ".github/workflows" else path.partition("@")[0]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
