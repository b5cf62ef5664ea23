"""Reads several repositories side by side: each goes as far as its question, the questions are put together, then each
goes on with its reply."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from metta_checks.ci.client import GitHub, together
from metta_checks.ci.history import OF_ALL_REQUESTS
from metta_checks.ci.question import Question, Questioner
from metta_checks.ci.reading import SPARE
from metta_checks.ci.reply import Reply
from metta_checks.ci.shared_question import MOST_TOGETHER, QUESTIONS, Asked, SharedQuestions, asked_alone
from metta_checks.core.errors import Kind, SourceError
from metta_checks.core.target import Result, Target

REQUESTS_EACH: Final = 5
"""Requests that a repository takes which was read before, if all of them count."""

Steps = Generator[Question, Reply, Result]


@dataclass(frozen=True, slots=True)
class Opening:
    """The reading of one target that has not begun: `steps` yields at most one question, and returns the result."""

    target: Target
    github: GitHub
    questioner: Questioner
    steps: Steps


def finished(opening: Opening) -> Result:
    """The result of a target that asks for itself. Raises what its steps raise."""
    outcome = _advanced(partial(next, opening.steps))
    if isinstance(outcome, Question):
        outcome = _advanced(partial(_answer, opening.steps, asked_alone(opening.questioner, outcome)))
    return _result(outcome)


class Batches:
    """Reads targets in batches, as far as the time and the quota go; `expired` says that the time is up."""

    def __init__(self, github: GitHub, questions: SharedQuestions, expired: Callable[[], bool], now: datetime) -> None:
        self._github = github
        self._questions = questions
        self._expired = expired
        self._now = now

    def read(
        self, targets: Sequence[Target], opening: Callable[[Target], Opening]
    ) -> Iterator[tuple[Target, Result | Exception]]:
        """A result, or why there is none, for each target whose turn came, a batch at a time.

        Raises SourceError where the credential is refused, which every other target would end in.
        """
        batches = -(-len(targets) // MOST_TOGETHER)
        done = 0
        while done < len(targets) and not self._expired():
            size = min(MOST_TOGETHER, self._affordable(is_first=done == 0))
            batch = list(map(opening, targets[done : done + size]))
            if not batch:
                return
            done += len(batch)
            kinds = set()
            for target, outcome in self._read_batch(batch, max(QUESTIONS // batches, 1)):
                error = outcome.error if isinstance(outcome, Result) else outcome
                kinds.add(error.kind if isinstance(error, SourceError) else None)
                yield target, outcome
                if isinstance(error, SourceError) and error.kind is Kind.UNAUTHORISED:
                    refused = error
            if Kind.UNAUTHORISED in kinds and kinds <= OF_ALL_REQUESTS:
                raise refused
            if Kind.RATE_LIMITED in kinds:
                return

    def _affordable(self, *, is_first: bool) -> int:
        """How many targets the quota allows: where it runs low they take turns. One is read in any case, which shows
        what is left by now."""
        remaining = self._github.remaining
        if remaining is None:
            return MOST_TOGETHER
        return max((remaining - SPARE) // REQUESTS_EACH, 1 if is_first else 0)

    def _read_batch(self, batch: Sequence[Opening], questions: int) -> Iterator[tuple[Target, Result | Exception]]:
        begun = together([partial(self._begun, opening) for opening in batch])
        asked: list[tuple[Opening, Asked]] = []
        for opening, outcome in zip(batch, begun, strict=True):
            if isinstance(outcome, Question):
                one = Asked(opening.target.key, opening.github, opening.questioner, outcome)
                asked.append((opening, one))
            elif outcome is not None:
                yield opening.target, outcome
        replies = self._questions.put([one for _, one in asked], questions, self._now)
        ended = together(
            [partial(_ended, opening.steps, reply) for (opening, _), reply in zip(asked, replies, strict=True)]
        )
        for (opening, _), result in zip(asked, ended, strict=True):
            yield opening.target, result

    def _begun(self, opening: Opening) -> Question | Result | Exception | None:
        """How far a target gets without a reply; None where it did not begin before the time was up."""
        if self._expired():
            return None
        try:
            return _advanced(partial(next, opening.steps))
        except Exception as error:
            return error


def _ended(steps: Steps, reply: Reply | SourceError) -> Result | Exception:
    try:
        return _result(_advanced(partial(_answer, steps, reply)))
    except Exception as error:
        return error


def _result(outcome: Question | Result) -> Result:
    if isinstance(outcome, Question):
        raise TypeError("a reading asks one question only")
    return outcome


def _answer(steps: Steps, reply: Reply | SourceError) -> Question:
    return steps.throw(reply) if isinstance(reply, SourceError) else steps.send(reply)


def _advanced(step: Callable[[], Question]) -> Question | Result:
    try:
        return step()
    except StopIteration as end:
        result: Result = end.value
        return result
