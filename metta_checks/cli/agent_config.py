"""Configuration files as the Agent reads them: its YAML, and the `init_config` and `instances` in it.

The Agent decodes a file in Go (gopkg.in/yaml.v2, which rtloader 7.62 to 7.68 has), looks at the keys that are its own,
and writes each instance as YAML again, which Python reads. Seen in Agent 7.68: a bare `08` is the number 8, `1e3` the
number 1000, `12:30` text and `y` true; `<<:` replaces what stands above it; and the text `=` comes back without its
quotes, which Python cannot read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from metta_checks.core.bounded_yaml import MAX_DIGITS, BoundedLoader, YamlFileError, explained, read_text
from metta_checks.core.printable import printable
from metta_checks.core.unknown_options import LONGEST, did_you_mean

Key = str | int
"""A part of a place in a document: the key of a mapping, or the position in a list, from 0."""

_PREFIX: Final = "tag:yaml.org,2002:"
_MERGE: Final = _PREFIX + "merge"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_BOOLEANS: Final = {
    **{word: True for name in ("y", "yes", "true", "on") for word in (name, name.capitalize(), name.upper())},
    **{word: False for name in ("n", "no", "false", "off") for word in (name, name.capitalize(), name.upper())},
}
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A key that one mapping has twice; the Agent takes the last one. Lines count from 1.

    `merged` is whether the last one comes from a `<<:` below the first, which wins in the Agent's YAML.
    """

    key: str
    line: int
    first_line: int
    merged: bool = False


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file: `value` is what Python receives, `root` what stands in the file."""

    value: Any
    root: yaml.Node | None
    duplicates: tuple[Duplicate, ...]
    unreadable: tuple[yaml.Node, ...] = ()
    """Texts that the Agent passes on in a form that Python's YAML refuses."""

    def node(self, *place: Key) -> yaml.Node | None:
        """What stands at a place in the file; None where nothing does."""
        return _below(self.root, place)


def read_document(path: Path) -> YamlDocument:
    """The document in `path`. Raises YamlFileError."""
    text = read_text(path)
    with explained(str(path)):
        loader = _AgentLoader(text)
        try:
            root = loader.get_single_node()
            value = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    return YamlDocument(value, root, tuple(loader.duplicates), tuple(loader.unreadable))


def go_type(node: yaml.Node | None) -> str:
    """What Go decodes: `null`, `bool`, `int`, `float`, `str`, `seq` or `map`."""
    return "null" if node is None else node.tag.removeprefix(_PREFIX)


def scalar_type(text: str) -> str:
    """What Go makes of `text` where it stands bare."""
    return _resolved(text)[0]


def scalar_value(text: str) -> Any:
    """What Python receives of `text` where it stands bare."""
    return _resolved(text)[1]


def entries(node: yaml.Node | None) -> list[yaml.Node]:
    """The entries of a list; none for anything else."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def below(node: yaml.Node | None, *place: Key) -> yaml.Node | None:
    """What stands at a place below `node`; None where nothing does."""
    return _below(node, place)


def line_of(node: yaml.Node | None) -> int | None:
    """The line on which `node` begins, from 1."""
    return None if node is None else int(node.start_mark.line) + 1


class _AgentLoader(BoundedLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.duplicates: list[Duplicate] = []
        self.unreadable: list[yaml.Node] = []
        # Go does not know the backslash before a slash, which JSON has.
        known = self.ESCAPE_REPLACEMENTS
        self.ESCAPE_REPLACEMENTS = {key: known[key] for key in known if key != "/"}  # type: ignore[misc]

    def process_directives(self) -> Any:
        directives = super().process_directives()  # type: ignore[no-untyped-call]
        if self.yaml_version not in {None, (1, 1)}:
            raise yaml.parser.ParserError(None, None, "incompatible YAML version", None)
        return directives

    def scan_to_next_token(self) -> None:
        """As libyaml does, of which Go's parser is a translation: a tab between a key and its value is a blank."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0] and value != "<<":
            return _PREFIX + _resolved(value)[0]
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node: yaml.ScalarNode = super().compose_scalar_node(anchor)
        if node.tag == _PREFIX + "str":
            if _SURROGATE.search(node.value):
                raise yaml.composer.ComposerError(None, None, "lone surrogate", node.start_mark)
            if not _survives(node.value):
                self.unreadable.append(node)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """In the order of the file, as Go does it: what follows `<<` replaces what it merges, and not what precedes."""
        flat: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if key.tag != _MERGE:
                flat.append((key, value))
                continue
            piece = yaml.MappingNode(node.tag, [(key, value)], node.start_mark, node.end_mark)
            super().flatten_mapping(piece)
            lines = {own.value: line_of(own) or 0 for own, _ in flat if isinstance(own, yaml.ScalarNode)}
            names = dict.fromkeys(merged.value for merged, _ in piece.value if isinstance(merged, yaml.ScalarNode))
            for name in (name for name in names if name in lines):
                self.duplicates.append(Duplicate(name, line_of(key) or 0, lines[name], merged=True))
            flat += piece.value
        node.value = flat

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                line, name = line_of(key) or 0, (key.tag, key.value)
                if name in first:
                    self.duplicates.append(Duplicate(key.value, line, first[name]))
                first.setdefault(name, line)
        return node


def _scalar(_: _AgentLoader, node: yaml.ScalarNode) -> Any:
    return _resolved(node.value)[1]


def _merge_text(loader: _AgentLoader, node: yaml.ScalarNode) -> str:
    loader.unreadable.append(node)
    return str(node.value)


def _survives(text: str) -> bool:
    """Whether Python can read a text as Go writes it: without quotes, unless it is a number or the like to Go."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    tag = next((tag for tag, pattern in resolvers if pattern.match(text)), None)
    if tag is None or not text or _resolved(text)[0] != "str":
        return True
    try:
        yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError, ArithmeticError):
        return False
    return True


_AgentLoader.add_constructor(_MERGE, _merge_text)
# A mapping without values, as which Go takes it.
_AgentLoader.add_constructor(_PREFIX + "set", _AgentLoader.yaml_constructors[_PREFIX + "map"])
for _name in ("bool", "int", "float", "null"):
    _AgentLoader.add_constructor(_PREFIX + _name, _scalar)
_AgentLoader.add_constructor(_PREFIX + "timestamp", lambda _, node: node.value)


def _resolved(text: str) -> tuple[str, Any]:
    """Go's type of a bare scalar, and the value that reaches Python."""
    if text in _NULLS:
        return "null", None
    if text in _BOOLEANS:
        return "bool", _BOOLEANS[text]
    if _SPECIAL.fullmatch(text):
        return "float", float(text.replace(".", "").lower())
    if text[0] not in "+-.0123456789":
        return "str", text
    plain = text.replace("_", "") if text[0] != "." else text
    if len(plain) > MAX_DIGITS and (_INTEGER.fullmatch(plain) or _FLOAT.fullmatch(plain)):
        # The loader refuses it by its length, before anything is calculated.
        return "int", None
    if match := _INTEGER.fullmatch(plain):
        integer = _integer(match)
        if -(2**63) <= integer < 2**63 or (not match[1] and integer < 2**64):
            return "int", integer
    if _FLOAT.fullmatch(plain) and abs(number := float(plain)) != float("inf"):
        return "float", _as_python_reads(number)
    return "str", text


def _integer(match: re.Match[str]) -> int:
    sign, *digits = match.groups()
    base, text = next((base, text) for base, text in zip((16, 2, 8, 10), digits, strict=True) if text is not None)
    return int(sign + text, base)


def _as_python_reads(number: float) -> float | int | str:
    """Go writes the shortest form, with an exponent from 1e+06 on. Python takes one without a point for text."""
    exponent = int(f"{number:e}".partition("e")[2])
    if -4 <= exponent < 21 and number.is_integer() and exponent < 6:
        return int(number)
    digits = repr(abs(number)).partition("e")[0].replace(".", "").strip("0")
    if (exponent < -4 or exponent >= 6) and len(digits) == 1:
        return f"{'-' if number < 0 else ''}{digits}e{exponent:+03d}"
    return number


def _below(node: yaml.Node | None, place: tuple[Key, ...]) -> yaml.Node | None:
    for key in place:
        node = next(_at(node, key), None)
    return node


def _at(node: yaml.Node | None, key: Key) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        yield node.value[key]
    elif isinstance(node, yaml.MappingNode):
        # The last one counts.
        for name, value in reversed(node.value):
            if isinstance(name, yaml.ScalarNode) and name.value == str(key):
                yield value


_VARIABLE: Final = re.compile(r"%%env_(\w+?)%%")


def with_variables(value: Any) -> Any:
    """The options with the variables `%%env_NAME%%`, which the Agent replaces from its environment before the check
    reads them: alone in a text, a whole number and a boolean are no text any more. One that is not set stays."""
    if isinstance(value, Mapping):
        return {key: with_variables(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [with_variables(inside) for inside in value]
    if not isinstance(value, str) or unset_variables(value):
        return value
    text = _VARIABLE.sub(lambda found: os.environ[found[1]], value)
    kind, alone = _resolved(text) if _VARIABLE.fullmatch(value) else ("str", text)
    return alone if kind in {"int", "bool"} else text


def unset_variables(text: str) -> list[str]:
    """The variables of the Agent in `text` that this environment does not have."""
    return [name for name in _VARIABLE.findall(text) if name not in os.environ]


def is_variable(text: str) -> bool:
    """Whether `text` is one of the Agent's variables and nothing else."""
    return _VARIABLE.fullmatch(text) is not None


FORM: Final = "write `init_config:`, then `instances:`, then each instance behind a dash, as in conf.yaml.example"


class ConfigFileError(Exception):
    """A configuration file cannot be used; the text, one printable line, names the file and the place in it.

    `problems` are the same without the file's name.
    """

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        self.problems = tuple(map(printable, problems))
        super().__init__(f"{printable(str(path))}: {'; '.join(self.problems)}")


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """One file's content. Each instance is a mapping; `init_config` is empty where the file has none.

    `more` is what else stands at the top of the file, such as `cluster_check`. `document` is the file itself, None for
    a configuration that comes from the environment alone.
    """

    init_config: Mapping[str, Any]
    instances: tuple[Mapping[str, Any], ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    document: YamlDocument | None = None


def read_agent_config(path: Path) -> AgentConfig:
    """Read and take apart a file. Raises ConfigFileError."""
    try:
        document = read_document(path)
    except YamlFileError as error:
        raise ConfigFileError(path, (str(error).removeprefix(f"{path}: "),)) from None
    if problems := tuple(_problems(document)):
        raise ConfigFileError(path, problems)
    content = document.value
    more = {key: value for key, value in content.items() if key not in {"init_config", "instances"}}
    instances = tuple(instance or {} for instance in content["instances"])
    return AgentConfig(content.get("init_config") or {}, instances, more, document)


def _problems(document: YamlDocument) -> Iterator[str]:
    """What keeps the Agent from finding instances in the file."""
    content = document.value
    if content is None:
        yield f"the file is empty: {FORM}"
        return
    if not isinstance(content, dict):
        yield f"the file is {kind_of(content)}: {FORM}"
        return
    if key := helm_key(content):
        yield f"{OF_HELM} `{key}`"
        return
    init_config = content.get("init_config")
    if init_config is not None and not isinstance(init_config, dict):
        form = "write `init_config:` with nothing behind it, or a mapping of options"
        place = _line(document, "init_config")
        yield f"{place}`init_config` is {kind_of(init_config)}: {form}. The Agent would not build the check"
    instances = content.get("instances")
    if instances is None or instances == []:
        found = "missing" if "instances" not in content else "empty"
        hint = _in_place_of_instances(content) if found == "missing" else ""
        if isinstance(init_config, dict) and "instances" in init_config:
            hint = ": it stands inside of `init_config`, so begin its line at the margin"
        yield f"`instances` has to be a list with at least one entry, such as `- {{}}`; it is {found}{hint}"
    elif not isinstance(instances, list):
        found = f"{_line(document, 'instances')}`instances` has to be a list, and it is {kind_of(instances)}"
        yield f"{found}: begin each instance with a dash"
    else:
        for number, instance in enumerate(instances, 1):
            if instance is not None and not isinstance(instance, dict):
                place = _line(document, "instances", number - 1)
                yield f"{place}instance {number} is {kind_of(instance)}, not a mapping of options: write `key: value`"


OF_HELM: Final = "is a file of Helm values: validate the files under"


def helm_key(content: Any) -> str:
    """Under which key a file of Helm values has the configurations of checks; empty for any other file."""
    for part, keys in (("clusterAgent", ("advancedConfd", "confd")), ("datadog", ("confd",)), ("agents", ("confd",))):
        inside = content.get(part) if isinstance(content, Mapping) else None
        found = next((key for key in keys if isinstance(inside, Mapping) and key in inside), None)
        if found and "instances" not in content:
            return f"{part}.{found}"
    return ""


def _in_place_of_instances(content: Mapping[Any, Any]) -> str:
    """What was written where `instances` should be: the end of a sentence."""
    others = [str(key) for key in content if key != "init_config"]
    if slip := next((key for key in others if did_you_mean(key, ("instances",))), None):
        return f": `{printable(slip, LONGEST)}` is written in its place"
    named = ", ".join(f"`{printable(key, LONGEST)}`" for key in others[:3])
    return f". Options such as {named} stand behind a dash below it" if named else ""


def kind_of(value: object) -> str:
    """The type of a value, in an operator's words."""
    match value:
        case None:
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return "a mapping"


def _line(document: YamlDocument, *place: str | int) -> str:
    line = line_of(document.node(*place))
    return f"line {line}: " if line is not None else ""
