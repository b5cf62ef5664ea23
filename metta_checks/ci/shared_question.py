"""One GraphQL question for several repositories, which cost a request each when they ask for themselves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from metta_checks.ci.client import GitHub, together
from metta_checks.ci.graphql import Data, QueryField
from metta_checks.ci.ledger import QUESTION_SIZE, SIZE_HOLDS
from metta_checks.ci.pages import MAY_BE_TOO_LARGE
from metta_checks.ci.question import Question, Questioner, fields_of, reply_of
from metta_checks.ci.reply import Reply
from metta_checks.core.errors import Kind, SourceError

V = TypeVar("V")

MOST_TOGETHER: Final = 20
"""Repositories in one question; each brings a field for each label, with fifty pull requests behind it."""

QUESTIONS: Final = 3
"""How many questions of the usual size watch the older runs of all repositories in a collection. Where there are more
runs, each repository's take turns: what changes in one shows a few collections later, as with its buckets."""

MAY_BE_ONE_OF_THEM: Final = MAY_BE_TOO_LARGE | {Kind.REJECTED, Kind.MALFORMED, Kind.FORBIDDEN, Kind.NOT_FOUND}
"""Errors of a question that a smaller one, or one without the repository that is to blame, may not have."""


@dataclass(frozen=True)
class Asked:
    """What one repository wants to be asked; `key` is its target's."""

    key: str
    github: GitHub
    questioner: Questioner
    question: Question


class SharedQuestions:
    """Puts the questions of several repositories together, in the size that the server was seen to answer."""

    def __init__(self) -> None:
        self._together = MOST_TOGETHER
        self._smaller_since: datetime | None = None
        self._watched_to: dict[str, int] = {}

    def retain(self, keys: Collection[str]) -> None:
        """Forget the targets that are not among `keys`."""
        self._watched_to = {key: run_id for key, run_id in self._watched_to.items() if key in keys}

    def put(self, asked: Sequence[Asked], questions: int, now: datetime) -> list[Reply | SourceError]:
        """The reply to each, or why there is none; `questions` is how many of the usual size there may be."""
        if self._smaller_since is not None and not timedelta(0) <= now - self._smaller_since < SIZE_HOLDS:
            self._together, self._smaller_since = MOST_TOGETHER, None
        fitting = self._fitting(asked, questions * QUESTION_SIZE)
        parts = list(_parts(fitting, self._together))
        replies = together([partial(self._put_part, part, now) for part in parts])
        return [reply for part in replies for reply in part]

    def _fitting(self, asked: Sequence[Asked], size: int) -> list[Asked]:
        """The questions with as many watched runs as there is room for, shared by the repositories; those that cannot
        wait come first, the others in turn."""
        left = size - sum(one.question.weight - len(one.question.watched) for one in asked)
        rooms: dict[str, int] = {}
        by_number = sorted(asked, key=lambda one: len(one.question.watched))
        for number, one in enumerate(by_number):
            rooms[one.key] = min(len(one.question.watched), max(left, 0) // (len(asked) - number))
            left -= rooms[one.key]
        return [self._trimmed(one, rooms[one.key]) for one in asked]

    def _trimmed(self, asked: Asked, room: int) -> Asked:
        question = asked.question
        if len(question.watched) <= room:
            return asked
        urgent = [run for run in question.watched if run.id in question.urgent]
        others = sorted((run for run in question.watched if run.id not in question.urgent), key=lambda run: run.id)
        done = self._watched_to.get(asked.key, 0)
        turns = [*(run for run in others if run.id > done), *(run for run in others if run.id <= done)]
        chosen = turns[: max(room - len(urgent), 0)]
        if chosen:
            self._watched_to[asked.key] = chosen[-1].id
        return replace(asked, question=replace(question, watched=(*urgent, *chosen)))

    def _put_part(self, part: Sequence[Asked], now: datetime) -> list[Reply | SourceError]:
        if len(part) == 1:
            return [asked_alone(part[0].questioner, part[0].question)]
        github = part[0].github
        questions = [one.question if github.reads_check_suites else one.question.without_check_suites() for one in part]
        try:
            fields = list(_prefixed(part, questions))
            if not fields:
                return [Reply()] * len(part)
            # Whatever goes wrong with a field is that of one repository.
            apart = frozenset(field.alias for field in fields)
            data = github.query(fields, about=f"labels and runs of {len(part)} repositories", apart=apart)
        except SourceError as error:
            if any(one.is_refused_check_suites(error) for one in questions):
                github.note_refused_check_suites()
                return self._put_part(part, now)
            if error.kind not in MAY_BE_ONE_OF_THEM or not github.has_time:
                return [error] * len(part)
            half = len(part) // 2
            if error.kind in MAY_BE_TOO_LARGE:
                self._together, self._smaller_since = min(self._together, half), now
            return [*self._put_part(part[:half], now), *self._put_part(part[half:], now)]
        replies = [_reply(one.github, question, data, number) for number, (one, question) in _numbered(part, questions)]
        refused = [
            isinstance(reply, SourceError) and question.is_refused_check_suites(reply)
            for question, reply in zip(questions, replies, strict=True)
        ]
        if any(refused):
            github.note_refused_check_suites()
            return self._put_part(part, now)
        return replies


def asked_alone(questioner: Questioner, question: Question) -> Reply | SourceError:
    """The reply to a question that is put for itself, or why there is none."""
    try:
        return questioner.put(question)
    except SourceError as error:
        return error


def _parts(asked: Sequence[Asked], most: int) -> Iterator[list[Asked]]:
    """At most `most` questions together, and no more runs than one question asks for, in their order."""
    part: list[Asked] = []
    weight = 0
    for one in asked:
        if part and (len(part) == most or weight + one.question.weight > QUESTION_SIZE):
            yield part
            part, weight = [], 0
        part.append(one)
        weight += one.question.weight
    if part:
        yield part


def _numbered(part: Sequence[Asked], questions: Sequence[Question]) -> Iterator[tuple[int, tuple[Asked, Question]]]:
    yield from enumerate(zip(part, questions, strict=True))


def _prefixed(part: Sequence[Asked], questions: Sequence[Question]) -> Iterator[QueryField]:
    """The fields of all, each alias and each variable with the number of its repository in front."""
    for number, (_, question) in _numbered(part, questions):
        for field in fields_of(question):
            text = re.sub(r"\$(?=\w)", f"$r{number}_", field.text)
            variables = {f"r{number}_{name}": variable for name, variable in field.variables.items()}
            yield QueryField(f"r{number}_{field.alias}", f"r{number}_{text}", variables)


def _reply(github: GitHub, question: Question, data: Data, number: int) -> Reply | SourceError:
    """What the answer to all says of one repository."""
    prefix = f"r{number}_"
    own = Data(_without(prefix, data.values), _without(prefix, data.faults))
    alone = {field.alias for field in (*question.labels, *question.tree)}
    faults = [
        fault.of_field(alias)
        for alias, fault in own.faults.items()
        if alias not in alone and fault.kind is not Kind.NOT_FOUND
    ]
    if faults:
        return faults[0]
    try:
        return reply_of(github, question, own)
    except SourceError as error:
        return error


def _without(prefix: str, values: Mapping[str, V]) -> dict[str, V]:
    return {alias.removeprefix(prefix): value for alias, value in values.items() if alias.startswith(prefix)}
