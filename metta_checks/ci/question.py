"""The one GraphQL question of a collection: labels, workflow states, quiet workflows, and which old runs changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from typing import Final

from metta_checks.ci.client import GitHub, together
from metta_checks.ci.graphql import Data, QueryField
from metta_checks.ci.ledger import QUESTION_SIZE, Ledger
from metta_checks.ci.models import Run, Workflow
from metta_checks.ci.pages import MAY_BE_TOO_LARGE
from metta_checks.ci.reply import IDS_PER_FIELD, Reply, parse_reply
from metta_checks.core.errors import Kind, SourceError

HISTORY: Final = 20
"""How many of a quiet workflow's latest runs are asked for: those of all branches, since none can be named."""

SIZES: Final = (QUESTION_SIZE, 400, 100)
"""How many runs one question asks for, from the usual number to the smallest that is tried."""

HISTORY_ALIAS: Final = "history"
CLOSE_ALIAS: Final = "close"
"""The fields of the query that ask for check suites; they are numbered."""

STATE: Final = "... on Workflow { name state }"
PULSE: Final = "... on WorkflowRun { updatedAt }"
CLOSE_PULSE: Final = "... on WorkflowRun { updatedAt checkSuite { status conclusion } }"
PAST_RUNS: Final = (
    f"... on Workflow {{ runs(first: {HISTORY}) {{ nodes {{ id resourcePath runNumber event createdAt updatedAt "
    "checkSuite { status conclusion branch { name } } } } }"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. `labels` are the fields of the label counts and `tree` that of the workflow files: each may fail
    alone. `watched` and `closely_watched` are runs that may have changed since they were read; of the latter the
    outcome is asked too. `urgent` are those of them that cannot wait for another collection."""

    labels: Sequence[QueryField] = ()
    states: Sequence[Workflow] = ()
    histories: Sequence[Workflow] = ()
    watched: Sequence[Run] = ()
    closely_watched: Sequence[Run] = ()
    tree: Sequence[QueryField] = ()
    urgent: frozenset[int] = frozenset()

    @property
    def weight(self) -> int:
        """How many runs it asks for."""
        return HISTORY * len(self.histories) + len(self.closely_watched) + len(self.watched)

    def without_check_suites(self) -> Question:
        """What is left for a token that may not read them: when the closely watched runs changed, not their outcome."""
        return replace(self, histories=(), watched=(*self.watched, *self.closely_watched), closely_watched=())

    def is_refused_check_suites(self, error: SourceError) -> bool:
        """Whether the error may be that the token cannot read check suites. Fine-grained ones cannot be given the
        permission "Checks" (https://github.com/orgs/community/discussions/179545)."""
        asked = bool(self.histories or self.closely_watched)
        of_a_field = error.kind is Kind.FORBIDDEN and error.status == 200
        return asked and of_a_field and (error.field is None or error.field.startswith((HISTORY_ALIAS, CLOSE_ALIAS)))


def ask(github: GitHub, question: Question, size: int = QUESTION_SIZE) -> Reply:
    """Put the question, in one request unless it asks for more than `size` runs. Raises SourceError."""
    replies = together([partial(_ask_part, github, part) for part in _parts(question, size)])
    return reduce(Reply.joined, replies, Reply())


class Questioner:
    """Puts questions as the server answers them: in the size that is not too much for it, which the ledger remembers,
    and without what the token must not read."""

    def __init__(self, github: GitHub, ledger: Ledger, now: datetime) -> None:
        self._github = github
        self._ledger = ledger
        self._now = now

    def put(self, question: Question) -> Reply:
        """The reply; for a token that must not read check suites, the one without them. Raises SourceError."""
        if not self._github.reads_check_suites:
            return self._put_in_size(question.without_check_suites())
        try:
            return self._put_in_size(question)
        except SourceError as error:
            if not question.is_refused_check_suites(error):
                raise
        reply = self._put_in_size(question.without_check_suites())
        self._github.note_refused_check_suites()
        return reply

    def _put_in_size(self, question: Question) -> Reply:
        size = self._ledger.question_size
        while True:
            try:
                reply = ask(self._github, question, size)
                break
            except SourceError as error:
                smaller = next((one for one in SIZES if 2 * one <= min(size, question.weight)), None)
                if error.kind not in MAY_BE_TOO_LARGE or smaller is None or not self._github.has_time:
                    raise
                size = smaller
        if size != self._ledger.question_size:
            self._ledger.question_size, self._ledger.sizes_at = size, self._now
        return reply


def _ask_part(github: GitHub, part: Question) -> Reply:
    fields = list(fields_of(part))
    if not fields:
        return Reply()
    apart = frozenset(field.alias for field in (*part.labels, *part.tree))
    return reply_of(github, part, github.query(fields, about=f"labels and runs of {github.settings.repo}", apart=apart))


def reply_of(github: GitHub, part: Question, data: Data) -> Reply:
    """The reply to a question that was put in one request. Raises SourceError for data of another shape."""
    return parse_reply(
        data,
        operation=f"{github.source}: POST {github.settings.graphql_url}",
        states=part.states,
        histories=part.histories,
        watched=part.watched,
        closely_watched=part.closely_watched,
    )


def _parts(question: Question, size: int) -> Iterator[Question]:
    """The question in parts of at most `size` runs; the first has all that asks for none."""
    others = Question(question.labels, question.states, tree=question.tree)
    histories, close, watched = question.histories, question.closely_watched, question.watched
    while True:
        past = histories[: max(size // HISTORY, 1)]
        left = max(size - HISTORY * len(past), 0)
        near, far = close[:left], watched[: max(left - len(close), 0)]
        yield replace(others, histories=past, closely_watched=near, watched=far)
        others = Question()
        histories, close, watched = histories[len(past) :], close[len(near) :], watched[len(far) :]
        if not (histories or close or watched):
            return


def fields_of(question: Question) -> Iterator[QueryField]:
    """The fields of the question, in one query."""
    yield from question.labels
    yield from question.tree
    yield from _node_fields("state", question.states, STATE)
    yield from _node_fields(HISTORY_ALIAS, question.histories, PAST_RUNS)
    yield from _node_fields("pulse", question.watched, PULSE)
    yield from _node_fields(CLOSE_ALIAS, question.closely_watched, CLOSE_PULSE)


def _node_fields(prefix: str, items: Sequence[Run] | Sequence[Workflow], fragment: str) -> Iterator[QueryField]:
    for number, start in enumerate(range(0, len(items), IDS_PER_FIELD)):
        alias = f"{prefix}{number}"
        ids = [item.node_id for item in items[start : start + IDS_PER_FIELD]]
        yield QueryField(alias, f"{alias}: nodes(ids: ${alias}) {{ {fragment} }}", {alias: ("[ID!]!", ids)})
