"""GitHub's issue search: what a query such as `repo:o/r is:pr merged:>=2026-01-01 label:"a","b"` finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from metta_checks.simulator.github_dates import parse_range
from metta_checks.simulator.github_records import DemoIssue, DemoPullRequest
from metta_checks.simulator.github_repository import DemoRepository

Item = DemoIssue | DemoPullRequest
Predicate = Callable[[Item], bool]

TERM = re.compile(r'(?P<negated>-)?(?:(?P<qualifier>[A-Za-z-]+):)?(?P<value>(?:"[^"]*"|[^\s"])+)')
VALUE = re.compile(r'"([^"]*)"|([^,"]+)')


@dataclass(frozen=True, slots=True)
class Found:
    """An item and the repository it is in."""

    repository: DemoRepository
    item: Item


@dataclass(frozen=True, slots=True)
class IssueSearch:
    """A parsed query: every predicate must hold, in one of the repositories named (in any when none is)."""

    repositories: frozenset[str]
    predicates: tuple[Predicate, ...]
    names_a_kind: bool

    def find(self, repositories: Sequence[DemoRepository], lacking: Collection[str] = ()) -> list[Found]:
        """Newest first. A repository that is not among `repositories` finds nothing, nor does a caller who is
        `lacking` the permission: to them the search answers 0, without an error (cli/cli#5986)."""
        if "pull_requests" in lacking:
            return []
        found = [
            Found(repository, item)
            for repository in repositories
            if not self.repositories or repository.full_name.lower() in self.repositories
            for item in repository.items
            if all(predicate(item) for predicate in self.predicates)
        ]
        return sorted(found, key=lambda entry: (entry.item.created_at, entry.item.number), reverse=True)


def parse_query(text: str) -> IssueSearch:
    """Raises ValueError for an unknown qualifier and for what is no date: a typo must not widen a search."""
    repositories: set[str] = set()
    predicates: list[Predicate] = []
    names_a_kind = False
    for term in TERM.finditer(text):
        qualifier, values = (term["qualifier"] or "").lower(), _values(term["value"])
        if qualifier == "repo":
            repositories.update(value.lower() for value in values)
            continue
        names_a_kind |= qualifier in ("is", "type") and values[0] in ("pr", "pull-request", "issue")
        predicate = _predicate(qualifier, values)
        predicates.append(_negation(predicate) if term["negated"] else predicate)
    return IssueSearch(frozenset(repositories), tuple(predicates), names_a_kind)


def _values(text: str) -> list[str]:
    """The comma-separated values of a term, without their quotes."""
    return [quoted or plain for quoted, plain in VALUE.findall(text)] or [""]


def _negation(predicate: Predicate) -> Predicate:
    return lambda item: not predicate(item)


def _predicate(qualifier: str, values: list[str]) -> Predicate:
    match qualifier:
        case "":
            word = values[0].lower()
            return lambda item: word in item.title.lower()
        case "is" | "type" | "state":
            return _is(values[0].lower())
        case "label":
            wanted = {value.lower() for value in values}
            return lambda item: any(label.lower() in wanted for label in item.labels)
        case "merged":
            merged = parse_range(values[0])
            return lambda item: isinstance(item, DemoPullRequest) and item.merged_at in merged
        case "created":
            created = parse_range(values[0])
            return lambda item: item.created_at in created
        case "closed":
            closed = parse_range(values[0])
            return lambda item: item.closed_at in closed
        case "base":
            return lambda item: isinstance(item, DemoPullRequest) and item.base in values
        case "author":
            return lambda item: item.author.lower() == values[0].lower()
        case _:
            raise ValueError(f"the demo server does not know the qualifier {qualifier!r}")


def _is(state: str) -> Predicate:
    match state:
        case "pr" | "pull-request":
            return lambda item: isinstance(item, DemoPullRequest)
        case "issue":
            return lambda item: isinstance(item, DemoIssue)
        case "merged":
            return lambda item: isinstance(item, DemoPullRequest) and item.merged_at is not None
        case "unmerged":
            return lambda item: isinstance(item, DemoPullRequest) and item.merged_at is None
        case "open":
            return lambda item: item.closed_at is None
        case "closed":
            return lambda item: item.closed_at is not None
        case _:
            raise ValueError(f"the demo server does not know is:{state}")
