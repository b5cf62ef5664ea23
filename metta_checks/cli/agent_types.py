"""The keys that the Agent itself reads of a configuration file, and the types that it requires of them.

It decodes them in Go, into fields with types: `CommonInstanceConfig`, `CommonGlobalConfig` and `configFormat` in the
sources of Agent 7.62, `loader` in its scheduler. Where one does not fit, the Agent does not build the check, and
`metta.check.up` is not sent at all: `agent status` shows an initialization error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from metta_checks.cli.agent_config import below, entries, go_type, is_variable, scalar_type, scalar_value
from metta_checks.core.duration import parse_duration

INSTANCE: Final[Mapping[str, str]] = {
    "min_collection_interval": "int",
    "empty_default_hostname": "bool",
    "tags": "texts",
    "service": "text",
    "name": "text",
    "namespace": "text",
    "no_index": "bool",
    "loader": "loader",
}

INIT_CONFIG: Final[Mapping[str, str]] = {"service": "text", "loader": "loader"}

FILE: Final[Mapping[str, str]] = {
    "cluster_check": "bool",
    "ignore_autodiscovery_tags": "bool",
    "check_tag_cardinality": "text",
    "ad_identifiers": "texts",
    "advanced_ad_identifiers": "list",
    "docker_images": "nothing",
    "jmx_metrics": "nothing",
}

NOT_BUILT: Final = "The Agent reads this key itself and would not build the check"

REFUSED_BY_BASE: Final = "The Agent's base class refuses it, and the Agent would not build the check"

_NAMES: Final = {
    "null": "empty",
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "str": "text",
    "seq": "a list",
    "map": "a mapping",
}
_FALSE: Final = frozenset({"false", "no", "off", "n", "0"})
_SHOWN: Final = 60
_LIKE_A_SECRET: Final = re.compile(r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}")
_PLAIN: Final = re.compile(r"[\w./][\w./:+@ -]*[\w./]|\w")


def refused_keys(node: yaml.Node | None, types: Mapping[str, str]) -> Iterator[tuple[str, str, yaml.Node]]:
    """Each key of the mapping `node` that the Agent refuses, with what is wrong with it and what stands there."""
    for key, wanted in types.items():
        value = below(node, key)
        if value is not None and (problem := _problem(key, value, wanted)):
            yield key, f"{problem}. {NOT_BUILT}", value


def seconds_of(written: str, otherwise: str) -> str:
    """The seconds of what was written as a duration, such as `4m`; else `otherwise`."""
    try:
        seconds = parse_duration(written.replace(" ", "")).total_seconds()
    except ValueError:
        return otherwise
    return f"{seconds:.0f}" if 1 <= seconds < 1_000_000 else otherwise


def type_name(node: yaml.Node) -> str:
    """The type of what stands in the file, in an operator's words."""
    return _NAMES.get(go_type(node), "of another type")


def found(node: yaml.Node) -> str:
    """What stands in the file, with its type, for a message: "text (`many`)"."""
    name = type_name(node)
    if not isinstance(node, yaml.ScalarNode) or not node.value or not may_show(node.value):
        return "empty" if name == "text" and not node.value else name
    written = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}…"
    if node.style == '"' or node.style == "'":
        return f"text in quotes (`{node.style}{written}{node.style}`)"
    return f"`{written}`" if go_type(node) in {"bool", "int", "float"} else f"{name} (`{written}`)"


def may_show(text: str) -> bool:
    """Whether a value may stand in a message: neither an address nor what looks like a credential."""
    return "://" not in text and "@" not in text and not _LIKE_A_SECRET.search(text)


def as_text(text: str) -> str:
    """`text` as a YAML value that the Agent reads as text: in quotes where it needs them."""
    is_plain = _PLAIN.fullmatch(text) and ": " not in text and scalar_type(text) == "str"
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def as_list(texts: list[str]) -> str:
    """A list in one line."""
    return f"[{', '.join(map(as_text, texts))}]"


def _problem(key: str, node: yaml.Node, wanted: str) -> str:
    """What Go refuses, and what to write; empty where it takes the value. A null counts as not set."""
    given = go_type(node)
    if given == "null" or (isinstance(node, yaml.ScalarNode) and is_variable(node.value)):
        return ""
    match wanted:
        case "int" if given not in {"int", "float"}:
            written = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
            number = written if written.isascii() and written.isdigit() and int(written) else seconds_of(written, "120")
            return f"is {found(node)}: write a whole number without quotes, `{key}: {number}`"
        case "int" if _is_too_large(node):
            return f"is {found(node)}, which is too large: write a number of seconds, `{key}: 120`"
        case "bool" if given != "bool":
            value = "false" if isinstance(node, yaml.ScalarNode) and node.value.lower() in _FALSE else "true"
            return f"is {found(node)}: write true or false without quotes, `{key}: {value}`"
        case "text" if not isinstance(node, yaml.ScalarNode):
            texts = [entry.value for entry in entries(node) if isinstance(entry, yaml.ScalarNode)]
            return f"is {found(node)}: write one text, `{key}: {as_text(texts[0]) if texts else 'a-name'}`"
        case "texts":
            return _problem_of_list(key, node)
        case "list" if not isinstance(node, yaml.SequenceNode):
            return f"is {found(node)}: write a list, or remove it"
        case "nothing":
            return "makes the Agent leave out the instances of a Python check: remove it"
        case "loader":
            if not isinstance(node, yaml.ScalarNode) or node.value not in {"", "python"}:
                return f"is {found(node)}: these checks are Python, remove the line or write `loader: python`"
    return ""


def _is_too_large(node: yaml.Node) -> bool:
    """Whether Go's int64 cannot hold the number."""
    value = scalar_value(node.value) if isinstance(node, yaml.ScalarNode) else 0
    # Python receives some large ones as text.
    # Below the range Go's conversion from a float gives the lowest number, which the check refuses.
    return go_type(node) in {"int", "float"} and not float(value) < 2**63


def _problem_of_list(key: str, node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"is {found(node)}: write a list, `{key}: {as_list(split(node.value))}`"
    if isinstance(node, yaml.MappingNode):
        return f"is a mapping: write a list, `{key}: {as_list(pairs(node))}`"
    problems = [(number, entry, _problem_of_entry(entry)) for number, entry in enumerate(entries(node), 1)]
    if not any(problem for _, _, problem in problems):
        return ""
    # With a fault of the list, the check itself does not come to the entries that it would refuse.
    return "; ".join(
        f"entry {number} {problem or _problem_of_scalar(entry)}"
        for number, entry, problem in problems
        if problem or go_type(entry) != "str"
    )


def _problem_of_scalar(entry: yaml.Node) -> str:
    """What the check refuses of an entry that Go takes."""
    return "is empty: remove it" if go_type(entry) == "null" else f"is {found(entry)}: write it in quotes"


def _problem_of_entry(entry: yaml.Node) -> str:
    if isinstance(entry, yaml.MappingNode) and len(entry.value) == 1 and (texts := pairs(entry)):
        return f"is a mapping for YAML: write `{texts[0]}`, without the space"
    if not isinstance(entry, yaml.ScalarNode):
        return f"is {found(entry)}: write one text for each entry"
    return ""


def split(text: str) -> list[str]:
    """The entries that somebody has written as one text."""
    return [part for item in text.split(",") if (part := item.strip())] or [text]


def pairs(node: yaml.Node) -> list[str]:
    """The entries of a mapping as `key:value`."""
    return [f"{key.value}:{value.value}" for key, value in node.value if isinstance(value, yaml.ScalarNode)]
