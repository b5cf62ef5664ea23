"""Patterns that operators write and that are matched against text of others, in bounded time.

`re` backtracks: where a pattern can read one text in many ways, a text that does not match is tried in all of them, and
no other Python thread runs meanwhile. Python has no limit for that, so such patterns are refused.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import log2
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

MAX_TEXT: Final = 256
"""Characters of a text that are matched. Within them, and `MAX_DEGREE`, a search takes milliseconds."""

MAX_DEGREE: Final = 3
"""The power of the text's length with which the steps of a search may grow."""

MAX_CHOICES: Final = 12
"""How many times the steps of a search may double by alternatives and optional parts outside of repetitions."""

MAX_DOUBLINGS: Final = 28
"""How many times they may double by all of it together, look-aheads included: each power of the length is eight."""

MAX_PATTERN: Final = 2_000
MAX_POSITIONS: Final = 1_000
"""Characters of a pattern, counted repetitions written out."""

MAX_REPEATED: Final = 120
"""The same within one repetition: the analysis looks at pairs of them."""

MAX_PAIRS: Final = 100_000
"""Pairs of steps that the analysis of one repetition looks at."""


def compile_pattern(text: str) -> re.Pattern[str]:
    """The regular expression `text`, for searching or matching in texts of others; cut those at `MAX_TEXT`.

    Raises ValueError for what is not a regular expression, and for one whose search can take exponential time, or time
    that grows faster than the text's length to the power of `MAX_DEGREE`. Its text goes behind what the caller calls
    the pattern: "the pattern of run type 'x' …".
    """
    shown = f"`{text[:100]}{'…' if len(text) > 100 else ''}`"
    shown = shown if shown.isprintable() else ascii(shown)[1:-1]
    try:
        compiled = re.compile(text)
        problem = _problem(parser.parse(_BAR.sub(_unmerged, text))) if len(text) <= MAX_PATTERN else _TOO_COMPLEX
    # A count of repetitions may be too large for `re`, and brackets nested too deeply for the interpreter.
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"is not a regular expression: {_in_plain_words(error, text)}", shown) from None
    if problem:
        raise PatternError(f"can take too long on some names: {problem}", shown)
    return compiled


class PatternError(ValueError):
    """A pattern that cannot be used: the `problem` that goes on from it, and the pattern as it may be `shown`."""

    def __init__(self, problem: str, shown: str) -> None:
        super().__init__(f"{problem} (it is {shown})")
        self.problem = problem
        self.shown = shown


def _in_plain_words(error: Exception, text: str) -> str:
    """What is wrong with `text`, where Python names a position and the words of its parser."""
    if text == "*":
        return "for every name write `.*`"
    message = getattr(error, "msg", None)
    if message is None:
        return "it is too deep or repeats too often"
    position = getattr(error, "pos", None) or 0
    if message in {"nothing to repeat", "multiple repeat"}:
        return f"there is nothing before `{text[position : position + 1]}` to repeat; for any characters write `.*`"
    open_ends = {"unterminated character set": "[", "missing ), unterminated subpattern": "("}
    if message in open_ends:
        return f"`{open_ends[message]}` is not closed"
    if message == "unbalanced parenthesis":
        return "`)` closes nothing"
    return str(message)


def compile_stars(text: str) -> Callable[[str], bool]:
    """Whether a whole key fits `text`, in which only `*` is special: any characters, or none. Linear in the key."""
    first, *others = text.split("*")
    if not others:
        return text.__eq__
    *inner, last = others

    def fits(key: str) -> bool:
        if len(key) < len(first) + len(last) or not key.startswith(first) or not key.endswith(last):
            return False
        position, end = len(first), len(key) - len(last)
        for part in inner:
            found = key.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    return fits


_TOO_COMPLEX: Final = "it is too long, or repeats too much; write a shorter one"

_TOO_MANY_STEPS: Final = (
    "its repetitions, alternatives and look-aheads multiply; leave some `.*`, optional parts or alternatives out"
)

_BAR: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\|", re.DOTALL)


def _unmerged(found: re.Match[str]) -> str:
    """A bar between alternatives with an empty look-ahead before it: the parser would make one set of `a|a`."""
    return "(?=)|" if found[0] == "|" else found[0]


class _TooComplexError(Exception):
    """The analysis would itself take too long."""


def _problem(tree: Any) -> str:
    """Why the pattern is refused; empty when it is not."""
    # In a text of many lines `^` is at the beginning of each.
    pending = [(tree, _is_anchored(tree) and not tree.state.flags & re.MULTILINE)]
    alphabet = _alphabet(tree)
    doublings = 0.0
    while pending:
        part, anchored = pending.pop()
        automaton = _Automaton(alphabet)
        try:
            whole = automaton.sequence(part, part.state.flags)
            problem = automaton.problem(whole, anchored=anchored)
        except _TooComplexError:
            return _TOO_COMPLEX
        if problem:
            return problem
        doublings += automaton.doublings
        # An assertion is tried where the search comes to it alone, but within a repetition at every character.
        pending += [(assertion, not repeated) for assertion, repeated in automaton.assertions]
    return "" if doublings <= MAX_DOUBLINGS else _TOO_MANY_STEPS


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern: which states it can begin and end with, and in how many ways it can match nothing.

    A state stands in `first` and `last` once for each such way around what is before or behind it; two ways are many.
    """

    nullable: int
    first: tuple[int, ...]
    last: tuple[int, ...]


_NOTHING: Final = _Part(1, (), ())


class _Automaton:
    """The Glushkov automaton of a pattern: a state for each of its characters, edges to those that can come next.

    Two edges between the same two states, or a pair of different paths from a state back to itself that read the same
    text, are what makes backtracking exponential (Weber and Seidl, "On the degree of ambiguity of finite automata").
    What `re` does to cut that short (atomic groups, possessive repetitions) is not taken into account.
    """

    def __init__(self, alphabet: str) -> None:
        self._alphabet = alphabet
        self._known: dict[tuple[str, str, int], int] = {}
        self._sets: list[int] = []
        self._edges: dict[int, Counter[int]] = defaultdict(Counter)
        self._empty_repeated = False
        self.assertions: list[tuple[Any, bool]] = []
        self.doublings = 0.0

    def sequence(self, items: Iterable[Any], flags: int) -> _Part:
        whole = _NOTHING
        for operation, argument in items:
            whole = self._joined(whole, self._item(str(operation), argument, flags))
        return whole

    def problem(self, whole: _Part, *, anchored: bool) -> str:
        """What is wrong with the pattern that was added; empty when nothing is, and `doublings` are those of a search
        with it."""
        if self._empty_repeated:
            return "it repeats a part that can match nothing; write the inner part without `*` or `?`"
        loops = _components(len(self._sets), self._edges)
        for loop in loops:
            if len(loop) > MAX_REPEATED:
                raise _TooComplexError
            if self._is_ambiguous(loop):
                return (
                    "within a repetition it can read the same characters in several ways; "
                    "write it without a repetition inside of a repetition, or with alternatives that do not overlap"
                )
        repeated = {state for loop in loops for state in loop}
        wide = [any(self._choices(self._edges[state].elements()) for state in loop) for loop in loops]
        # A repetition that nothing overlaps still runs through the text, once for each way to read what is before it.
        degree = sum(wide) + (not all(wide)) + (not anchored)
        if degree > MAX_DEGREE:
            return "it has too many repetitions that overlap with what follows them; leave some `.*` out"
        single = [self._edges[state].elements() for state in range(len(self._sets)) if state not in repeated]
        choices = sum(log2(self._choices(states) or 1) for states in (whole.first, *single))
        self.doublings = degree * log2(MAX_TEXT) + choices
        if choices > MAX_CHOICES:
            return "it has too many optional parts or alternatives that overlap"
        return ""

    def _item(self, operation: str, argument: Any, flags: int) -> _Part:
        match operation:
            case "SUBPATTERN":
                _, added, removed, body = argument
                return self.sequence(body, (flags | added) & ~removed)
            case "ATOMIC_GROUP":
                return self.sequence(argument, flags)
            case "BRANCH":
                return self._either([self.sequence(branch, flags) for branch in argument[1]])
            case "GROUPREF_EXISTS":
                _, yes, no = argument
                return self._either([self.sequence(yes, flags), self.sequence(no or (), flags)])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = argument
                return self._repeat(int(least), int(most), body, flags)
            case "GROUPREF" | "GROUPREF_IGNORE":
                # Whatever the group matched.
                return self._looped(self._state(-1), nullable=True)
            case "ASSERT" | "ASSERT_NOT":
                if argument[1]:
                    self.assertions.append((argument[1], False))
                return _NOTHING
            case "AT" | "FAILURE":
                return _NOTHING
            case _:
                key = (operation, str(argument), flags)
                if key not in self._known:
                    self._known[key] = _members(operation, argument, flags, self._alphabet)
                return self._state(self._known[key])

    def _repeat(self, least: int, most: int, body: Any, flags: int) -> _Part:
        low, high = body.getwidth()
        if most <= 3 or (least == most and low == high and most * high <= MAX_POSITIONS):
            return self._counted(least, [self.sequence(body, flags) for _ in range(most)])
        before = len(self.assertions)
        part = self.sequence(body, flags)
        self.assertions[before:] = [(assertion, True) for assertion, _ in self.assertions[before:]]
        self._empty_repeated |= bool(part.nullable)
        return self._looped(part, nullable=least == 0)

    def _counted(self, least: int, copies: list[_Part]) -> _Part:
        """Copies of a part, one after the other, of which the first `least` must be there."""
        whole = _NOTHING
        for copy in reversed(copies[least:]):
            rest = self._joined(copy, whole)
            whole = _Part(min(2, rest.nullable + 1), rest.first, rest.last)
        for copy in reversed(copies[:least]):
            whole = self._joined(copy, whole)
        return whole

    def _looped(self, part: _Part, *, nullable: bool) -> _Part:
        self._connect(part.last, part.first)
        return _Part(max(nullable, part.nullable), part.first, part.last)

    def _joined(self, one: _Part, other: _Part) -> _Part:
        self._connect(one.last, other.first)
        first = one.first + other.first * one.nullable
        last = other.last + one.last * other.nullable
        return _Part(min(2, one.nullable * other.nullable), first[:MAX_POSITIONS], last[:MAX_POSITIONS])

    def _either(self, parts: list[_Part]) -> _Part:
        first = tuple(state for part in parts for state in part.first)
        last = tuple(state for part in parts for state in part.last)
        return _Part(min(2, sum(part.nullable for part in parts)), first[:MAX_POSITIONS], last[:MAX_POSITIONS])

    def _connect(self, ends: Iterable[int], beginnings: Collection[int]) -> None:
        for state in ends:
            self._edges[state].update(beginnings)

    def _state(self, members: int) -> _Part:
        if len(self._sets) >= MAX_POSITIONS:
            raise _TooComplexError
        self._sets.append(members)
        state = (len(self._sets) - 1,)
        return _Part(0, state, state)

    def _choices(self, states: Iterable[int]) -> int:
        """How many of the states can read a character that another of them can read too."""
        seen = shared = 0
        sets = [self._sets[state] for state in states]
        for members in sets:
            shared |= seen & members
            seen |= members
        return sum(bool(members & shared) for members in sets)

    def _is_ambiguous(self, loop: frozenset[int]) -> bool:
        inside = {state: [after for after in self._edges[state] if after in loop] for state in loop}
        if any(self._edges[state][after] > 1 for state, following in inside.items() for after in following):
            return True
        forward: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        backward: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        pending = [(state, state) for state in loop]
        steps = 0
        while pending:
            pair = pending.pop()
            if pair in forward:
                continue
            steps += len(inside[pair[0]]) * len(inside[pair[1]])
            if steps > MAX_PAIRS:
                raise _TooComplexError
            forward[pair] = {
                (one, other)
                for one in inside[pair[0]]
                for other in inside[pair[1]]
                if self._sets[one] & self._sets[other]
            }
            for after in forward[pair]:
                backward[after].add(pair)
            pending.extend(forward[pair])
        # Two paths part and meet again; along the loop, what met comes back to where they parted.
        pending = [before for state in loop for before in backward[state, state]]
        reached: set[tuple[int, int]] = set()
        while pending:
            pair = pending.pop()
            if pair[0] != pair[1]:
                return True
            if pair not in reached:
                reached.add(pair)
        return False


def _components(size: int, edges: Mapping[int, Collection[int]]) -> list[frozenset[int]]:
    """The strongly connected components of a graph that have an edge inside: its loops (Tarjan, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[frozenset[int]] = []
    for root in range(size):
        work = [] if root in order else [(root, iter(edges.get(root, ())))]
        while work:
            state, following = work[-1]
            if state not in order:
                order[state] = low[state] = len(order)
                stack.append(state)
                on_stack.add(state)
            for after in following:
                if after not in order:
                    work.append((after, iter(edges.get(after, ()))))
                    break
                if after in on_stack:
                    low[state] = min(low[state], order[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[state])
                if low[state] == order[state]:
                    begin = stack.index(state)
                    component = frozenset(stack[begin:])
                    del stack[begin:]
                    on_stack -= component
                    if len(component) > 1 or state in edges.get(state, ()):
                        found.append(component)
    return found


_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


def _alphabet(tree: Any) -> str:
    """Characters that stand for all, a digit and a space outside of ASCII too: sets that overlap share one of these."""
    edges = {*range(128), *map(ord, "é٣中\u2003")}
    pending = [tree]
    while pending:
        one = pending.pop()
        if isinstance(one, int):
            code = int(one)
            if 0 <= code <= 0x10FFFF:
                edges |= {max(code - 1, 0), code, min(code + 1, 0x10FFFF)}
        elif isinstance(one, list | tuple | parser.SubPattern):
            pending.extend(one)
    letters = {chr(code) for code in edges}
    return "".join(sorted(letters | {case for letter in letters for case in _cases_of(letter)}))


def _members(operation: str, argument: Any, flags: int, alphabet: str) -> int:
    """Of `alphabet` the characters that a single-character item matches, as bits."""
    members = 0
    for number, letter in enumerate(alphabet):
        letters = _cases_of(letter) if flags & re.IGNORECASE else {letter}
        if any(_matches(operation, argument, one, flags) for one in letters):
            members |= 1 << number
    return members


@cache
def _same_upper_case() -> Mapping[str, str]:
    """By its upper case the letters that `re` takes for one where case does not count: `s`, `S` and the long s."""
    found: dict[str, str] = defaultdict(str)
    for letter in map(chr, range(0x1E944)):
        if letter.isalpha():
            found[letter.upper()] += letter
    return found


def _cases_of(letter: str) -> set[str]:
    return {letter, *letter.lower(), *letter.upper(), *_same_upper_case().get(letter.upper(), "")}


def _matches(operation: str, argument: Any, letter: str, flags: int) -> bool:
    match operation:
        case "LITERAL":
            return ord(letter) == int(argument)
        case "NOT_LITERAL":
            return ord(letter) != int(argument)
        case "RANGE":
            return bool(argument[0] <= ord(letter) <= argument[1])
        case "CATEGORY":
            return re.match(_CATEGORIES[str(argument)], letter, flags & re.ASCII) is not None
        case "IN":
            negated = str(argument[0][0]) == "NEGATE"
            return negated != any(_matches(str(kind), value, letter, flags) for kind, value in argument[negated:])
        case _:
            # ANY, and what later versions of Python may add.
            return True


def _is_anchored(items: Any) -> bool:
    """Whether every match begins where the text does."""
    for operation, argument in items:
        match str(operation):
            case "AT":
                if str(argument) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
                    return True
            case "SUBPATTERN":
                return _is_anchored(argument[3])
            case _:
                return False
    return False
