"""Merged pull requests with certain labels, counted by metric; a part of a collection that may fail alone.

With a token they are listed by GraphQL, where a missing permission is an error: to the issue search it is a zero
(cli/cli#5986). Without a token the search is all there is, and what anybody may see needs no permission.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, NamedTuple

from pydantic import Field, TypeAdapter

from metta_checks.ci.advice import advised_for_labels
from metta_checks.ci.api_models import MOST_LISTED, Moment, Number, Text, search_count
from metta_checks.ci.client import SEARCH, GitHub
from metta_checks.ci.graphql import Data, GraphQLModel, PageInfo, QueryField, parse_alone
from metta_checks.ci.graphql_batch import Batch, send
from metta_checks.ci.ledger import LabelNames
from metta_checks.ci.models import RepositoryName, folded
from metta_checks.core.errors import Kind, SourceError

MOST_PAGES: Final = 10
"""Pages of fifty pull requests that are read for a label. A merge updates a pull request, so that all that were merged
in the window are among those that were updated in it; a label given to thousands at once brings more than that."""

LOOK_AGAIN: Final = timedelta(hours=1)
"""How long it holds that no label of the repository has a name in any case, and that a label has too many pull
requests."""

MOST_LIST_PAGES: Final = 20
"""Pages of a hundred labels; no repository comes near."""

LIST: Final = "labelList"
LABELLED: Final = (
    "nameWithOwner url label(name: ${0}) {{ name }} "
    "pullRequests(labels: [${0}], states: MERGED, orderBy: {{field: UPDATED_AT, direction: DESC}}, first: 50, "
    "after: ${0}After) {{ nodes {{ number mergedAt updatedAt }} pageInfo {{ hasNextPage endCursor }} }}"
)
LABELS: Final = f"labels(first: 100, after: ${LIST}After) {{ nodes {{ name }} pageInfo {{ hasNextPage endCursor }} }}"


@dataclass(slots=True)
class _Label:
    """How far the pull requests with one label of the options are counted. `spelling` is its name in the repository,
    as far as that is known: GraphQL's filter wants the very case. `missing`: it has none of that name."""

    option: str
    spelling: str
    after: str | None = None
    pages: int = 0
    merged: set[int] = field(default_factory=set)
    respelt: bool = False
    missing: bool = False
    complete: bool = False
    fault: SourceError | None = None

    @property
    def is_open(self) -> bool:
        return not self.complete and not self.missing and self.fault is None

    def respell(self, spelling: str) -> None:
        self.spelling, self.respelt, self.missing = spelling, True, False
        self.after, self.pages, self.merged = None, 0, set()


class LabelCounts:
    """The counts of one collection. Its first `fields` go along with the other questions, and `read_answer` reads their
    answer; `finish` asks for what is still open then. `repository` is the name that the answers have."""

    def __init__(self, github: GitHub, before: LabelNames, now: datetime) -> None:
        self.repository: RepositoryName | None = None
        self._github = github
        self._settings = github.settings
        self._now = now
        self._spellings = dict(before.spellings)
        self._crowded = dict(before.crowded)
        self._listed_at = before.listed_at
        self._since = now - self._settings.label_window
        options = dict.fromkeys(option for labels in self._settings.labels.values() for option in labels)
        self._labels = [_Label(option, self._spellings.get(option) or option) for option in options]
        for label in self._labels:
            if self._is_fresh(self._crowded.get(label.option)):
                label.fault = self._too_crowded(label.option)
        self._names: dict[str, str] = {}
        self._names_after: str | None = None
        self._names_pages = 0
        self._wants_names = any(
            label.is_open and self._spellings.get(label.option) is None and not self._is_known_missing(label.option)
            for label in self._labels
        )
        self._found: dict[str, int] = {}
        self._faults: dict[str, SourceError] = {}

    @property
    def state(self) -> LabelNames:
        """What is known of the labels by now."""
        return LabelNames(self._spellings, self._listed_at, self._crowded)

    @property
    def counts(self) -> dict[str, int]:
        """By metric; those that are unknown are left out."""
        by_option = {label.option: label for label in self._labels}
        counts = dict(self._found)
        for metric, options in self._settings.labels.items():
            labels = [by_option[option] for option in options]
            if labels and all(label.complete for label in labels):
                counts[metric] = len(set[int]().union(*(label.merged for label in labels)))
        return counts

    @property
    def problems(self) -> tuple[str, ...]:
        """Why counts are unknown: a sentence for each reason."""
        by_option = {label.option: label for label in self._labels}
        metrics: dict[str, list[str]] = {}
        for metric, options in self._settings.labels.items():
            faults = [self._faults.get(metric), *(by_option[option].fault for option in options)]
            if fault := next(filter(None, faults), None):
                metrics.setdefault(str(advised_for_labels(fault, self._settings)), []).append(metric)
        return tuple(f"{', '.join(unknown)} unknown: {reason}" for reason, unknown in metrics.items())

    def fields(self) -> list[QueryField]:
        """What is to be asked next; nothing once all is known."""
        fields = [
            self._field(f"label{number}", LABELLED.format(f"label{number}"), label.spelling, label.after)
            for number, label in enumerate(self._labels)
            if label.is_open
        ]
        if self._wants_names:
            fields.append(self._field(LIST, LABELS, None, self._names_after))
        return fields

    def read_answer(self, data: Data) -> None:
        """Read the answer to `fields`."""
        operation = f"{self._github.source}: POST {self._settings.graphql_url} for the labels of {self._settings.repo}"
        asked = [(f"label{number}", label) for number, label in enumerate(self._labels) if label.is_open]
        wanted_names = self._wants_names
        for alias, label in asked:
            try:
                self._take_page(label, labelled_page(data, alias, operation=operation))
            except SourceError as error:
                label.fault = error
        if wanted_names:
            try:
                self._take_names(*label_names(data, LIST, operation=operation))
            except SourceError as error:
                self._names_failed(error)

    def finish(self, repo: str) -> None:
        """Ask until all is known, or cannot be. `repo` is what the repository is called now."""
        if self._github.anonymous:
            self._search(repo)
            return
        while fields := self.fields():
            try:
                self.read_answer(send(self._github, Batch(labels=fields)).data)
            except SourceError as error:
                self.fail(error)

    def fail(self, error: SourceError) -> None:
        """What is open stays unknown."""
        self._wants_names = False
        for label in self._labels:
            if not label.complete:
                label.fault = label.fault or error

    def _field(self, alias: str, text: str, label: str | None, after: str | None) -> QueryField:
        """Each asks for the repository anew: an error in a connection makes null of the whole repository around it."""
        owner, _, repo = self._settings.repo.partition("/")
        variables: dict[str, tuple[str, object]] = {
            "owner": ("String!", owner),
            "repo": ("String!", repo),
            f"{alias}After": ("String", after),
        }
        if label is not None:
            variables[alias] = "String!", label
        return QueryField(alias, f"{alias}: repository(owner: $owner, name: $repo) {{ {text} }}", variables)

    def _take_page(self, label: _Label, page: LabelledPage) -> None:
        self.repository = page.repository
        if page.label is None or folded(page.label) != folded(label.option):
            label.missing = True
            if self._is_known_missing(label.option):
                self._settle(label, None)
            else:
                self._wants_names = True
            return
        if page.label != label.spelling:
            self._respell(label, page.label)
            return
        label.merged.update(number for number, merged_at, _ in page.merged if merged_at and merged_at >= self._since)
        label.pages += 1
        if page.after is None or (page.merged and page.merged[-1][2] < self._since):
            self._settle(label, label.spelling)
        elif label.pages == MOST_PAGES:
            self._crowded[label.option] = self._now
            raise self._too_crowded(label.option)
        else:
            label.after = page.after

    def _take_names(self, names: Sequence[str], after: str | None) -> None:
        """Labels that are missing as they are spelt may be there in another case; there are no two of one name."""
        self._names |= {folded(name): name for name in names}
        self._names_after, self._names_pages = after, self._names_pages + 1
        missing = [label for label in self._labels if label.missing]
        self._wants_names = bool(missing) and after is not None
        if self._wants_names:
            if self._names_pages == MOST_LIST_PAGES:
                remedy = "Write the label as the repository has it: upper and lower case are not compared this far."
                raise self._too_many(f"more than {MOST_LIST_PAGES} pages of labels", missing[0].option, remedy)
            return
        for label in missing:
            if spelling := self._names.get(folded(label.option)):
                try:
                    self._respell(label, spelling)
                except SourceError as error:
                    label.fault = error
            else:
                self._settle(label, None)
        self._listed_at = self._now

    def _names_failed(self, error: SourceError) -> None:
        self._wants_names = False
        for label in self._labels:
            if label.missing:
                label.fault = error

    def _respell(self, label: _Label, spelling: str) -> None:
        if label.respelt or spelling == label.spelling:
            operation = f"{self._github.source}: the label {label.option} of {self._settings.repo}"
            remedy = "It may have been renamed at this moment; the next collection tries again."
            raise SourceError(Kind.MALFORMED, operation, "it is there and not there", remedy)
        label.respell(spelling)

    def _settle(self, label: _Label, spelling: str | None) -> None:
        label.missing, label.complete = False, True
        self._crowded.pop(label.option, None)
        self._spellings[label.option] = spelling

    def _is_known_missing(self, option: str) -> bool:
        """Whether the list of labels was looked through for it lately."""
        known = self._spellings
        return self._is_fresh(self._listed_at) and option in known and known[option] is None

    def _is_fresh(self, found_at: datetime | None) -> bool:
        return found_at is not None and timedelta(0) <= self._now - found_at < LOOK_AGAIN

    def _too_crowded(self, option: str) -> SourceError:
        detail = f"more than {MOST_PAGES} pages of merged pull requests were updated in the window"
        return self._too_many(detail, option, "It is counted again within the hour.")

    def _too_many(self, detail: str, option: str, remedy: str) -> SourceError:
        operation = f"{self._github.source}: the label {option} of {self._settings.repo}"
        return SourceError(Kind.OVERSIZED, operation, detail, remedy)

    def _search(self, repo: str) -> None:
        """One search for each metric, which finds labels in any case."""
        for metric, query in label_searches(repo, self._settings.labels, self._since).items():
            parameters = {"q": query, "per_page": "1"}
            try:
                answer = self._github.get(SEARCH, about=f"the labels of {metric}", params=parameters)
                self._found[metric] = search_count(answer)
            except SourceError as error:
                self._faults[metric] = error


def label_searches(repo: str, labels: Mapping[str, Sequence[str]], since: datetime) -> dict[str, str]:
    """The issue search of each metric, of those that have labels.

    The comma means "or", so that a pull request with two of the labels counts once. The time has seconds: a date
    alone would reach back to midnight.
    """
    after = (since + timedelta(microseconds=999_999)).astimezone(UTC).replace(microsecond=0)
    merged = f"{after:%Y-%m-%dT%H:%M:%SZ}"
    return {
        metric: f"repo:{repo} is:pr is:merged merged:>={merged} label:{','.join(map(_quoted, names))}"
        for metric, names in labels.items()
        if names
    }


def _quoted(label: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", label) + '"'


class _LabelNode(GraphQLModel):
    name: Text


class _Labels(GraphQLModel):
    nodes: Annotated[list[_LabelNode], Field(max_length=MOST_LISTED)]
    page_info: PageInfo


class _WithLabels(GraphQLModel):
    labels: _Labels


class _MergedPull(GraphQLModel):
    number: Number
    # GitHub promises none: a pull request that was imported has been merged, and nothing says when.
    merged_at: Moment | None
    updated_at: Moment


class _MergedPulls(GraphQLModel):
    nodes: Annotated[list[_MergedPull], Field(max_length=MOST_LISTED)]
    page_info: PageInfo


class _Labelled(GraphQLModel):
    name_with_owner: Text
    url: Text
    label: _LabelNode | None
    pull_requests: _MergedPulls


_LABELLED_PAGE: Final = TypeAdapter(_Labelled)
_LABEL_LIST: Final = TypeAdapter(_WithLabels)


class LabelledPage(NamedTuple):
    """One page of the merged pull requests with a label: number, when each was merged and when it last changed.

    `label` is the label's name in the repository, None where it has none of that name. `after` is the cursor of the
    next page, None behind the last one.
    """

    repository: RepositoryName
    label: str | None
    merged: Sequence[tuple[int, datetime | None, datetime]]
    after: str | None


def labelled_page(data: Data, alias: str, *, operation: str) -> LabelledPage:
    """Raises SourceError: the error of that alias, or one for an answer of another shape."""
    parsed = parse_alone(data, alias, _LABELLED_PAGE, operation)
    return LabelledPage(
        repository=RepositoryName(parsed.name_with_owner, parsed.url),
        label=parsed.label.name if parsed.label else None,
        merged=[(node.number, node.merged_at, node.updated_at) for node in parsed.pull_requests.nodes],
        after=parsed.pull_requests.page_info.after,
    )


def label_names(data: Data, alias: str, *, operation: str) -> tuple[list[str], str | None]:
    """One page of the names of a repository's labels, and the cursor of the next. Raises SourceError."""
    labels = parse_alone(data, alias, _LABEL_LIST, operation).labels
    return [node.name for node in labels.nodes], labels.page_info.after
