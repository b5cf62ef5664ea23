"""YAML that somebody else may have written, loaded within bounds.

An alias costs a file three characters and a reader everything that its anchor holds: aliases of lists of aliases make
gigabytes of a few hundred bytes as soon as anything walks through the result. So an alias counts as often as it is
used, and that before any value is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

MAX_BYTES: Final = 1024 * 1024
"""Of a file; more than Kubernetes puts into a ConfigMap."""

MAX_VALUES: Final = 50_000
"""Keys and values of a file, aliases counted as often as they are used; 100 further characters of one count as another.

Python's loader takes a second or more for so many.
"""

MAX_DEPTH: Final = 100
"""Lists and mappings inside of each other, through aliases too."""

MAX_DIGITS: Final = 100
"""Characters of a number: a few hundred thousand take Python minutes."""

_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

_CAUSES: Final = (
    ("found character '\\t'", "there is a tab here: indent with spaces"),
    ("that cannot start any token", "a value cannot begin with this character: put the value in quotes"),
    (
        "mapping values are not allowed",
        "a `: ` is not expected here: indent this line as its neighbours are, put a space after each colon of the "
        "lines above, and put a value that holds `: ` in quotes",
    ),
    ("could not find expected ':'", "a key without a colon, here or on the line above: write `key: value`"),
    (
        "expected alphabetic or numeric character",
        "a value cannot begin with `*` or `&`: put the value in quotes",
    ),
    (
        "found unhashable key",
        "a mapping stands in place of a key: fill in a template such as `{{ name }}`, or put it in quotes",
    ),
    ("found undefined alias", "a value cannot begin with `*`: put the value in quotes"),
    ("found unknown escape character", "a backslash in double quotes: put the value in single quotes"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("found unexpected document separator", "a quote is not closed"),
    ("but found another document", "a second document begins here: a file holds one, without a further `---`"),
    ("could not determine a constructor", "a value cannot begin with `!`: put the value in quotes"),
    ("expected ',' or ']'", "a `[` is not closed, or a comma is missing"),
    ("expected ',' or '}'", "a `{` is not closed, or a comma is missing"),
    ("but found '<scalar>'", "text follows a value that has ended: check the quotes here and on the lines above"),
    ("but got '<stream end>'", "a `[` or `{` is not closed"),
    ("sequence entries are not allowed", "a `- ` is not expected here: begin a list on a line of its own, indented"),
    ("mapping keys are not allowed", "a `? ` is not expected here: put the value in quotes"),
    ("expected the node content", "a value is missing here, or begins with a character that needs quotes"),
    ("indentation indicator", "text follows `|` or `>`: begin it on the next line, indented"),
    ("expected a comment or a line break", "text follows `|`, `>` or `%`: put the value in quotes"),
    ("hexadecimal numbers", "a backslash in double quotes: put the value in single quotes"),
    ("for merging", "what follows `<<:` is no mapping: refer to one, such as `*name`"),
    ("expected <block end>", "this line is not indented as those above it"),
    ("second occurrence", "an anchor (`&name`) is defined twice: give each a name of its own"),
    ("incompatible YAML", "the Agent reads YAML 1.1: remove the line that begins with %YAML"),
    ("lone surrogate", "half of a surrogate pair in double quotes: write the character itself"),
    ("special characters are not allowed", "the file contains a control character: remove it"),
)
"""What the parser reports, by a part of its text, and what a person has done."""

_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class YamlFileError(Exception):
    """A YAML file cannot be used; the text names the file, the place in it and the problem, never a value."""


def read_yaml(path: Path) -> Any:
    """The document in the file `path`, with the types of YAML 1.1. Raises YamlFileError."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of the file `path`. Raises YamlFileError, also for one that is too large."""
    try:
        with path.open("rb") as file:
            # Not by its size: a pipe has none.
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlFileError(f"{path}: {error.strerror or 'cannot be read'}") from None
    if len(content) > MAX_BYTES:
        raise YamlFileError(f"{path}: it has more than {MAX_BYTES:,} bytes: split it into several files")
    try:
        # As the Agent does: UTF-16 is what has its byte order mark.
        return content.decode("utf-16" if content.startswith(_UTF16_MARKS) else "utf-8")
    except UnicodeDecodeError:
        raise YamlFileError(f"{path}: this is not UTF-8 text: save it as UTF-8") from None


def parse_yaml(text: str, name: str) -> Any:
    """The document in `text`; errors call it `name`. Raises YamlFileError."""
    with explained(name):
        return yaml.load(text, BoundedLoader)  # noqa: S506 (a SafeLoader)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turns what a loader raises into a YamlFileError about the document `name`."""
    try:
        yield
    except _LimitError as error:
        raise YamlFileError(f"{name}: {_place(error)}{error.problem}") from None
    except yaml.YAMLError as error:
        raise YamlFileError(f"{name}: {_place(error)}no valid YAML, {_problem(error)}") from None
    except (ValueError, ArithmeticError) as error:
        # What looks like a date or a number, and is none: the loader lets the constructors' own errors through.
        raise YamlFileError(f"{name}: no valid YAML, {str(error).partition(':')[0]}") from None
    except RecursionError:
        raise YamlFileError(f"{name}: no valid YAML, nested too deeply") from None


class _LimitError(yaml.MarkedYAMLError):
    """More than the bounds allow, in what may be valid YAML."""

    def __init__(self, problem: str, event: Any) -> None:
        super().__init__(problem=problem, problem_mark=event.start_mark)


class BoundedLoader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._values = 0
        self._depth = 0
        self._deepest = 0
        self._anchored: dict[yaml.Node, tuple[int, int]] = {}
        """Values and depth of the nodes that an alias may name. One that is not complete yet is missing."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        values_before, deepest_before = self._values, self._deepest
        self._depth += 1
        self._deepest = self._depth
        # Before going down, which takes the interpreter's own stack.
        self._require_bounds(event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            self._count_alias(node, event)
        else:
            self._count(node, event)
            if event.anchor is not None and node is not None:
                self._anchored[node] = (self._values - values_before, self._deepest - self._depth)
        self._depth -= 1
        self._deepest = max(deepest_before, self._deepest)
        return node

    def _count(self, node: yaml.Node | None, event: yaml.Event) -> None:
        self._values += 1
        if isinstance(node, yaml.ScalarNode):
            self._values += len(node.value) // 100
            if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
                raise _LimitError(f"a number has more than {MAX_DIGITS} digits", event)
        self._require_bounds(event)

    def _count_alias(self, node: yaml.Node | None, event: yaml.Event) -> None:
        if node is None or node not in self._anchored:
            raise _LimitError("an alias is inside of the value that it refers to", event)
        values, depth = self._anchored[node]
        self._values += values
        self._deepest = self._depth + depth
        self._require_bounds(event)

    def _require_bounds(self, event: yaml.Event) -> None:
        if self._values > MAX_VALUES:
            problem = f"more than {MAX_VALUES:,} values, where an alias counts as often as it is used"
            raise _LimitError(f"{problem}: split it into several files", event)
        if self._deepest > MAX_DEPTH:
            problem = f"nested too deeply, more than {MAX_DEPTH} lists and mappings inside of each other"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)  # type: ignore[arg-type]


def _problem(error: yaml.YAMLError) -> str:
    reported = getattr(error, "problem", None) or str(error)
    mark = getattr(error, "problem_mark", None)
    if mark is not None and mark.buffer and mark.buffer[max(mark.pointer - 1, 0)] == "\t":
        return "there is a tab before this: write a space"
    for part, cause in _CAUSES:
        if part in reported:
            return cause
    # Neither the mark's own text nor what the problem quotes: a key may stand there.
    words = str(getattr(error, "problem", None) or "cannot be parsed").partition("'")[0].strip()
    return f"{words.removesuffix(', but found').removesuffix(', but got')}: put the value in quotes"


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
