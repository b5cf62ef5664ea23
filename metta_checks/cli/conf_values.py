"""Values of options that a check takes, and that cannot be what was meant: placeholders, variables, paths, names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from metta_checks.cli.agent_config import kind_of, unset_variables
from metta_checks.cli.agent_types import REFUSED_BY_BASE, as_list
from metta_checks.cli.option_faults import Fault
from metta_checks.core.definition import CheckDefinition
from metta_checks.core.printable import printable

TLS_FILES: Final = ("tls_ca_cert", "tls_cert", "tls_private_key", "kerberos_keytab")
"""Options of the base class that name a local file."""

OF_EXAMPLES: Final = re.compile(r"<[A-Z][A-Z0-9_]+>")
"""A placeholder of conf.yaml.example."""

_ANY_PLACEHOLDER: Final = re.compile(r"<[A-Za-z][\w .-]*>|\{\{.*\}\}")
_VARIABLE: Final = re.compile(r"\$\{\{?[^}]*\}?\}|\$\([^)]*\)|%%\w+%%")
_OF_THE_AGENT: Final = re.compile(r"%%env_\w+%%")
"""A variable that the Agent replaces in every file (seen in Agent 7.68)."""

_BARE_VARIABLE: Final = re.compile(r"\$[A-Z_][A-Z0-9_]*")
_EXAMPLE_SECRET: Final = re.compile(
    r"(?:your|my)[-_ ].*|x{3,}|\*{3,}|change[-_ ]?me|todo|secret|(?:api[-_ ]?)?(?:key|token)", re.IGNORECASE
)
_SECRETS: Final = frozenset({"api_key", "token"})
_PATTERNS: Final = frozenset({"run_types", "projects", "repos", "metrics", "metric_patterns"})
"""Options whose texts are patterns, in which brackets and dollar signs have a meaning."""

_QUOTES: Final = "\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
_INVISIBLE: Final = re.compile("[\u00a0\u00ad\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_OF_S3: Final = re.compile(r"(?:s3:/+|s3[an]:/+|arn:aws[\w-]*:s3:::|[\w.-]*s3[\w.-]*\.amazonaws\.com/)", re.IGNORECASE)
_NO_JSON: Final = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".yaml", ".yml", ".xml", ".txt", ".gz", ".parquet"})

_NO_NAME: Final = re.compile(r"[/\\#?%:]")
"""Characters that no W&B project has (`project` in wandb/sdk/wandb_settings.py), and no account of W&B or GitHub."""

_OF_NAME: Final = {"entity": "team", "project": "project", "organization": "org"}

_NO_BRANCH: Final = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{")
"""What no branch has (git-check-ref-format)."""


def faults_of_values(
    definition: CheckDefinition, given: Mapping[str, Any], *, has_templates: bool = False
) -> Iterator[Fault]:
    """At most one fault for each option. `has_templates` is whether the Agent replaces `%%…%%` in this file."""
    for option, value in given.items():
        if problem := _problem(definition, str(option), value, has_templates=has_templates):
            yield Fault(str(option), problem)


def placeholders(given: Mapping[str, Any]) -> Iterator[Fault]:
    """The options that still have a value of the example."""
    for option, value in given.items():
        left = {match for text in _texts_in(value) for match in OF_EXAMPLES.findall(text)}
        if left:
            yield Fault(str(option), f"still holds {', '.join(sorted(left))} of the example: put your own value there")


def filled(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a name in place of each placeholder of the example: what they cost does not depend on it."""
    return {option: OF_EXAMPLES.sub("x", value) if isinstance(value, str) else value for option, value in given.items()}


def _problem(definition: CheckDefinition, option: str, value: object, *, has_templates: bool) -> str:
    if option == "metric_patterns":
        problem = _problem_of_patterns(value)
        return f"{problem}. {REFUSED_BY_BASE}" if problem else ""
    if option not in _PATTERNS:
        for text in _texts_in(value):
            if problem := _unresolved(definition, option, text.strip(), has_templates=has_templates):
                return problem
    for text in _texts_in(value):
        if text[:1] and text[0] in _QUOTES and text[-1] in _QUOTES:
            return 'stands in typographic quotes, which are part of the value for YAML: write straight ones, "…"'
        if _INVISIBLE.search(text):
            return "holds a character that cannot be seen, such as a non-breaking space: type the value anew"
    if not isinstance(value, str) or OF_EXAMPLES.search(value) or _OF_THE_AGENT.search(value):
        return ""
    if option in definition.path_options:
        return _problem_of_source(value.strip())
    if option in TLS_FILES and value.strip() and not value.strip().startswith("/"):
        return _relative(value.strip())
    return _problem_of_name(option, value.strip())


def _unresolved(definition: CheckDefinition, option: str, text: str, *, has_templates: bool) -> str:
    """What is wrong with a text that something was to replace before the check reads it."""
    if "ENC[" in text.upper() and not (text.startswith("ENC[") and text.endswith("]") and len(text) > len("ENC[]")):
        return "holds a broken handle of a secret: write the whole value as `ENC[name-of-the-secret]`"
    if OF_EXAMPLES.search(text):
        return ""
    if _ANY_PLACEHOLDER.fullmatch(text) or (option in _SECRETS and _EXAMPLE_SECRET.fullmatch(text)):
        return "still holds a placeholder: put your own value there"
    in_path = option in (*definition.path_options, *TLS_FILES)
    if not has_templates and (unset := unset_variables(text)):
        return f"holds %%env_{unset[0]}%%, and {unset[0]} is not set here: run this with the Agent's environment"
    text = _OF_THE_AGENT.sub("", text)
    found = _VARIABLE.search(text) or _BARE_VARIABLE.fullmatch(text) or (in_path and _BARE_VARIABLE.search(text))
    if not found or (has_templates and found[0].startswith("%%")):
        return ""
    reads = definition.check_class().VARIABLES.get(option)
    own = reads.name if reads is not None else _credential_variable(definition, option)
    cure = "write the value, or %%env_NAME%% for the variable NAME of the Agent's environment"
    if own:
        cure = f"write the value, or remove the line: the check itself reads {own}"
    return f"holds a variable, which the Agent does not replace in this file: {cure}"


def _problem_of_patterns(value: object) -> str:
    """What keeps the base class from filtering the metrics' names; a null counts as not set."""
    form = "a mapping with `include`, `exclude` or both, each a list of regular expressions"
    if value is not None and not isinstance(value, Mapping):
        return f"is {kind_of(value)}: write {form}"
    for key in ("include", "exclude"):
        entries = (value or {}).get(key, [])
        if not isinstance(entries, list):
            written = entries if isinstance(entries, str) else "metta.check"
            return f"`{key}` is {kind_of(entries)}: write a list, `{key}: {as_list([printable(written, 80)])}`"
        for number, entry in enumerate(entries, 1):
            if not isinstance(entry, str):
                return f"`{key}`, entry {number} is {kind_of(entry)}: write text in quotes"
            try:
                re.compile(entry)
            except re.error as error:
                return f"`{key}`, entry {number} is not a regular expression ({error.msg}): put a backslash before it"
    return ""


def _credential_variable(definition: CheckDefinition, option: str) -> str:
    names = [name for name in definition.variables if name.endswith(option.upper())]
    return names[0] if option in _SECRETS and names else ""


def _problem_of_source(path: str) -> str:
    """What keeps the Agent from reading a path or an address of records."""
    if _DRIVE.match(path) and os.name != "nt":
        return f"is a path of Windows (`{printable(path, 80)}`): write one of the Agent's machine, from /"
    if path.startswith("file:"):
        return f"is an address of a file: write the path alone, from /, such as {_after_file(path)}"
    if found := re.match(r"(https?):(?:/(?!/)|(?!/))", path, re.IGNORECASE):
        return f"is no address: write two slashes, {found[1].lower()}://host/path"
    if re.match(r"s3//", path, re.IGNORECASE):
        meant = printable(f"s3://{path[2:].lstrip('/')}", 80)
        return f"is not an address that the check can read: did you mean {meant}?"
    scheme, mark, _ = path.partition("://")
    if mark and scheme not in {"s3", "S3", "s3a", "s3n"}:
        console = "console.aws.amazon.com" in path
        return "is a page of the AWS console: write s3://bucket/key" if console and scheme.startswith("http") else ""
    if not path.startswith("s3://") and _OF_S3.match(path):
        return "is not an address that the check can read: write s3://bucket/key, or s3://bucket/prefix/"
    if mark:
        return ""
    if not path.startswith("/") and not _DRIVE.match(path):
        return _relative(path)
    if Path(path).suffix.lower() in _NO_JSON:
        return f"is a file `*{Path(path).suffix}`: records are read from JSON alone; `metta-checks publish` writes them"
    if "{" in path or re.search(r"%[YmdHjs]", path):
        return "holds braces or a date format, which are not replaced: a pattern has `*`, `?` and `[…]`"
    return ""


def _relative(path: str) -> str:
    if path.startswith("~"):
        return f"begins with `~`, which is another folder for the Agent: write it whole, {_shown(Path(path))}"
    found = f"is a relative path (`{printable(path, 80)}`), and the Agent runs in a folder of its own"
    return f"{found}: write the whole path, such as {_shown(Path.cwd() / path)}"


def _shown(path: Path) -> str:
    try:
        path = path.expanduser()
    except RuntimeError:
        return "from /"
    return printable(str(path), 200)


def _after_file(path: str) -> str:
    return printable("/" + path.removeprefix("file:").lstrip("/"), 80)


def _problem_of_name(option: str, text: str) -> str:
    """What keeps a name from being one of W&B, GitHub or git."""
    match option:
        case "entity" | "project" | "organization" if found := _NO_NAME.search(text):
            return f"contains `{found[0]}`: write only the name, such as `my-{_OF_NAME[option]}`, without a URL"
        case "repo" if text.endswith(".git"):
            return "ends in .git, which is no part of the name on GitHub: write owner/name"
        case "branch" if text.startswith("refs/"):
            return f"is a full reference: write the name alone, {printable(text.split('/', 2)[-1], 80)}"
        case "branch" if _NO_BRANCH.search(text):
            return "is no name of one branch (a pattern is not supported): write one, and an instance for each other"
    return ""


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from _texts_in(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from _texts_in(inside)
